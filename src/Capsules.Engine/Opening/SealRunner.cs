using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Engine.Watching;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>What a seal made.</summary>
/// <param name="Image">The image that the capsule is of now.</param>
/// <param name="Files">Files that came from the source since it was made.</param>
/// <param name="Bytes">Their bytes.</param>
public sealed record SealResult(Digest Image, int Files, long Bytes);

/// <summary>Closes an open capsule: what was filled becomes the lowest layer of its image, and the rest of the tree goes.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class SealRunner(CapsuleStore store)
{
    private readonly StoreLayout _layout = store.Layout;

    /// <summary>Seals a capsule that does not run. Its record's rename decides: before it the capsule is open as it was, after it the tree is a left-over.</summary>
    /// <exception cref="CapsuleException">It runs, it is not open, or there is no room.</exception>
    public SealResult Seal(CapsuleName name)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        if (new CapsuleRunner(store).Running(name) is not null) throw new CapsuleException(Problems.SealWhileRunning(name.ToString()));
        CapsuleRecord capsule = store.EndCommit(store.Get(name.ToString()));
        if (!capsule.Open) throw new CapsuleException(Problems.NotOpen(name.ToString()));
        return WorkDirectory.Use(_layout, "seal", work => Make(capsule, work));
    }

    private SealResult Make(CapsuleRecord capsule, string work)
    {
        string image = _layout.Image(capsule.Image), tree = _layout.OpenTree(capsule.Name);
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        CapturePlan before;
        IEnumerable<MissRecord> misses;
        try
        {
            before = CapturePlanJson.Read(SmallFiles.TryRead(image + "/plan.json") ?? throw new CapsuleException(Problems.NoCapturePlan(capsule.Name.ToString())));
            misses = MissLog.Read(_layout, capsule.Name);
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(image, FactText.Of(e)), e); }

        using RootTree own = new(tree);
        ImmutableArray<TakenPath> taken = Taken(own, tree, manifest);
        TakenPath[] files = [.. taken.Where(t => t.Entry == EntryKind.Regular)];
        if (taken.IsEmpty)
        {
            store.Seal(capsule);
            return new(capsule.Image, 0, 0);
        }
        CapturePlan plan = SealPlanner.Together(before, taken, misses);
        HashSet<GuestPath> news = [.. taken.Select(t => t.Path)];
        var skipped = ImmutableArray.CreateBuilder<GuestPath>(); // nothing is: nobody else writes there
        CaptureRunner.CopyPaths(plan with { Paths = [.. plan.Paths.Where(p => news.Contains(p.Path))], Hidden = [], LatestTime = null }, own, _ => true, work + "/layer", skipped, (_, _) => { });
        Digest layer = TreeArchive.DigestOf(work + "/layer");
        manifest = manifest with { Layers = [layer, .. manifest.Layers] }; // below the others, as the tree was
        Digest digest = CaptureRunner.WriteImage(work + "/image", plan, manifest, SmallFiles.TryRead(image + "/left-out.jsonl") is { } left ? LeftOutFile.Read(left).Where(l => !news.Contains(l.Path)) : []);
        CaptureRunner.Place(work, [(work + "/layer", _layout.Layer(layer)), (work + "/image", _layout.Image(digest))]);
        store.Seal(capsule with { Image = digest });
        return new(digest, files.Length, files.Sum(f => f.Size));
    }

    /// <summary>Files with content, data folders that were filled, the directories above them, and links that lead to what the capsule has.</summary>
    private ImmutableArray<TakenPath> Taken(RootTree own, string tree, CapsuleManifest manifest)
    {
        var taken = new Dictionary<GuestPath, TakenPath>();
        var links = new List<GuestPath>();
        Walk(GuestPath.Root, isWhole: false);
        foreach (GuestPath path in taken.Keys.ToArray()) TakeAbove(path);
        using Overlay layers = Overlay.OfLayers(_layout, manifest.Layers), all = Overlay.Of([.. LayerOrder.TopmostFirst(manifest.Layers).Select(_layout.Layer), tree]);
        using RootTree layersTree = new(layers.Place), allTree = new(all.Place);
        var resolver = new TreeResolver(allTree);
        foreach (GuestPath link in links)
            if (resolver.Resolve(link) is { Entry: not null } end && (taken.ContainsKey(end.Path) || layersTree.Look(end.Path) is not null))
            {
                taken[link] = new(link, EntryKind.SymbolicLink, 0, end.Path);
                TakeAbove(link);
            }
        return [.. taken.Values];

        void Walk(GuestPath directory, bool isWhole)
        {
            foreach (FileFact entry in own.List(directory))
            {
                NativePath place = OpenTree.PlaceOf(tree, entry.Path);
                if (entry.IsDirectory)
                {
                    bool below = isWhole || UnfilledMark.IsWhole(place);
                    if (below) taken[entry.Path] = new(entry.Path, entry.Kind, 0);
                    Walk(entry.Path, below);
                }
                else if (isWhole || entry.IsRegular && UnfilledMark.Find(place) is null) taken[entry.Path] = new(entry.Path, entry.Kind, entry.IsRegular ? entry.Size : 0);
                else if (entry.Kind == EntryKind.SymbolicLink) links.Add(entry.Path);
            }
        }

        void TakeAbove(GuestPath path)
        {
            for (GuestPath at = path.Parent; !at.IsRoot && taken.TryAdd(at, new(at, EntryKind.Directory, 0, path)); at = at.Parent) { }
        }
    }
}
