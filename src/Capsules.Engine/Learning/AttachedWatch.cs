using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Formats.Proc;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Learning;

/// <summary>
/// Watches processes that run already: no filter can be put on them (seccomp(2) is a process's own act), so their opens are heard of by fanotify, and what they hold is
/// looked up in /proc again and again. What that cannot see is written into the log.
/// </summary>
public static class AttachedWatch
{
    private const int LookEvery = 500; // milliseconds

    /// <summary>Watches a process and all below it, until it has ended or a signal wants the end.</summary>
    public static void Run(int pid, LearnLog log)
    {
        log.Root = FileCalls.Open($"/proc/{pid}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        log.NotSeen("failed look-ups, stats and links: no filter can be put on a process that runs already");
        log.NotSeen("what it did before it was attached to, but for what it still had mapped or open");
        log.NotSeen("opens of programs that ended before it could be seen whose they were");
        using Descriptor process = ProcessCalls.OpenPidFd(pid);
        int signals = 0;
        void Note(PosixSignalContext context)
        {
            context.Cancel = true;
            Volatile.Write(ref signals, 1);
        }
        using var onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Note);
        using var onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Note);
        using var onHangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Note);

        var family = new Family(pid);
        using var opens = KernelOpens.StartAll(log, family.Has, pid);
        bool ended = false;
        while (!ended && Volatile.Read(ref signals) == 0)
        {
            foreach (int member in ProcessTable.All().Where(family.Has)) Look(member, log);
            long until = Environment.TickCount64 + LookEvery;
            while (!ended && Volatile.Read(ref signals) == 0 && Environment.TickCount64 < until) ended = FileCalls.WaitReadable(process, 50);
        }
    }

    private static void Look(int pid, LearnLog log)
    {
        try
        {
            log.Found(FileCalls.ReadLink(null, $"/proc/{pid}/exe"), Uses.Execute, pid);
            log.Found(FileCalls.ReadLink(null, $"/proc/{pid}/cwd"), Uses.Enter, pid);
            foreach (ProcMapping mapping in ProcFiles.Maps(SmallFiles.TryRead($"/proc/{pid}/maps") ?? []))
                if (!mapping.IsDeleted) log.Found(mapping.Path.Bytes, mapping.IsExecutable ? Uses.Open : Uses.Hold, pid);
            using Descriptor descriptors = FileCalls.Open($"/proc/{pid}/fd", OpenFlags.ReadOnly | OpenFlags.Directory);
            foreach (var (name, _) in FileCalls.List(descriptors))
            {
                string number = Encoding.ASCII.GetString(name);
                log.Found(FileCalls.ReadLink(descriptors, number), IsWritable(pid, number) ? Uses.Write : Uses.Open, pid);
            }
        }
        catch (SyscallException) { } // it has ended
    }

    /// <summary>"flags:" of /proc/PID/fdinfo/N, octal (proc(5)).</summary>
    private static bool IsWritable(int pid, string descriptor)
    {
        foreach (string line in Encoding.ASCII.GetString(SmallFiles.TryRead($"/proc/{pid}/fdinfo/{descriptor}") ?? []).Split('\n'))
            if (line.StartsWith("flags:", StringComparison.Ordinal) && long.TryParse(line.AsSpan(6).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long octal)) return octal % 10 % 4 is 1 or 2;
        return false;
    }

    /// <summary>A process and all below it, as far as their parents live; who belongs to it once does so until it has ended.</summary>
    private sealed class Family(int root)
    {
        private const int MostAncestors = 64;
        private readonly Lock _lock = new();
        private readonly Dictionary<int, (ulong Start, bool IsMember)> _known = [];

        public bool Has(int pid)
        {
            if (pid == root) return true;
            if (ProcessTable.TryRead(pid) is not { } status) return false;
            lock (_lock)
            {
                if (_known.TryGetValue(pid, out var known) && known.Start == status.StartTime) return known.IsMember;
                bool isMember = false;
                for (int at = status.Parent, steps = 0; at > 1 && steps < MostAncestors && !isMember; steps++)
                {
                    isMember = at == root || _known.TryGetValue(at, out var parent) && parent.IsMember;
                    if (ProcessTable.TryRead(at) is not { } above) break;
                    at = above.Parent;
                }
                _known[pid] = (status.StartTime, isMember);
                return isMember;
            }
        }
    }
}
