using Capsules.Linux.Launching;

namespace Capsules.Tail;

/// <summary>
/// PID 1 of a capsule: reaps everything, forwards signals to the service, writes the exit record, ends with the service.
/// Its descriptors are what must outlive a monitor: 0, 1, 2 and whatever else the plan let it keep. A new monitor takes
/// copies of them with pidfd_getfd(2); PID 1 needs to do nothing for that.
/// </summary>
internal static unsafe class Supervisor
{
    private const int SIGPIPE = 13, SIGCHLD = 17, WNOHANG = 1, SIG_SETMASK = 2, CLOCK_REALTIME = 0, SignalSetSize = 8;
    private const int NotPidOne = 124;

    public static void Run(long service, long record)
    {
        // Every signal below goes to one positive pid, never to -1 or a group, and only from a true PID 1.
        if (Kernel.Call(Kernel.getpid) != 1 || service <= 1) Kernel.Exit(NotPidOne);

        ulong all = ~0UL;
        Kernel.Call(Kernel.rt_sigprocmask, SIG_SETMASK, (long)&all, 0, SignalSetSize); // blocked signals queue, even for PID 1

        while (true)
        {
            long signal = Kernel.Call(Kernel.rt_sigtimedwait, (long)&all, 0, 0, SignalSetSize);
            if (signal == SIGCHLD) Reap(service, record);
            else if (signal > 0 && signal != SIGPIPE) Kernel.Call(Kernel.kill, service, signal);
        }
    }

    private static void Reap(long service, long record)
    {
        while (true)
        {
            int status = 0;
            long pid = Kernel.Call(Kernel.wait4, -1, (long)&status, WNOHANG);
            if (pid <= 0) return;
            if (pid == service) End(service, status, record);
        }
    }

    private static void End(long service, int status, long record)
    {
        ExitRecord exit;
        exit.Pid = (int)service;
        exit.WaitStatus = status;
        Kernel.Call(Kernel.clock_gettime, CLOCK_REALTIME, (long)&exit.Seconds);
        if (record >= 0) Kernel.Call(Kernel.write, record, (long)&exit, sizeof(ExitRecord));

        int signal = status & 0x7f;
        Kernel.Exit(signal == 0 ? status >> 8 & 0xff : 128 + signal); // the kernel ends whoever is left
    }
}
