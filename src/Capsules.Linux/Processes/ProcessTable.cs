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
}
