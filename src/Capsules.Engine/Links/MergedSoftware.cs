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
/// A directory in which a capsule sees its own files and, where it has none of a name, those of another's software: an overlay of read-only layers
/// (overlayfs.rst), never of state. The owner's sealed layers are taken, as the capsule's root's own; what the owner wrote over them is not.
/// </summary>
internal static class MergedSoftware
{
    /// <summary>Makes it; attached nowhere. Null when neither has such a directory.</summary>
    /// <param name="layout">Where things are.</param>
    /// <param name="run">The capsule, which runs.</param>
    /// <param name="layers">The owner's layers, the lowest first.</param>
    /// <param name="path">The directory.</param>
    public static Descriptor? Make(StoreLayout layout, RunRecord run, ImmutableArray<Digest> layers, GuestPath path)
    {
        using Descriptor ids = FileCalls.Open($"/proc/{run.Init}/ns/user", OpenFlags.ReadOnly);
        string place = layout.RunOf(run.Name);
        return Threads.InPrivateMountNamespace(_ =>
        {
            using Descriptor peer = FileCalls.Open(place + "/peer", OpenFlags.PathOnly | OpenFlags.Directory);
            PeerMounts.DetachAll(peer, path); // of this thread's copy of the mounts: what is merged already is not merged again
            var trees = new List<Descriptor>();
            try
            {
                if (TryOpen(peer, path, ResolveFlags.InRoot) is { } own)
                    using (own) trees.Add(MountCalls.Clone(own, ""));
                foreach (Digest layer in LayerOrder.TopmostFirst(layers))
                {
                    using Descriptor root = FileCalls.Open(layout.Layer(layer), OpenFlags.PathOnly | OpenFlags.Directory);
                    using Descriptor? below = TryOpen(root, path, ResolveFlags.Beneath);
                    if (below is null) continue;
                    Descriptor tree = MountCalls.Clone(below, "");
                    trees.Add(tree);
                    if (Host.IsInitial) MountCalls.MapIds(tree, ids, path.ToString());
                    if (LayerPacker.IsOpaque($"/proc/self/fd/{below.Number}")) break;
                }
                if (trees.Count == 0) return null;
                if (trees.Count == 1) return Taken(trees);
                // An overlay takes paths: the trees are attached below a tmpfs that only this thread sees, and the overlay keeps its own hold on them.
                using (Descriptor room = MountCalls.New("tmpfs", MountAttributes.None, ("mode", "755"))) MountCalls.Attach(room, null, place);
                for (int i = 0; i < trees.Count; i++)
                {
                    FileCalls.MakeDirectory(null, $"{place}/{i}");
                    MountCalls.Attach(trees[i], null, $"{place}/{i}");
                }
                return Threads.InDirectory(place, () => MountCalls.New("overlay", MountAttributes.ReadOnly, [.. World.MarkOptions, ("lowerdir", string.Join(':', Enumerable.Range(0, trees.Count)))]));
            }
            finally
            {
                foreach (Descriptor tree in trees) tree.Dispose();
            }
        });
    }

    private static Descriptor Taken(List<Descriptor> trees)
    {
        Descriptor only = trees[0];
        trees.Clear();
        return only;
    }

    private static Descriptor? TryOpen(Descriptor root, GuestPath path, ResolveFlags within)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, within | ResolveFlags.NoMagicLinks);
        return found is null && errno is not (Errno.ENOENT or Errno.ENOTDIR or Errno.EXDEV or Errno.ELOOP) ? throw new SyscallException("openat2", path.ToString(), errno) : found;
    }
}
