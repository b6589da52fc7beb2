using System.Runtime.InteropServices;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Security;

namespace Capsules.Linux.Launching;

/// <summary>What tails do, as groups of system calls: the words in which the engine describes a launch.</summary>
public static class TailCalls
{
    /// <summary>The name of PID 1 in /proc/PID/comm.</summary>
    public const string InitName = "capsule-init";

    private const int CloseOnExec = 0x80000, ReadOnlyMount = 1, NoSuid = 2, NoDevices = 4, NoExec = 8, Remount = 0x20, Bind = 0x1000, Recursive = 0x4000;

    /// <summary>setns(2) by a namespace's file or by a pidfd.</summary>
    public static void Join(this TailPlan plan, string label, Descriptor space, NamespaceKinds kinds) =>
        plan.Call(label, SyscallNumber.Setns, plan.Pass(space), kinds);

    /// <summary>unshare(2).</summary>
    public static void Unshare(this TailPlan plan, string label, NamespaceKinds kinds) => plan.Call(label, SyscallNumber.Unshare, kinds);

    /// <summary>Takes the ids 0:0 of the user namespace it is in, so that what it makes belongs to that root.</summary>
    public static void BecomeRoot(this TailPlan plan)
    {
        plan.Call("drop groups", SyscallNumber.Setgroups, 0, 0).Tolerate(Errno.EPERM); // denied in a map made without privilege
        plan.Call("become group 0", SyscallNumber.Setresgid, 0, 0, 0);
        plan.Call("become user 0", SyscallNumber.Setresuid, 0, 0, 0);
    }

    /// <summary>
    /// Clones the capsule's first process as a child of the engine (CLONE_PARENT: its pid cannot be reused before the engine reaps it), and
    /// ends the launcher. What is added next runs in the child, which first tells the engine that it is there.
    /// </summary>
    public static void CloneForEngine(this TailPlan plan, NamespaceKinds fresh)
    {
        Block clone = plan.Value(new CloneArguments { Flags = (ulong)fresh | (ulong)CloneFlags.Parent }); // exit signal: the launcher's
        var child = plan.Call($"clone3 {fresh}", SyscallNumber.Clone3, clone, CloneArguments.Size);
        plan.Exit(0);
        child.ChildGoesOnHere();
        plan.TellStarted();
    }

    internal static void TellStarted(this TailPlan plan) =>
        plan.Call("tell the engine the pid", SyscallNumber.Write, plan.ReportArgument, plan.Value(new Report { Step = Report.Started }), 8);

    /// <summary>
    /// After entering a PID namespace: clones twice and leaves, so that the grandchild becomes the child of that namespace's PID 1, which
    /// will reap it. The grandchild enters itself on the board. What is added next runs in it.
    /// </summary>
    public static void CloneForInit(this TailPlan plan, Descriptor board, int entry, int generation)
    {
        const int childSignal = 17, everyChild = -1;
        Block middle = plan.Value(new CloneArguments { ExitSignal = childSignal });
        Block running = plan.Value(new BoardEntry { State = BoardEntry.Running, Generation = generation });
        Block last = plan.Value(new CloneArguments { Flags = (ulong)CloneFlags.ChildSetTid, ExitSignal = childSignal });
        plan.PointAt(last, CloneArguments.ChildTidAt, running);

        var first = plan.Call("clone3", SyscallNumber.Clone3, middle, CloneArguments.Size);
        plan.Call("wait for the middle process", SyscallNumber.Wait4, everyChild, 0, 0, 0).Retry();
        plan.Call("end the launcher", SyscallNumber.ExitGroup, 0);
        first.ChildGoesOnHere();
        var second = plan.Call("clone3", SyscallNumber.Clone3, last, CloneArguments.Size);
        plan.Call("leave it to PID 1", SyscallNumber.ExitGroup, 0);
        second.ChildGoesOnHere();
        plan.Call("enter the board", SyscallNumber.Pwrite64, plan.Pass(board), running, BoardLayout.EntrySize, BoardLayout.OffsetOf(entry)).MustBe(BoardLayout.EntrySize);
        plan.TellStarted();
    }

