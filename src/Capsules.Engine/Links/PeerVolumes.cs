using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Engine.Links;

/// <summary>State volumes of a capsule that runs, as mounts that can be attached at its peer: seen there as from its next start on.</summary>
/// <param name="store">Capsules and images.</param>
/// <param name="capsule">The capsule, which runs; its record names the volumes.</param>
internal sealed class PeerVolumes(CapsuleStore store, CapsuleRecord capsule)
{
    private readonly int _init = RunRecord.Find(store.Layout, capsule.Name)?.Init ?? 0;

    /// <summary>Whether the capsule sees the volume of a path there.</summary>
    public bool IsSeen(GuestPath path)
    {
        using Descriptor root = FileCalls.Open(store.Layout.RunOf(capsule.Name) + "/peer", OpenFlags.PathOnly | OpenFlags.Directory);
        var (seen, _) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        using (seen) return seen is not null && FileCalls.TryStat(null, PlaceOf(path)) is { } data && FileCalls.Stat(seen) is var there && (there.Device, there.Inode) == (data.Device, data.Inode);
    }

    /// <summary>Attaches the volume of a path there, unless it is seen.</summary>
    public void Show(GuestPath path)
    {
        if (IsSeen(path)) return;
        using Descriptor volume = Clone(path);
        new PeerMounts(store.Layout, capsule.Name).Attach(path, volume, []);
    }

    /// <summary>A copy of a volume's mount, with the capsule's numbers and rights as at its start; attached nowhere.</summary>
    public Descriptor Clone(GuestPath path)
    {
        Descriptor volume = MountCalls.Clone(null, PlaceOf(path));
        if (Host.IsInitial)
            using (Descriptor ids = FileCalls.Open($"/proc/{_init}/ns/user", OpenFlags.ReadOnly)) MountCalls.MapIds(volume, ids, $"{path}");
        MountCalls.SetAttributes(volume, $"{path}", MountAttributes.NoSuid | MountAttributes.NoDevices);
        MountCalls.SetPropagation(volume, Propagation.Private, $"{path}");
        return volume;
    }

    private string PlaceOf(GuestPath path) => capsule.PlaceOf(store.Layout, capsule.Folded(store.Manifest(capsule.Image)).Volumes.First(v => v.Path == path).Name);
}
