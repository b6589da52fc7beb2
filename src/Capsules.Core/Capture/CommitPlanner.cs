using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>What is known of a capsule whose changes go into an image.</summary>
public sealed record CommitRequest
{
    /// <summary>The capsule.</summary>
    public required CapsuleName Capsule { get; init; }
    /// <summary>The manifest to be, still with the layers of now.</summary>
    public required CapsuleManifest Manifest { get; init; }
    /// <summary>The layers below, and how late their youngest file is.</summary>
    public required PlannedBase Base { get; init; }
    /// <summary>What is seen of the secrets that it has; a directory is none.</summary>
    public ImmutableHashSet<GuestPath> Secrets { get; init; } = [];
    /// <summary>Who wrote a path, in words, as far as that was seen.</summary>
    public ImmutableDictionary<GuestPath, string> Writers { get; init; } = ImmutableDictionary<GuestPath, string>.Empty;
}

/// <summary>What was written in a capsule outside its state → the plan of one layer more, and of its secrets. The tree is what the capsule shows.</summary>
public static class CommitPlanner
{
    private static readonly GuestPath Usr = GuestPath.Parse("/usr");

    /// <summary>Plans. Whole secrets are planned, those too that did not change; all that is no secret is for the one layer, whatever its kind.</summary>
    public static CapturePlan Plan(SourceView view, ImmutableArray<TreeChange> changes, CommitRequest request)
    {
        ImmutableArray<GuestPath> volumes = [.. request.Manifest.Volumes.Select(v => v.Path)];
        var builder = new PlanBuilder(view, volumes, []);
        Because from = new($"committed from the running capsule {request.Capsule}"), before = new($"a secret of {request.Capsule}");
        var hidden = ImmutableArray.CreateBuilder<HiddenPath>();
        foreach (TreeChange change in changes)
        {
            if (CaptureTables.Volatile.Any(v => change.Path.IsWithin(v) && change.Path != v))
            {
                if (change.Kind != ChangeKind.Deleted) builder.Leave(change.Path, "volatile: made anew at each start");
            }
            else if (change.Kind == ChangeKind.Deleted) hidden.Add(new(change.Path, builder.Index(from.Then("removed there"))));
            // The volumes' places are in the way of some: these directories come with what is really in them. Programs are not looked through for secrets.
            else if (!(change is { Kind: ChangeKind.Added, Entry: EntryKind.Directory } && volumes.Any(v => v.IsWithin(change.Path))))
                builder.AddEntry(change.Path, request.Secrets.Contains(change.Path) && change.Entry != EntryKind.Directory ? PathKind.Secret : change.Path.IsWithin(Usr) ? PathKind.Code : PathKind.Config,
                    request.Writers.TryGetValue(change.Path, out string? writer) ? from.Then("written by " + writer) : from);
        }
        foreach (GuestPath secret in request.Secrets.Order())
            if (view.Resolver.Look(secret) is { IsDirectory: false }) builder.AddEntry(secret, PathKind.Secret, before);

        ImmutableArray<PlannedPath> paths = builder.Paths;
        return new()
        {
            Source = SourceReference.OfBase(request.Base.Name),
            Application = request.Capsule.ToString(),
            Stack = request.Capsule,
            Base = request.Base,
            Hidden = hidden.ToImmutable(),
            LatestTime = request.Base.LatestTime,
            Manifest = request.Manifest with { Secrets = [.. paths.Where(p => p.Kind == PathKind.Secret).Select(p => p.Path)] },
            Reasons = builder.Reasons,
            Paths = paths,
            LeftOut = builder.LeftOut,
        };
    }

    /// <summary>The plan of an image that came of another one: what that one's plan says of paths that are still its own, and what was committed.</summary>
    /// <param name="before">The other one's plan; null when it had none.</param>
    /// <param name="plan">The plan of the commit.</param>
    /// <param name="changes">What was changed.</param>
    public static CapturePlan Together(CapturePlan? before, CapturePlan plan, ImmutableArray<TreeChange> changes)
    {
        if (before is null) return plan;
        HashSet<GuestPath> changed = [.. changes.Select(c => c.Path)], ended = [.. changes.Where(c => c.Kind == ChangeKind.Deleted || c.Entry != EntryKind.Directory).Select(c => c.Path)];
        int offset = before.Reasons.Length;
        var paths = new SortedDictionary<GuestPath, PlannedPath>();
        foreach (PlannedPath path in before.Paths.Where(p => !changed.Contains(p.Path) && !HasEnded(p.Path.Parent))) paths.Add(path.Path, path);
        foreach (PlannedPath path in plan.Paths) paths.TryAdd(path.Path, path with { Reason = path.Reason + offset });
        return plan with
        {
            Application = before.Application,
            Reasons = [.. before.Reasons, .. plan.Reasons.Select(r => r with { Because = r.Because + offset })],
            Paths = [.. paths.Values],
            Hidden = [.. before.Hidden.Where(h => !changed.Contains(h.Path)), .. plan.Hidden.Select(h => h with { Reason = h.Reason + offset })],
            Volumes = before.Volumes,
            LeftOut = LeftOut(before.LeftOut, plan),
            Uncertain = before.Uncertain,
        };

        bool HasEnded(GuestPath path) => !path.IsRoot && (ended.Contains(path) || HasEnded(path.Parent));
    }

    /// <summary>What was left out before and is still not there, and what was left out now.</summary>
    public static ImmutableArray<LeftOutPath> LeftOut(IEnumerable<LeftOutPath> before, CapturePlan plan)
    {
        HashSet<GuestPath> known = [.. plan.Paths.Select(p => p.Path), .. plan.LeftOut.Select(l => l.Path)];
        return [.. before.Where(l => !known.Contains(l.Path)).Concat(plan.LeftOut).OrderBy(l => l.Path)];
    }
}