    /// <summary>Moves the calling process into a control group whose cgroup.procs (or tasks) is open.</summary>
    public static void EnterCgroup(this TailPlan plan, string label, Descriptor processes) =>
        plan.Call(label, SyscallNumber.Write, plan.Pass(processes), "0", 1);

    /// <summary>Waits for one byte: from the engine, or from whoever starts what was created.</summary>
    public static void WaitForByte(this TailPlan plan, string label, Descriptor from) =>
        plan.Call(label, SyscallNumber.Read, plan.Pass(from), plan.Zeros(8), 1).Retry().MustBe(1);

    /// <summary>Waits until the other end is closed, or a byte comes.</summary>
    public static void WaitForEnd(this TailPlan plan, string label, Descriptor from) =>
        plan.Call(label, SyscallNumber.Read, plan.Pass(from), plan.Zeros(8), 1).Retry();

    /// <summary>Tells the engine that everything is made.</summary>
    public static void TellCreated(this TailPlan plan) =>
        plan.Call("tell the engine that all is made", SyscallNumber.Write, plan.ReportArgument, plan.Value(new Report { Step = Report.Created }), 8);

    /// <summary>From now on failures go somewhere else; the descriptor keeps its number.</summary>
    public static void RedirectReport(this TailPlan plan, Descriptor to) =>
        plan.Call("send failures to the record from now on", SyscallNumber.Dup3, plan.Pass(to), plan.ReportArgument, CloseOnExec);

    /// <summary>exit_group(2).</summary>
    public static void Exit(this TailPlan plan, int status) => plan.Call("exit", SyscallNumber.ExitGroup, status);

    /// <summary>fsopen(2) … fsmount(2) inside the new namespaces; the mount waits in a slot until it is attached.</summary>
    public static Slot NewMount(this TailPlan plan, string type, MountAttributes attributes, params ReadOnlySpan<(string Key, string? Value)> options)
    {
        Slot context = plan.NewSlot(), mount = plan.NewSlot();
        plan.Call($"open {type}", SyscallNumber.Fsopen, type, 1).SaveIn(context);
        foreach (var (key, value) in options)
            if (value is null) plan.Call($"{type} option {key}", SyscallNumber.Fsconfig, context, 0, key, 0, 0);
            else plan.Call($"{type} option {key}={value}", SyscallNumber.Fsconfig, context, 1, key, value, 0);
        plan.Call($"create {type}", SyscallNumber.Fsconfig, context, 6, 0, 0, 0);
        plan.Call($"mount {type}", SyscallNumber.Fsmount, context, 1, attributes).SaveIn(mount);
        plan.Call($"close the context of {type}", SyscallNumber.Close, context);
        return mount;
    }

    /// <summary>umount2(2) with MNT_DETACH.</summary>
    public static void Detach(this TailPlan plan, NativePath target)
    {
        const int detach = 2;
        plan.Call($"detach {target}", SyscallNumber.Umount2, target, detach);
    }

    /// <summary>move_mount(2) of a mount that waits in a slot.</summary>
    public static void Attach(this TailPlan plan, Slot mount, NativePath target)
    {
        const int fromEmptyPath = 4;
        plan.Call($"attach {target}", SyscallNumber.MoveMount, mount, "", Native.CurrentDirectory, target, fromEmptyPath);
        plan.Call($"close the mount {target}", SyscallNumber.Close, mount);
    }

    /// <summary>move_mount(2) of a detached mount that the engine made.</summary>
    public static void Attach(this TailPlan plan, Descriptor mount, NativePath target)
    {
        const int fromEmptyPath = 4;
        plan.Call($"attach {target}", SyscallNumber.MoveMount, plan.Pass(mount), "", Native.CurrentDirectory, target, fromEmptyPath);
    }

    /// <summary>
    /// chdir(2) to the new root, while the launcher still is the host's root: whoever becomes root of a user namespace afterwards may not
    /// be allowed to walk there. A new mount namespace takes the working directory along.
    /// </summary>
    public static void GoToRoot(this TailPlan plan, string root) => plan.Call($"chdir {root}", SyscallNumber.Chdir, root);

