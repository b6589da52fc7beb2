using System.Runtime.InteropServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Cgroups;

/// <summary>
/// One control group of ours: the same path below each hierarchy that it needs. v1 or v2 is decided controller by controller, because a
/// host can have both.
/// </summary>
public sealed class Cgroup
{
    private readonly List<(CgroupHierarchy Hierarchy, string Directory)> _places;

    private Cgroup(List<(CgroupHierarchy, string)> places) => _places = places;

    /// <summary>The group's directories.</summary>
    public IEnumerable<string> Directories => _places.Select(p => p.Directory);

    /// <summary>A group as it would be on this host, whether it exists or not.</summary>
    /// <param name="path">Path below the root of each hierarchy, such as "capsule/web".</param>
    /// <param name="controllers">Controllers to be in; those that no hierarchy has are passed over. Without a freezer of v1, the v2 hierarchy is always among the places.</param>
    /// <param name="hierarchies">The host's hierarchies.</param>
    public static Cgroup At(string path, IReadOnlyCollection<string> controllers, IReadOnlyList<CgroupHierarchy> hierarchies)
    {
        var places = new List<(CgroupHierarchy, string)>();
        bool freezer = hierarchies.Any(h => h.Controllers.Contains("freezer"));
        foreach (CgroupHierarchy hierarchy in hierarchies)
        {
            bool wanted = hierarchy.IsUnified ? !freezer || hierarchy.Controllers.Any(controllers.Contains) : hierarchy.Controllers.Any(controllers.Contains);
            if (wanted) places.Add((hierarchy, $"{hierarchy.MountPoint}/{path.Trim('/')}"));
        }
        return new(places);
    }

    /// <summary>Makes the directories and sets the limits. What was made is removed again when something fails.</summary>
    public void Create(CgroupLimits limits)
    {
        try
        {
            foreach (var (hierarchy, directory) in _places)
            {
                MakeAll(hierarchy, directory);
                foreach (string controller in hierarchy.Controllers)
                    WriteAll(directory, hierarchy.IsUnified ? limits.Version2(controller) : limits.Version1(controller));
                if (hierarchy.IsUnified)
                {
                    WriteAll(directory, limits.Unified);
                    if (limits.Devices.Count > 0 && !_places.Any(p => !p.Hierarchy.IsUnified && p.Hierarchy.Controllers.Contains("devices"))) DeviceFilter.Apply(directory, limits.Devices);
                }
            }
        }
        catch (SyscallException)
        {
            Remove();
            throw;
        }
    }

    /// <summary>Makes the directories below a group that is there, without limits of its own.</summary>
    public void CreateAlone()
    {
        try
        {
            foreach (var (_, directory) in _places) FileCalls.MakeDirectory(null, directory);
        }
        catch (SyscallException)
        {
            RemoveAlone();
            throw;
        }
    }

    /// <summary>
    /// Changes limits of a group that is there. What the kernel refuses at first is tried once more behind the others: of version 1 memory may not
    /// be larger than memory and swap together at any moment.
    /// </summary>
    public void Change(CgroupLimits limits)
    {
        var refused = new List<(string File, string Value)>();
        foreach (var (hierarchy, directory) in _places)
        {
            foreach (string controller in hierarchy.Controllers)
                foreach (var (file, value) in hierarchy.IsUnified ? limits.Version2(controller) : limits.Version1(controller))
                    try { FileCalls.WriteText($"{directory}/{file}", value); }
                    catch (SyscallException e) when (e.Errno is Errno.EINVAL or Errno.EBUSY) { refused.Add(($"{directory}/{file}", value)); }
            if (hierarchy.IsUnified)
                foreach (var (file, value) in limits.Unified) FileCalls.WriteText($"{directory}/{file}", value);
        }
        foreach (var (file, value) in refused) FileCalls.WriteText(file, value);
    }

    /// <summary>
    /// The files through which a process of one thread enters ("0" is the writer itself). Of version 1 it is "tasks": a thread that moves itself
    /// needs no lock over all processes of the machine, for which "cgroup.procs" waits milliseconds (kernel/cgroup, cgroup_procs_write_start).
    /// </summary>
    /// <param name="where">Only those of directories for which this holds; all when null.</param>
    public List<Descriptor> OpenForEntering(Func<string, bool>? where = null) => [.. _places.Where(p => where?.Invoke(p.Directory) != false).Select(p => FileCalls.Open($"{p.Directory}/{(p.Hierarchy.IsUnified ? "cgroup.procs" : "tasks")}", OpenFlags.WriteOnly))];

