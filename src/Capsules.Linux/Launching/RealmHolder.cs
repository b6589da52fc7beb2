using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Linux.Launching;

/// <summary>
/// A process that holds the namespaces of a user who is not root: he may not pin them by mounts outside of them, as <see cref="NamespaceHolder"/>
/// does, so that somebody has to live in them. And the way in, for programs that have threads: setns(2) refuses those a user namespace.
/// </summary>
public static class RealmHolder
{
    /// <summary>Its name in /proc/PID/comm.</summary>
    public const string Name = "capsule-realm";

    private const int SetName = 15, Pause = 34, SetDescriptorFlags = 2, CloseOnExec = 1, Fcntl = 72, Nanosleep = 35;

    /// <summary>Makes a user namespace (or joins one that exists), and a mount and a network namespace in it; the holder's pid.</summary>
    /// <param name="existing">The user namespace that is joined; null to make one.</param>
    /// <param name="writeMaps">Writes the maps of the one that was made.</param>
    /// <exception cref="TailException">The kernel refused a step; no holder is left.</exception>
    public static int Make(Descriptor? existing, Action<int> writeMaps) => Start(writeMaps, existing is null, plan =>
    {
        if (existing is not null) plan.Join("join the user namespace", existing, NamespaceKinds.User);
    }, plan =>
    {
        const uint recursive = 0x4000;
        plan.BecomeRoot();
        plan.Unshare("make the mount and the network namespace", NamespaceKinds.Mount | NamespaceKinds.Network);
        plan.Call("let mounts of the host arrive, and none leave", SyscallNumber.Mount, 0, "/", 0, recursive | (uint)Propagation.Slave, 0);
        plan.LoopbackUp();
    });

    /// <summary>A new holder of namespaces in which another process still is; its pid.</summary>
    public static int HoldThoseOf(Descriptor process) => Start(_ => { }, makesUser: false, plan => plan.Join("join the namespaces", process, All), plan => plan.BecomeRoot());

    /// <summary>The namespaces of a realm.</summary>
    public const NamespaceKinds All = NamespaceKinds.User | NamespaceKinds.Mount | NamespaceKinds.Network;

