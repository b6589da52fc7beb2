using System.Globalization;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Crossings;

/// <summary>
/// All processes of one crossing: a control group below its owner's, whose limits hold for it, and which tells what it used. Who has no control groups
/// (docs/adr/0015) finds them by their descent from the witness.
/// </summary>
internal sealed class CrossingGroup
{
    private const string Prefix = "crossing-";

    /// <summary>Those that stop, and those that count; of the others the owner's own group will do.</summary>
    private static readonly string[] s_controllers = ["freezer", "memory", "cpuacct"];

    private static readonly Lazy<IReadOnlyList<CgroupHierarchy>> s_hierarchies = new(() => Host.Hierarchies); // they are not mounted anew under running capsules

    private readonly RunRecord _owner;
    private readonly Cgroup? _group;
    private List<Descriptor>? _entering;
    private long _cpuBefore, _memoryBefore; // of earlier crossings

    private CrossingGroup(RunRecord owner, Cgroup? group, long number) => (_owner, _group, Number) = (owner, group, number);

    /// <summary>By what it is named; 0 for none.</summary>
    public long Number { get; }

    /// <summary>The witness, once it is known.</summary>
    public int Witness { get; set; }

    /// <summary>Makes one.</summary>
    public static CrossingGroup Create(RunRecord owner, long number)
    {
        if (!Host.IsInitial) return new(owner, null, 0);
        var group = Cgroup.At($"{owner.Cgroup}/{Prefix}{number}", [.. owner.Controllers.Intersect(s_controllers)], s_hierarchies.Value);
        group.CreateAlone();
        return new(owner, group, number);
    }

    /// <summary>Those that an earlier broker left in a capsule.</summary>
    public static IEnumerable<CrossingGroup> LeftIn(RunRecord owner)
    {
        if (!Host.IsInitial)
            return ProcessTable.BesideInPidNamespace(owner.Init).Where(p => ProcessTable.NameOf(p) == WitnessCalls.Name).Select(p => new CrossingGroup(owner, null, 0) { Witness = p });
        var numbers = new HashSet<string>(StringComparer.Ordinal);
        foreach (string directory in Cgroup.At(owner.Cgroup, owner.Controllers, s_hierarchies.Value).Directories)
        {
            var (opened, _) = FileCalls.TryOpenAt(null, directory, OpenFlags.ReadOnly | OpenFlags.Directory);
            if (opened is null) continue;
            using (opened)
                foreach (var (name, _) in FileCalls.List(opened))
                    if (System.Text.Encoding.UTF8.GetString(name) is var text && text.StartsWith(Prefix, StringComparison.Ordinal)) numbers.Add(text);
        }
        return numbers.Select(n => new CrossingGroup(owner, Cgroup.At($"{owner.Cgroup}/{n}", owner.Controllers, s_hierarchies.Value), 0));
    }

    /// <summary>The number in the name of a group below that of a capsule; 0 when it is none of a crossing's.</summary>
    public static long NumberIn(string below)
    {
        string name = below.Split('/', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "";
        return name.StartsWith(Prefix, StringComparison.Ordinal) && long.TryParse(name[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : 0;
    }

    /// <summary>The witness from which a process descends, as a number of a crossing (see <see cref="Number"/>); 0 for none.</summary>
    public static long OfDescendant(int pid)
    {
        for (int depth = 0; pid > 1 && depth < 4096; depth++)
        {
            if (ProcessTable.NameOf(pid) == WitnessCalls.Name) return -pid;
            pid = ProcessTable.TryRead(pid)?.Parent ?? 0;
        }
        return 0;
    }

    /// <summary>Through which a process enters it, and the owner's group where this has none of its own; they stay open as long as it is there.</summary>
    public IReadOnlyList<Descriptor> Entering
    {
        get
        {
            if (_group is null || _entering is not null) return _entering ?? [];
            string[] own = [.. _group.Directories];
            _entering = Cgroup.At(_owner.Cgroup, _owner.Controllers, s_hierarchies.Value).OpenForEntering(d => !own.Any(o => o.StartsWith(d + "/", StringComparison.Ordinal)));
            _entering.AddRange(_group.OpenForEntering());
            return _entering;
        }
    }

    /// <summary>
    /// Makes one in which nobody is any more ready for another crossing: to make groups and to take them away is a good part of what a crossing costs. False where its
    /// counters cannot be set back.
    /// </summary>
    public bool TryRenew()
    {
        if (_group is null || !_group.TryReset("memory.max_usage_in_bytes")) return false;
        _cpuBefore += Cpu ?? 0;
        _memoryBefore = _group.Counter("memory.usage_in_bytes", "memory.current") ?? 0; // pages of files stay charged
        Witness = 0;
        return true;
    }

    /// <summary>Sends SIGKILL to all that is there now; whether nobody was. Who is frozen dies when it is thawed.</summary>
    /// <param name="hasEnded">The program has, and the witness, who told it, ends by itself.</param>
    public bool Kill(bool hasEnded = false)
    {
        IReadOnlyList<int> found = Processes();
        foreach (int pid in found)
        {
            if (hasEnded && pid == Witness) continue;
            using Descriptor? process = ProcessCalls.TryOpenPidFd(pid);
            if (process is not null && (_group is null || Holds(pid))) ProcessCalls.Signal(process, Signals.KILL); // looked at again: the number may have become another's
        }
        return found.Count == 0;
    }

    /// <summary>Nanoseconds of processor time; null when nothing counts it.</summary>
    public long? Cpu => _group?.Counter("cpuacct.usage", "cpu.stat") - _cpuBefore;

    /// <summary>The most memory that it had at once, in bytes; null when nothing counts it.</summary>
    public long? MemoryPeak => _group?.Counter("memory.max_usage_in_bytes", "memory.peak") is { } peak ? Math.Max(0, peak - _memoryBefore) : null;

    /// <summary>Takes it away; false when somebody is in it still.</summary>
    public bool TryRemove()
    {
        foreach (Descriptor file in _entering ?? []) file.Dispose();
        _entering = null;
        return _group?.RemoveAlone() ?? true;
    }

    private bool Holds(int pid)
    {
        string directory = _group!.Directories.First(), name = directory[directory.LastIndexOf('/')..];
        try { return FileCalls.ReadText($"/proc/{pid}/cgroup").Split('\n').Any(l => l.EndsWith(name, StringComparison.Ordinal) || l.Contains(name + "/", StringComparison.Ordinal)); }
        catch (SyscallException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH) { return false; }
    }

    private IReadOnlyList<int> Processes()
    {
        if (_group is not null) return _group.Processes();
        if (Witness == 0) return [];
        var alive = ProcessTable.BesideInPidNamespace(_owner.Init).Select(p => (Pid: p, Status: ProcessTable.TryRead(p))).Where(p => p.Status is { IsDead: false }).ToDictionary(p => p.Pid, p => p.Status!.Value.Parent);
        bool Descends(int pid)
        {
            for (int depth = 0; depth <= alive.Count && pid != Witness; depth++)
                if (!alive.TryGetValue(pid, out pid)) return false;
            return pid == Witness;
        }
        return [.. alive.Keys.Where(Descends).OrderBy(p => p == Witness)]; // the witness last: who descends from it is found by it
    }
}
