using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture;

/// <summary>Changes of a capsule to one layer more, as data.</summary>
public sealed class CommitPlannerTests
{
    private static GuestPath Path(string path) => GuestPath.Parse(path);

    private static TreeChange Change(string path, ChangeKind kind = ChangeKind.Added, EntryKind entry = EntryKind.Regular) => new(Path(path), kind, entry);

    private static readonly ImmutableArray<TreeChange> Changes =
    [
        Change("/etc/gone", ChangeKind.Deleted), Change("/etc/web.conf", ChangeKind.Changed), Change("/opt", entry: EntryKind.Directory), Change("/opt/web.key"), Change("/usr/share/test.key"),
        Change("/var/lib", entry: EntryKind.Directory), Change("/var/lib/note"), Change("/var/tmp/x"), Change("/var/tmp/y", ChangeKind.Deleted),
    ];

    private static CapturePlan Plan() => CommitPlanner.Plan(
        new(new HostFacts { Source = SourceReference.OfRoot("/x") }, new MemoryTree().File("/etc/web.conf").File("/etc/odd").File("/opt/web.key").File("/usr/share/test.key").File("/var/lib/note").Directory("/var/lib/web").File("/var/tmp/x")), Changes, new()
        {
            Capsule = CapsuleName.Parse("web"),
            Manifest = new() { Name = CapsuleName.Parse("web"), Volumes = [new() { Name = CapsuleName.Parse("data"), Path = Path("/var/lib/web") }] },
            Base = new("capsule web", [], 1_700_000_000),
            Secrets = [Path("/etc/odd"), Path("/etc/removed")],
            Writers = ImmutableDictionary<GuestPath, string>.Empty.Add(Path("/etc/web.conf"), "/usr/bin/vi of main"),
        });

    [Fact]
    public void Each_change_has_its_kind_and_its_reason()
    {
        CapturePlan plan = Plan();
        plan.Paths.Select(p => (p.Path.ToString(), p.Kind)).Where(p => p.Item1.Count(c => c == '/') > 1).ShouldBe(
        [
            ("/etc/odd", PathKind.Secret), ("/etc/web.conf", PathKind.Config), ("/opt/web.key", PathKind.Secret), ("/usr/share", PathKind.Code), ("/usr/share/test.key", PathKind.Code), ("/var/lib", PathKind.Code), ("/var/lib/note", PathKind.Config),
        ]);
        plan.Manifest.Secrets.Select(s => s.ToString()).ShouldBe(["/etc/odd", "/opt/web.key"]);
        plan.Hidden.Select(h => h.Path.ToString()).ShouldBe(["/etc/gone"]);
        plan.LeftOut.Select(l => l.Path.ToString()).ShouldBe(["/var/tmp/x"]);
        plan.Why(Path("/etc/web.conf"))!.Value.ShouldBe(["written by /usr/bin/vi of main", "committed from the running capsule web"]);
        plan.Why(Path("/var/lib/note"))!.Value.ShouldBe(["committed from the running capsule web"]);
    }

    [Fact]
    public void The_former_plan_keeps_its_word_about_what_is_still_there()
    {
        CapturePlan before = Plan() with
        {
            Reasons = [new("part of package web", null)],
            Paths = [.. ((string[])["/etc", "/etc/gone", "/etc/gone/below", "/etc/web.conf", "/opt", "/usr/bin/web"]).Select(p => new PlannedPath(Path(p), PathKind.Code, EntryKind.Regular, 0, 0))],
            Hidden = [new(Path("/var/lib/note"), 0), new(Path("/srv"), 0)],
            LeftOut = [new(Path("/opt/web.key"), "nobody needs it"), new(Path("/usr/share/doc"), "documentation")],
        };
        CapturePlan plan = CommitPlanner.Together(before, Plan(), Changes);
        plan.Why(Path("/usr/bin/web"))!.Value.ShouldBe(["part of package web"]);
        plan.Why(Path("/etc"))!.Value.ShouldBe(["part of package web"]);
        plan.Why(Path("/etc/web.conf"))!.Value[^1].ShouldBe("committed from the running capsule web");
        plan.Why(Path("/etc/gone")).ShouldBeNull();
        plan.Why(Path("/etc/gone/below")).ShouldBeNull();
        plan.Hidden.Select(h => h.Path.ToString()).ShouldBe(["/srv", "/etc/gone"]);
        plan.Chain(plan.Hidden[1].Reason).ShouldBe(["removed there", "committed from the running capsule web"]);
        plan.LeftOut.Select(l => l.Path.ToString()).ShouldBe(["/usr/share/doc", "/var/tmp/x"]);
        CapturePlanJson.Write(CapturePlanJson.Read(CapturePlanJson.Write(plan))).ShouldBe(CapturePlanJson.Write(plan));
        CommitPlanner.Together(null, Plan(), Changes).Paths.Length.ShouldBe(Plan().Paths.Length);
    }
}
