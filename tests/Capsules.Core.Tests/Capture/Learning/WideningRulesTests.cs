using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;
using Capsules.Core.Tests.Formats;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Learning;

public sealed class WideningRulesTests
{
    private static MemoryTree Tree => new MemoryTree()
        .File("/usr/bin/dash", SmallElf.Make("/usr/lib/ld.so", ["libc.so.6"]), 0x1ED).Link("/bin", "usr/bin").Link("/usr/bin/sh", "dash").File("/usr/lib/ld.so", SmallElf.Make(null, [])).File("/usr/lib/libc.so.6", SmallElf.Make(null, []))
        .File("/usr/bin/app", SmallElf.Make("/usr/lib/ld.so", ["libc.so.6"]), 0x1ED).File("/usr/share/app/a.tmpl", "a").File("/usr/share/app/b.tmpl", "b").File("/usr/share/other/x", "x").File("/usr/share/other/y", "y")
        .File("/usr/share/loose/one.pm", "1").File("/usr/share/loose/two.pm", "2").File("/usr/share/lists/entry", "1").File("/usr/share/alone/one", "1").File("/usr/share/alone/two", "2")
        .File("/var/lib/thing/deep/data", "1").File("/var/lib/thing/index", "2").File("/opt/suite/bin/tool", "x", 0x1ED).File("/opt/suite/bin/other", SmallElf.Make("/usr/lib/ld.so", ["libother.so"]), 0x1ED).File("/usr/lib/libother.so", SmallElf.Make(null, [])).File("/opt/suite/share/help", "x").File("/srv/site/sub/page.html", "x").File("/srv/site/other.html", "x")
        .Large("/usr/local/suite/data/big", 300L << 20).File("/usr/local/suite/small", "x").File("/etc/loose.conf", "x").Directory("/run").Directory("/tmp").File("/etc/passwd", "");

    private static SourceView View => new(new()
    {
        Source = SourceReference.OfRoot("/mnt"),
        Users = [new("root", 0, 0, "", "/root", "")],
        Packages = [Package("app", "/usr/bin/app", "/usr/share/app", "/usr/share/app/a.tmpl", "/usr/share/app/b.tmpl"), Package("other", "/usr/share/other", "/usr/share/other/x", "/usr/share/other/y"), Package("dash", "/usr/bin/dash", "/usr/bin/sh")],
    }, Tree);

    private static PackageFact Package(string name, params string[] files) =>
        new(DpkgStatus.Parse(Encoding.UTF8.GetBytes($"Package: {name}\nStatus: install ok installed\nVersion: 1\n"))[0], [.. files.Select(GuestPath.Parse)]);

    private static CapturePlan Learn(string? rules, params (string Path, Uses Use)[] met)
    {
        ObservedRun run = new() { Started = DateTimeOffset.UnixEpoch, Paths = [.. met.Select(m => new Observation(GuestPath.Parse(m.Path), m.Use, "/usr/bin/app"))] };
        LearnedPaths learned = LearnedPaths.Merge([run]);
        SourceView view = View;
        Application application = LearnedApplication.Of(view, GuestPath.Parse("/usr/bin/app"), new(["app", "--serve"], GuestPath.Parse("/srv"), ["MODE=x"], null), learned);
        return CapturePlanner.Plan(view, application, new() { Found = learned.Found, Uncertain = learned.Uncertain, Rules = rules is null ? WideningRules.Default : WideningRules.Parse(Encoding.UTF8.GetBytes(rules)) });
    }

    [Theory]
    [InlineData("/usr/share/other/x", Uses.Open, "/usr/share/other/y", "package")]            // the whole package
    [InlineData("/usr/share/loose/one.pm", Uses.Open, "/usr/share/loose/two.pm", "modules")]   // the folder of a script's modules
    [InlineData("/usr/share/lists", Uses.List, "/usr/share/lists/entry", "listed")]            // a name that is missing in a listing is silent
    [InlineData("/opt/suite/bin/tool", Uses.Execute, "/opt/suite/share/help", "application")]
    [InlineData("/etc/loose.conf", Uses.Open, "/etc/loose.conf", "rest")]
    public void A_rule_widens_and_its_name_is_in_the_reasons(string met, Uses use, string taken, string rule) =>
        string.Join('\n', Learn(null, (met, use)).Why(GuestPath.Parse(taken)).ShouldNotBeNull()).ShouldContain($"rule {rule}");

