using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Comparing;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Installing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Comparing;

/// <summary>What a comparison found.</summary>
/// <param name="Changes">Each change with its verdict, in the order of paths.</param>
/// <param name="Plan">The plan of the application that came; null when none was wanted.</param>
public sealed record Comparison(ImmutableArray<SortedChange> Changes, CapturePlan? Plan);

/// <summary>Snapshots of trees, what differs between two, and the application that came meanwhile.</summary>
/// <param name="layout">The store.</param>
public sealed class CompareRunner(StoreLayout layout)
{
    /// <summary>Takes a snapshot into the store; its id.</summary>
    public (string Id, int Entries) Prescan(SourceReference source)
    {
        TreeSnapshot snapshot = Read(source);
        SmallFiles.MakeDirectories(layout.Snapshots);
        string id = Convert.ToHexStringLower(Randomness.Get(3));
        SmallFiles.Write(layout.Snapshot(id), SnapshotFile.Write(snapshot));
        return (id, snapshot.Entries.Length);
    }

    /// <summary>Compares a source with its snapshot.</summary>
    /// <exception cref="CapsuleException">There is no such snapshot, it is broken, or no application came.</exception>
    public Comparison Postscan(string id, ScannedSource source, CapsuleName? name)
    {
        if (id.Length == 0 || !id.All(char.IsAsciiHexDigitLower) || SmallFiles.TryRead(layout.Snapshot(id)) is not { } bytes) throw new CapsuleException(Problems.NoSuchSnapshot(id));
        TreeSnapshot before;
        try { before = SnapshotFile.Read(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(layout.Snapshot(id), FactText.Of(e)), e); }
        TreeDifference difference = TreeDifference.Between(before, Read(source), isSameTree: true);
        // What it was is not known any more: another time or inode counts as another content.
        return Sorted(source, before, [.. difference.Changes, .. difference.Suspects.Select(p => new TreeChange(p, ChangeKind.Changed, EntryKind.Regular))], name);
    }

    /// <summary>Compares two trees.</summary>
    public Comparison Compare(RootTree before, ScannedSource after, CapsuleName? name)
    {
        TreeSnapshot old = new(TreeListing.Read(before, Leave), PackageReader.Versions(before));
        TreeDifference difference = TreeDifference.Between(old, Read(after), isSameTree: false);
        return Sorted(after, old, [.. difference.Changes, .. TreeListing.Differing(before, after.Tree, difference.Suspects).Select(p => new TreeChange(p, ChangeKind.Changed, EntryKind.Regular))], name);
    }

    /// <summary>Opens a tree that is a directory, a tar, an OCI archive or a capsule's image.</summary>
    /// <param name="place">What the user named.</param>
    /// <param name="undo">Takes away what was unpacked.</param>
    public string Open(string place, Rollback undo)
    {
        if (Directory.Exists(place)) return Path.GetFullPath(place);
        ImmutableArray<Digest> layers;
        var store = new CapsuleStore(layout);
        if (CapsuleName.TryParse(place, out CapsuleName name) && store.Find(name) is { } capsule) layers = store.Manifest(capsule.Image).Layers;
        else if (FileCalls.TryStatFollowing(null, place) is not { IsRegular: true }) throw new CapsuleException(Problems.NoSuchTree(place));
        else if (IsImage(place)) layers = new OciImporter(layout).Import(place, null).Manifest.Layers;
        else return Unpack(place, undo);
        Overlay shown = Overlay.OfLayers(layout, layers);
        undo.Add(shown.Dispose);
        return shown.Place;
    }

    private static bool IsImage(string file)
    {
        using FileStream stream = File.OpenRead(file);
        try
        {
            var tar = new TarReader(stream);
            for (int i = 0; i < 64 && tar.Next() is { } member; i++)
                if (Encoding.UTF8.GetString(member.Name.Span) is "oci-layout" or "./oci-layout" or "manifest.json" or "index.json") return true;
        }
        catch (FormatException) { } // unpacking tells what is wrong with it
        return false;
    }

    private string Unpack(string file, Rollback undo)
    {
        string tree = $"{layout.Temporary}/compare-{Convert.ToHexStringLower(Randomness.Get(8))}";
        SmallFiles.MakeDirectories(tree);
        undo.Add(() => SmallFiles.RemoveTree(tree));
        using FileStream stream = File.OpenRead(file);
        using Descriptor root = FileCalls.Open(tree, OpenFlags.ReadOnly | OpenFlags.Directory);
        try { new LayerUnpacker(root, ImportLimits.Default).Unpack(new TarReader(stream)); }
        catch (FormatException e) { throw new CapsuleException(Problems.NotAnImage(file, FactText.Of(e)), e); }
        return tree;
    }

    private ImmutableHashSet<GuestPath> Leave => [GuestPath.Normalize(Encoding.UTF8.GetBytes(layout.State)), GuestPath.Normalize(Encoding.UTF8.GetBytes(layout.Run))];

    private TreeSnapshot Read(SourceReference source)
    {
        using RootTree tree = Scanner.Open(source);
        return new(TreeListing.Read(tree, Leave), PackageReader.Versions(tree));
    }

    private TreeSnapshot Read(ScannedSource source) => new(TreeListing.Read(source.Tree, Leave), []);

    private static Comparison Sorted(ScannedSource source, TreeSnapshot before, IEnumerable<TreeChange> changes, CapsuleName? name)
    {
        var view = new SourceView(source.Facts, source.Tree);
        ImmutableArray<SortedChange> sorted = ChangeSorter.Sort(view, before, [.. changes.OrderBy(c => c.Path)]);
        if (name is not { } wanted) return new(sorted, null);
        var notes = new List<PlanNote>();
        HashSet<GuestPath> taken = [.. sorted.Where(s => s.Verdict == ChangeVerdict.Taken).Select(s => s.Change.Path)];
        ImmutableArray<Application> came = NewApplications.Find(view, taken, notes);
        if (came.IsEmpty) throw new CapsuleException(Problems.NoNewApplication(ComparisonReport.Text(sorted)));
        Application application = TargetWords.FindNamed(view, came, wanted.ToString()) ?? (came is [var only] ? only : throw new CapsuleException(Problems.SeveralApplications(wanted.ToString(), came.Select(a => a.Name))));
        foreach (Application other in came.Where(a => a != application)) notes.Add(new($"{other.Name} came as well", $"capsule adopt {other.Name}"));
        CapturePlan plan = CapturePlanner.Plan(view, application, new() { Name = wanted, Found = ChangeSorter.Found(view, sorted) });
        HashSet<GuestPath> planned = [.. plan.Paths.Select(p => p.Path), .. plan.LeftOut.Select(l => l.Path)];
        return new(sorted, plan with
        {
            Notes = [.. plan.Notes, .. notes],
            LeftOut = [.. plan.LeftOut, .. sorted.Where(s => s.Verdict is ChangeVerdict.Noise or ChangeVerdict.Others && s.Change.Kind != ChangeKind.Deleted && !planned.Contains(s.Change.Path) && !plan.Volumes.Any(v => s.Change.Path.IsWithin(v.Path))).Select(s => new LeftOutPath(s.Change.Path, $"{s.Rule}: {s.Why}"))],
        });
    }
}
