using Capsules.Linux.Launching;

namespace Capsules.Tail;

/// <summary>
/// PID 1 of a capsule: reaps everything and writes on the board how each service ended. It starts nothing and knows no policy; services
/// are brought in from outside and become its children when their starter leaves. Its descriptors are what must outlive a keeper: the
/// pipes of the logs. A new keeper takes copies of them with pidfd_getfd(2); PID 1 needs to do nothing for that.
/// In a stack whose capsules share one numbering of processes, PID 1 is the stack's and its board is all capsules'; each has beside it a holder of its descriptors, which
/// has no board and reaps nothing.
/// It takes no notice of signals, so that nobody inside can end it; SIGKILL from outside does, and the kernel then ends whoever is left.
/// </summary>
internal static unsafe class Supervisor
{
    private const int SIGCHLD = 17, WNOHANG = 1, SIG_SETMASK = 2, CLOCK_REALTIME = 0, SignalSetSize = 8;
    private const int NotPidOne = 124;

    public static void Run(BoardHeader* board)
    {
        if (board != null && Kernel.Call(Kernel.getpid) != 1) Kernel.Exit(NotPidOne); // nowhere else may orphans be reaped, or signals be swallowed

        ulong all = ~0UL;
        Kernel.Call(Kernel.rt_sigprocmask, SIG_SETMASK, (long)&all, 0, SignalSetSize); // blocked signals queue, even for PID 1

        while (true)
        {
            long signal = Kernel.Call(Kernel.rt_sigtimedwait, (long)&all, 0, 0, SignalSetSize);
            if (signal == SIGCHLD && board != null) Reap(board);
        }
    }

    private static void Reap(BoardHeader* board)
    {
        while (true)
        {
            int status = 0;
            long pid = Kernel.Call(Kernel.wait4, -1, (long)&status, WNOHANG);
            if (pid <= 0) return;
            BoardEntry* entries = (BoardEntry*)(board + 1);
            for (uint i = 0; i < board->EntryCount; i++)
                if (entries[i].Pid == pid && entries[i].State == BoardEntry.Running) Record(entries + i, status);
        }
    }

    /// <summary>The state is written last: who sees "ended" sees the rest as well.</summary>
    private static void Record(BoardEntry* entry, int status)
    {
        entry->WaitStatus = status;
        Kernel.Call(Kernel.clock_gettime, CLOCK_REALTIME, (long)&entry->Seconds);
        entry->State = BoardEntry.Ended; // x86-64 keeps the order of stores, and the call above the compiler's
    }
}
