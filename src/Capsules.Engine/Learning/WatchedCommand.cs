using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Launch;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;
using Capsules.Linux.Terminals;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Learning;

/// <summary>A command that is to be watched.</summary>
public sealed record WatchRequest
{
    /// <summary>argv.</summary>
    public required ImmutableArray<string> Command { get; init; }
    /// <summary>The program, as the watched tree names it.</summary>
    public required string Program { get; init; }
    /// <summary>NAME=VALUE, all of them.</summary>
    public required IReadOnlyList<string> Environment { get; init; }
    /// <summary>Where it is started; null for where this program is.</summary>
    public string? WorkingDirectory { get; init; }
    /// <summary>The user; null to stay who we are.</summary>
    public ResolvedUser? User { get; init; }
    /// <summary>The tree that it runs in; null for this machine as it is.</summary>
    public WatchedTree? Tree { get; init; }
    /// <summary>Hears what is to be known meanwhile.</summary>
    public Action<string> Say { get; init; } = _ => { };
}

/// <summary>
/// Runs a command and tells a log every path that it and everything below it names. It keeps its streams, its exit status and, but for a process group of its own,
/// everything else; the calls that carry paths wait until they are written down, and then go on unchanged.
/// </summary>
public static class WatchedCommand
{
    private const int PatienceForRest = 10_000, GraceForRest = 300; // milliseconds

    /// <summary>Runs it to the end of all that it started; its exit status, 128 + signal if one ended it.</summary>
    /// <exception cref="CapsuleException">This host does not let it be watched.</exception>
    public static int Run(WatchRequest request, LearnLog log, StoreLayout layout)
    {
        using WatchGroup group = WatchGroup.Make(layout);
        using Descriptor entering = group.OpenForEntering(), place = FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
        using TreeWorld? world = request.Tree is { } tree ? TreeWorld.Make(tree, entering) : null;
        log.Root = FileCalls.Open(world is null ? "/" : $"/proc/{world.Init}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        var (goRead, go) = FileCalls.Pipe();
        using (go)
        {
            Started started;
            try
            {
                using (goRead) started = TailRun.Follow(plan => Describe(plan, request, world, entering, place, goRead));
            }
            catch (TailException e) { throw new CapsuleException(Problems.CannotWatch(e.Message, "watching needs root, Linux 6.1 or later, and no filter that forbids seccomp(2)"), e); }
            using Descriptor child = ProcessCalls.OpenPidFd(started.Pid);
            using var listener = new SyscallListener(ProcessCalls.CopyDescriptor(child, place.Number));
            return Follow(request, log, group, started.Pid, child, listener, world?.Init ?? started.Pid, go);
        }
    }

    private static void Describe(TailPlan plan, WatchRequest request, TreeWorld? world, Descriptor entering, Descriptor place, Descriptor go)
    {
        if (world is not null) plan.Join("join the tree", world.Process, NamespaceKinds.Mount | NamespaceKinds.Pid);
        plan.CloneForEngine(NamespaceKinds.None);
        plan.EnterCgroup("enter the group", entering);
        if (request.WorkingDirectory is { } directory) plan.Call($"chdir {directory}", SyscallNumber.Chdir, directory);
        plan.PrepareForExec(3);
        // The tail was started with none ignored. This program's own runtime ignores SIGPIPE and handles SIGRTMIN: what was before nobody can know.
        foreach (int signal in ProcessTable.IgnoredSignals().Where(s => s != Signals.PIPE)) plan.Ignore($"ignore signal {signal}", signal);
        plan.ListenedSeccomp(WatchedCalls.Filter(), place); // while it is root: a user would need no_new_privs
        if (request.User is { } user) plan.BecomeUser(user.Uid, user.Gid, [.. user.Groups]);
        plan.TellCreated();
        plan.WaitForByte("wait until somebody listens", go);
        plan.Execute([request.Program], [.. request.Command.Select(c => new NativePath(c))], [.. request.Environment.Select(e => new NativePath(e))]);
    }

    private static int Follow(WatchRequest request, LearnLog log, WatchGroup group, int pid, Descriptor child, SyscallListener listener, int viewOf, Descriptor go)
    {
        JobControl.MakeGroup(pid);
        bool hasTerminal = JobControl.Foreground() == JobControl.OwnGroup;
        if (hasTerminal) JobControl.GiveTerminal(pid);
        using var kernelOpens = KernelOpens.Start(log, group, viewOf);
        log.OnRing = kernelOpens.WatchEverything;
        // One thread: every call wakes all that wait for it (kernel/seccomp.c, recv_wait_event), and all but one in vain.
        new Thread(() => listener.Run(log)) { IsBackground = true, Name = "listener" }.Start();

        int signals = 0;
        bool hasEnded = false;
        void Forward(PosixSignalContext context, int signal)
        {
            context.Cancel = true;
            if (Interlocked.Increment(ref signals) > 2) group.Kill();
            else if (!Volatile.Read(ref hasEnded)) ProcessCalls.Signal(child, signal);
            else foreach (int rest in group.Processes()) ProcessCalls.Signal(rest, signal);
        }
        using var onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, c => Forward(c, Signals.INT));
        using var onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => Forward(c, Signals.TERM));
        using var onHangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, c => Forward(c, Signals.HUP));

        FileCalls.Write(go, "g"u8, "start");
        FileCalls.WaitReadable(child, -1);
        int status = ProcessCalls.Wait(pid);
        Volatile.Write(ref hasEnded, true);
        if (hasTerminal) JobControl.GiveTerminal(JobControl.OwnGroup);
        AwaitRest(request, group, listener, () => Volatile.Read(ref signals));
        kernelOpens.Finish();
        return status;
    }

    /// <summary>A daemon outlives the command that started it: it is watched on, until it ends or somebody wants the end.</summary>
    private static void AwaitRest(WatchRequest request, WatchGroup group, SyscallListener listener, Func<int> signals)
    {
        if (listener.WaitForEnd(GraceForRest)) return;
        if (signals() == 0)
        {
            request.Say($"{request.Command[0]} has ended; {group.Processes().Length} of the processes it started run on and are watched, until they end or you interrupt (Ctrl-C)");
            while (!listener.WaitForEnd(100))
                if (signals() > 0) break;
        }
        else
            foreach (int rest in group.Processes()) ProcessCalls.Signal(rest, Signals.TERM); // their command was told, and they were not
        if (!listener.WaitForEnd(PatienceForRest)) group.Kill();
        listener.WaitForEnd(PatienceForRest);
    }
}
