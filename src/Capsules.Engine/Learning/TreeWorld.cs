using System.Collections.Immutable;
using Capsules.Engine.Running;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Learning;

/// <summary>A tree that a command is watched in.</summary>
/// <param name="Directory">Where it is on this host.</param>
/// <param name="RuntimeDirectories">What its services expect below /run, by the tree's own accounts.</param>
public sealed record WatchedTree(string Directory, ImmutableArray<(GuestPath Path, int Mode, uint Uid, uint Gid)> RuntimeDirectories);

/// <summary>
/// A tree as the root of a mount and a PID namespace of its own, with its own /proc, /dev, /sys, /run and /tmp, and the host's network. Its first process does nothing but
/// to be there and to let orphans go (it ignores SIGCHLD: sigaction(2)); with it everything in there ends.
/// </summary>
internal sealed class TreeWorld : IDisposable
{
    private TreeWorld(int init) => (Init, Process) = (init, ProcessCalls.OpenPidFd(init));

    /// <summary>Its first process.</summary>
    public int Init { get; }
    /// <summary>The same as a pidfd.</summary>
    public Descriptor Process { get; }

    /// <summary>Makes it. Nothing is mounted on the host's side.</summary>
    public static TreeWorld Make(WatchedTree tree, Descriptor entering) => new(TailRun.Follow(plan => Describe(plan, tree.Directory, entering), plan => Threads.InPrivateMountNamespace(_ =>
    {
        Build(tree);
        return TailRun.StartHere(plan);
    })).Pid);

    /// <inheritdoc/>
    public void Dispose()
    {
        ProcessCalls.Signal(Process, Signals.KILL);
        ProcessCalls.TryWait(Init);
        Process.Dispose();
    }

    private static void Build(WatchedTree tree)
    {
        string root = tree.Directory;
        using (Descriptor clone = MountCalls.Clone(null, root, recursive: true)) MountCalls.Attach(clone, null, root);
        foreach (var (name, type, attributes, mode) in (ReadOnlySpan<(string, string, MountAttributes, string?)>)
            [("sys", "sysfs", MountAttributes.Locked | MountAttributes.ReadOnly, null), ("dev", "tmpfs", MountAttributes.NoSuid, "755"), ("run", "tmpfs", MountAttributes.NoSuid | MountAttributes.NoDevices, "755"), ("tmp", "tmpfs", MountAttributes.NoSuid | MountAttributes.NoDevices, "1777")])
            Mount($"{root}/{name}", type, attributes, mode);
        foreach (var (name, major, minor) in DefaultDevices.Nodes) FileCalls.MakeNode(null, $"{root}/dev/{name}", FileKind.CharacterDevice, 0x1B6, major, minor);
        foreach (var (name, target) in DefaultDevices.Links) FileCalls.MakeSymbolicLink(target, null, $"{root}/dev/{name}");
        Mount($"{root}/dev/shm", "tmpfs", MountAttributes.NoSuid | MountAttributes.NoDevices, "1777");
        FileCalls.MakeDirectory(null, $"{root}/dev/pts");
        using (Descriptor terminals = MountCalls.Clone(null, "/dev/pts")) MountCalls.Attach(terminals, null, $"{root}/dev/pts");
        foreach (var (path, mode, uid, gid) in tree.RuntimeDirectories)
        {
            string place = root + path;
            try { FileCalls.MakeDirectory(null, place, mode); }
            catch (SyscallException e) when (e.Errno is Errno.EEXIST or Errno.ENOENT) { continue; }
            FileCalls.ChangeOwner(null, place, uid, gid);
            FileCalls.ChangeMode(null, place, mode);
        }
    }

    private static void Mount(string place, string type, MountAttributes attributes, string? mode)
    {
        if (FileCalls.TryStatFollowing(null, place) is null) FileCalls.MakeDirectory(null, place);
        using Descriptor mount = mode is null ? MountCalls.New(type, attributes) : MountCalls.New(type, attributes, ("mode", mode));
        MountCalls.Attach(mount, null, place);
    }

    private static void Describe(TailPlan plan, string root, Descriptor entering)
    {
        const int child = 17 /* SIGCHLD */, pause = 34;
        plan.GoToRoot(root);
        plan.CloneForEngine(NamespaceKinds.Pid);
        plan.EnterCgroup("enter the group", entering);
        plan.SwitchRoot(bindFirst: false);
        Slot processes = plan.NewMount("proc", MountAttributes.Locked);
        plan.Attach(processes, "/proc");
        plan.Ignore("orphans are nobody's", child);
        plan.TellCreated();
        plan.Call("be there", pause);
    }
}