    [Fact]
    public void A_large_tree_that_is_taken_whole_because_it_was_listed_is_told_with_the_option_that_leaves_it()
    {
        PlanNote note = Learn(null, ("/usr/local/suite", Uses.List), ("/usr/local/suite/data", Uses.List)).Notes.Single(n => n.Options.StartsWith("--leave", StringComparison.Ordinal));
        (note.Options, note.Text.Contains("300 MB")).ShouldBe(("--leave /usr/local/suite", true));
        Learn(null, ("/usr/share/lists", Uses.List)).Notes.ShouldNotContain(n => n.Text.Contains("taken whole"));
    }

    [Theory]
    [InlineData("/usr/share/alone/one", Uses.Open, "/usr/share/alone/two")]
    [InlineData("/usr/share/other/x", Uses.Look, "/usr/share/other/y")]
    [InlineData("/usr/share/lists", Uses.Look, "/usr/share/lists/entry")]
    public void A_path_that_proves_nothing_of_its_neighbours_is_taken_alone(string met, Uses use, string left)
    {
        CapturePlan plan = Learn(null, (met, use));
        plan.Why(GuestPath.Parse(met)).ShouldNotBeNull();
        plan.Why(GuestPath.Parse(left)).ShouldBeNull();
    }

    [Theory]
    [InlineData("/var/lib/thing/deep/data", Uses.Open, "/var/lib/thing")]
    [InlineData("/srv/site/sub/page.html", Uses.Open, "/srv/site")]
    [InlineData("/opt/suite/share/help", Uses.Write, "/opt/suite/share")]
    public void Data_is_taken_whole_as_state(string met, Uses use, string volume) => Learn(null, (met, use)).Volumes.Select(v => v.Path.ToString()).ShouldContain(volume);

    [Fact]
    public void A_look_at_the_root_makes_nobodys_programs_the_applications()
    {
        CapturePlan plan = Learn(null, ("/", Uses.Look), ("/opt", Uses.Look));
        plan.Why(GuestPath.Parse("/opt/suite/bin/tool")).ShouldBeNull();
        plan.Why(GuestPath.Parse("/usr/lib/libother.so")).ShouldBeNull(); // which a program there needs
    }

    [Fact]
    public void The_users_own_table_decides()
    {
        const string own = "# capsule rules 1\nnever  name *.tmpl -> leave\nstrict -> itself\n";
        CapturePlan plan = Learn(own, ("/usr/share/loose/one.pm", Uses.Open), ("/usr/share/other/x", Uses.Open));
        plan.Why(GuestPath.Parse("/usr/share/loose/two.pm")).ShouldBeNull();
        plan.Why(GuestPath.Parse("/usr/share/other/y")).ShouldBeNull();
        plan.Why(GuestPath.Parse("/usr/share/other/x"))!.Value.ShouldContain(r => r.Contains("rule strict"));
    }

    [Fact]
    public void The_command_is_the_service_when_no_unit_says_otherwise()
    {
        var service = Learn(null).Manifest.Services.ShouldHaveSingleItem();
        service.Command.ShouldBe(["app", "--serve"]);
        (service.Program, service.WorkingDirectory).ShouldBe((GuestPath.Parse("/usr/bin/app"), GuestPath.Parse("/srv")));
        service.Environment.ShouldBe(["MODE=x"]);
    }

    [Theory]
    [InlineData("", "/usr/bin/app -a|-/usr/bin/app -b|+/usr/bin/app -c|-+/usr/bin/app -d")]
    [InlineData("PermissionsStartOnly=yes\n", "+/usr/bin/app -a|-+/usr/bin/app -b|+/usr/bin/app -c|-+/usr/bin/app -d")]
    public void What_a_unit_runs_before_keeps_its_signs(string further, string expected)
    {
        ServiceManifest service = Served($"ExecStart=/usr/bin/app --serve\nExecStartPre=/usr/bin/app -a\nExecStartPre=-/usr/bin/app -b\nExecStartPre=+/usr/bin/app -c\nExecStartPre=-!/usr/bin/app -d\n{further}").Manifest.Services.ShouldHaveSingleItem();
        string.Join('|', service.StartPre.Select(c => string.Join(' ', c))).ShouldBe(expected);
        HelperCommand last = HelperCommand.Of(service.StartPre[^1]);
        (last.Arguments[0], last.MayFail, last.AsRoot).ShouldBe(("/usr/bin/app", true, true));
    }

