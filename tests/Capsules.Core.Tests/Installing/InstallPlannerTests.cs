using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Comparing;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;
using Capsules.Core.Tests.Capture;
using Capsules.Core.Tests.Formats;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Installing;

/// <summary>What an installer changed, and what came between two looks, sorted by the rules; as data.</summary>
public sealed class InstallPlannerTests
{
    private static readonly Digest Layer = Digest.Parse("sha256:" + new string('a', 64));

    private static MemoryTree Tree => new MemoryTree()
        .Link("/lib", "usr/lib").File("/usr/bin/sh", SmallElf.Make(null, []), 0x1ED)
        .File("/usr/sbin/webd", SmallElf.Make(null, []), 0x1ED).File("/etc/webd.conf", "x").File("/etc/webd.key", "-----BEGIN PRIVATE KEY-----\n", 0x180)
        .Directory("/var/lib/webd").File("/var/lib/webd/seed").File("/var/log/webd.log").File("/var/lib/old/data").File("/usr/share/oldpkg/file").File("/usr/share/up/file")
        .File("/usr/lib/systemd/system/webd.service", "").File("/usr/lib/systemd/system/spare.service", "").File("/opt/tool/run", "#!/usr/bin/sh\n", 0x1ED);

    private static PackageFact Package(string name, string version, params string[] files) => new(new DpkgPackage { Name = name, Source = name, Version = version, State = "installed", Priority = "optional" }, [.. files.Select(f => GuestPath.Parse(f))]);

    private static UnitFact Unit(string name, bool enabled, string text) =>
        new() { Name = UnitName.Parse(name), Path = GuestPath.Parse("/lib/systemd/system/" + name), File = UnitFile.Parse(Encoding.UTF8.GetBytes(text)).Resolve(UnitName.Parse(name)), IsEnabled = enabled };

    private static SourceView View(bool enabled = true) => new(new HostFacts
    {
        Source = SourceReference.OfRoot("/x"),
        Packages = [Package("webd", "2.1-3", "/usr/sbin/webd", "/lib/systemd/system/webd.service", "/etc/webd.conf", "/var/lib/webd"), Package("oldpkg", "1", "/usr/share/oldpkg/file"), Package("up", "2", "/usr/share/up/file")],
        Units = [Unit("webd.service", enabled, "[Unit]\nAfter=spare.service\n[Service]\nExecStart=/usr/sbin/webd\nStateDirectory=webd\n[Install]\nWantedBy=multi-user.target\n"), Unit("spare.service", false, "[Service]\nExecStart=/opt/tool/run\n[Install]\nWantedBy=multi-user.target\n")],
    }, Tree);

    private static TreeChange Change(string path, ChangeKind kind = ChangeKind.Added, EntryKind entry = EntryKind.Regular) => new(GuestPath.Parse(path), kind, entry);

    private static readonly ImmutableArray<TreeChange> Changes =
    [
        Change("/etc/gone", ChangeKind.Deleted), Change("/etc/webd.conf"), Change("/etc/webd.key"), Change("/opt/tool/run"), Change("/usr/lib/systemd/system/spare.service"), Change("/usr/lib/systemd/system/webd.service"), Change("/usr/sbin/webd"),
        Change("/var/cache/apt/pkgcache.bin"), Change("/var/lib/webd", entry: EntryKind.Directory), Change("/var/lib/webd/seed"), Change("/var/log/webd.log"),
    ];

    private static CapturePlan Plan(bool enabled = true, CapsuleManifest? baseManifest = null) => InstallPlanner.Plan(View(enabled), Changes, new() { Name = CapsuleName.Parse("web"), Base = new("debian:bookworm", [Layer], 1_700_000_000), By = "apt-get install webd", BaseManifest = baseManifest });

