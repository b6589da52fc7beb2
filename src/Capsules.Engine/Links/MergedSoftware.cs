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
            using Descriptor? own = TryOpen(peer, path);
            using Descriptor? ownTree = own is null ? null : MountCalls.Clone(own, "");
            // An overlay takes paths: trees are attached below a tmpfs that only this thread sees, and the overlay keeps its own hold on them.
            using (Descriptor room = MountCalls.New("tmpfs", MountAttributes.None, ("mode", "755"))) MountCalls.Attach(room, null, place);
            ImmutableArray<Digest> order = LayerOrder.TopmostFirst(layers);
            for (int i = 0; i < order.Length; i++)
            {
                using Descriptor layer = MountCalls.Clone(null, layout.Layer(order[i]));
                if (Host.IsInitial) MountCalls.MapIds(layer, ids, path.ToString());
                Show(layer, $"{i}");
            }
            // All layers as one first: what an upper one removed or replaced, on the way to the directory too, is not there.
            using (Descriptor? all = order.Length > 1 ? Overlay([.. Enumerable.Range(0, order.Length).Select(i => $"{i}")]) : null)
                if (all is not null) Show(all, "all");
            using Descriptor software = FileCalls.Open($"{place}/{(order.Length > 1 ? "all" : "0")}", OpenFlags.PathOnly | OpenFlags.Directory);
            using Descriptor? theirs = TryOpen(software, path);
            if (theirs is null) return ownTree is null ? null : MountCalls.Clone(own, "");
            using Descriptor theirTree = MountCalls.Clone(theirs, "");
            if (ownTree is null) return MountCalls.Clone(theirs, "");
            Show(ownTree, "own");
            Show(theirTree, "theirs");
            return Overlay("own", "theirs");
        });

        void Show(Descriptor tree, string name)
        {
            FileCalls.MakeDirectory(null, $"{place}/{name}");
            MountCalls.Attach(tree, null, $"{place}/{name}");
        }

        Descriptor Overlay(params string[] trees) => Threads.InDirectory(place, () => MountCalls.New("overlay", MountAttributes.ReadOnly, [.. World.MarkOptions, ("lowerdir", string.Join(':', trees))]));
    }

    private static Descriptor? TryOpen(Descriptor root, GuestPath path)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        return found is null && errno is not (Errno.ENOENT or Errno.ENOTDIR) ? throw new SyscallException("openat2", path.ToString(), errno) : found;
    }
}
