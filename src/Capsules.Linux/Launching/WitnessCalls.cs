using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>
/// A process that stays beside a program and tells how it does: the leader of its session, and its parent. So the program is stopped by the keys of its
/// terminal as under a shell (a process group without such a parent cannot be stopped, setpgid(2)), and each of its stops and its end are told to one who is
/// in another PID namespace.
/// </summary>
public static class WitnessCalls
{
    /// <summary>Its name in /proc/PID/comm.</summary>
    public const string Name = "capsule-cross";

    private const int SetName = 15, SetDeathSignal = 1, CallSetGroup = 109, CallYield = 24, SetForeground = 0x5410, SetControlling = 0x540E, Untraced = 2, Terminate = 17;

    /// <summary>
    /// The calling process, which leads a session, becomes the witness: each status of wait4(2) is written to a pipe, as four bytes, and the pipe ends with it. What is
    /// added next runs in its child, a process group of its own, in the foreground of the terminal when there is one.
    /// </summary>
    /// <param name="plan">The plan.</param>
    /// <param name="statuses">The pipe's end for writing.</param>
    /// <param name="terminal">The terminal of the session.</param>
    /// <param name="owner">To whom the terminal is to belong.</param>
    /// <param name="diesWithUs">Whether the kernel is to end it when we are gone.</param>
    public static void BecomeWitness(this TailPlan plan, Descriptor statuses, Descriptor? terminal, uint owner, bool diesWithUs)
    {
        plan.Call("name the witness", SyscallNumber.Prctl, SetName, Name);
        if (terminal is not null)
        {
            plan.Call("own the terminal", 93 /* fchown */, plan.Pass(terminal), owner, -1).TolerateEverything();
            plan.Call("take the terminal", SyscallNumber.Ioctl, plan.Pass(terminal), SetControlling, 0);
        }
        Block group = plan.Zeros(8), clone = plan.Value(new CloneArguments { Flags = (ulong)CloneFlags.ChildSetTid, ExitSignal = Terminate });
        plan.PointAt(clone, CloneArguments.ChildTidAt, group);
        var child = plan.Call("clone3 of the program's process", SyscallNumber.Clone3, clone, CloneArguments.Size);
        const ulong kill = 1UL << 5; // CAP_KILL: the signal that its own end sends to the program is checked as if it sent it (kernel/exit.c, reparent_leader)
        plan.SetCapabilities(kill, kill, 0);
        plan.NoNewPrivileges();
        plan.Undumpable();
        if (diesWithUs) plan.DieWithParent();
        plan.Call("close what is the program's", SyscallNumber.CloseRange, 0, statuses.Number - 1, 0);
        plan.Call("close what is the program's", SyscallNumber.CloseRange, plan.Pass(statuses).Value + 1, uint.MaxValue, 0);
        int again = plan.Here;
        Block status = plan.Zeros(8);
        plan.Call("wait for the program", SyscallNumber.Wait4, -1, status, Untraced, 0).Retry().Tolerate(Errno.ECHILD).ThenSkip(2);
        plan.Call("tell its status", SyscallNumber.Write, statuses.Number, status, sizeof(int)).TolerateEverything();
        plan.Call("once more", CallYield).WhenZeroGoTo(again);
        plan.Exit(0);
        child.ChildGoesOnHere();
        plan.TellStarted();
        plan.Call("make a process group", CallSetGroup, 0, 0);
        if (terminal is not null) plan.Call("take the foreground", SyscallNumber.Ioctl, plan.Pass(terminal), SetForeground, group);
    }

    /// <summary>prctl(2) PR_SET_PDEATHSIG: SIGKILL when the parent ends. It is lost when ids or capabilities change, and so comes behind that.</summary>
    public static void DieWithParent(this TailPlan plan) => plan.Call("end with the parent", SyscallNumber.Prctl, SetDeathSignal, Signals.KILL, 0, 0, 0);

    /// <summary>The process's descriptors are these under these numbers, and no others. All of ours have higher numbers than any of theirs.</summary>
    public static void TakeDescriptors(this TailPlan plan, IEnumerable<(Descriptor From, int Number)> descriptors)
    {
        var closed = new HashSet<int> { 0, 1, 2 };
        foreach (var (from, number) in descriptors)
        {
            plan.StandardStream(from, number);
            closed.Remove(number);
        }
        foreach (int number in closed) plan.Call($"close stream {number}", SyscallNumber.Close, number).TolerateEverything();
    }

    /// <summary>As <see cref="TailCalls.PrepareForExec"/>, with the signals ignored and blocked that the caller had so.</summary>
    public static void PrepareForExec(this TailPlan plan, int first, ulong ignored, ulong blocked)
    {
        for (int signal = 1; signal <= 64; signal++)
            if ((ignored >> (signal - 1) & 1) != 0) plan.Ignore($"ignore {Signals.Name(signal)}", signal);
        const int closeOnExec = 4, setMask = 2;
        plan.Call("close on exec", SyscallNumber.CloseRange, first, uint.MaxValue, closeOnExec);
        plan.Call("block the caller's signals", SyscallNumber.RtSigprocmask, setMask, plan.Values<ulong>([blocked]), 0, 8);
    }
}
