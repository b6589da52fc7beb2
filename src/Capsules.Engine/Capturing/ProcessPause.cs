using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Capturing;

/// <summary>
/// The application's processes, paused: by the control group of their unit when it holds nothing else, else by SIGSTOP. They go on when this
/// object is closed, and also when this program is killed: a guard of the tail sees to that.
/// </summary>
internal sealed class ProcessPause : IDisposable
{
    private const int PatienceMilliseconds = 5000;

    private readonly ThawGuard _guard;
    private readonly List<Descriptor> _processes;
    private readonly Stopwatch _watch = new();

    private ProcessPause(ThawGuard guard, List<Descriptor> processes) => (_guard, _processes) = (guard, processes);

    /// <summary>How long it lasted.</summary>
    public TimeSpan Length => _watch.Elapsed;

    /// <summary>Pauses; null when none of the processes lives any more.</summary>
    /// <exception cref="CapsuleException">One could not be paused; all go on.</exception>
    public static ProcessPause? Start(ImmutableArray<PausedProcess> planned)
    {
        HashSet<int> pids = [.. planned.Where(p => ProcessTable.IsAlive(p.Pid, p.StartTicks)).Select(p => p.Pid)];
        HashSet<int> own = OwnLine();
        pids.ExceptWith(own);
        if (pids.Count == 0) return null;
        AddChildren(pids, own);
        var opened = pids.Select(pid => (Pid: pid, Descriptor: ProcessCalls.TryOpenPidFd(pid))).Where(p => p.Descriptor is not null).ToList();
        string? freezer = FreezerOf(pids);
        ThawGuard guard = ThawGuard.Start([.. opened.Select(p => p.Descriptor!)], freezer is null ? [] : [(freezer, Thawed(freezer))]);
        var pause = new ProcessPause(guard, [.. opened.Select(p => p.Descriptor!)]);
        try
        {
            pause._watch.Start();
            if (freezer is not null) Freeze(freezer);
            else pause.Stop(pids, own);
            return pause;
        }
        catch (SyscallException e)
        {
            pause.Dispose();
            throw new CapsuleException(Problems.CannotPause(pids.Min(), e.Message), e);
        }
        catch
        {
            pause.Dispose();
            throw;
        }
    }

    /// <summary>The processes of a capsule that runs.</summary>
    public static ImmutableArray<PausedProcess> Of(StoreLayout layout, RunRecord run)
    {
        using var running = new RunningCapsule(layout, run);
        return [.. running.Processes().Select(pid => (Pid: pid, Status: ProcessTable.TryRead(pid))).Where(p => p.Status is not null).Select(p => new PausedProcess(p.Pid, p.Status!.Value.StartTime, ""))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _guard.Dispose();
        foreach (Descriptor process in _processes)
        {
            if (process.IsClosed) continue;
            ProcessCalls.Signal(process, Signals.CONT); // those born after the guard, too
            process.Dispose();
        }
        _watch.Stop();
    }

    private static string Thawed(string file) => file.EndsWith("freezer.state", StringComparison.Ordinal) ? "THAWED" : "0";

    private static void Freeze(string file)
    {
        bool isVersion1 = file.EndsWith("freezer.state", StringComparison.Ordinal);
        FileCalls.WriteText(file, isVersion1 ? "FROZEN" : "1");
        string events = file[..(file.LastIndexOf('/') + 1)] + "cgroup.events";
        WaitFor(() => isVersion1 ? FileCalls.ReadText(file).StartsWith("FROZEN", StringComparison.Ordinal) : FileCalls.ReadText(events).Contains("frozen 1", StringComparison.Ordinal), file);
    }

    /// <summary>SIGSTOP to all; processes that were born meanwhile too, until there are no more.</summary>
    private void Stop(HashSet<int> pids, HashSet<int> own)
    {
        var stopped = new HashSet<int>();
        while (stopped.Count < pids.Count)
        {
            foreach (int pid in pids)
                if (stopped.Add(pid)) ProcessCalls.Signal(pid, Signals.STOP);
            WaitFor(() => stopped.All(pid => ProcessTable.TryRead(pid) is not { State: not ('T' or 't' or 'Z' or 'X') }), string.Join(' ', stopped));
            int before = pids.Count;
            AddChildren(pids, own);
            if (pids.Count == before) return;
            foreach (int born in pids.Where(p => !stopped.Contains(p)))
                if (ProcessCalls.TryOpenPidFd(born) is { } descriptor) _processes.Add(descriptor);
        }
    }

    private static void WaitFor(Func<bool> isSo, string subject)
    {
        long start = Environment.TickCount64;
        while (!isSo())
        {
            if (Environment.TickCount64 - start > PatienceMilliseconds) throw new SyscallException("pause", subject, Errno.ETIMEDOUT);
            Thread.Sleep(1);
        }
    }

    /// <summary>
    /// This process and those above it, with the first of all: an SSH server is adopted from a session of its own, and whoever stops itself
    /// never goes on.
    /// </summary>
    private static HashSet<int> OwnLine()
    {
        var own = new HashSet<int> { 1 };
        for (int pid = Environment.ProcessId; pid > 1 && own.Add(pid) && ProcessTable.TryRead(pid) is { } status; pid = status.Parent) { }
        return own;
    }

    private static void AddChildren(HashSet<int> pids, HashSet<int> own)
    {
        using Descriptor proc = FileCalls.Open("/proc", OpenFlags.ReadOnly | OpenFlags.Directory);
        var parents = new List<(int Pid, int Parent)>();
        foreach (var (name, _) in FileCalls.List(proc))
            if (int.TryParse(Encoding.ASCII.GetString(name), out int pid) && ProcessTable.TryRead(pid) is { IsDead: false } status) parents.Add((pid, status.Parent));
        bool grown = true;
        while (grown)
        {
            grown = false;
            foreach (var (pid, parent) in parents)
                if (pids.Contains(parent) && !own.Contains(pid)) grown |= pids.Add(pid);
        }
    }

    /// <summary>The freezer of a control group in which all of these processes are, and no others; null when there is none.</summary>
    private static string? FreezerOf(HashSet<int> pids)
    {
        foreach (CgroupHierarchy hierarchy in CgroupHierarchies.Read())
        {
            if (!hierarchy.IsUnified && !hierarchy.Controllers.Contains("freezer")) continue;
            string? path = null;
            foreach (int pid in pids)
            {
                string? own = ProcFiles.Cgroups(FileCalls.ReadAll($"/proc/{pid}/cgroup")).Where(c => hierarchy.IsUnified ? c.Controllers.Length == 0 : c.Controllers.Split(',').Contains("freezer")).Select(c => c.Path).FirstOrDefault();
                if (own is null or "/" || path is not null && own != path)
                {
                    path = null;
                    break;
                }
                path = own;
            }
            if (path is null) continue;
            string file = hierarchy.MountPoint + path + (hierarchy.IsUnified ? "/cgroup.freeze" : "/freezer.state");
            if (FileCalls.TryStat(null, file) is null || FileCalls.TryStat(null, hierarchy.MountPoint + path + "/cgroup.procs") is null) continue;
            var inside = FileCalls.ReadText(hierarchy.MountPoint + path + "/cgroup.procs").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse);
            if (inside.All(pids.Contains)) return file;
        }
        return null;
    }
}
