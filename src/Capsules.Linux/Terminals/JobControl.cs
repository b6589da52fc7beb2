using Capsules.Linux.Processes;

namespace Capsules.Linux.Terminals;

/// <summary>Process groups and the terminal that one of them has (credentials(7), tcsetpgrp(3)).</summary>
public static unsafe class JobControl
{
    private const int GetGroup = 0x540F, SetGroup = 0x5410; // TIOCGPGRP, TIOCSPGRP

    /// <summary>setpgid(2): a child that has not executed anything yet leads a group of its own, so that signals of the terminal do not reach both it and its starter.</summary>
    public static void MakeGroup(int child) => Native.Check(Native.Call(109, child, child), "setpgid", $"{child}");

    /// <summary>The group that has the terminal of standard input; null when that is no terminal.</summary>
    public static int? Foreground()
    {
        int group;
        return Native.Call(SyscallNumber.Ioctl, 0, GetGroup, (nint)(&group)) < 0 ? null : group;
    }

    /// <summary>getpgrp(2).</summary>
    public static int OwnGroup => (int)Native.Call(111);

    /// <summary>TIOCSPGRP, which whoever is in the background may do only while SIGTTOU is blocked. A terminal that is gone is nobody's.</summary>
    public static void GiveTerminal(int group)
    {
        ulong blocked = 1UL << (Signals.TTOU - 1), before = 0;
        const int block = 0, set = 2;
        Native.Call(SyscallNumber.RtSigprocmask, block, (nint)(&blocked), (nint)(&before), 8);
        Native.Call(SyscallNumber.Ioctl, 0, SetGroup, (nint)(&group));
        Native.Call(SyscallNumber.RtSigprocmask, set, (nint)(&before), 0, 8);
    }
}
