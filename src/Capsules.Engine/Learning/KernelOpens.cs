using Capsules.Core.Capture.Learning;
using Capsules.Core.Formats.Proc;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Learning;

/// <summary>
/// What the kernel opens itself for a watched program: the loader and the interpreter behind "#!", which no call shows. Every execution on the machine is told;
/// those of processes that were seen to call execve(2), or that are in the group, are the program's.
/// </summary>
internal sealed class KernelOpens : IDisposable
{
    /// <summary>File systems without files of anybody, and such as cannot be watched.</summary>
    private static readonly HashSet<string> Passed =
        ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "bpf", "pstore", "configfs", "fusectl", "hugetlbfs", "autofs", "binfmt_misc", "rpc_pipefs", "nsfs", "selinuxfs", "efivarfs"];

    private readonly LearnLog _log;
    private readonly Func<int, bool> _isOurs;
    private readonly List<string> _places = [];
    private readonly OpenWatch? _watch;
    private readonly Thread? _thread;
    private volatile bool _isFinishing;
    private int _isWatchingAll;

    private KernelOpens(LearnLog log, Func<int, bool> isOurs, int viewOf, bool everything)
    {
        (_log, _isOurs) = (log, isOurs);
        _watch = OpenWatch.TryCreate();
        var devices = new HashSet<string>();
        foreach (ProcMount mount in ProcFiles.Mounts(SmallFiles.TryRead($"/proc/{viewOf}/mountinfo") ?? []))
            if (!Passed.Contains(mount.Type) && devices.Add(mount.Device)) _places.Add($"/proc/{viewOf}/root{mount.Target}");
        bool any = false;
        foreach (string place in _places) any |= _watch?.TryMark(place, everything) ?? false;
        if (!any)
        {
            log.NotSeen("what the kernel opens itself (loaders, interpreters behind #!): this host has no fanotify for it");
            return;
        }
        _thread = new(Loop) { IsBackground = true, Name = "kernel opens" };
        _thread.Start();
    }

    /// <summary>Beside a watched command.</summary>
    public static KernelOpens Start(LearnLog log, WatchGroup group, int viewOf) => new(log, pid => log.HasExecuted(pid) || group.Holds(pid), viewOf, everything: false);

    /// <summary>Every open of processes that run already.</summary>
    public static KernelOpens StartAll(LearnLog log, Func<int, bool> isOurs, int viewOf) => new(log, isOurs, viewOf, everything: true);

    /// <summary>A program makes an io_uring, whose opens are no calls of their own: from now on every open is told.</summary>
    public void WatchEverything()
    {
        if (Interlocked.Exchange(ref _isWatchingAll, 1) == 1) return;
        bool any = false;
        foreach (string place in _places) any |= _watch?.TryMark(place, everything: true) ?? false;
        _log.NotSeen(any ? "failed look-ups and stats that a program made by io_uring (what it opened so was seen)" : "what a program did by io_uring");
    }

    /// <summary>Takes what is still in the queue.</summary>
    public void Finish()
    {
        _isFinishing = true;
        _thread?.Join();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Finish();
        _watch?.Dispose();
    }

    private void Loop()
    {
        while (true)
        {
            bool isLast = _isFinishing;
            _watch!.Wait(isLast ? 0 : 100);
            try
            {
                if (!_watch.Take(Opened)) _log.NotSeen("opens that came faster than they could be read (the kernel's queue was full)");
            }
            catch (SyscallException e) { _log.NotSeen($"an open whose file could not be looked at: {e.Message}"); }
            if (isLast) return;
        }
    }

    private void Opened(byte[] path, int pid, bool isExecution)
    {
        if (pid != Environment.ProcessId && _isOurs(pid)) _log.Found(path, isExecution ? Uses.Load : Uses.Open, pid);
    }
}
