using System.Runtime.InteropServices;

namespace Capsules.Linux.Processes;

/// <summary>posix_spawn(3), waitid(2), pidfds, signals to one process.</summary>
public static unsafe class ProcessCalls
{
    /// <summary>
    /// posix_spawn(3) of a program behind a descriptor. The child keeps the calling thread's mount namespace; all its signals are blocked
    /// and have their default action (.NET ignores SIGPIPE, which exec would keep); only <paramref name="kept"/> stay open, under their own numbers.
    /// </summary>
    internal static int Spawn(Descriptor program, ReadOnlySpan<string> arguments, IReadOnlyList<Descriptor> kept)
    {
        // Opaque to us: glibc's posix_spawnattr_t has 336 bytes, posix_spawn_file_actions_t 80, sigset_t 128; musl's are smaller or equal.
        byte* attributes = stackalloc byte[512], actions = stackalloc byte[128], everySignal = stackalloc byte[128];
        const short setDefault = 4, setMask = 8;
        new Span<byte>(everySignal, 128).Fill(0xFF); // glibc's own 32 and 33 too: it would leave them ignored

        Succeed(Native.posix_spawnattr_init(attributes));
        Succeed(Native.posix_spawn_file_actions_init(actions));
        try
        {
            Succeed(Native.posix_spawnattr_setflags(attributes, setDefault | setMask));
            Succeed(Native.posix_spawnattr_setsigmask(attributes, everySignal));
            Succeed(Native.posix_spawnattr_setsigdefault(attributes, everySignal));
            foreach (Descriptor descriptor in kept) // onto itself: only clears close-on-exec, in the child
                Succeed(Native.posix_spawn_file_actions_adddup2(actions, descriptor.Number, descriptor.Number));

            using var argv = new NativeVector(arguments);
            using var environment = new NativeVector([]);
            int pid;
            fixed (byte* path = new NativePath($"/proc/self/fd/{program.Number}").Terminated)
            {
                int errno = Native.posix_spawn(&pid, path, actions, attributes, argv.Pointer, environment.Pointer);
                return errno == 0 ? pid : throw new SyscallException("posix_spawn", arguments[0], errno);
            }
        }
        finally
        {
            _ = Native.posix_spawn_file_actions_destroy(actions);
            _ = Native.posix_spawnattr_destroy(attributes);
        }
    }

    /// <summary>execve(2): this process becomes another program. Returns only by an exception.</summary>
    public static void Execute(string path, ReadOnlySpan<string> arguments, ReadOnlySpan<string> environment)
    {
        using var argv = new NativeVector(arguments);
        using var variables = new NativeVector(environment);
        fixed (byte* name = new NativePath(path).Terminated)
            Native.Check(Native.Call(SyscallNumber.Execve, (nint)name, (nint)argv.Pointer, (nint)variables.Pointer), "execve", path);
    }

    /// <summary>waitid(2) for one child: the exit status, 128 + signal if one ended it.</summary>
    public static int Wait(int pid) => TryWait(pid) ?? throw new SyscallException("waitid", $"{pid}", Errno.ECHILD);

    /// <summary>As <see cref="Wait"/>; null when it is not our child.</summary>
    public static int? TryWait(int pid)
    {
        const int byPid = 1, exited = 4, exitedNormally = 1;
        byte* information = stackalloc byte[128]; // siginfo_t: si_code at 8, si_status at 24
        nint result;
        do result = Native.Call(SyscallNumber.Waitid, byPid, pid, (nint)information, exited);
        while (Native.Interrupted(result));
        if (result < 0 && Marshal.GetLastPInvokeError() == Errno.ECHILD) return null;
        Native.Check(result, "waitid", $"{pid}");
        int code = *(int*)(information + 8), status = *(int*)(information + 24);
        return code == exitedNormally ? status : 128 + status;
    }