    private static CapturePlan Served(string settings)
    {
        UnitFact unit = new() { Name = UnitName.Parse("app.service"), Path = GuestPath.Parse("/usr/lib/systemd/system/app.service"), File = UnitFile.Parse(Encoding.UTF8.GetBytes($"[Service]\nUser=web\n{settings}")), IsEnabled = true };
        SourceView view = new(View.Facts with { Units = [unit], Users = [.. View.Facts.Users, new("web", 33, 33, "", "/", "")] }, Tree);
        return CapturePlanner.Plan(view, LearnedApplication.Of(view, GuestPath.Parse("/usr/bin/app"), new(["app", "--serve"], GuestPath.Parse("/srv"), [], null), LearnedPaths.Merge([])), new());
    }

    [Theory]
    [InlineData("/usr/bin/app --serve", "/usr/bin/app --serve", false)]
    [InlineData("/usr/bin/app --daemon", "app --serve", true)]
    public void The_command_that_was_watched_decides_its_arguments_and_the_unit_the_rest(string exec, string runs, bool isTold)
    {
        CapturePlan plan = Served($"ExecStart={exec}\nKillSignal=SIGINT\nEnvironment=MODE=unit\n");
        ServiceManifest service = plan.Manifest.Services.ShouldHaveSingleItem();
        (string.Join(' ', service.Command), service.User, service.StopSignal).ShouldBe((runs, "web", 2));
        service.Environment.ShouldBe(isTold ? [] : ["MODE=unit"]);
        plan.Notes.Any(n => n.Text.Contains("started as it was watched")).ShouldBe(isTold);
    }

    [Fact]
    public void What_is_uncertain_stays_with_the_plan_when_the_plan_takes_it()
    {
        CapturePlan plan = Learn(null, ("/usr/share/other/x", Uses.Look), ("/tmp", Uses.Look));
        plan.Uncertain.ShouldHaveSingleItem().Path.ShouldBe(GuestPath.Parse("/usr/share/other/x"));
        CapturePlanJson.Read(CapturePlanJson.Write(plan)).Uncertain.ShouldBe(plan.Uncertain);
    }

    [Theory]
    [InlineData("", "line 1")]
    [InlineData("x -> leave\n", "line 1")]
    [InlineData("# capsule rules 1\nx leave\n", "line 2: a rule is")]
    [InlineData("# capsule rules 1\nx -> \n", "line 2: a rule is")]
    [InlineData("# capsule rules 1\n\nx red -> leave\n", "line 3: `red` is no condition")]
    [InlineData("# capsule rules 1\nx -> eat\n", "`eat` is nothing that can be done")]
    [InlineData("# capsule rules 1\nx any fly -> leave\n", "`fly` is nothing that a program does")]
    [InlineData("# capsule rules 1\nx within -> leave\n", "`within` wants something behind it")]
    [InlineData("# capsule rules 1\nx within usr -> leave\n", "'usr' is not a canonical absolute path")]
    [InlineData("# capsule rules 1\nx -> child\n", "`child` needs `within`")]
    [InlineData("# capsule rules 1\nx -> go-on\n", "does something")]
    [InlineData("# capsule rules 1\n-x -> leave\n", "is not a name")]
    public void A_line_that_is_no_rule_is_named(string text, string says) =>
        Should.Throw<FormatException>(() => WideningRules.Parse(Encoding.UTF8.GetBytes(text))).Message.ShouldContain(says);

    [Theory]
    [InlineData("*.py", "a.py", true)]
    [InlineData("lib*.so.*", "libx.so.1", true)]
    [InlineData("lib*.so.*", "libx.so", false)]
    [InlineData("a*a", "a", false)]
    [InlineData("exact", "exactly", false)]
    public void Patterns_of_names_match_the_whole_name(string pattern, string name, bool matches) =>
        WideningRules.Parse(Encoding.UTF8.GetBytes($"# capsule rules 1\nx name {pattern} -> leave\n")).Rules[0].Holds(GuestPath.Parse("/d").Child(name), Uses.Open, false, false, false).ShouldBe(matches);
}
