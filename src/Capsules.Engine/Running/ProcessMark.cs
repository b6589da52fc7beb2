using System.Text;
using Capsules.Engine.Store;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>A file that names a process: its number, and when it started, so that another one with that number is not taken for it.</summary>
internal static class ProcessMark
{
    /// <summary>Names a process that runs.</summary>
    public static void Write(string file, int pid) => SmallFiles.Write(file, Encoding.ASCII.GetBytes($"{pid} {ProcessTable.TryRead(pid)?.StartTime ?? 0}"), durable: false);

    /// <summary>The process that is named; null when none is, or it has ended.</summary>
    public static int? Find(string file) =>
        SmallFiles.TryRead(file) is { } bytes && Encoding.ASCII.GetString(bytes).Split(' ') is [var number, var start] && int.TryParse(number, out int pid) && ulong.TryParse(start, out ulong at) && ProcessTable.IsAlive(pid, at) ? pid : null;

    /// <summary>Whether the process that is named runs.</summary>
    public static bool IsAlive(string file) => Find(file) is not null;
}