    /// <summary>pivot_root(2) into the working directory, which is a mount, and no way back.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="bindFirst">Mounts copied into another user namespace are locked and cannot become the root; a recursive copy of one on top of it can.</param>
    public static void SwitchRoot(this TailPlan plan, bool bindFirst)
    {
        const int clone = 1, recursiveTree = 0x8000, emptyPath = 0x1000, fromEmptyPath = 4, detach = 2;
        if (bindFirst)
        {
            Slot copy = plan.NewSlot();
            plan.Call("copy the root", SyscallNumber.OpenTree, Native.CurrentDirectory, "", clone | CloseOnExec | recursiveTree | emptyPath).SaveIn(copy);
            plan.Call("put the copy onto the root", SyscallNumber.MoveMount, copy, "", Native.CurrentDirectory, ".", fromEmptyPath);
            plan.Call("go to the copy", SyscallNumber.Fchdir, copy);
            plan.Call("close the copy", SyscallNumber.Close, copy);
        }
        plan.Call("pivot_root", SyscallNumber.PivotRoot, ".", ".");
        plan.Call("detach the host's root", SyscallNumber.Umount2, ".", detach);
        plan.Call("chdir /", SyscallNumber.Chdir, "/");
    }

    /// <summary>Makes a path read-only by a bind onto itself; nothing when it is not there.</summary>
    public static void MakeReadOnly(this TailPlan plan, NativePath path)
    {
        plan.Call($"bind {path}", SyscallNumber.Mount, path, path, 0, Bind | Recursive, 0).Tolerate(Errno.ENOENT).ThenSkip(1);
        plan.Call($"make {path} read-only", SyscallNumber.Mount, 0, path, 0, Bind | Remount | ReadOnlyMount | NoSuid | NoDevices | NoExec, 0);
    }

    /// <summary>Remounts the root read-only.</summary>
    public static void MakeRootReadOnly(this TailPlan plan) =>
        plan.Call("make the root read-only", SyscallNumber.Mount, 0, "/", 0, Bind | Remount | ReadOnlyMount, 0);

    /// <summary>Hides a path: a file behind /dev/null, a directory behind an empty one; nothing when it is not there.</summary>
    public static void Mask(this TailPlan plan, NativePath path)
    {
        plan.Call($"mask {path}", SyscallNumber.Mount, "/dev/null", path, 0, Bind, 0).Tolerate(Errno.ENOENT, Errno.ENOTDIR);
        plan.Call($"mask the directory {path}", SyscallNumber.Mount, "tmpfs", path, "tmpfs", ReadOnlyMount | NoSuid | NoDevices | NoExec, "size=0k").Tolerate(Errno.ENOENT, Errno.ENOTDIR);
    }

    /// <summary>Writes into a file that exists, such as one of /proc/sys.</summary>
    public static void WriteFile(this TailPlan plan, string label, NativePath path, ReadOnlySpan<byte> content)
    {
        const int writeOnly = 1;
        Slot file = plan.NewSlot();
        plan.Call($"open {path}", SyscallNumber.Open, path, writeOnly | CloseOnExec, 0).SaveIn(file);
        plan.Call(label, SyscallNumber.Write, file, plan.Bytes(content), content.Length).MustBe(content.Length);
        plan.Call($"close {path}", SyscallNumber.Close, file);
    }

    /// <summary>SIOCSIFFLAGS (netdevice(7)): a new network namespace's loopback is down.</summary>
    public static void LoopbackUp(this TailPlan plan)
    {
        const int inet = 2, datagram = 2, setFlags = 0x8914;
        byte[] request = new byte[40]; // struct ifreq
        "lo"u8.CopyTo(request);
        request[16] = 0x41; // IFF_UP | IFF_RUNNING
        Slot socket = plan.NewSlot();
        plan.Call("socket for lo", SyscallNumber.Socket, inet, datagram | CloseOnExec, 0).SaveIn(socket);
        plan.Call("lo up", SyscallNumber.Ioctl, socket, setFlags, plan.Bytes(request));
        plan.Call("close socket", SyscallNumber.Close, socket);
    }

