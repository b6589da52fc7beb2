using System.Collections.Immutable;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;
using Capsules.Linux.Terminals;
using CgroupHierarchy = Capsules.Linux.Cgroups.CgroupHierarchy;

namespace Capsules.Engine.Containers;

/// <summary>How a container is created.</summary>
/// <param name="Bundle">The bundle's directory.</param>
/// <param name="PidFile">Where the pid is written.</param>
/// <param name="ConsoleSocket">A unix socket that takes the master of the terminal.</param>
/// <param name="PreservedDescriptors">How many descriptors from 3 on it keeps.</param>
public sealed record CreateOptions(string Bundle, string? PidFile = null, string? ConsoleSocket = null, int PreservedDescriptors = 0);

/// <summary>The OCI runtime's verbs (runtime-spec, runtime.md), thinly over the planner that launches capsules too.</summary>
/// <param name="root">Where states are kept: one directory a container.</param>
public sealed partial class ContainerRuntime(string root)
{
    /// <summary>Creates a container: everything is made, the program waits for <see cref="Start"/>.</summary>
    public ContainerRecord Create(string id, CreateOptions options)
    {
        CheckId(id);
        return Make(id, options, ReadBundle(options.Bundle), LaunchEnd.WaitThenExecute).Record;
    }

    /// <summary>Creates a container and lets it go at once. The process is our child.</summary>
    public (ContainerRecord Record, Descriptor? Terminal) Run(string id, CreateOptions options)
    {
        CheckId(id);
        RuntimeSpec spec = ReadBundle(options.Bundle);
        if (!spec.Hooks.AroundStart) return Make(id, options, spec, LaunchEnd.Execute);
        var made = Make(id, options, spec, LaunchEnd.WaitThenExecute);
        try { Start(id); }
        catch
        {
            made.Terminal?.Dispose();
            Delete(id, force: true);
            throw;
        }
        return made;
    }

    /// <summary>Lets a created container go.</summary>
    public void Start(string id)
    {
        ContainerRecord record = Load(id);
        string status = Status(record);
        if (status != "created") throw new CapsuleException(Problems.WrongContainerState(id, status, "start"));
        HooksSpec hooks = HooksOf(record);
        try { RunHooks(record, hooks.StartContainer, "startContainer", "created"); }
        catch
        {
            KillAndWait(record); // runtime.md, lifecycle 8: an error, and the container is stopped
            throw;
        }
        using (Descriptor signal = FileCalls.Open(Signal(id), OpenFlags.WriteOnly | OpenFlags.NonBlock)) FileCalls.Write(signal, "s"u8, "start");
        FileCalls.Remove(null, Signal(id));
        RunHooksWhateverHappens(record, hooks.Poststart, "poststart", "running");
    }

    /// <summary>Stops every process of a running container.</summary>
    public void Pause(string id)
    {
        ContainerRecord record = Load(id);
        if (Status(record) is var status and not ("running" or "created")) throw new CapsuleException(Problems.WrongContainerState(id, status, "pause"));
        (GroupOf(record) ?? throw new CapsuleException(NoGroups("pausing a container"))).Freeze();
    }

    /// <summary>Lets the processes of a paused container go on.</summary>
    public void Resume(string id)
    {
        ContainerRecord record = Load(id);
        if (Status(record) is var status and not "paused") throw new CapsuleException(Problems.WrongContainerState(id, status, "resume"));
        (GroupOf(record) ?? throw new CapsuleException(NoGroups("resuming a container"))).Thaw();
    }

