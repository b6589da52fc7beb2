using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Installing;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>What a commit made.</summary>
/// <param name="Name">The capsule that is of the new image.</param>
/// <param name="Image">The image.</param>
/// <param name="Layer">The layer; null when nothing belongs into one.</param>
/// <param name="Changes">How many paths are new, changed or gone.</param>
/// <param name="Secrets">Secrets among them: they are kept apart.</param>
/// <param name="LeftOut">What was met and not taken.</param>
public sealed record CommitResult(CapsuleName Name, Digest Image, Digest? Layer, int Changes, ImmutableArray<GuestPath> Secrets, ImmutableArray<LeftOutPath> LeftOut);

/// <summary>Takes what was written outside of a capsule's state into an image: one layer more.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class CommitRunner(CapsuleStore store)
{
    private readonly StoreLayout _layout = store.Layout;

    /// <summary>
    /// Commits a capsule that does not run. It moves to the new image itself, or with <paramref name="other"/> a further capsule is made of that.
    /// When it is killed, the capsule is as before, or the rest is done at its next start or by `doctor --fix`.
    /// </summary>
    /// <exception cref="CapsuleException">It runs, the other name is taken, a file cannot be copied, or there is no room.</exception>
    public CommitResult Commit(CapsuleName name, CapsuleName? other, TimeProvider clock)
    {
        if (other is { } wanted && store.Has(wanted)) throw new CapsuleException(Problems.NameTaken(wanted.ToString()));
        using Descriptor held = store.Lock(name, wait: true)!;
        if (new CapsuleRunner(store).Running(name) is not null) throw new CapsuleException(Problems.CommitWhileRunning(name.ToString()));
        CapsuleRecord capsule = store.EndCommit(store.Get(name.ToString()));
        if (capsule.Open) throw new CapsuleException(Problems.StillOpen(name.ToString(), "its changes cannot go into an image yet"));
        SmallFiles.RemoveTree(_layout.NewSecrets(name)); // of a commit that ended before it counted
        return WorkDirectory.Use(_layout, "commit", work => Make(capsule, other, clock, work));
    }

    private CommitResult Make(CapsuleRecord capsule, CapsuleName? other, TimeProvider clock, string work)
    {
        string upper = _layout.Writable(capsule.Name) + "/upper";
        SmallFiles.MakeDirectories(upper);
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        string[] layers = [.. LayerOrder.TopmostFirst(manifest.Layers).Select(_layout.Layer)];
        bool hasSecrets = FileCalls.TryStat(null, _layout.Secrets(capsule.Name)) is not null;
        string[] lower = hasSecrets ? [_layout.Secrets(capsule.Name), .. layers] : layers;
        using Overlay below = Overlay.Of([.. lower]), shown = Overlay.Of([upper, .. lower]);
        using RootTree belowTree = new(below.Place), tree = new(shown.Place);
        ImmutableArray<TreeChange> changes = LayerChanges.Read(upper, belowTree, StrayWrites.MountPlaces(manifest, capsule));

        var request = new CommitRequest
        {
            Capsule = capsule.Name,
            Manifest = other is null ? manifest : capsule.Folded(manifest) with { Name = other.Value },
            Base = new($"capsule {capsule.Name}", manifest.Layers, new BaseImages(store).LatestTime(manifest.Layers)),
            Secrets = hasSecrets ? FilesOf(_layout.Secrets(capsule.Name)) : [],
            Writers = StrayWrites.Of(store, capsule).Where(s => s.Writer is not null).ToImmutableDictionary(s => s.Path, s => s.Writer!.ToString()),
        };
        CapturePlan plan = CommitPlanner.Plan(new(new HostFacts { Source = SourceReference.OfRoot("/") }, tree), changes, request);

        HashSet<GuestPath> changed = [.. changes.Select(c => c.Path)];
        PlannedPath[] taken = [.. plan.Paths.Where(p => changed.Contains(p.Path))];
        var vanished = ImmutableArray.CreateBuilder<GuestPath>(); // nothing does: nobody else writes there
        var finished = new List<(string From, string To)>();
        Digest? layer = null;
        if (!plan.Hidden.IsEmpty || taken.Any(p => p.Kind != PathKind.Secret))
        {
            CaptureRunner.CopyPaths(plan, tree, kind => kind != PathKind.Secret, work + "/layer", vanished, (_, _) => { });
            CompiledFiles.Follow(work + "/layer", tree, plan.LatestTime!.Value);
            layer = TreeArchive.DigestOf(work + "/layer");
            finished.Add((work + "/layer", _layout.Layer(layer.Value)));
        }
        bool keepsSecrets = hasSecrets || !plan.Manifest.Secrets.IsEmpty;
        if (keepsSecrets) CaptureRunner.CopyPaths(plan with { LatestTime = null, Hidden = [] }, tree, kind => kind == PathKind.Secret, work + "/secrets", vanished, (_, _) => { });

        manifest = plan.Manifest with { Layers = layer is { } added ? [.. manifest.Layers, added] : manifest.Layers };
        string image = _layout.Image(capsule.Image);
        CapturePlan? before = SmallFiles.TryRead(image + "/plan.json") is { } bytes ? CapturePlanJson.Read(bytes) : null;
        IEnumerable<LeftOutPath> leftBefore = SmallFiles.TryRead(image + "/left-out.jsonl") is { } lines ? LeftOutFile.Read(lines) : [];
        Digest digest = CaptureRunner.WriteImage(work + "/image", CommitPlanner.Together(before, plan, changes), manifest, CommitPlanner.LeftOut(leftBefore, plan));
        finished.Add((work + "/image", _layout.Image(digest)));
        CaptureRunner.Place(work, finished);

        if (other is { } further)
            new CapsuleImages(store).Create(new() { Name = further, Image = digest, Stack = further, Created = clock.GetUtcNow(), Limits = capsule.Limits, Restart = capsule.Restart, ReadOnly = capsule.ReadOnly, ClockOffsets = capsule.ClockOffsets, HostDirectories = capsule.HostDirectories }, manifest,
                half => { if (keepsSecrets) FileCalls.Rename(null, work + "/secrets", null, half + "/secrets"); });
        else
        {
            if (keepsSecrets) FileCalls.Rename(null, work + "/secrets", null, _layout.NewSecrets(capsule.Name));
            store.BeginCommit(capsule with { Image = digest });
            if (!capsule.LinkedBy.IsEmpty && FileCalls.TryStat(null, _layout.StillSeen(capsule.Name)) is null) FileCalls.Rename(null, _layout.Writable(capsule.Name), null, _layout.StillSeen(capsule.Name)); // a file that is removed beneath an overlay is gone for who looks there (overlayfs.rst)
            store.EndCommit(store.Get(capsule.Name.ToString()));
        }
        return new(other ?? capsule.Name, digest, layer, taken.Length + plan.Hidden.Length, [.. taken.Where(p => p.Kind == PathKind.Secret).Select(p => p.Path)], plan.LeftOut);
    }

    /// <summary>Everything in a tree that is no directory.</summary>
    private static ImmutableHashSet<GuestPath> FilesOf(string directory)
    {
        var found = ImmutableHashSet.CreateBuilder<GuestPath>();
        using var tree = new RootTree(directory);
        Walk(GuestPath.Root);
        return found.ToImmutable();

        void Walk(GuestPath at)
        {
            foreach (FileFact entry in tree.List(at))
                if (entry.IsDirectory) Walk(entry.Path);
                else found.Add(entry.Path);
        }
    }
}
