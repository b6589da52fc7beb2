using Capsules.Core.Model;
using Capsules.Engine.Links;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Engine.Crossings;

/// <summary>What a running capsule needs to run programs of others: the directory with the socket, and the shim at the path of each program.</summary>
internal static class CrossingMounts
{
    private const MountAttributes Shown = MountAttributes.ReadOnly | MountAttributes.NoSuid | MountAttributes.NoDevices;

    /// <summary>Makes it as the capsule's links want it now; the broker answers when this returns. The caller holds the capsule's lock.</summary>
    public static void Follow(CapsuleStore store, CapsuleRecord capsule)
    {
        StoreLayout layout = store.Layout;
        var mounts = new PeerMounts(layout, capsule.Name);
        GuestPath[] wanted = [.. CrossingDoor.ProgramsOf(store, capsule)], there = [.. mounts.Paths.Where(p => IsShim(mounts, p))];
        foreach (GuestPath path in there.Except(wanted)) mounts.Detach(path);
        if (wanted.Length == 0)
        {
            // The directory stays: capsules of one stack have one /run, and where one of them took it away the others' mount on it would go.
            if (mounts.Paths.Contains(CrossingDoor.Inside)) CrossingDoor.Knock(layout);
            return;
        }
        CrossingDoor.Ensure(layout, capsule.Name);
        if (!mounts.Paths.Contains(CrossingDoor.Inside)) Attach(mounts, CrossingDoor.Inside, CrossingDoor.DirectoryOf(layout, capsule.Name), Shown | MountAttributes.NoExec);
        foreach (GuestPath path in wanted.Except(there)) Attach(mounts, path, CrossingDoor.ShimOf(layout), Shown);
    }

    private static void Attach(PeerMounts mounts, GuestPath path, string source, MountAttributes attributes)
    {
        using Descriptor clone = MountCalls.Clone(null, source);
        MountCalls.SetAttributes(clone, path.ToString(), attributes);
        MountCalls.SetPropagation(clone, Propagation.Private, path.ToString());
        mounts.Attach(path, clone, []);
    }

    /// <summary>Links show directories: a file that was attached is a shim.</summary>
    private static bool IsShim(PeerMounts mounts, GuestPath path)
    {
        using Descriptor? file = mounts.Open(path);
        return file is not null && FileCalls.Stat(file).IsRegular;
    }
}
