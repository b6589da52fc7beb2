using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// What a capsule sees, looked at from outside and with its own numbers of users: its root while it runs, else its layers, what it wrote over them and
/// its volumes. Every name is resolved beneath a root of the capsule's, so that none of its links leads to a file of this host. Nothing is changed.
/// </summary>
internal sealed class CapsuleTree : ISourceTree, IDisposable
{
    private readonly List<(GuestPath At, RootTree? Tree)> _mounts = []; // the root is the last one
    private readonly Overlay? _shown;
    private readonly IReadOnlyList<IdExtent>? _users, _groups;
    private readonly TreeResolver _resolver;

    private CapsuleTree(CapsuleStore store, CapsuleRecord capsule, CapsuleManifest manifest, bool atRest)
    {
        StoreLayout layout = store.Layout;
        RunRecord? run = atRest ? null : RunRecord.Find(layout, capsule.Name);
        if (run is { IsAlive: true })
        {
            _mounts.Add((GuestPath.Root, new RootTree($"/proc/{run.Init}/root")));
            if (Host.IsInitial && new StackRunner(layout).Find(capsule.Stack) is { } stack) (_users, _groups) = (stack.UserMap, stack.GroupMap); // there it has the kernel's numbers
            IsRunning = true;
        }
        else
        {
            foreach (StateVolume volume in manifest.Volumes.Concat(capsule.FurtherVolumes).Where(v => v.Kind == VolumeKind.Directory)) Add(volume.Path, capsule.PlaceOf(layout, volume.Name));
            foreach (HostDirectory directory in capsule.HostDirectories) Add(directory.Target, directory.Source);
            foreach (GuestPath empty in LinkTables.NewAtEachStart) _mounts.Add((empty, null));
            _mounts.Sort((a, b) => b.At.Bytes.Length.CompareTo(a.At.Bytes.Length));
            ImmutableArray<string> trees = [.. TreesOf(layout, capsule, manifest).Select(t => t.Tree)];
            if (!trees.IsEmpty) _shown = Overlay.Of(trees);
            _mounts.Add((GuestPath.Root, _shown is null ? null : new RootTree(_shown.Place)));
        }
        _resolver = new(new Raw(this));

        void Add(GuestPath at, string place)
        {
            if (FileCalls.TryStatFollowing(null, place) is { IsDirectory: true }) _mounts.Add((at, new RootTree(place)));
        }
    }

    /// <summary>Opens a capsule.</summary>
    /// <param name="store">Capsules and images.</param>
    /// <param name="capsule">The capsule.</param>
    /// <param name="atRest">As if it did not run: without what comes into it only then.</param>
    public static CapsuleTree Open(CapsuleStore store, CapsuleRecord capsule, bool atRest = false) => new(store, capsule, store.Manifest(capsule.Image), atRest);

    /// <summary>The trees that are its root when it starts, the topmost first, each with what it is.</summary>
    public static IEnumerable<(string Tree, string What)> TreesOf(StoreLayout layout, CapsuleRecord capsule, CapsuleManifest manifest)
    {
        (string, string)[] trees =
        [
            .. capsule.Committed ? [] : new[] { (layout.Writable(capsule.Name) + "/upper", "written over the layers") },
            (layout.Secrets(capsule.Name), "the secrets"),
            .. LayerOrder.TopmostFirst(manifest.Layers).Select(l => (layout.Layer(l), $"layer {l.Short}")),
            .. capsule.Open ? new[] { (layout.OpenTree(capsule.Name), "what is left open to the source") } : [],
        ];
        return trees.Where(t => FileCalls.TryStatFollowing(null, t.Item1) is { IsDirectory: true });
    }

    /// <summary>Whether it runs, and is looked at as it is now.</summary>
    public bool IsRunning { get; }

    /// <summary>Where a path leads when links are followed; null when they go in circles.</summary>
    public Resolution? Resolve(GuestPath path) => _resolver.Resolve(path);

    /// <summary>As <see cref="Resolve"/>, without following the last name.</summary>
    public Resolution? ResolveParent(GuestPath path) => _resolver.ResolveParent(path);

    /// <inheritdoc/>
    public FileFact? Look(GuestPath path) => _resolver.ResolveParent(path) is { Entry: { } entry } ? entry with { Path = path } : null;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? Read(GuestPath path, int limit = 16 << 20) => Place(path) is var (tree, below) ? tree.Read(below, limit) : null;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? ReadStart(GuestPath path, int count) => Place(path) is var (tree, below) ? tree.ReadStart(below, count) : null;

    /// <inheritdoc/>
    public bool Contains(GuestPath path, ReadOnlySpan<byte> bytes) => Place(path) is var (tree, below) && tree.Contains(below, bytes);

    /// <inheritdoc/>
    public ImmutableArray<FileFact> List(GuestPath directory) => Place(directory) is var (tree, below) ? [.. tree.List(below).Select(e => Own(e, directory.Child(e.Path.Name)))] : [];

    /// <summary>An entry with its inode and the number of its names; null when it is not there.</summary>
    public FileStatus? Status(GuestPath canonical)
    {
        if (Pick(canonical) is not var (tree, below)) return null;
        using Descriptor? entry = tree.TryOpen(below, OpenFlags.PathOnly | OpenFlags.NoFollow);
        return entry is null ? null : FileCalls.Stat(entry);
    }

    /// <summary>A capsule's number of a host's; nobody's when it is not one of the capsule.</summary>
    private static uint Inside(uint id, IReadOnlyList<IdExtent>? map) => map is null ? id : map.Inside(id) ?? 65534;

    private FileFact Own(FileFact fact, GuestPath path) => fact with { Path = path, Uid = Inside(fact.Uid, _users), Gid = Inside(fact.Gid, _groups) };

    private (RootTree Tree, GuestPath Below)? Place(GuestPath path) => _resolver.Resolve(path) is { } found ? Pick(found.Path) : null;

    private (RootTree Tree, GuestPath Below)? Pick(GuestPath canonical)
    {
        var (at, tree) = _mounts.First(m => canonical.IsWithin(m.At));
        return tree is null ? null : (tree, GuestPath.Root.Combine(canonical.RelativeTo(at)));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, tree) in _mounts) tree?.Dispose();
        _shown?.Dispose();
    }

    /// <summary>The trees by places without links: what the resolver asks.</summary>
    private sealed class Raw(CapsuleTree owner) : ISourceTree
    {
        public FileFact? Look(GuestPath path) => owner.Pick(path) is var (tree, below) && tree.Look(below) is { } fact ? owner.Own(fact, path) : null;
        public ReadOnlyMemory<byte>? Read(GuestPath path, int limit) => owner.Read(path, limit);
        public ReadOnlyMemory<byte>? ReadStart(GuestPath path, int count) => owner.ReadStart(path, count);
        public bool Contains(GuestPath path, ReadOnlySpan<byte> bytes) => owner.Contains(path, bytes);
        public ImmutableArray<FileFact> List(GuestPath directory) => owner.List(directory);
    }
}
