using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Core.Tests.House;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Links;

public sealed class CrossingRulesTests
{
    private static readonly Export s_export = new() { Name = CapsuleName.Parse("tools"), Preset = LinkPreset.Partner, Programs = [GuestPath.Parse("/usr/bin/gzip")] };

    [Theory]
    [InlineData("*", "", true)]
    [InlineData("", "", true)]
    [InlineData("", "a", false)]
    [InlineData("-?", "-v", true)]
    [InlineData("-?", "-vv", false)]
    [InlineData("--db=*", "--db=a/b", true)]
    [InlineData("--db=*", "x--db=a", false)]
    [InlineData("a*b*c", "aXbYbZc", true)]
    [InlineData("a*b*c", "aXbYbZ", false)]
    [InlineData("[a]", "a", false)]
    [InlineData("a", "A", false)]
    public void A_pattern_is_a_shells(string pattern, string text, bool matches) =>
        CrossingRules.Matches(global::System.Text.Encoding.UTF8.GetBytes(pattern), global::System.Text.Encoding.UTF8.GetBytes(text)).ShouldBe(matches);

    [Fact]
    public void Each_argument_must_match_one_pattern()
    {
        CrossingRules.AllowsArguments(s_export, ["gzip", "anything"]).ShouldBeTrue();
        Export narrow = s_export with { Arguments = ["-c", "-[d]", "/srv/*"] };
        CrossingRules.AllowsArguments(narrow, ["gzip"]).ShouldBeTrue();
        CrossingRules.AllowsArguments(narrow, ["gzip", "-c", "/srv/x"]).ShouldBeTrue();
        CrossingRules.AllowsArguments(narrow, ["gzip", "-c", "/etc/x"]).ShouldBeFalse();
        CrossingRules.AllowsArguments(narrow, ["gzip", ""]).ShouldBeFalse();
    }

    [Fact]
    public void The_name_of_the_program_is_its_own()
    {
        GuestPath program = GuestPath.Parse("/usr/bin/gzip");
        CrossingRules.ArgumentsOf(program, ["gzip", "-d"]).ShouldBe(["gzip", "-d"]);
        CrossingRules.ArgumentsOf(program, ["/bin/gzip"]).ShouldBe(["/bin/gzip"]);
        CrossingRules.ArgumentsOf(program, ["sh", "-c", "id"]).ShouldBe(["/usr/bin/gzip", "-c", "id"]);
        CrossingRules.ArgumentsOf(program, ["-gzip"]).ShouldBe(["/usr/bin/gzip"]);
        CrossingRules.ArgumentsOf(program, [""]).ShouldBe(["/usr/bin/gzip"]);
    }

    [Fact]
    public void Variables_of_the_loader_and_of_the_user_stay_behind_whatever_an_export_says() =>
        CrossingRules.VariablesOf(s_export with { Environment = ["LD_PRELOAD", "PATH", "HOME", "MINE"] }, ["LANG=C", "LC_ALL=C", "TZ=UTC", "TERM=vt52", "MINE=1", "OTHER=1", "LD_PRELOAD=x", "PATH=/x", "HOME=/x", "LANGUAGE=de", "=x", "broken"])
            .ShouldBe(["LANG=C", "LC_ALL=C", "TZ=UTC", "TERM=vt52", "MINE=1"]);

    [Fact]
    public void Limits_are_the_callers_as_far_as_the_owner_has_them() =>
        CrossingRules.LimitsOf([(10, 20), (100, 200), (ulong.MaxValue, ulong.MaxValue)], [50, 50, 50], ["A", "B", "C"]).ShouldBe([new ResourceLimit("A", 10, 20), new("B", 50, 50), new("C", 50, 50)]);

    [Fact]
    public void A_signal_before_the_start_ends_what_it_would_have_ended()
    {
        var message = new CrossingMessage { Arguments = ["x"], Ignored = 1UL << 0, Blocked = 1UL << 14 };
        CrossingRules.EndsBeforeStart(2, message).ShouldBeTrue();
        CrossingRules.EndsBeforeStart(1, message).ShouldBeFalse();
        CrossingRules.EndsBeforeStart(15, message).ShouldBeFalse();
        CrossingRules.EndsBeforeStart(18, message).ShouldBeFalse();
        CrossingRules.EndsBeforeStart(28, message).ShouldBeFalse();
    }

    [Fact]
    public void The_shim_says_what_the_pages_say_and_connects_where_the_socket_is()
    {
        string words = Repository.Read("src/Capsules.Shim/words.S").Replace("\\n", "\n", StringComparison.Ordinal);
        words.ShouldContain($".asciz  \"{CrossingFormat.Socket}\"");
        foreach (Problem problem in (Problem[])[Core.Problems.Problems.CrossingUnreachable("\0", $"connect {CrossingFormat.Socket}: errno \0"), Core.Problems.Problems.CrossingTooLong("\0"), Core.Problems.Problems.CrossingBrokenOff("\0")])
            foreach (string part in $"{problem}".Split('\0')) words.ShouldContain(part);
    }

    [Fact]
    public void Only_a_link_of_a_partner_runs_programs()
    {
        var link = new CapsuleLink { Import = Import.Parse("db/tools"), Preset = LinkPreset.Client };
        new UsedExport(link, s_export).RunsPrograms.ShouldBeFalse();
        new UsedExport(link with { Preset = LinkPreset.Partner }, s_export).RunsPrograms.ShouldBeTrue();
        new UsedExport(link with { Preset = LinkPreset.Partner }, s_export with { Programs = [] }).RunsPrograms.ShouldBeFalse();
    }
}