    /// <summary>Changes limits of a container; rules for devices stay as they are.</summary>
    public void Update(string id, ResourcesSpec resources)
    {
        ContainerRecord record = Load(id);
        if (Status(record) == "stopped") throw new CapsuleException(Problems.WrongContainerState(id, "stopped", "update"));
        Cgroup group = GroupOf(record) ?? throw new CapsuleException(NoGroups("changing limits of a container"));
        try { group.Change(ControlGroups.Limits(resources with { Devices = [] }, [])); }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("change the limits of the control group", e.Message), e); }
    }

    /// <summary>The processes of a container, as the host numbers them.</summary>
    public IReadOnlyList<int> Processes(string id)
    {
        ContainerRecord record = Load(id);
        if (GroupOf(record) is { } group) return group.Processes();
        return !record.IsAlive ? [] : record.Entry.Namespaces.Contains(NamespaceKind.Pid) ? ProcessTable.BesideInPidNamespace(record.Pid) : [record.Pid];
    }

    /// <summary>A container and its status: created, running, paused or stopped.</summary>
    public (ContainerRecord Record, string Status) State(string id)
    {
        ContainerRecord record = Load(id);
        return (record, Status(record));
    }

    /// <summary>Sends a signal to the first process, or to all.</summary>
    public void Kill(string id, int signal, bool all)
    {
        ContainerRecord record = Load(id);
        bool alone = record.Entry.Namespaces.Contains(NamespaceKind.Pid); // the kernel ends what is in it with its first process
        if ((all || (!alone && signal == Signals.KILL)) && GroupOf(record) is { } group)
        {
            if (signal == Signals.KILL) group.Kill();
            else foreach (int pid in group.Processes()) ProcessCalls.Signal(pid, signal);
            return;
        }
        if (Status(record) == "stopped") throw new CapsuleException(Problems.WrongContainerState(id, "stopped", "kill"));
        using Descriptor? process = ProcessCalls.TryOpenPidFd(record.Pid);
        if (process is not null && record.IsAlive) ProcessCalls.Signal(process, signal);
    }

    /// <summary>Deletes a stopped container, or kills it first. A container that is gone is no error with force.</summary>
    public void Delete(string id, bool force)
    {
        CheckId(id);
        bool halfMade = FileCalls.TryStat(null, StateFile(id)) is null && FileCalls.TryStat(null, Directory(id)) is not null; // by a create that was killed
        if ((force || halfMade ? TryRead(id) : Load(id)) is not { } record) // with force a broken one goes too: nobody can tell what runs of it
        {
            SmallFiles.RemoveTree(Directory(id));
            return;
        }
        string status = Status(record);
        if (status is "running" or "paused" && !force) throw new CapsuleException(Problems.WrongContainerState(id, status, "delete"));
        if (status != "stopped") KillAndWait(record);
        HooksSpec hooks = HooksOf(record);
        if (GroupOf(record) is { } group)
        {
            group.Kill(); // without a PID namespace of its own processes outlive the first one
            group.RemoveWithPatience();
        }
        RunHooksWhateverHappens(record, hooks.Poststop, "poststop", "stopped");
        SmallFiles.RemoveTree(Directory(id));
    }

    /// <summary>Runs a further process in a running container; its pid. The process is our child.</summary>
    public (int Pid, Descriptor? Terminal) Exec(string id, Func<ProcessSpec, ProcessSpec> process, string? consoleSocket, int preservedDescriptors)
    {
        ContainerRecord record = Load(id);
        Cgroup? group = GroupOf(record);
        string status = Status(record, group);
        if (status != "running") throw new CapsuleException(Problems.WrongContainerState(id, status, "exec"));
        ProcessSpec wanted = process(record.Entry.Process ?? throw new CapsuleException(Problems.BadBundle(record.Bundle, "`process` is missing")));
        LaunchPlan plan;
        try { plan = LaunchPlanner.PlanEnter(wanted, record.Entry.ToRequest(Filter(id), wanted.Limits), service: null); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(Filter(id), FactText.Of(e)), e); }

        using Descriptor init = ProcessCalls.OpenPidFd(record.Pid);
        List<Descriptor> groups = group?.OpenForEntering() ?? [];
        (Descriptor Master, Descriptor Slave)? terminal = wanted.Terminal ? OpenTerminal(record.Pid) : null;
        try
        {
            int pid = Launcher.Enter(plan, new() { Process = init, Cgroups = groups, Terminal = terminal?.Slave, PreservedDescriptors = preservedDescriptors });
            if (terminal is var (master, _) && consoleSocket is not null)
            {
                ConsoleSocket.Send(consoleSocket, master);
                master.Dispose();
                return (pid, null);
            }
            return (pid, terminal?.Master);
        }
        finally
        {
            terminal?.Slave.Dispose();
            foreach (Descriptor file in groups) file.Dispose();
        }
    }

    /// <summary>All containers.</summary>
    public IEnumerable<(ContainerRecord Record, string Status)> List()
    {
        if (FileCalls.TryStat(null, root) is null) yield break;
        using Descriptor directory = FileCalls.Open(root, OpenFlags.ReadOnly | OpenFlags.Directory);
        foreach (var (name, _) in FileCalls.List(directory))
        {
            string id = System.Text.Encoding.UTF8.GetString(name);
            if (TryRead(id) is { } record) yield return (record, Status(record));
        }
    }

    /// <summary>The terminal of a new process inside, made in that process's own devpts.</summary>
    internal static (Descriptor Master, Descriptor Slave) OpenTerminal(int pid)
    {
        using Descriptor inside = FileCalls.Open($"/proc/{pid}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        return PseudoTerminal.Open(inside);
    }

    private (ContainerRecord Record, Descriptor? Terminal) Make(string id, CreateOptions options, RuntimeSpec spec, LaunchEnd end)
    {
        using var rollback = new Rollback();
        SmallFiles.MakeDirectories(root);
        try { FileCalls.MakeDirectory(null, Directory(id), 0x1C0); }
        catch (SyscallException e) when (e.Errno == Errno.EEXIST) { throw new CapsuleException(Problems.ContainerExists(id), e); }
        rollback.Add(() => SmallFiles.RemoveTree(Directory(id)));
        FileCalls.MakeDirectory(null, Directory(id) + "/root", 0x1C0);

        IReadOnlyList<CgroupHierarchy> hierarchies = Running.Host.Hierarchies;
        if (!Running.Host.IsInitial && ControlGroups.AnyLimitButDevices(spec.Resources)) throw new CapsuleException(NoGroups("a limit of `resources`"));
        string path = spec.CgroupsPath is { Length: > 0 } named ? named : "capsule-oci/" + id;
        if (path.Split('/', StringSplitOptions.RemoveEmptyEntries) is { Length: 0 } or [.., ".."] || path.Contains("../", StringComparison.Ordinal)) throw new CapsuleException(Problems.GroupNotOurs(path, "it is no place below the root of a hierarchy"));
        Cgroup group = Cgroup.At(path, ControlGroups.ControllersFor(spec.Resources), hierarchies);
        if (group.Processes().Count > 0) throw new CapsuleException(Problems.GroupNotOurs(path, "processes run in it, and would be ended with the container"));
        rollback.Add(() => group.RemoveWithPatience());
        try { group.Create(ControlGroups.Limits(spec.Resources, spec.Devices)); }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("set the limits of the control group", e.Message), e); }

        LaunchPlan plan;
        LaunchRequest request;
        try
        {
            spec = KeptEntry.Keep(spec, Filter(id));
            request = Request(spec, options.Bundle, end, Running.Host.IsInitial, ControlGroups.Describe(hierarchies, _ => true));
            plan = LaunchPlanner.Plan(request);
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadBundle(options.Bundle, FactText.Of(e)), e); }

        using Descriptor? signal = end == LaunchEnd.WaitThenExecute ? MakeSignal(id) : null;
        using Descriptor? failures = end == LaunchEnd.WaitThenExecute ? FileCalls.Open(Directory(id) + "/failure", OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180) : null;
        List<Descriptor> groups = group.OpenForEntering();
        ContainerRecord Record(int pid) => new()
        {
            Id = id,
            Pid = pid,
            StartTime = ProcessTable.TryRead(pid)?.StartTime ?? 0,
            Bundle = options.Bundle,
            Created = DateTimeOffset.UtcNow,
            Cgroup = Running.Host.IsInitial ? path : null,
            Controllers = [.. ControlGroups.ControllersFor(spec.Resources)],
            SpecVersion = spec.Version,
            HasHooks = spec.Hooks.Any,
            Annotations = spec.Annotations,
            Entry = KeptEntry.Of(request, [], spec.Process),
        };
        var (hooksDone, hooksHaveRun) = spec.Hooks.BeforeRoot ? FileCalls.Pipe() : default;
        using (hooksDone)
        using (hooksHaveRun)
            try
            {
                var channels = new LaunchChannels { StartSignal = signal, FailureRecord = failures, HooksDone = hooksDone, Cgroups = groups, PreservedDescriptors = options.PreservedDescriptors };
                Launched launched = Launcher.Launch(plan, spec, new HostPath(Directory(id)), channels, pid =>
                {
                    if (hooksHaveRun is null) return;
                    ContainerRecord creating = Record(pid);
                    rollback.Add(() => RunHooksWhateverHappens(creating, spec.Hooks.Poststop, "poststop", "stopped"));
                    RunHooks(creating, spec.Hooks.Prestart, "prestart", "creating");
                    RunHooks(creating, spec.Hooks.CreateRuntime, "createRuntime", "creating");
                    RunHooks(creating, spec.Hooks.CreateContainer, "createContainer", "creating");
                    FileCalls.Write(hooksHaveRun, "h"u8, "hooks");
                });
                rollback.Add(() => { if (ProcessCalls.Signal(launched.Pid, Signals.KILL)) ProcessCalls.TryWait(launched.Pid); });
                ContainerRecord record = Record(launched.Pid);
                if (end == LaunchEnd.WaitThenExecute) CheckProgram(launched.Pid, spec.Process!);
                SmallFiles.Write(StateFile(id), record.ToJson(), durable: false);
                if (options.PidFile is { } pidFile) SmallFiles.Write(pidFile, System.Text.Encoding.UTF8.GetBytes($"{launched.Pid}"), durable: false);
                if (launched.Terminal is { } master && options.ConsoleSocket is { } socket)
                    using (master) ConsoleSocket.Send(socket, master);
                rollback.Commit();
                return (record, options.ConsoleSocket is null ? launched.Terminal : null);
            }
            finally
            {
                foreach (Descriptor file in groups) file.Dispose();
            }
    }

    private static LaunchRequest Request(RuntimeSpec spec, string bundle, LaunchEnd end, bool cgroups, ImmutableArray<Core.Launch.CgroupHierarchy> hierarchies) => new()
    {
        Spec = spec,
        Lower = [new HostPath(spec.RootPath.StartsWith('/') ? spec.RootPath : $"{bundle}/{spec.RootPath}")],
        End = end,
        Cgroups = cgroups,
        Hierarchies = hierarchies,
        HostHardLimits = HostLimits.Hard((spec.Process?.Limits ?? []).Select(l => l.Name)),
        MayRaiseLimits = HostLimits.MayRaise(),
    };

    private static RuntimeSpec ReadBundle(string bundle)
    {
        try { return RuntimeSpecJson.Read(SmallFiles.TryRead(bundle + "/config.json") ?? throw new FormatException("it has no config.json")); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadBundle(bundle, FactText.Of(e)), e); }
    }

    /// <summary>The record; null when there is none that can be read.</summary>
    private ContainerRecord? TryRead(string id)
    {
        try { return SmallFiles.TryRead(StateFile(id)) is { } bytes ? ContainerRecord.FromJson(bytes) : null; }
        catch (FormatException) { return null; }
    }

    private ContainerRecord Load(string id)
    {
        CheckId(id);
        byte[] bytes = SmallFiles.TryRead(StateFile(id)) ?? throw new CapsuleException(Problems.NoSuchContainer(id));
        try { return ContainerRecord.FromJson(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(StateFile(id), FactText.Of(e)), e); }
    }

    private string Status(ContainerRecord record) => Status(record, GroupOf(record));

    private string Status(ContainerRecord record, Cgroup? group) =>
        !record.IsAlive ? "stopped" : group?.IsFrozen() == true ? "paused" : FileCalls.TryStat(null, Signal(record.Id)) is not null ? "created" : "running";

    private static Problem NoGroups(string what) => Problems.OnlyForRoot(what, "control groups are root's");

    private static Cgroup? GroupOf(ContainerRecord record) =>
        record.Cgroup is { } path ? Cgroup.At(path, [.. record.Controllers], Running.Host.Hierarchies) : null;

    private static void KillAndWait(ContainerRecord record)
    {
        using Descriptor? process = ProcessCalls.TryOpenPidFd(record.Pid);
        if (process is null || !record.IsAlive) return;
        GroupOf(record)?.Thaw(); // a frozen process cannot die
        ProcessCalls.Signal(process, Signals.KILL);
        FileCalls.WaitReadable(process, 10_000);
    }

    private Descriptor MakeSignal(string id)
    {
        FileCalls.MakeNode(null, Signal(id), FileKind.Fifo, 0x180);
        return FileCalls.Open(Signal(id), OpenFlags.ReadWrite); // both ways: it never ends, and nobody waits to open it
    }

    private static void CheckId(string id)
    {
        bool good = id.Length is > 0 and <= 1024 && char.IsAsciiLetterOrDigit(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '+' or '-' or '.');
        if (!good) throw new CapsuleException(Problems.BadContainerId(id));
    }

    private string Directory(string id) => $"{root}/{id}";
    private string StateFile(string id) => Directory(id) + "/state.json";
    private string Filter(string id) => Directory(id) + "/filter";
    private string Signal(string id) => Directory(id) + "/start";
}
