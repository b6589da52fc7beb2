using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// Directories below a linked one that are state of the capsule's own: volumes of its own, mounted on the owner's directories of that name. They come and go with the
/// linked directory as one tree of mounts, so that there is no moment in which what is written there reaches the owner (docs/adr/0035).
/// </summary>
/// <param name="store">Capsules and images.</param>
/// <param name="capsule">The capsule, which runs.</param>
/// <param name="link">Its link.</param>
internal sealed class PrivateDirectories(CapsuleStore store, CapsuleRecord capsule, CapsuleLink link)
{
    private readonly int _init = RunRecord.Find(store.Layout, capsule.Name)?.Init ?? 0; // asked before something lies over the run directory

    private string Peer => store.Layout.RunOf(capsule.Name) + "/peer";

    /// <summary>Whether each of them is what the capsule sees at its path.</summary>
    public bool AreSeen() => link.Private.All(IsSeen);

    /// <summary>The owner's directory with the capsule's own in it; attached nowhere.</summary>
    /// <param name="linked">A detached copy of the owner's mount.</param>
    /// <param name="path">Where it is seen.</param>
    /// <exception cref="CapsuleException">The owner has no directory in whose place one of them is seen.</exception>
    public Descriptor Over(Descriptor linked, GuestPath path) => Threads.InPrivateMountNamespace(_ =>
    {
        MountCalls.Attach(linked, null, store.Layout.RunOf(capsule.Name)); // seen by this thread alone
        foreach (GuestPath own in link.Private)
        {
            // Nothing of the owner's leads elsewhere: its links are not followed.
            var (point, errno) = FileCalls.TryOpenResolved(linked, own.RelativeTo(path).ToArray(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks | ResolveFlags.NoMagicLinks);
            if (point is null) throw new CapsuleException(Problems.NoPlaceForPrivate($"{capsule.Name}", $"{link.Import.From}", $"{own}", Errno.Name(errno)));
            using (point)
            using (Descriptor volume = Clone(own)) MountCalls.Attach(volume, point, "");
        }
        return MountCalls.Clone(linked, "", recursive: true);
    });

    /// <summary>After the link went: what lay over it is seen where the capsule has it without the link.</summary>
    public void Uncover()
    {
        foreach (GuestPath own in link.Private.Where(p => !IsSeen(p)))
            using (Descriptor volume = Clone(own)) new PeerMounts(store.Layout, capsule.Name).Attach(own, volume);
    }

    private bool IsSeen(GuestPath own)
    {
        using Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory);
        var (seen, _) = FileCalls.TryOpenResolved(root, own.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        using (seen) return seen is not null && FileCalls.TryStat(null, PlaceOf(own)) is { } data && FileCalls.Stat(seen) is var there && (there.Device, there.Inode) == (data.Device, data.Inode);
    }

    /// <summary>A copy of the volume's mount, with the capsule's numbers and rights as at its start.</summary>
    private Descriptor Clone(GuestPath own)
    {
        Descriptor volume = MountCalls.Clone(null, PlaceOf(own));
        if (Host.IsInitial)
            using (Descriptor ids = FileCalls.Open($"/proc/{_init}/ns/user", OpenFlags.ReadOnly)) MountCalls.MapIds(volume, ids, $"{own}");
        MountCalls.SetAttributes(volume, $"{own}", MountAttributes.NoSuid | MountAttributes.NoDevices);
        MountCalls.SetPropagation(volume, Propagation.Private, $"{own}");
        return volume;
    }

    private string PlaceOf(GuestPath own) =>
        capsule.PlaceOf(store.Layout, capsule.Folded(store.Manifest(capsule.Image)).Volumes.First(v => v.Path == own).Name);
}
