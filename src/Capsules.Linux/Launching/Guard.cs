using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>
/// The tail as a guard: starts a program, waits for its end, starts it again. It holds a few kilobytes and knows nothing; the program ends
/// it when there is nothing left to do.
/// </summary>
public static class Guard
{
    /// <summary>The name by which the program finds its guard in /proc/PPID/comm.</summary>
    public const string Name = "capsule-guard";

    private const int PauseMilliseconds = 200;

    /// <summary>Starts a guard; it leaves our session and keeps none of our descriptors but those given.</summary>
    /// <param name="program">The program, open.</param>
    /// <param name="arguments">Its argv.</param>
    /// <param name="environment">Its environment.</param>
    /// <param name="input">Its standard input.</param>
    /// <param name="output">Its standard output and error.</param>
    public static void Start(Descriptor program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, Descriptor input, Descriptor output)
    {
        var plan = new TailPlan();
        var (report, reportEnd) = ReportChannel.Open();
        using (report)
        {
            using (reportEnd)
            {
                plan.ReportTo(reportEnd);
                Describe(plan, program, arguments, environment, input, output);
                TailProgram.Start(plan);
            }
            if (ReportChannel.Receive(report) is (Report { Step: >= 0 } failed, _)) throw new TailException(plan.Label(failed.Step), failed.Value);
        }
    }

    /// <summary>The guard would start this program again: it is our parent, when it is one.</summary>
    public static void EndOwn()
    {
        int parent = ProcessTable.TryRead(Environment.ProcessId)?.Parent ?? 0;
        if (parent > 1 && ProcessTable.NameOf(parent) == Name) ProcessCalls.Signal(parent, Signals.KILL);
    }

    private static void Describe(TailPlan plan, Descriptor program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, Descriptor input, Descriptor output)
    {
        const int setName = 15;
        plan.Call("name the guard", SyscallNumber.Prctl, setName, Name);
        plan.Call("setsid", SyscallNumber.Setsid);
        plan.Call("chdir /", SyscallNumber.Chdir, "/");
        plan.StandardStream(input, 0);
        plan.StandardStream(output, 1);
        plan.StandardStream(output, 2);
        plan.Pass(program);
        plan.Call("all is made", SyscallNumber.Close, plan.ReportArgument);
        Block clone = plan.Value(new CloneArguments { ExitSignal = 17 });
        int start = plan.Here;
        var child = plan.Call("clone", SyscallNumber.Clone3, clone, CloneArguments.Size);
        plan.Call("wait", SyscallNumber.Wait4, -1, 0, 0, 0).Retry();
        plan.Call("pause", 35 /* nanosleep */, plan.Values<long>([0, PauseMilliseconds * 1_000_000L]), 0).WhenZeroGoTo(start);
        child.ChildGoesOnHere();
        plan.PrepareForExec(3);
        plan.Execute([$"/proc/self/fd/{program.Number}"], [.. arguments.Select(a => new NativePath(a))], [.. environment.Select(e => new NativePath(e))]);
    }
}
