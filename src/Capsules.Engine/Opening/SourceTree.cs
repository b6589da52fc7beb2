using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Opening;

/// <summary>The source of an open capsule, as long as it is the one that was captured: of a process, its root, and never that of another with its number.</summary>
internal static class SourceTree
{
    /// <summary>The process whose root was captured; null when it has ended since, or has another root.</summary>
    public static SourceProcess? ProcessOf(ScannedSource source)
    {
        int pid = int.Parse(source.Facts.Source.Place);
        if (ProcessTable.TryRead(pid) is not { IsDead: false } status) return null;
        var process = new SourceProcess(status.StartTime, BootId());
        using RootTree? now = TryOpen(pid, process);
        return now?.RootIdentity == source.Tree.RootIdentity ? process : null;
    }

    /// <summary>Opens it.</summary>
    /// <exception cref="SyscallException">A directory is not there.</exception>
    /// <exception cref="SourceException">The process has ended, or it is no tree of this host.</exception>
    public static RootTree Open(OpenSource source) => source.Source.Kind == SourceKind.Ssh ? throw new SourceException($"{source.Source.Place} is another machine") : source.Process is not { } process ? new(source.Source.Place)
        : TryOpen(int.Parse(source.Source.Place), process) ?? throw new SourceException($"the source's process {source.Source.Place} has ended");

    /// <summary>Its number first, and then whether it is the one: a process that is there afterwards was there all the time.</summary>
    private static RootTree? TryOpen(int pid, SourceProcess process)
    {
        RootTree tree;
        try { tree = new($"/proc/{pid}/root"); }
        catch (SyscallException) { return null; } // it has ended; root may look at all others
        if (ProcessTable.IsAlive(pid, process.Start) && BootId() == process.Boot) return tree;
        tree.Dispose();
        return null;
    }

    private static string BootId() => FileCalls.ReadText("/proc/sys/kernel/random/boot_id").Trim();
}
