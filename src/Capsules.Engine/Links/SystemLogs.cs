using System.Text;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// Leads /dev/log of a running capsule to that of another, and back to its own. The owner's /dev is shown in the capsule, for its daemon makes the socket anew at each of its
/// starts; /dev/log is a symbolic link to it there, and the capsule's own socket waits beside it (docs/adr/0037). The caller holds the capsule's lock.
/// </summary>
/// <param name="layout">Where things are.</param>
/// <param name="capsule">The capsule, which runs.</param>
internal sealed class SystemLogs(StoreLayout layout, CapsuleName capsule)
{
    private const string Log = "log", Own = "log.own", Half = "log.half";
    private const MountAttributes Shown = MountAttributes.ReadOnly | MountAttributes.NoSuid | MountAttributes.NoDevices | MountAttributes.NoExec;

    private readonly GuestPath _at = SystemLogPlace.OwnersDirectory(capsule);
    private readonly PeerMounts _mounts = new(layout, capsule);

    private string Target => $"{_at}/{Log}";

    /// <summary>Whether a program of a capsule has put a socket of its own at /dev/log. PID 1's was made from outside, and has another name in the kernel's table.</summary>
    public static bool IsTakenBy(int init)
    {
        try { return SmallFiles.TryRead($"/proc/{init}/net/unix") is { } table && SocketTable.Unix(table).Any(s => s.Path.AsSpan().SequenceEqual(SystemLogPlace.Path.Bytes)); }
        catch (Exception e) when (e is FormatException or SyscallException) { return false; } // it ended meanwhile
    }

    /// <summary>
    /// Leads it to an owner, also to one that does not run: then nobody takes what is logged, as on a machine whose daemon is stopped. If it stayed here meanwhile, programs
    /// that go on running would have connected here, and would log here for ever.
    /// </summary>
    /// <exception cref="SyscallException">The kernel refused.</exception>
    public void Lead(int? owner)
    {
        using (Descriptor? there = _mounts.Open(_at))
            if (owner is { } init && (there is null || !IsOf(there, init)))
                using (Descriptor devices = DevicesOf(init))
                    if (there is null) _mounts.Attach(_at, devices, []);
                    else _mounts.Swap(_at, devices, []);
        using Descriptor own = OpenDevices();
        if (LeadsTo(own) == Target) return;
        _mounts.AsRoot(() =>
        {
            if (FileCalls.TryStat(own, Own) is null && FileCalls.TryStat(own, Log) is { Kind: FileKind.Socket }) FileCalls.MakeHardLink(own, Log, own, Own);
            FileCalls.Remove(own, Half);
            FileCalls.MakeSymbolicLink(Target, own, Half);
            FileCalls.Rename(own, Half, own, Log); // no moment without it
            return 0;
        }, ownRights: true); // its root may have mounted another's directory there
    }

    /// <summary>Before the owner ends: what it has in memory below its /dev goes with it.</summary>
    public void LetGo() => _mounts.Detach(_at);

    /// <summary>What is logged is the capsule's own again: its PID 1 takes it, or whoever has taken the place meanwhile.</summary>
    public void Keep()
    {
        try
        {
            using Descriptor own = OpenDevices();
            _mounts.AsRoot(() =>
            {
                if (LeadsTo(own) == Target)
                    if (FileCalls.TryStat(own, Own) is not null) FileCalls.Rename(own, Own, own, Log);
                    else FileCalls.Remove(own, Log);
                foreach (string left in (string[])[Own, Half]) FileCalls.Remove(own, left); // of one who was killed
                return 0;
            }, ownRights: true);
        }
        catch (SyscallException) { } // what its root made of its /dev is its own affair; that it sees the owner's no more is ours
        _mounts.Detach(_at);
    }

    /// <summary>Whether it leads to the capsule that has this PID 1.</summary>
    public bool IsLedTo(int owner)
    {
        using Descriptor own = OpenDevices();
        using Descriptor? there = _mounts.Open(_at);
        return LeadsTo(own) == Target && there is not null && IsOf(there, owner);
    }

    private static string? LeadsTo(Descriptor devices) => FileCalls.TryStat(devices, Log) is { Kind: FileKind.SymbolicLink } ? Encoding.UTF8.GetString(FileCalls.ReadLink(devices, Log)) : null;

    private static bool IsOf(Descriptor shown, int owner)
    {
        FileStatus seen = FileCalls.Stat(shown);
        return FileCalls.TryStat(null, $"/proc/{owner}/root/dev") is { } devices && (devices.Device, devices.Inode) == (seen.Device, seen.Inode);
    }

    private Descriptor OpenDevices()
    {
        int init = (Running.RunRecord.Find(layout, capsule) ?? throw new SyscallException("open", $"{capsule}", Errno.ESRCH)).Init;
        using Descriptor root = FileCalls.Open($"/proc/{init}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        return FileCalls.OpenResolved(root, SystemLogPlace.Path.Parent.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks); // whatever its root made of it
    }

    /// <summary>A capsule's /dev without what is mounted in it, with no rights; attached nowhere.</summary>
    private Descriptor DevicesOf(int init)
    {
        using Descriptor space = FileCalls.Open($"/proc/{init}/ns/mnt", OpenFlags.ReadOnly);
        // With what is mounted in it, which is locked there: a copy without it the kernel refuses (open_tree(2), EINVAL), and it cannot be taken away, only covered.
        using Descriptor all = Threads.InNamespace(space, NamespaceKinds.Mount, () => MountCalls.Clone(null, SystemLogPlace.Path.Parent.ToString(), recursive: true));
        return Threads.InPrivateMountNamespace(_ =>
        {
            MountCalls.SetPropagation(all, Propagation.Private, $"{_at}", recursive: true);
            MountCalls.Attach(all, null, layout.RunOf(capsule)); // seen by this thread alone
            Cover(all);
            Descriptor shown = MountCalls.Clone(all, "", recursive: true);
            MountCalls.SetAttributes(shown, $"{_at}", Shown, recursive: true);
            return shown;
        });
    }

    private static void Cover(Descriptor directory)
    {
        ulong mount = FileCalls.Stat(directory).MountId;
        foreach (string name in SmallFiles.Names($"/proc/thread-self/fd/{directory.Number}"))
        {
            var (below, _) = FileCalls.TryOpenResolved(directory, name, OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks | ResolveFlags.NoMagicLinks);
            if (below is null) continue;
            using (below)
                if (FileCalls.Stat(below).MountId == mount) Cover(below);
                else
                    using (Descriptor nothing = MountCalls.New("tmpfs", Shown, ("mode", "0"), ("size", "4k"))) MountCalls.Attach(nothing, below, "");
        }
    }
}