    [Fact]
    public void Each_change_is_sorted_and_has_its_reason()
    {
        CapturePlan plan = Plan();
        PathKind Of(string path) => plan.Paths.Single(p => p.Path == GuestPath.Parse(path)).Kind;
        Of("/usr/sbin/webd").ShouldBe(PathKind.Code);
        Of("/etc/webd.conf").ShouldBe(PathKind.Config);
        Of("/etc/webd.key").ShouldBe(PathKind.Secret);
        plan.Volumes.Single().Path.ShouldBe(GuestPath.Parse("/var/lib/webd"));
        plan.Paths.ShouldNotContain(p => p.Path == GuestPath.Parse("/var/lib/webd/seed"));
        plan.LeftOut.Select(l => l.Path.ToString()).ShouldBe(["/var/cache/apt/pkgcache.bin", "/var/log/webd.log"]);
        plan.Hidden.Single().Path.ShouldBe(GuestPath.Parse("/etc/gone"));
        plan.Why(GuestPath.Parse("/usr/sbin/webd"))!.Value.ShouldBe(["part of package webd 2.1-3", "installed on debian:bookworm by `apt-get install webd`"]);
        plan.Why(GuestPath.Parse("/opt/tool/run"))!.Value[0].ShouldContain("no package owns it");
        plan.Paths.ShouldNotContain(p => p.Path == GuestPath.Parse("/usr/bin/sh")); // the base has it
        plan.Manifest.Version.ShouldBe("2.1");
        plan.LatestTime.ShouldBe(1_700_000_000);
    }

    [Fact]
    public void The_plan_is_read_as_it_was_written() => CapturePlanJson.Write(CapturePlanJson.Read(CapturePlanJson.Write(Plan()))).ShouldBe(CapturePlanJson.Write(Plan()));