    private static int Start(Action<int> writeMaps, bool makesUser, Action<TailPlan> enter, Action<TailPlan> make)
    {
        var plan = new TailPlan();
        var (report, reportEnd) = ReportChannel.Open();
        var (goRead, go) = FileCalls.Pipe();
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadWrite);
        using (report) using (go)
        {
            int holder;
            using (reportEnd) using (goRead)
            {
                plan.ReportTo(reportEnd);
                plan.Call("name the holder", SyscallNumber.Prctl, SetName, Name);
                plan.Call("setsid", SyscallNumber.Setsid);
                plan.Call("chdir /", SyscallNumber.Chdir, "/");
                for (int stream = 0; stream < 3; stream++) plan.StandardStream(nothing, stream);
                enter(plan);
                if (makesUser)
                {
                    plan.Unshare("make the user namespace", NamespaceKinds.User);
                    plan.TellCreated();
                    plan.WaitForByte("wait for the id maps", goRead);
                }
                make(plan);
                plan.TellCreated();
                plan.Call("close the report", SyscallNumber.Close, plan.ReportArgument);
                plan.Call("hold", Pause).TolerateEverything().ThenSkip(-1); // for ever: all signals are blocked but SIGKILL
                holder = TailProgram.Start(plan);
            }
            try
            {
                if (makesUser)
                {
                    Expect(report, plan);
                    writeMaps(holder);
                    FileCalls.Write(go, "m"u8, "maps");
                }
                Expect(report, plan);
                return holder;
            }
            catch
            {
                Processes.ProcessCalls.Signal(holder, Processes.Signals.KILL);
                Processes.ProcessCalls.TryWait(holder);
                throw;
            }
        }
    }

    /// <summary>
    /// This process becomes another program in a realm, as its root, in the same directory. When the realm's process has just gone, or the directory
    /// cannot be entered there, it becomes the program where it is, with another environment. Returns only by an exception.
    /// </summary>
    public static void Enter(Descriptor process, Descriptor program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, NativePath directory, IReadOnlyList<string> whenRefused)
    {
        var plan = new TailPlan();
        NativePath self = $"/proc/self/fd/{program.Number}";
        NativePath[] words = [.. arguments.Select(a => new NativePath(a))];
        plan.Call("close the program at exec", Fcntl, plan.Pass(program), SetDescriptorFlags, CloseOnExec);
        plan.Call("join the realm", SyscallNumber.Setns, plan.Pass(process), All).TolerateEverything().ThenSkip(6); // to the last step
        plan.BecomeRoot();
        plan.Call("go to the directory", SyscallNumber.Chdir, directory).TolerateEverything().ThenSkip(2); // to the last step
        plan.Call("close the process", SyscallNumber.Close, process.Number);
        plan.Execute([self], words, [.. environment.Select(e => new NativePath(e))]);
        plan.Execute([self], words, [.. whenRefused.Select(e => new NativePath(e))]);
        TailProgram.Become(plan);
    }

    /// <summary>
    /// A guard that starts a program in the user and mount namespace of a realm, but in the network namespace that it was started in itself: whenever a
    /// byte can be read from a fifo.
    /// </summary>
    public static int StartBetween(string name, Descriptor process, Descriptor fifo, Descriptor program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, Descriptor output)
    {
        const int pauseMilliseconds = 200;
        var plan = new TailPlan();
        var (report, reportEnd) = ReportChannel.Open();
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
        using (report)
        {
            int guard;
            using (reportEnd)
            {
                plan.ReportTo(reportEnd);
                plan.Call("name the guard", SyscallNumber.Prctl, SetName, name);
                plan.Call("setsid", SyscallNumber.Setsid);
                plan.StandardStream(nothing, 0);
                plan.StandardStream(output, 1);
                plan.StandardStream(output, 2);
                plan.Pass(program);
                plan.Join("join the realm, but not its network", process, NamespaceKinds.User | NamespaceKinds.Mount);
                plan.BecomeRoot();
                plan.Call("chdir /", SyscallNumber.Chdir, "/");
                plan.TellCreated();
                plan.Call("all is made", SyscallNumber.Close, plan.ReportArgument);
                plan.Call("close the process", SyscallNumber.Close, process.Number);
                Block clone = plan.Value(new CloneArguments { ExitSignal = 17 });
                int start = plan.Here;
                plan.WaitForByte("wait for a knock", fifo);
                var child = plan.Call("clone", SyscallNumber.Clone3, clone, CloneArguments.Size);
                plan.Call("wait", SyscallNumber.Wait4, -1, 0, 0, 0).Retry();
                plan.Call("pause", Nanosleep, plan.Values<long>([0, pauseMilliseconds * 1_000_000L]), 0).WhenZeroGoTo(start);
                child.ChildGoesOnHere();
                plan.Call("end with the guard", SyscallNumber.Prctl, 1 /* PR_SET_PDEATHSIG */, Processes.Signals.KILL, 0, 0, 0);
                plan.PrepareForExec(3);
                plan.Execute([$"/proc/self/fd/{program.Number}"], [.. arguments.Select(a => new NativePath(a))], [.. environment.Select(e => new NativePath(e))]);
                guard = TailProgram.Start(plan);
            }
            Expect(report, plan);
            return guard;
        }
    }

    private static void Expect(Descriptor report, TailPlan plan)
    {
        if (!FileCalls.WaitReadable(report, 60_000)) throw new TimeoutException("the tail says nothing");
        if (ReportChannel.Receive(report) is not (Report message, _)) throw new InvalidOperationException("the tail ended without a word");
        if (message.Step >= 0) throw new TailException(plan.Label(message.Step), message.Value);
    }
}
