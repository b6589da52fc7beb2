using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Learning;

public sealed class ObservationLogTests
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

    private static readonly Observation[] Seen =
    [
        new(GuestPath.Parse("/bin/sh"), Uses.Execute, null, LeadsTo: GuestPath.Parse("/usr/bin/dash")), new(GuestPath.Parse("/etc/ld.so.preload"), Uses.Look, "/usr/bin/dash", IsMissing: true),
        new(GuestPath.Parse("/srv/\\xff name"), Uses.ReadLink, "/usr/bin/dash"),
    ];

    private static readonly LearnedCommand Command = new(["sh", "-c", "x"], GuestPath.Parse("/srv"), ["A=b"], "web");

    private static byte[] Log(params IEnumerable<Observation> seen) =>
        [.. ObservationLog.Head(Noon, "test", Command), .. seen.SelectMany(ObservationLog.Line)];

    [Fact]
    public void What_was_written_is_read_again()
    {
        ObservedRun run = ObservationLog.Parse((byte[])[.. Log(Seen), .. ObservationLog.Line(new ObservedSocket("tcp", new(IPAddress.IPv6Any, 80))), .. ObservationLog.Unseen("x"), .. ObservationLog.End(3)]);
        (run.Started, run.Way, run.Exit).ShouldBe((Noon, "test", 3));
        run.Command.ShouldNotBeNull().Command.ShouldBe(Command.Command);
        (run.Command.WorkingDirectory, run.Command.Environment.Single(), run.Command.User).ShouldBe((Command.WorkingDirectory, "A=b", "web"));
        run.Paths.ShouldBe(Seen);
        run.Sockets.ShouldBe([new("tcp", new(IPAddress.IPv6Any, 80))]);
        run.Unseen.ShouldBe(["x"]);
    }

    [Fact]
    public void A_log_that_ends_anywhere_has_every_line_that_is_whole()
    {
        byte[] log = Log(Seen);
        int head = ObservationLog.Head(Noon, "test", Command).Length;
        for (int length = head; length <= log.Length; length++)
        {
            ObservedRun run = ObservationLog.Parse(log.AsMemory(0, length));
            run.Paths.ShouldBe(Seen.Take(log.AsSpan(head, length - head).Count((byte)'\n')), $"after {length} bytes");
            run.Exit.ShouldBeNull();
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"path\":\"/a\",\"use\":\"open\"}\n")]
    [InlineData("HEAD{\"path\":\"/a\",\"use\":\"op\n{\"exit\":0}\n")]
    [InlineData("HEAD{\"path\":\"a\",\"use\":\"open\"}\n")]
    [InlineData("HEAD{\"path\":\"/a\",\"use\":\"eat\"}\n")]
    [InlineData("HEAD{\"path\":\"/a\",\"use\":\"none\"}\n")]
    [InlineData("HEAD{\"socket\":\"tcp\",\"address\":\"nowhere\"}\n")]
    [InlineData("{\"schemaVersion\":99,\"started\":\"2026-01-31T12:00:00Z\"}\n")]
    public void A_line_that_is_broken_and_not_torn_is_refused(string text) =>
        Should.Throw<FormatException>(() => ObservationLog.Parse(Encoding.UTF8.GetBytes(text.Replace("HEAD", Encoding.UTF8.GetString(ObservationLog.Head(Noon, "test", null))))));

    [Fact]
    public void A_line_that_is_broken_is_named_by_its_number() =>
        Should.Throw<FormatException>(() => ObservationLog.Parse((byte[])[.. ObservationLog.Head(Noon, "test", null), .. ObservationLog.Line(Seen[0]), .. "broken\n"u8])).Message.ShouldStartWith("line 3: ");

    [Fact]
    public void Runs_add_up_and_what_one_of_them_met_alone_is_uncertain()
    {
        Observation common = new(GuestPath.Parse("/usr/lib/a.so"), Uses.Open, "/bin/x"), rare = new(GuestPath.Parse("/usr/lib/b.so"), Uses.Open, "/bin/x"), gone = new(GuestPath.Parse("/usr/lib/c.so"), Uses.Open, "/bin/x", IsMissing: true);
        LearnedPaths learned = LearnedPaths.Merge([Run(common, rare), Run(common, gone)]);
        learned.Runs.ShouldBe(2);
        learned.Found.Select(f => f.Path.ToString()).ShouldBe(["/usr/lib/a.so", "/usr/lib/b.so"]);
        learned.Paths.Single(p => p.Path == gone.Path).IsMissing.ShouldBeTrue();
        learned.Uncertain.ShouldBe([new(rare.Path, "met in one of 2 runs: /bin/x opened it while it was learned")]);
        LearnedPaths.Merge([Run(common, gone), Run(common, gone with { IsMissing = false })]).Paths.Single(p => p.Path == gone.Path).IsMissing.ShouldBeFalse();
    }

    [Fact]
    public void What_was_only_looked_at_is_uncertain_until_somebody_opens_it()
    {
        Observation look = new(GuestPath.Parse("/etc/x"), Uses.Look, "/bin/x");
        LearnedPaths.Merge([Run(look)]).Uncertain.ShouldBe([new(look.Path, "never opened: /bin/x looked at it while it was learned")]);
        LearnedPath opened = LearnedPaths.Merge([Run(look, look with { Use = Uses.Open, By = "/bin/y" })]).Paths.ShouldHaveSingleItem();
        opened.Uses.ShouldBe(Uses.Look | Uses.Open);
        opened.Why.Text.ShouldBe("/bin/y opened it while it was learned");
        LearnedPaths.Merge([Run(look, look with { Use = Uses.Open })]).Uncertain.ShouldBeEmpty();
    }

    [Fact]
    public void A_path_that_was_written_in_any_run_is_written() =>
        LearnedPaths.Merge([Run(Seen[2]), Run(Seen[2] with { Use = Uses.Write })]).Found.ShouldHaveSingleItem().IsWritten.ShouldBeTrue();

    private static ObservedRun Run(params ImmutableArray<Observation> seen) => new() { Started = Noon, Paths = seen };
}
