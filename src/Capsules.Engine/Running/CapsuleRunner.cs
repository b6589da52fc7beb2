using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Running;

/// <summary>Starts, stops and enters capsules. Whoever changes one holds its lock, and its stack's lock while the stack goes up or down.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class CapsuleRunner(CapsuleStore store)
{
    private const string StartEndedCode = "CAP5017";
    private const int LockPollMilliseconds = 10, SilentAttempts = 10;
    private static readonly TimeSpan PatienceWhenInterrupted = TimeSpan.FromSeconds(10);

    private readonly StoreLayout _layout = store.Layout;

    /// <summary>The stacks.</summary>
    public StackRunner Stacks { get; } = new(store.Layout);

    /// <summary>The running capsule's record; null when it does not run.</summary>
    public RunRecord? Running(CapsuleName name) => RunRecord.Find(_layout, name) is { IsAlive: true } run ? run : null;

    /// <summary>What would be launched, without any effect.</summary>
    public (Core.Identities.IdentityPlan Identity, LaunchPlan Launch) Plan(CapsuleRecord capsule, StackRecord stack)
    {
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        StackUp up = Stacks.Describe(stack);
        return (Stacks.Network.Plan(stack.ToRequest([])), LaunchPlanner.Plan(CapsuleLaunch.Of(store, capsule, manifest, up, DefaultFilter.Profile()).Request));
    }

    /// <summary>Starts a capsule and its services; returns when all are up.</summary>
    /// <param name="capsule">The capsule.</param>
    /// <param name="services">Whether services are started, or only PID 1 for a command of the user's.</param>
    /// <param name="interruption">Ends the start when a signal comes.</param>
    /// <param name="endsWithUs">Whether the keeper ends it when this process is gone.</param>
    /// <param name="watch">Whether look-ups of its services that fail and would not have failed at the source are noted.</param>
    /// <returns>What will not be as expected.</returns>
    /// <exception cref="CapsuleException">It runs already, its identity is held elsewhere, or a step failed; nothing is left of it but its logs.</exception>
    public ImmutableArray<Warning> Start(CapsuleRecord capsule, bool services = true, Interruption? interruption = null, bool endsWithUs = false, bool watch = false)
    {
        if (Host.Kernel.Version < KernelFacts.Oldest) throw new CapsuleException(Problems.KernelTooOld($"{Host.Kernel.Version}", $"{KernelFacts.Oldest}"));
        string? Ended() => Signalled(interruption) ?? StoppedBy(capsule.Name);
        using Descriptor held = LockForStart(capsule.Name, interruption);
        if (Running(capsule.Name) is not null) throw new CapsuleException(Problems.AlreadyRunning(capsule.Name.ToString()));
        Clear(capsule.Name);
        capsule = store.EndCommit(store.Get(capsule.Name.ToString())); // as it is now that nobody else changes it
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        if (!services) manifest = manifest with { Services = [] };

        using var rollback = new Rollback();
        ImmutableArray<Warning> ofLinks = Members(capsule.Stack).Any(m => !m.Links.IsEmpty) ? LinkDoor.Prepare(_layout, capsule.Name) : []; // whoever brings the stack up decides which users it shares
        var (up, warnings) = StackUp(capsule, manifest, rollback);
        warnings = [.. ofLinks, .. warnings];
        if (Signalled(interruption) is { } early) throw new CapsuleException(Problems.StartEnded(capsule.Name.ToString(), early));
        CheckVolumes(capsule, manifest);
        if (!Host.IsInitial && (manifest.Limits != new ResourceLimits() || capsule.Limits != new ResourceLimits())) warnings = warnings.Add(Warnings.LimitsNotApplied(capsule.Name.ToString()));
        CapsuleLaunch launch = CapsuleLaunch.Of(store, capsule, manifest, up, DefaultFilter.Compiled(_layout));
        (RunRecord run, launch) = Launch(launch, rollback, commandOnly: !services, endsWithUs, watch);
        KeeperDoor.Knock(_layout);
        if (watch) WatchDoor.Start(_layout, capsule.Name); // before any service: each waits until its look-ups are answered

        using var running = new RunningCapsule(_layout, run);
        try
        {
            if (!capsule.Links.IsEmpty || capsule.Journal) warnings = [.. warnings, .. LinkDoor.Attach(_layout, capsule.Name)];
            var starter = new ServiceStarter(launch, running, AccountFiles.OfRunning(run.Init), Ended);
            foreach (int index in ServiceStarter.Order(manifest.Services)) starter.Start(index);
            if (Signalled(interruption) is { } late) throw new CapsuleException(Problems.StartEnded(capsule.Name.ToString(), late));
        }
        catch (CapsuleException e)
        {
            bool ended = e.Problem.Code == StartEndedCode, byStop = ended && StoppedBy(capsule.Name) is not null;
            if (!byStop) // else the stop gets the lock next, and has its own patience for what is up already
            {
                if (ended) StopServices(launch, running, PatienceWhenInterrupted);
                Finish(run, ended ? "stopped" : "failed");
            }
            rollback.Commit();
            throw;
        }
        rollback.Commit();
        held.Dispose();
        KeeperDoor.Knock(_layout); // it could decide nothing while we held the lock
        if (!capsule.LinkedBy.IsEmpty) warnings = [.. warnings, .. LinkDoor.Offer(_layout, capsule.Name)];
        return warnings;
    }

    /// <summary>Stops a capsule: its services in the opposite order, then PID 1. Nothing happens when it does not run.</summary>
    /// <param name="name">The capsule.</param>
    /// <param name="most">Longest time for each service; null for what each says itself.</param>
    /// <param name="say">Is told when it has to wait for another command.</param>
    /// <param name="startsAgain">Whether it is started again at once, and then those that stop with it.</param>
    public void Stop(CapsuleName name, TimeSpan? most, Action<string>? say = null, bool startsAgain = false)
    {
        if (store.TryFind(name) is { LinkedBy.IsEmpty: false }) LinkDoor.Withdraw(_layout, name, startsAgain);
        using Descriptor held = LockForStop(name, say);
        if (Running(name) is not { } run)
        {
            Clear(name);
            return;
        }
        if (HeldMark.IsLost(_layout, run)) HeldMark.LetGo(_layout, run); // nobody would end before he is killed
        if (!run.Services.IsEmpty)
        {
            var (launch, running) = Open(run);
            using (running) StopServices(launch, running, most);
        }
        Finish(run, "stopped");
    }

    private static void StopServices(CapsuleLaunch launch, RunningCapsule running, TimeSpan? most)
    {
        var starter = new ServiceStarter(launch, running, AccountFiles.OfRunning(running.Record.Init));
        foreach (int index in ServiceStarter.Order(launch.Manifest.Services).Reverse()) starter.Stop(index, most);
    }

    /// <summary>The capsule's lock. The mark is there before it is had: the keeper starts nothing again, and a start that is under way ends.</summary>
    private Descriptor LockForStop(CapsuleName name, Action<string>? say)
    {
        for (int attempt = 0; ; attempt++)
        {
            if (FileCalls.TryStat(null, attempt == 0 ? RunRecord.FileOf(_layout, name) : _layout.RunOf(name)) is not null && FileCalls.TryStat(null, StoppingMark(name)) is null)
                try { SmallFiles.Write(StoppingMark(name), "stop\n"u8, durable: false); }
                catch (SyscallException e) when (e.Errno == Errno.ENOENT) { } // whoever holds the lock was just clearing it away
            if (store.Lock(name, wait: false) is { } held) return held;
            if (attempt == SilentAttempts) say?.Invoke($"Another command is at work on {name}: a start is ended, anything else is waited for.");
            Thread.Sleep(LockPollMilliseconds);
        }
    }

    private Descriptor LockForStart(CapsuleName name, Interruption? interruption)
    {
        if (interruption is null) return store.Lock(name, wait: true)!;
        while (true)
        {
            if (store.Lock(name, wait: false) is { } held) return held;
            if (Signalled(interruption) is { } by) throw new CapsuleException(Problems.StartEnded(name.ToString(), by));
            Thread.Sleep(LockPollMilliseconds);
        }
    }

    /// <summary>Refuses to start without data that must be there, or with an image that this host's kernel must not trust.</summary>
    private void CheckVolumes(CapsuleRecord capsule, CapsuleManifest manifest)
    {
        foreach (StateVolume image in manifest.Volumes.Where(v => v.Kind == VolumeKind.Image))
        {
            if (!Host.IsInitial) throw new CapsuleException(Problems.OnlyForRoot($"the volume `{image.Name}` of {capsule.Name}", "it is a file system in a file, and the kernel mounts none of those for users"));
            string file = _layout.VolumeImage(capsule.Name, image.Name), mark = _layout.VolumeGuestMark(capsule.Name, image.Name);
            if (FileCalls.TryStat(null, file) is not { IsRegular: true }) throw new CapsuleException(Problems.VolumeImageMissing($"{capsule.Name}", $"{image.Name}", file));
            if (FileCalls.TryStat(null, mark) is not null) throw new CapsuleException(Problems.VolumeNotChecked($"{capsule.Name}", $"{image.Name}", file, mark));
        }
        foreach (SharedVolume shared in capsule.SharedVolumes)
            if (FileCalls.TryStat(null, _layout.Volume(shared.Owner, shared.Volume)) is not { IsDirectory: true })
                throw new CapsuleException(Problems.SharedVolumeGone($"{capsule.Name}", $"{shared.Owner}", $"{shared.Volume}"));
    }

    private static string? Signalled(Interruption? interruption) => interruption?.Signal is > 0 and int signal ? $"{Signals.Name(signal)} came; what was started is stopped" : null;

    private string? StoppedBy(CapsuleName name) => FileCalls.TryStat(null, StoppingMark(name)) is not null ? "a stop came meanwhile" : null;

    /// <summary>Sends a signal to the main process of every service.</summary>
    public void Kill(CapsuleName name, int signal)
    {
        RunRecord run = Running(name) ?? throw new CapsuleException(Problems.NotRunning(name.ToString()));
        var (launch, running) = Open(run);
        using (running)
        {
            var starter = new ServiceStarter(launch, running, AccountFiles.OfRunning(run.Init));
            foreach (BoardState state in running.Board().Where(s => s.Running)) starter.Signal(state.Pid, signal);
        }
    }

    /// <summary>Makes the services read their configuration again.</summary>
    public void Reload(CapsuleName name)
    {
        RunRecord run = Running(name) ?? throw new CapsuleException(Problems.NotRunning(name.ToString()));
        var (launch, running) = Open(run);
        using (running)
            for (int index = 0; index < launch.Manifest.Services.Length; index++) new ServiceStarter(launch, running, AccountFiles.OfRunning(run.Init)).Reload(index);
    }

    /// <summary>Runs a command in a running capsule; the process is our child.</summary>
    public (int Pid, Descriptor? Terminal) Exec(CapsuleName name, ExecRequest request)
    {
        RunRecord run = Running(name) ?? throw new CapsuleException(Problems.NotRunning(name.ToString()));
        using (var running = new RunningCapsule(_layout, run))
        {
            ResolvedUser user = AccountFiles.OfRunning(run.Init).Resolve(request.User, null, []);
            ProcessSpec process = CapsuleSpecs.CommandOf(run.Entry.Environment, request.Command, user, request.Environment, request.WorkingDirectory, request.Terminal, run.Entry.NewPrivileges);
            string filter = RunRecord.FilterOf(_layout, name);
            LaunchPlan plan;
            try { plan = LaunchPlanner.PlanEnter(process, run.Entry.ToRequest(filter, []), service: null); }
            catch (FormatException e) { throw new CapsuleException(Problems.BadFile(filter, FactText.Of(e)), e); }
            (Descriptor Master, Descriptor Slave)? terminal = request.Terminal ? Containers.ContainerRuntime.OpenTerminal(run.Init) : null;
            using Descriptor? nothing = request.Terminal || request.Interactive ? null : FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
            using Descriptor? silent = request.Detach ? FileCalls.Open("/dev/null", OpenFlags.WriteOnly) : null;
            try { return (running.Enter(plan, new() { Terminal = terminal?.Slave, Input = nothing, Output = request.Output ?? silent, Error = request.Output ?? silent }), terminal?.Master); }
            finally { terminal?.Slave.Dispose(); }
        }
    }

    /// <summary>Takes away what a life that ended without goodbye left. The caller holds the lock.</summary>
    public void Discard(CapsuleName name)
    {
        if (RunRecord.Find(_layout, name) is { } run) Finish(run, "killed");
        else Clear(name);
    }

    /// <summary>Starts a service again, for the keeper; the caller holds the lock.</summary>
    internal void Restart(RunRecord run, int index)
    {
        var (launch, running) = Open(run);
        using (running) new ServiceStarter(launch, running, AccountFiles.OfRunning(run.Init), () => StoppedBy(run.Name)).Start(index);
    }

    /// <summary>Ends what still runs of a capsule and takes away what was made for it; the caller holds the lock.</summary>
    internal void Finish(RunRecord run, string reason)
    {
        CapsuleRecord? oneRun = store.TryFind(run.Name) is { } capsule && (capsule.RemoveWhenStopped || IsAbandoned(capsule)) ? capsule : null; // one whose record is broken is stopped like any other, and kept
        using (var running = new RunningCapsule(_layout, run))
        {
            var pipes = new List<(string Service, Descriptor Pipe)>();
            Descriptor? systemLog = null;
            if (run.IsAlive)
                try
                {
                    if (run.SystemLog >= 0) systemLog = running.Copy(run.SystemLog);
                    foreach (RunService service in run.Services) pipes.Add((service.Name, running.Copy(service.LogRead)));
                    if (run.Writes >= 0) NoteWriters(running, run.Writes);
                    running.Group.Thaw(); // a frozen process cannot die
                    ProcessCalls.Signal(running.Init, Signals.KILL);
                    if (run.Seat.Init != 0) running.Group.Kill(); // PID 1 stays, for the others of the stack
                    FileCalls.WaitReadable(running.Init, 30_000);
                    ProcessCalls.TryWait(run.Init); // ours, when we launched it ourselves
                }
                catch (SyscallException e) when (e.Errno is Errno.ESRCH or Errno.EBADF) { } // it ended meanwhile
            BoardState[] board;
            try { board = running.Board(); }
            catch (SyscallException) { board = []; } // lost with /run: nothing is known of the services' ends
            foreach (var (service, pipe) in pipes)
                using (pipe) WhereThereIsRoom(() => running.LogOf(service).Take(pipe));
            using (systemLog)
                if (systemLog is not null) WhereThereIsRoom(() => running.LogOf(LogFile.SystemLog).TakeMessages(systemLog));
            if (oneRun is null && store.Has(run.Name)) WhereThereIsRoom(() => SmallFiles.Write(LastRun.FileOf(_layout, run.Name), LastRun.Of(run, board, reason).ToJson()));
        }
        Clear(run.Name);
        if (oneRun is not null) RemoveWhole(oneRun);
    }

    /// <summary>Whether it is a throw-away copy whose maker is gone.</summary>
    internal bool IsAbandoned(CapsuleRecord capsule) => capsule.CopyOf is not null && !SmallFiles.IsLocked(_layout.Maker(capsule.Name));

    /// <summary>What the keeper has not taken yet; its processes are still there to be named.</summary>
    private void NoteWriters(RunningCapsule running, int writes)
    {
        using Descriptor queue = running.Copy(writes);
        WhereThereIsRoom(() => new StrayWriters(_layout, running).Take(queue));
    }

    /// <summary>Sends a signal to everything in a running capsule but its first process, as a terminal does to its foreground group.</summary>
    public void SignalAll(CapsuleName name, int signal)
    {
        if (Running(name) is not { } run) return;
        using var running = new RunningCapsule(_layout, run);
        foreach (int pid in running.Processes().Where(p => p != run.Init))
        {
            using Descriptor? process = ProcessCalls.TryOpenPidFd(pid);
            if (process is not null) ProcessCalls.Signal(process, signal);
        }
    }

    /// <summary>Removes a capsule that was made for one run (--rm), its data and, before it, its identity: whoever finds the capsule later can do it again.</summary>
    public void RemoveWhole(CapsuleRecord capsule)
    {
        RemoveStackOfNobody(capsule.Stack, but: capsule.Name);
        store.Remove(capsule, volumes: true);
        if (Stacks.LastChange(capsule.Stack) is not null) RemoveStackOfNobody(capsule.Stack); // who was in it, too, is gone by now
    }

    /// <summary>Removes a stack, and its identity with it, if no capsule is in it any more; one whose record cannot be read may be.</summary>
    /// <param name="stack">The stack.</param>
    /// <param name="but">A capsule that is about to go.</param>
    public void RemoveStackOfNobody(CapsuleName stack, CapsuleName? but = null)
    {
        bool IsNobodys() => store.Names().All(n => n == but || (store.TryFind(n) is { } capsule ? capsule.Stack != stack : !store.Has(n)));
        if (IsNobodys()) Stacks.Remove(stack, IsNobodys);
    }

    /// <summary>A full disk costs the last lines of a log, never the end of a capsule.</summary>
    private static void WhereThereIsRoom(Action write)
    {
        try { write(); }
        catch (SyscallException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT) { Console.Error.WriteLine($"warning: {e.Message}"); }
    }

    /// <summary>Takes away what a life left: mounts, control group, run directory, and the stack when nobody else is in it. The caller holds the lock.</summary>
    internal void Clear(CapsuleName name)
    {
        string run = _layout.RunOf(name);
        if (FileCalls.TryStat(null, run) is not null)
        {
            while (MountCalls.Detach(run + "/peer")) { }
            var group = Linux.Cgroups.Cgroup.At(CapsuleLaunch.CgroupOf(_layout, name), CapsuleLaunch.Controllers, Host.Hierarchies);
            group.Kill(); // a PID 1 whose starter was killed before it could write down its number is found by its group
            group.RemoveWithPatience();
            if (!Host.IsInitial) RunningCapsule.KillOrphan(run + "/board"); // and without a group, by its board
            SmallFiles.RemoveTree(run);
        }
        if (store.TryFind(name) is not { } capsule) return;
        DownIfEmpty(capsule.Stack);
        foreach (CapsuleLink link in capsule.Links)
        {
            FileCalls.Remove(null, _layout.StartMark(link.Import.From, name)); // it is started, or stopped for itself
            if (store.TryFind(link.Import.From) is { } owner && owner.Stack != capsule.Stack && !Stacks.IsUp(owner.Stack)) DownIfEmpty(owner.Stack, kept: true); // its /run was kept for us
        }
    }

    /// <summary>The capsules of a stack that run.</summary>
    public IEnumerable<CapsuleRecord> RunningMembers(CapsuleName stack) => Members(stack).Where(c => Running(c.Name) is not null);

    /// <summary>The capsules of a stack.</summary>
    public IEnumerable<CapsuleRecord> Members(CapsuleName stack) => store.Names().Select(store.TryFind).OfType<CapsuleRecord>().Where(c => c.Stack == stack);

    /// <summary>Whether a capsule of a stack runs, or is just being started in it; one that runs and whose record cannot be read may be of any.</summary>
    public bool IsInUse(CapsuleName stack) => store.Names().Any(n => (store.TryFind(n) is not { } capsule || capsule.Stack == stack) && (Running(n) is not null || ProcessMark.IsAlive(StartingMark(n))));

    private void DownIfEmpty(CapsuleName stack, bool kept = false)
    {
        if (Stacks.LastChange(stack) is null && FileCalls.TryStat(null, _layout.RunOfStack(stack)) is null) return; // it never was up
        using Descriptor held = Stacks.Lock(stack);
        if (kept && Stacks.IsUp(stack)) return; // it came up while we waited, for a capsule that is about to run
        if (!IsInUse(stack) && FileCalls.TryStat(null, _layout.RunOfStack(stack)) is not null) Stacks.Down(stack, keepRun: IsUsedByOthers(stack));
    }

    /// <summary>Whether a running capsule of another stack sees the /run of this one through a link.</summary>
    public bool IsUsedByOthers(CapsuleName stack) => Members(stack).SelectMany(c => c.LinkedBy).Any(n => store.TryFind(n)?.Stack != stack && Running(n) is not null);

    private (StackUp Up, ImmutableArray<Warning> Warnings) StackUp(CapsuleRecord capsule, CapsuleManifest manifest, Rollback rollback)
    {
        using Descriptor held = Stacks.Lock(capsule.Stack);
        rollback.Add(() => Clear(capsule.Name));
        SmallFiles.MakeDirectories(_layout.RunOf(capsule.Name));
        ProcessMark.Write(StartingMark(capsule.Name), Environment.ProcessId); // until it has its record, nobody else takes the stack down
        bool wasUp = Stacks.IsUp(capsule.Stack);
        StackRecord record = Stacks.Find(capsule.Stack) ?? Stacks.Ensure(capsule.Stack, manifest.Identity);
        var (up, warnings) = Stacks.Up(record, keepRun: IsUsedByOthers(capsule.Stack));
        if (wasUp ? up.SharesProcesses : record.SharesProcesses && Host.IsInitial)
        {
            warnings = [.. warnings, .. LinkDoor.Seat(_layout, capsule.Name)];
            up = Stacks.Describe(up.Record);
        }
        return (up, warnings);
    }

    private (RunRecord Run, CapsuleLaunch Launch) Launch(CapsuleLaunch launch, Rollback rollback, bool commandOnly, bool endsWithUs, bool watch)
    {
        CapsuleName name = launch.Capsule.Name;
        string run = _layout.RunOf(name), writable = _layout.Writable(name);
        foreach (string directory in (string[])[writable + "/upper", writable + "/work", .. launch.Request.Spec.Mounts.Where(m => m.IsBind && m.Source?.StartsWith(_layout.Capsule(name) + "/volumes/", StringComparison.Ordinal) == true).Select(m => m.Source!)])
            SmallFiles.MakeDirectories(directory);
        SmallFiles.MakeDirectories(run + "/root");
        SmallFiles.MakeDirectories(run + "/peer");
        SmallFiles.MakeDirectories(run + "/notify");

        var (fills, markRoot) = launch.Capsule.Open ? FillGuard.Set(_layout, name) : ((Descriptor?)null, false); // before anybody reads a file of the tree
        using Descriptor? gate = fills;
        var accounts = AccountFiles.OfLayers(launch.Request);
        LaunchRequest request = launch.Request with
        {
            Spec = KeptEntry.Keep(launch.Request.Spec, RunRecord.FilterOf(_layout, name)),
            RuntimeDirectories = RuntimeDirectories(launch.Manifest, accounts),
        };
        var pipes = launch.Manifest.Services.Select(_ => FileCalls.Pipe()).ToArray();
        Seat seat = request.BoardEntries == 0 ? StackInit.SeatOf(_layout, name) : default;
        using Descriptor? board = seat.Init == 0 ? Board.Create(run + "/board", request.BoardEntries) : null;
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadWrite);
        using Descriptor systemLog = UnixDatagram.Create();
        using Descriptor? writes = WriteWatch.TryCreate();
        Descriptor[] queues = watch ? WatchDoor.MakeQueues() : [];
        StrayWriters.Begin(_layout, name);
        Linux.Cgroups.Cgroup group = launch.Group;
        try
        {
            group.Create(ControlGroups.Limits(request.Spec.Resources, []));
            List<Descriptor> groups = group.OpenForEntering();
            Descriptor[] kept = [.. pipes.SelectMany(p => new[] { p.Read, p.Write }), systemLog, .. ((Descriptor?[])[writes, fills]).OfType<Descriptor>(), .. queues];
            try
            {
                Launched launched = Launcher.Launch(LaunchPlanner.Plan(request), request.Spec, new HostPath(run), new() { Board = board, Kept = kept, Cgroups = groups, Gate = markRoot ? fills : null, SystemLog = systemLog, Input = nothing, Output = nothing, Error = nothing });
                rollback.Add(() => { if (ProcessCalls.Signal(launched.Pid, Signals.KILL)) ProcessCalls.TryWait(launched.Pid); });
                bool watched = writes is not null && WriteWatch.TryMark(writes, run + "/peer"); // before any service runs
                var record = new RunRecord
                {
                    Name = name,
                    Init = launched.Pid,
                    Seat = seat,
                    InitStart = ProcessTable.TryRead(launched.Pid)?.StartTime ?? 0,
                    Started = DateTimeOffset.UtcNow,
                    Cgroup = CapsuleLaunch.CgroupOf(_layout, name),
                    Controllers = CapsuleLaunch.Controllers,
                    Services = [.. launch.Manifest.Services.Select((s, i) => new RunService(s.Name, pipes[i].Read.Number, pipes[i].Write.Number))],
                    CommandOnly = commandOnly,
                    Owner = endsWithUs ? Environment.ProcessId : 0,
                    OwnerStart = endsWithUs ? ProcessTable.TryRead(Environment.ProcessId)?.StartTime ?? 0 : 0,
                    SystemLog = systemLog.Number,
                    Writes = watched ? writes!.Number : -1,
                    Fills = fills?.Number ?? -1,
                    Watch = watch ? new(queues[0].Number, queues[1].Number, queues[2].Number, queues[3].Number) : null,
                    Entry = KeptEntry.Of(request, launch.Manifest),
                };
                SmallFiles.Write(RunRecord.FileOf(_layout, name), record.ToJson(), durable: false);
                return (record, launch with { Request = request with { Watched = watch } });
            }
            finally
            {
                foreach (Descriptor file in groups) file.Dispose();
            }
        }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("prepare the launch", e.Message), e); }
        finally
        {
            foreach (Descriptor queue in queues) queue.Dispose();
            foreach (var (read, write) in pipes)
            {
                read.Dispose();
                write.Dispose();
            }
        }
    }

    private static ImmutableArray<WorldStep.Directory> RuntimeDirectories(CapsuleManifest manifest, AccountFiles accounts)
    {
        var directories = ImmutableArray.CreateBuilder<WorldStep.Directory>();
        foreach (ServiceManifest service in manifest.Services)
            foreach (RuntimeDirectory d in service.RuntimeDirectories)
                directories.Add(new(d.Path, accounts.Resolve(d.User, null, []).Uid, accounts.Resolve(null, d.Group, []).Gid, d.Mode));
        return directories.ToImmutable();
    }

    private (CapsuleLaunch Launch, RunningCapsule Running) Open(RunRecord run)
    {
        CapsuleRecord capsule = store.Get(run.Name.ToString());
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        StackRecord stack = Stacks.Find(capsule.Stack) ?? throw new CapsuleException(Problems.BadFile(_layout.Stack(capsule.Stack), "the stack's record is gone"));
        SeccompSpec filter;
        try { filter = run.Entry.ToRequest(RunRecord.FilterOf(_layout, run.Name), []).Spec.Seccomp ?? DefaultFilter.Compiled(_layout); }
        catch (FormatException) { filter = DefaultFilter.Compiled(_layout); } // broken: a stop must not fail for it, and the default is what it was
        var launch = CapsuleLaunch.Of(store, capsule, run.CommandOnly ? manifest with { Services = [] } : manifest, Stacks.Describe(stack), filter);
        return (launch with { Request = launch.Request with { Watched = run.Watch is not null } }, new RunningCapsule(_layout, run));
    }

    /// <summary>Who is starting it, from before its stack is up.</summary>
    private string StartingMark(CapsuleName name) => _layout.RunOf(name) + "/starting";

    /// <summary>Written before a stop takes the lock.</summary>
    internal string StoppingMark(CapsuleName name) => _layout.RunOf(name) + "/stopping";
}

/// <summary>A command to run in a capsule.</summary>
public sealed record ExecRequest(ImmutableArray<string> Command)
{
    /// <inheritdoc/>
    public override string ToString() => nameof(ExecRequest);

    /// <summary>User, or user:group.</summary>
    public string? User { get; init; }
    /// <summary>NAME=value pictures.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Where it starts.</summary>
    public GuestPath WorkingDirectory { get; init; }
    /// <summary>With a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>With our standard input.</summary>
    public bool Interactive { get; init; }
    /// <summary>Left alone.</summary>
    public bool Detach { get; init; }
    /// <summary>Where it writes, errors too; our own when null.</summary>
    public Linux.Descriptor? Output { get; init; }
}