    /// <summary>Standard input, output or error becomes a descriptor of the engine's.</summary>
    public static void StandardStream(this TailPlan plan, Descriptor from, int number) =>
        plan.Call($"stream {number}", SyscallNumber.Dup3, plan.Pass(from), number, 0);

    /// <summary>A terminal becomes the three streams and the controlling terminal of the new session.</summary>
    public static void TakeTerminal(this TailPlan plan, Descriptor terminal, uint owner)
    {
        const int setControlling = 0x540E; // TIOCSCTTY
        plan.Call("own the terminal", 93 /* fchown */, plan.Pass(terminal), owner, -1).TolerateEverything();
        plan.Call("take the terminal", SyscallNumber.Ioctl, plan.Pass(terminal), setControlling, 0);
        for (int number = 0; number <= 2; number++) plan.StandardStream(terminal, number);
    }

    /// <summary>
    /// This process becomes PID 1 for good: keeps the descriptors named, undumpable, without any privilege. Without a board it only keeps them: PID 1 is another.
    /// </summary>
    public static void BecomeInit(this TailPlan plan, Descriptor? board, int entries, IReadOnlyList<Descriptor> kept)
    {
        const int setName = 15, readWrite = 3, shared = 1;
        Slot memory = plan.NewSlot();
        plan.Call("name PID 1", SyscallNumber.Prctl, setName, InitName);
        if (board is not null) plan.Call("map the board", 9 /* mmap */, 0, BoardLayout.SizeOf(entries), readWrite, shared, plan.Pass(board), 0).SaveIn(memory);
        for (int number = 0; number < Capabilities.Count; number++) plan.DropFromBounding(number);
        plan.SetCapabilities(0, 0, 0);
        plan.NoNewPrivileges();
        plan.Undumpable();
        foreach (Descriptor descriptor in kept) plan.Pass(descriptor);
        foreach (Descriptor descriptor in plan.Passed.Except(kept).Where(d => d.Number > 2).ToArray())
            if (plan.ReportArgument.Value != descriptor.Number) plan.Call($"(PID 1) close {descriptor.Number}", SyscallNumber.Close, descriptor.Number);
        plan.Call("(PID 1) all is made", SyscallNumber.Close, plan.ReportArgument);
        plan.Call("(PID 1) supervise", Step.Supervise, memory);
    }

    /// <summary>prctl(2) PR_SET_DUMPABLE 0.</summary>
    public static void Undumpable(this TailPlan plan) => plan.Call("undumpable", SyscallNumber.Prctl, 4, 0, 0, 0, 0);

    /// <summary>prctl(2) PR_SET_NO_NEW_PRIVS.</summary>
    public static void NoNewPrivileges(this TailPlan plan) => plan.Call("no new privileges", SyscallNumber.Prctl, 38, 1, 0, 0, 0);

    /// <summary>prlimit(2) of the calling process.</summary>
    public static void Limit(this TailPlan plan, string label, int resource, ulong soft, ulong hard) =>
        plan.Call(label, SyscallNumber.Prlimit64, 0, resource, plan.Values<ulong>([soft, hard]), 0);

    /// <summary>prctl(2) PR_CAPBSET_DROP: nobody below can ever have it. What the kernel does not know is none.</summary>
    public static void DropFromBounding(this TailPlan plan, int number) =>
        plan.Call($"drop {Capabilities.Name(number)}", SyscallNumber.Prctl, 24, number, 0, 0, 0).Tolerate(Errno.EINVAL);

    /// <summary>capset(2).</summary>
    public static void SetCapabilities(this TailPlan plan, ulong permitted, ulong effective, ulong inheritable)
    {
        const uint version3 = 0x20080522;
        Block header = plan.Values<uint>([version3, 0]);
        plan.Call("capset", SyscallNumber.Capset, header, plan.Values<uint>(
            [(uint)effective, (uint)permitted, (uint)inheritable, (uint)(effective >> 32), (uint)(permitted >> 32), (uint)(inheritable >> 32)]));
    }

    /// <summary>prctl(2) PR_SET_KEEPCAPS: capabilities stay when the user changes, until capset reduces them.</summary>
    public static void KeepCapabilities(this TailPlan plan, bool keep) => plan.Call("keep capabilities", SyscallNumber.Prctl, 8, keep ? 1 : 0, 0, 0, 0);