    /// <summary>A file that takes one value after the other, as devices.allow does, is opened once.</summary>
    private static void WriteAll(string directory, IEnumerable<(string File, string Value)> values)
    {
        Descriptor? open = null;
        string? name = null;
        try
        {
            foreach (var (file, value) in values)
            {
                if (file != name)
                {
                    open?.Dispose();
                    open = null;
                    open = FileCalls.Open($"{directory}/{file}", OpenFlags.WriteOnly);
                    name = file;
                }
                FileCalls.Write(open!, System.Text.Encoding.UTF8.GetBytes(value), $"{directory}/{file}");
            }
        }
        finally { open?.Dispose(); }
    }

    /// <summary>The processes in it and below it.</summary>
    public IReadOnlyList<int> Processes()
    {
        foreach (var (_, directory) in _places)
        {
            var pids = new HashSet<int>();
            if (Collect(directory, pids)) return [.. pids];
        }
        return [];
    }

    /// <summary>Whether its processes are stopped.</summary>
    public bool IsFrozen()
    {
        foreach (var (hierarchy, directory) in _places)
        {
            bool old = hierarchy.Controllers.Contains("freezer") && !hierarchy.IsUnified;
            if (!old && !hierarchy.IsUnified) continue;
            string file = $"{directory}/{(old ? "freezer.state" : "cgroup.freeze")}";
            return FileCalls.TryStat(null, file) is not null && FileCalls.ReadText(file).Trim() is "FROZEN" or "FREEZING" or "1";
        }
        return false;
    }

    /// <summary>The file that stops its processes, and what lets them go on; null where there is none. For a guard that does it when we cannot.</summary>
    public (string File, string Thawed)? Freezer
    {
        get
        {
            foreach (var (hierarchy, directory) in _places)
                if (hierarchy.Controllers.Contains("freezer") && !hierarchy.IsUnified) return ($"{directory}/freezer.state", "THAWED");
                else if (hierarchy.IsUnified) return ($"{directory}/cgroup.freeze", "0");
            return null;
        }
    }

    /// <summary>Stops every process in it; returns when none runs any more.</summary>
    public void Freeze() => SetFrozen(true);

    /// <summary>Lets them go on.</summary>
    public void Thaw() => SetFrozen(false);