    /// <summary>kill(2) of one process; false when it is gone. Never a group, never everybody, never PID 1 of where we are.</summary>
    public static bool Signal(int pid, int signal)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pid, 2);
        return Gone(Native.kill(pid, signal), "kill", $"{pid}");
    }

    /// <summary>pidfd_send_signal(2): to exactly that process, whatever its number is worth now; false when it is gone.</summary>
    public static bool Signal(Descriptor process, int signal) => Gone(Native.Call(SyscallNumber.PidfdSendSignal, process.Number, signal), "pidfd_send_signal", "");

    /// <summary>As <see cref="Signal(Descriptor, int)"/>, to all of the process group that it leads (PIDFD_SIGNAL_PROCESS_GROUP, since 6.9; before, to it alone).</summary>
    public static bool SignalGroup(Descriptor leader, int signal)
    {
        const int processGroup = 4;
        nint result = Native.Call(SyscallNumber.PidfdSendSignal, leader.Number, signal, 0, processGroup);
        return result < 0 && Marshal.GetLastPInvokeError() == Errno.EINVAL ? Signal(leader, signal) : Gone(result, "pidfd_send_signal", "");
    }

    /// <summary>waitid(2) that does not wait: whether the child has ended and is reaped now, or is none of ours.</summary>
    public static bool TryReap(int pid)
    {
        const int byPid = 1, exited = 4, noHang = 1;
        byte* information = stackalloc byte[128];
        *(int*)(information + 12) = 0; // si_pid stays 0 when nobody has ended
        nint result = Native.Call(SyscallNumber.Waitid, byPid, pid, (nint)information, exited | noHang);
        return result < 0 || *(int*)(information + 12) != 0;
    }

    /// <summary>setpriority(2) of this process, -20 for the first turn and 19 for the last; false when that is refused.</summary>
    public static bool TrySetNice(int nice) => Native.Call(SyscallNumber.Setpriority, 0, 0, nice) >= 0;

    /// <summary>pidfd_open(2).</summary>
    public static Descriptor OpenPidFd(int pid) => TryOpenPidFd(pid) ?? throw new SyscallException("pidfd_open", $"{pid}", Errno.ESRCH);

    /// <summary>pidfd_open(2); null when there is no such process.</summary>
    public static Descriptor? TryOpenPidFd(int pid)
    {
        nint number = Native.Call(SyscallNumber.PidfdOpen, pid, 0);
        if (number < 0 && Marshal.GetLastPInvokeError() is Errno.ESRCH or Errno.EINVAL) return null;
        return new(Native.Check(number, "pidfd_open", $"{pid}"));
    }

    /// <summary>pidfd_getfd(2): our own copy of a descriptor that another process holds.</summary>
    public static Descriptor CopyDescriptor(Descriptor process, int number) =>
        new(Native.Check(Native.Call(SyscallNumber.PidfdGetfd, process.Number, number, 0), "pidfd_getfd", $"{number}"));

    /// <summary>prctl(2) PR_SET_DUMPABLE 0: nobody but the host's root can look into this process, not even a capsule that it has entered.</summary>
    public static void MakeUndumpable() => Native.Check(Native.Call(SyscallNumber.Prctl, 4, 0), "prctl", "PR_SET_DUMPABLE");

    /// <summary>prctl(2) PR_SET_CHILD_SUBREAPER: orphans below us become our children.</summary>
    public static void BecomeSubreaper() => Native.Check(Native.Call(SyscallNumber.Prctl, 36, 1), "prctl", "PR_SET_CHILD_SUBREAPER");

    /// <summary>setsid(2): leaves the terminal and the session it was started from.</summary>
    public static void NewSession() => Native.Check(Native.Call(SyscallNumber.Setsid), "setsid", "");

    /// <summary>fcntl(2) F_SETFD: the descriptor stays open in the program that this one becomes.</summary>
    internal static void KeepAtExec(Descriptor descriptor) => Native.Check(Native.fcntl(descriptor.Number, 2, 0), "fcntl", "F_SETFD");

    /// <summary>getuid(2) is root's.</summary>
    public static bool IsRoot => UserId == 0;

    /// <summary>getuid(2).</summary>
    public static uint UserId => (uint)Native.Call(102);

    /// <summary>getgid(2).</summary>
    public static uint GroupId => (uint)Native.Call(104);

    /// <summary>geteuid(2) or getegid(2) say something else than getuid(2) and getgid(2): the program's file has a set-id bit.</summary>
    public static bool HasBorrowedRights => (uint)Native.Call(107) != UserId || (uint)Native.Call(108) != GroupId;

    /// <summary>prlimit(2): the limit of another process or, with 0, of this one.</summary>
    public static (ulong Soft, ulong Hard) Limit(int pid, int resource)
    {
        ulong* limit = stackalloc ulong[2];
        Native.Check(Native.Call(SyscallNumber.Prlimit64, pid, resource, 0, (nint)limit), "prlimit", $"resource {resource}");
        return (limit[0], limit[1]);
    }

    /// <summary>prlimit(2): this process may have as many of a resource as its hard limit allows.</summary>
    public static void RaiseToHardLimit(int resource)
    {
        ulong* limit = stackalloc ulong[2];
        limit[0] = limit[1] = Limit(0, resource).Hard;
        Native.Check(Native.Call(SyscallNumber.Prlimit64, 0, resource, (nint)limit, 0), "prlimit", $"resource {resource}");
    }

    /// <summary>Takes every free number below, for good: whatever is opened later has a higher one.</summary>
    public static void ReserveNumbers(int below)
    {
        while (true)
        {
            Descriptor nothing = Files.FileCalls.Open("/dev/null", Files.OpenFlags.PathOnly);
            if (nothing.Number >= below)
            {
                nothing.Dispose();
                return;
            }
            nothing.SetHandleAsInvalid(); // nobody closes it
        }
    }

    /// <summary>dup3(2).</summary>
    public static void Duplicate(Descriptor from, int to) => Native.Check(Native.Call(SyscallNumber.Dup3, from.Number, to, 0), "dup3", $"{to}");

    /// <summary>These return an errno, and fail only for lack of memory.</summary>
    private static void Succeed(int errno)
    {
        if (errno != 0) throw new SyscallException("posix_spawn", "attributes", errno);
    }

    private static bool Gone(nint result, string call, string subject)
    {
        if (result < 0 && Marshal.GetLastPInvokeError() == Errno.ESRCH) return false;
        Native.Check(result, call, subject);
        return true;
    }
}
