using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Processes;

/// <summary>What /proc says of one process (proc(5)).</summary>
/// <param name="State">R, S, D, Z, T …</param>
/// <param name="Parent">Its parent's pid.</param>
/// <param name="StartTime">Clock ticks after boot: with the pid it names a process for good.</param>
/// <param name="CpuTicks">User and system time in clock ticks.</param>
/// <param name="ResidentPages">Resident pages.</param>
public readonly record struct ProcessStatus(char State, int Parent, ulong StartTime, ulong CpuTicks, long ResidentPages)
{
    /// <summary>It has ended and waits to be reaped, or is about to.</summary>
    public bool IsDead => State is 'Z' or 'X';
}

/// <summary>Looks at single processes.</summary>
public static class ProcessTable
{
    /// <summary>/proc/PID/stat; null when there is no such process.</summary>
    public static ProcessStatus? TryRead(int pid)
    {
        var (file, _) = FileCalls.TryOpenAt(null, $"/proc/{pid}/stat", OpenFlags.ReadOnly);
        if (file is null) return null;
        using (file)
        {
            string text;
            try { text = Encoding.UTF8.GetString(FileCalls.ReadToEnd(file, "stat")); }
            catch (SyscallException e) when (e.Errno == Errno.ESRCH) { return null; }
            string[] fields = text[(text.LastIndexOf(')') + 2)..].Split(' '); // the name may hold spaces and parentheses
            return new(fields[0][0], int.Parse(fields[1]), ulong.Parse(fields[19]), ulong.Parse(fields[11]) + ulong.Parse(fields[12]), long.Parse(fields[21]));
        }
    }

    /// <summary>The kernel's flags of a process (PF_* of include/linux/sched.h, field 9 of /proc/PID/stat); null when it is gone.</summary>
    public static uint? FlagsOf(int pid)
    {
        var (file, _) = FileCalls.TryOpenAt(null, $"/proc/{pid}/stat", OpenFlags.ReadOnly);
        if (file is null) return null;
        using (file)
            try
            {
                string text = Encoding.UTF8.GetString(FileCalls.ReadToEnd(file, "stat"));
                return uint.Parse(text[(text.LastIndexOf(')') + 2)..].Split(' ')[6]);
            }
            catch (SyscallException e) when (e.Errno == Errno.ESRCH) { return null; }
    }

    /// <summary>Whether the process that had this pid when it started at <paramref name="startTime"/> still runs.</summary>
    public static bool IsAlive(int pid, ulong startTime) => TryRead(pid) is { } status && status.StartTime == startTime && !status.IsDead;

    /// <summary>A process's pid inside its own PID namespace (the last of NSpid in /proc/PID/status); null when it is gone.</summary>
    public static int? PidInside(int pid)
    {
        var (file, _) = FileCalls.TryOpenAt(null, $"/proc/{pid}/status", OpenFlags.ReadOnly);
        if (file is null) return null;
        using (file)
            foreach (string line in Encoding.UTF8.GetString(FileCalls.ReadToEnd(file, "status")).Split('\n'))
                if (line.StartsWith("NSpid:", StringComparison.Ordinal)) return int.Parse(line.Split(['\t', ' '], StringSplitOptions.RemoveEmptyEntries)[^1]);
        return null;
    }

    /// <summary>The signals that this process ignores (proc(5), SigIgn): nohup, and shells for what they start in the background, mean it to be inherited.</summary>
    public static IReadOnlyList<int> IgnoredSignals()
    {
        string line = FileCalls.ReadText("/proc/self/status").Split('\n').Single(l => l.StartsWith("SigIgn:", StringComparison.Ordinal));
        ulong ignored = Convert.ToUInt64(line[7..].Trim(), 16);
        return [.. Enumerable.Range(1, 64).Where(s => (ignored >> (s - 1) & 1) != 0)];
    }

    /// <summary>The numbers of all processes.</summary>
    public static IEnumerable<int> All()
    {
        using Descriptor directory = FileCalls.Open("/proc", OpenFlags.ReadOnly | OpenFlags.Directory);
        foreach (var (name, _) in FileCalls.List(directory))
            if (int.TryParse(Encoding.UTF8.GetString(name), out int pid)) yield return pid;
    }

    /// <summary>The processes in the PID namespace of one, itself among them; those in namespaces below it are not.</summary>
    public static IReadOnlyList<int> BesideInPidNamespace(int pid)
    {
        if (NamespaceOf(pid, "pid") is not ulong space) return [];
        return [.. All().Where(p => NamespaceOf(p, "pid") == space)];
    }

    /// <summary>The number of a process's namespace (namespaces(7): the inode of /proc/PID/ns/TYPE); null when it is gone or may not be looked at.</summary>
    public static ulong? NamespaceOf(int pid, string type)
    {
        try { return FileCalls.TryStatFollowing(null, $"/proc/{pid}/ns/{type}")?.Inode; }
        catch (SyscallException e) when (e.Errno is Errno.EACCES or Errno.EPERM or Errno.ESRCH) { return null; }
    }

    /// <summary>/proc/PID/comm; null when there is no such process.</summary>
    public static string? NameOf(int pid)
    {
        var (file, _) = FileCalls.TryOpenAt(null, $"/proc/{pid}/comm", OpenFlags.ReadOnly);
        if (file is null) return null;
        using (file)
            try { return Encoding.UTF8.GetString(FileCalls.ReadToEnd(file, "comm")).TrimEnd('\n'); }
            catch (SyscallException e) when (e.Errno == Errno.ESRCH) { return null; }
    }
}