    /// <summary>
    /// Ends every process in it and below it. Each is held by a pidfd and looked for once more before the signal, so that a number that was
    /// given to somebody else meanwhile is not hit.
    /// </summary>
    public void Kill()
    {
        const int kill = 9;
        for (int attempt = 0; attempt < 100 && Processes() is { Count: > 0 } found; attempt++)
        {
            try { Thaw(); } // a frozen process cannot die
            catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return; } // another remover was faster
            var held = found.Select(pid => (Pid: pid, Process: Linux.Processes.ProcessCalls.TryOpenPidFd(pid))).ToList();
            var still = Processes().ToHashSet();
            foreach (var (pid, process) in held)
                using (process)
                    if (process is not null && still.Contains(pid)) Linux.Processes.ProcessCalls.Signal(process, kill);
            Thread.Sleep(5);
        }
    }

    /// <summary>A counter of the group, such as memory.usage_in_bytes or, with v2, memory.current; null when there is none.</summary>
    public long? Counter(string version1, string version2)
    {
        foreach (var (hierarchy, directory) in _places)
        {
            string file = $"{directory}/{(hierarchy.IsUnified ? version2 : version1)}";
            if (FileCalls.TryStat(null, file) is null) continue;
            string text = FileCalls.ReadText(file);
            string number = hierarchy.IsUnified && version2 == "cpu.stat" ? text.Split('\n')[0].Split(' ')[^1] : text.Trim();
            if (long.TryParse(number, out long value)) return hierarchy.IsUnified && version2 == "cpu.stat" ? value * 1000 : value;
        }
        return null;
    }

    /// <summary>Sets the highest value that a counter of version 1 had back, such as memory.max_usage_in_bytes (admin-guide/cgroup-v1/memory.rst, 5.1); false where there is none.</summary>
    public bool TryReset(string version1)
    {
        foreach (var (hierarchy, directory) in _places)
        {
            string file = $"{directory}/{version1}";
            if (hierarchy.IsUnified || FileCalls.TryStat(null, file) is null) continue;
            FileCalls.WriteText(file, "0");
            return true;
        }
        return false;
    }

    /// <summary>Removes the directories, empty ones below first. Groups that still hold processes stay; whether all are gone.</summary>
    public bool Remove()
    {
        bool all = true;
        foreach (var (hierarchy, directory) in _places)
        {
            all &= RemoveTree(directory);
            string parent = directory[..directory.LastIndexOf('/')];
            if (parent != hierarchy.MountPoint) TryRemove(parent); // ours too, when it was the last
        }
        return all;
    }

    /// <summary>As <see cref="Remove"/>, of a group below one that stays.</summary>
    public bool RemoveAlone() => _places.All(p => RemoveTree(p.Directory));

    /// <summary>As <see cref="Remove"/>; the last processes of a group that was killed may take a moment to leave it.</summary>
    public bool RemoveWithPatience()
    {
        for (int attempt = 0; attempt < 200; attempt++)
        {
            if (Remove()) return true;
            Thread.Sleep(5);
        }
        return false;
    }

    private static bool RemoveTree(string directory)
    {
        var (opened, _) = FileCalls.TryOpenAt(null, directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return true;
        using (opened)
            foreach (var (name, kind) in FileCalls.List(opened))
                if (kind == FileKind.Directory) RemoveTree(directory + "/" + System.Text.Encoding.UTF8.GetString(name));
        return TryRemove(directory);
    }

    private static bool TryRemove(string directory)
    {
        try
        {
            FileCalls.Remove(null, directory, isDirectory: true);
            return true;
        }
        catch (SyscallException e) when (e.Errno is Errno.EBUSY or Errno.ENOTEMPTY) { return false; }
    }

    private static bool Collect(string directory, HashSet<int> pids)
    {
        var (opened, _) = FileCalls.TryOpenAt(null, directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return false;
        using (opened)
        {
            foreach (string line in FileCalls.ReadText($"{directory}/cgroup.procs").Split('\n', StringSplitOptions.RemoveEmptyEntries)) pids.Add(int.Parse(line));
            foreach (var (name, kind) in FileCalls.List(opened))
                if (kind == FileKind.Directory) Collect(directory + "/" + System.Text.Encoding.UTF8.GetString(name), pids);
        }
        return true;
    }

    private void SetFrozen(bool frozen)
    {
        foreach (var (hierarchy, directory) in _places)
        {
            if (hierarchy.Controllers.Contains("freezer") && !hierarchy.IsUnified)
            {
                FileCalls.WriteText($"{directory}/freezer.state", frozen ? "FROZEN" : "THAWED");
                WaitFor($"{directory}/freezer.state", text => text.Trim() == (frozen ? "FROZEN" : "THAWED"));
                return;
            }
            if (hierarchy.IsUnified)
            {
                FileCalls.WriteText($"{directory}/cgroup.freeze", frozen ? "1" : "0");
                WaitFor($"{directory}/cgroup.events", text => text.Contains(frozen ? "frozen 1" : "frozen 0", StringComparison.Ordinal));
                return;
            }
        }
    }

    private static void WaitFor(string file, Func<string, bool> reached)
    {
        for (int attempt = 0; attempt < 5_000; attempt++)
        {
            if (reached(FileCalls.ReadText(file))) return;
            Thread.Sleep(1);
        }
        throw new SyscallException("freeze", file, Errno.ETIMEDOUT);
    }

    /// <summary>mkdir of the path; v2 controllers are switched on in each parent, v1 cpusets inherit their parent's processors and nodes.</summary>
    private static void MakeAll(CgroupHierarchy hierarchy, string directory, int attempt = 0)
    {
        string at = hierarchy.MountPoint;
        foreach (string name in directory[(at.Length + 1)..].Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (hierarchy.IsUnified)
                foreach (string controller in hierarchy.Controllers)
                    try { FileCalls.WriteText($"{at}/cgroup.subtree_control", "+" + controller); }
                    catch (SyscallException e) when (e.Errno is Errno.EBUSY or Errno.ENOENT or Errno.EINVAL) { } // a parent with processes keeps its controllers: the limit itself then tells
            string parent = at;
            at += "/" + name;
            try { FileCalls.MakeDirectory(null, at); }
            catch (SyscallException e) when (e.Errno == Errno.EEXIST) { continue; }
            catch (SyscallException e) when (e.Errno == Errno.ENOENT && attempt < 50) // the last group beside ours was just removed, and the parent with it
            {
                MakeAll(hierarchy, directory, attempt + 1);
                return;
            }
            if (!hierarchy.IsUnified && hierarchy.Controllers.Contains("cpuset"))
                foreach (string file in (string[])["cpuset.cpus", "cpuset.mems"]) FileCalls.WriteText($"{at}/{file}", FileCalls.ReadText($"{parent}/{file}").Trim());
        }
    }
}