    [Fact]
    public void Services_that_are_enabled_run_and_others_are_told()
    {
        Plan().Manifest.Services.Select(s => s.Name).ShouldBe(["webd"]);
        Plan().Notes.ShouldContain(n => n.Text.Contains("spare.service came and is not enabled", StringComparison.Ordinal));
        CapturePlan none = Plan(enabled: false);
        none.Manifest.Services.Select(s => s.Name).ShouldBe(["spare", "webd"], ignoreOrder: true);
        none.Manifest.Services.Single(s => s.Name == "webd").After.ShouldBe(["spare"]);
        none.Notes.ShouldContain(n => n.Text.Contains("enabled no service", StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_capsule_that_is_the_base_runs_and_holds_stays()
    {
        var before = new CapsuleManifest { Name = CapsuleName.Parse("db"), Services = [new() { Name = "webd", Command = ["/bin/old"] }], Volumes = [new() { Name = CapsuleName.Parse("all"), Path = GuestPath.Parse("/var/lib") }] };
        CapturePlan plan = Plan(baseManifest: before);
        plan.Manifest.Services.Select(s => s.Name).ShouldBe(["webd", "webd-2"]);
        plan.Manifest.Volumes.Select(v => v.Path.ToString()).ShouldBe(["/var/lib"]);
        plan.Volumes.Select(v => (v.Name.ToString(), v.Path.ToString())).ShouldBe([("all", "/var/lib")]); // filled from what the layers and the installer have there
    }

    [Theory]
    [InlineData("/var/log/a/b.log", "/var/log/**", true)]
    [InlineData("/var/log", "/var/log/**", false)]
    [InlineData("/etc/passwd-", "/etc/passwd-", true)]
    [InlineData("/var/lib/dpkg/status-old", "/var/lib/dpkg/*-old", true)]
    [InlineData("/var/lib/dpkg/a/status-old", "/var/lib/dpkg/*-old", false)]
    [InlineData("/root/.bash_history", "/root/.*_history", true)]
    [InlineData("/a/b/c.pyc", "/**.pyc", true)]
    [InlineData("/a/b/c.py", "/**.pyc", false)]
    [InlineData("/home/u/.cache/x", "/home/*/.cache**", true)]
    [InlineData("/home/u/v/.cache/x", "/home/*/.cache**", false)]
    public void Patterns_are_of_names_and_of_paths(string path, string pattern, bool fits) => new PathGlob(pattern).Matches(path).ShouldBe(fits);

    [Fact]
    public void What_came_is_told_from_what_happened_meanwhile()
    {
        var before = new TreeSnapshot([], [new("oldpkg", "1", "all"), new("up", "1", "all")]);
        ImmutableArray<SortedChange> sorted = ChangeSorter.Sort(View(), before,
        [
            .. Changes, Change("/var/lib/dpkg/status", ChangeKind.Changed), Change("/usr/share/oldpkg/file", ChangeKind.Changed), Change("/usr/share/up/file", ChangeKind.Changed), Change("/var/lib/old/data", ChangeKind.Changed),
            Change("/etc/passwd", ChangeKind.Changed), Change("/etc/ld.so.cache", ChangeKind.Changed), Change("/etc/other.conf", ChangeKind.Changed),
        ]);
        (ChangeVerdict, string) Of(string path) => sorted.Where(s => s.Change.Path == GuestPath.Parse(path)).Select(s => (s.Verdict, s.Rule)).Single();
        Of("/usr/sbin/webd").ShouldBe((ChangeVerdict.Taken, "new-package"));
        Of("/opt/tool/run").ShouldBe((ChangeVerdict.Taken, "new-file"));
        Of("/var/lib/webd/seed").ShouldBe((ChangeVerdict.State, "new-data"));
        Of("/etc/gone").ShouldBe((ChangeVerdict.Noise, "gone"));
        Of("/var/log/webd.log").ShouldBe((ChangeVerdict.Noise, "logs"));
        Of("/var/lib/dpkg/status").ShouldBe((ChangeVerdict.Noise, "package-database"));
        Of("/usr/share/oldpkg/file").ShouldBe((ChangeVerdict.Others, "old-package"));
        Of("/usr/share/up/file").ShouldBe((ChangeVerdict.Others, "upgraded-package"));
        Of("/var/lib/old/data").ShouldBe((ChangeVerdict.Others, "old-data"));
        Of("/etc/passwd").ShouldBe((ChangeVerdict.Taken, "accounts"));
        Of("/etc/ld.so.cache").ShouldBe((ChangeVerdict.Noise, "generated"));
        Of("/etc/other.conf").ShouldBe((ChangeVerdict.Others, "old-file"));
        ChangeSorter.Found(View(), sorted).Select(f => f.Path.ToString()).ShouldBe(["/etc/webd.conf", "/etc/webd.key", "/opt/tool/run", "/usr/lib/systemd/system/spare.service", "/var/lib/webd/seed"]);
    }

    [Theory]
    [InlineData("/var/lib/dnf/history.sqlite-wal", "histories")]
    [InlineData("/usr/lib/sysimage/rpm/rpmdb.sqlite-shm", "locks")] // the index of a log, made anew by whoever opens it
    [InlineData("/usr/lib/sysimage/rpm/rpmdb.sqlite", null)]
    [InlineData("/usr/lib/sysimage/rpm/rpmdb.sqlite-wal", null)] // what is not yet in the database
    public void Of_rpms_tools_the_database_is_taken_and_what_they_note_for_themselves_is_not(string path, string? rule) =>
        (ChangeRules.Of(new(GuestPath.Parse(path), ChangeKind.Added, EntryKind.Regular), isOwned: false)?.Name).ShouldBe(rule);

    [Fact]
    public void The_guide_shows_the_rules_that_the_code_has()
    {
        string guide = House.Repository.Read("docs/guide/compare.md");
        foreach (ChangeRule rule in ChangeRules.Noise) guide.ShouldContain($"| `{rule.Name}` | noise | {rule.Why} | {string.Join(" ", rule.Patterns.Select(p => $"`{p.Pattern}`"))} |");
        foreach (SortingRule rule in ChangeSorter.Rules) guide.ShouldContain($"| `{rule.Name}` | {rule.Verdict.ToString().ToLowerInvariant()} | {rule.Why} |");
    }
}