    /// <summary>prctl(2) PR_CAP_AMBIENT_RAISE.</summary>
    public static void RaiseAmbient(this TailPlan plan, ulong ambient)
    {
        const int ambientOption = 47, raise = 2;
        for (int number = 0; number < Capabilities.Count; number++)
            if ((ambient >> number & 1) != 0) plan.Call($"ambient {Capabilities.Name(number)}", SyscallNumber.Prctl, ambientOption, raise, number, 0, 0);
    }

    /// <summary>setgroups(2), setresgid(2), setresuid(2).</summary>
    public static void BecomeUser(this TailPlan plan, uint uid, uint gid, ReadOnlySpan<uint> groups)
    {
        plan.Call("set groups", SyscallNumber.Setgroups, groups.Length, plan.Values(groups));
        plan.Call($"become group {gid}", SyscallNumber.Setresgid, gid, gid, gid);
        plan.Call($"become user {uid}", SyscallNumber.Setresuid, uid, uid, uid);
    }

    /// <summary>seccomp(2) SECCOMP_SET_MODE_FILTER.</summary>
    public static TailPlan.StepBuilder Seccomp(this TailPlan plan, ReadOnlySpan<ulong> filter, uint flags)
    {
        const int filterMode = 1;
        Block description = plan.Values<ulong>([(ulong)filter.Length, 0]); // struct sock_fprog: length, padding, address
        plan.PointAt(description, 8, plan.Values(filter));
        return plan.Call("seccomp", SyscallNumber.Seccomp, filterMode, flags, description);
    }

    /// <summary>
    /// seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER: what the filter tells is read from a descriptor, which takes the number of <paramref name="place"/>, so that
    /// the engine can fetch it (pidfd_getfd(2)). Once a call has been read, only a deadly signal interrupts it (WAIT_KILLABLE_RECV): a program does not see EINTR where
    /// it saw none before. Needs CAP_SYS_ADMIN, and so leaves set-uid programs what they are.
    /// </summary>
    public static void ListenedSeccomp(this TailPlan plan, ReadOnlySpan<ulong> filter, Descriptor place)
    {
        const int newListener = 8, waitKillable = 32;
        Slot listener = plan.NewSlot();
        plan.Seccomp(filter, newListener | waitKillable).SaveIn(listener);
        plan.Call("keep the listener where the engine finds it", SyscallNumber.Dup3, listener, plan.Pass(place), CloseOnExec);
        plan.Call("close the other listener", SyscallNumber.Close, listener);
    }

    /// <summary>close_range(2) from <paramref name="first"/> on, at exec; unblocks signals.</summary>
    public static void PrepareForExec(this TailPlan plan, int first)
    {
        const uint everyDescriptor = uint.MaxValue;
        const int closeOnExec = 4, setMask = 2;
        plan.Call("close on exec", SyscallNumber.CloseRange, first, everyDescriptor, closeOnExec);
        plan.Call("unblock signals", SyscallNumber.RtSigprocmask, setMask, plan.Zeros(8), 0, 8);
    }

    /// <summary>rt_sigaction(2): ignores a signal, and so does what is executed afterwards.</summary>
    public static void Ignore(this TailPlan plan, string label, int signal) => plan.Call(label, SyscallNumber.RtSigaction, signal, plan.Values<ulong>([1 /* SIG_IGN */, 0, 0, 0]), 0, 8);

    /// <summary>One execve(2) for each candidate: the search of PATH needs no code in the tail.</summary>
    public static void Execute(this TailPlan plan, IReadOnlyList<NativePath> candidates, IReadOnlyList<NativePath> arguments, IReadOnlyList<NativePath> environment)
    {
        Block argv = plan.Vector(arguments), variables = plan.Vector(environment);
        foreach (NativePath path in candidates.SkipLast(1))
            plan.Call($"execve {path}", SyscallNumber.Execve, path, argv, variables).Tolerate(Errno.ENOENT);
        plan.Call($"execve {candidates[^1]}", SyscallNumber.Execve, candidates[^1], argv, variables);
    }
}
