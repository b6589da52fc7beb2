using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Crossings;

/// <summary>A running capsule that may run programs of others: its socket, and its numbers of users.</summary>
internal sealed class UsingCapsule : IDisposable
{
    public UsingCapsule(StoreLayout layout, RunRecord run)
    {
        Run = run;
        Init = ProcessCalls.OpenPidFd(run.Init);
        Users = IdMaps.Parse(FileCalls.ReadText($"/proc/{run.Init}/uid_map")); // written once (user_namespaces(7))
        Groups = IdMaps.Parse(FileCalls.ReadText($"/proc/{run.Init}/gid_map"));
        Listener = CrossingDoor.Listen(layout, run.Name);
        Usage = new(CrossingDoor.UsageOf(layout, run.Name));
    }

    public CapsuleName Name => Run.Name;

    public RunRecord Run { get; }

    /// <summary>PID 1; when it ends the socket is of no use.</summary>
    public Descriptor Init { get; }

    public IReadOnlyList<IdExtent> Users { get; }

    public IReadOnlyList<IdExtent> Groups { get; }

    public Descriptor Listener { get; }

    public CrossingUsage Usage { get; }

    /// <summary>Crossings under way.</summary>
    public int Count { get; set; }

    public void Dispose()
    {
        Listener.Dispose();
        Init.Dispose();
    }
}

/// <summary>A running capsule whose programs are run by others.</summary>
internal sealed class OwningCapsule : IDisposable
{
    private const int Exiting = 4; // PF_EXITING of the kernel's include/linux/sched.h
    private const int MostSpare = 4, SpareMilliseconds = 1000;

    private readonly Stack<CrossingGroup> _spare = new();
    private long _keptAt;

    public OwningCapsule(StoreLayout layout, RunRecord run)
    {
        Run = run;
        Running = new(layout, run);
        ulong Most(int resource) => Math.Min(ProcessCalls.Limit(run.Init, resource).Hard, ProcessCalls.Limit(0, resource).Hard);
        HardLimits = [.. Enumerable.Range(0, ResourceNames.All.Count()).Select(Most)];
        _stopping = layout.RunOf(run.Name) + "/stopping";
        string filter = RunRecord.FilterOf(layout, run.Name);
        try { Request = run.Entry.ToRequest(filter, []); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(filter, FactText.Of(e)), e); }
    }

    private readonly string _stopping;
    private bool _isGone;

    public RunRecord Run { get; }

    public RunningCapsule Running { get; }

    /// <summary>As whose request its processes enter.</summary>
    public LaunchRequest Request { get; }

    /// <summary>Above which no program of it can have a limit, by number.</summary>
    public System.Collections.Immutable.ImmutableArray<ulong> HardLimits { get; }

    /// <summary>Crossings into it.</summary>
    public List<Crossing> Crossings { get; } = [];

    /// <summary>Whether its PID 1 is there.</summary>
    public bool IsAlive => !FileCalls.WaitReadable(Running.Init, 0);

    /// <summary>Whether its processes end because it does: its PID 1 takes all others along before it is gone itself (pid_namespaces(7)).</summary>
    public bool IsEnding => !IsAlive || FileCalls.TryStat(null, _stopping) is not null || ProcessTable.FlagsOf(Run.Init) is not { } flags || (flags & Exiting) != 0;

    /// <summary>A group for a crossing: one that another has left, or a new one of this number.</summary>
    public CrossingGroup TakeGroup(long number) => _spare.TryPop(out CrossingGroup? spare) ? spare : CrossingGroup.Create(Run, number);

    /// <summary>Keeps a group in which nobody is any more for the next crossing; false when it is to be taken away.</summary>
    public bool TryKeep(CrossingGroup group)
    {
        if (_isGone || _spare.Count >= MostSpare || !IsAlive || !group.TryRenew()) return false;
        _spare.Push(group);
        _keptAt = Environment.TickCount64;
        return true;
    }

    /// <summary>When groups that nobody has taken are taken away; null when there are none.</summary>
    public long? SpareDue => _spare.Count == 0 ? null : _keptAt + SpareMilliseconds;

    /// <summary>Takes away groups that nobody has taken.</summary>
    public void ClearSpare()
    {
        while (_spare.TryPop(out CrossingGroup? spare)) spare.TryRemove();
    }

    public void Dispose()
    {
        _isGone = true;
        ClearSpare();
        Running.Dispose();
    }
}
