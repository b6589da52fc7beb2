using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// A directory in which a capsule sees its own files and, where it has none of a name, those of others' software: an overlay of read-only layers
/// (overlayfs.rst), never of state. Each owner's sealed layers are taken, as the capsule's root's own; what it wrote over them is not.
/// </summary>
internal static class MergedSoftware
{
    /// <summary>Makes it; attached nowhere. Null when nobody has such a directory.</summary>
    /// <param name="layout">Where things are.</param>
    /// <param name="run">The capsule, which runs.</param>
    /// <param name="owners">The layers of each owner, the lowest first; who wins comes first.</param>
    /// <param name="path">The directory.</param>
    public static Descriptor? Make(StoreLayout layout, RunRecord run, IReadOnlyList<ImmutableArray<Digest>> owners, GuestPath path)
    {
        using Descriptor ids = FileCalls.Open($"/proc/{run.Init}/ns/user", OpenFlags.ReadOnly);
        string place = layout.RunOf(run.Name);
        return Threads.InPrivateMountNamespace(_ =>
        {
            using Descriptor peer = FileCalls.Open(place + "/peer", OpenFlags.PathOnly | OpenFlags.Directory);
            PeerMounts.DetachAll(peer, path); // of this thread's copy of the mounts: what is merged already is not merged again
            using Descriptor? own = TryOpen(peer, path);
            var trees = new List<Descriptor>();
            try
            {
                if (own is not null) trees.Add(MountCalls.Clone(own, ""));
                // An overlay takes paths: trees are attached below a tmpfs that only this thread sees, and the overlay keeps its own hold on them.
                using (Descriptor room = MountCalls.New("tmpfs", MountAttributes.None, ("mode", "755"))) MountCalls.Attach(room, null, place);
                var met = new HashSet<(ulong, ulong)>();
                for (int i = 0; i < owners.Count; i++)
                    if (SoftwareOf(owners[i], $"{place}/{i}") is { } software)
                    {
                        FileStatus status = FileCalls.Stat(software);
                        if (met.Add((status.Device, status.Inode))) trees.Add(software); // two owners of one layer have one directory: the kernel takes none twice
                        else software.Dispose();
                    }
                if (trees.Count < 2)
                {
                    Descriptor? only = trees.FirstOrDefault();
                    trees.Clear();
                    return only;
                }
                for (int i = 0; i < trees.Count; i++) Show(trees[i], $"{place}/t{i}");
                return Overlay(place, "t", trees.Count);
            }
            finally { trees.ForEach(t => t.Dispose()); }
        });

        // All layers of an owner as one: what an upper one removed or replaced, on the way to the directory too, is not there.
        Descriptor? SoftwareOf(ImmutableArray<Digest> layers, string at)
        {
            ImmutableArray<Digest> order = LayerOrder.TopmostFirst(layers);
            if (order.IsEmpty) return null;
            FileCalls.MakeDirectory(null, at);
            for (int i = 0; i < order.Length; i++)
            {
                using Descriptor layer = MountCalls.Clone(null, layout.Layer(order[i]));
                if (Host.IsInitial) MountCalls.MapIds(layer, ids, path.ToString());
                Show(layer, $"{at}/{i}");
            }
            using (Descriptor? all = order.Length > 1 ? Overlay(at, "", order.Length) : null)
                if (all is not null) Show(all, at + "/all");
            using Descriptor software = FileCalls.Open($"{at}/{(order.Length > 1 ? "all" : "0")}", OpenFlags.PathOnly | OpenFlags.Directory);
            using Descriptor? theirs = TryOpen(software, path);
            return theirs is null ? null : MountCalls.Clone(theirs, "");
        }

        static void Show(Descriptor tree, string at)
        {
            FileCalls.MakeDirectory(null, at);
            MountCalls.Attach(tree, null, at);
        }

        static Descriptor Overlay(string at, string prefix, int count) => Threads.InDirectory(at, () => MountCalls.New("overlay", MountAttributes.ReadOnly, [.. World.MarkOptions, .. World.LayerOptions(at, Enumerable.Range(0, count).Select(i => $"{prefix}{i}"))]));
    }

    private static Descriptor? TryOpen(Descriptor root, GuestPath path)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        return found is null && errno is not (Errno.ENOENT or Errno.ENOTDIR) ? throw new SyscallException("openat2", path.ToString(), errno) : found;
    }
}
