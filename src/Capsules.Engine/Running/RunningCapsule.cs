using Capsules.Core.Launch;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>A capsule that runs, as seen from outside: its PID 1, its board, its log pipes, its processes.</summary>
internal sealed class RunningCapsule(StoreLayout layout, RunRecord record) : IDisposable
{
    private readonly Lazy<Descriptor> _init = new(() => ProcessCalls.OpenPidFd(record.Init));

    public RunRecord Record => record;

    /// <summary>PID 1.</summary>
    public Descriptor Init => _init.Value;

    /// <summary>The capsule's control group.</summary>
    public Cgroup Group { get; } = Cgroup.At(record.Cgroup, record.Controllers, Host.Hierarchies);

    /// <summary>Everything that runs in it: those of its control group or, where it has none, of its PID namespace.</summary>
    public IReadOnlyList<int> Processes() => Host.IsInitial ? Group.Processes() : ProcessTable.BesideInPidNamespace(record.Init);

    /// <summary>Where the ends of its services are kept: a board of its own or, by another name, its stack's.</summary>
    public string BoardFile => layout.RunOf(record.Name) + "/board";

    /// <summary>How the services are doing.</summary>
    public BoardState[] Board()
    {
        try
        {
            BoardState[] board = Linux.Launching.Board.Read(BoardFile);
            int services = Math.Max(1, record.Services.Length);
            if (board.Length >= record.Seat.Place + services) return board[record.Seat.Place..(record.Seat.Place + services)];
        }
        catch (FormatException) { } // overwritten: nothing is known of the services, and they can still be stopped
        return [.. Enumerable.Repeat(new BoardState(0, false, null, 0, 0, null), Math.Max(1, record.Services.Length))];
    }

    /// <summary>The host's number of a process that the capsule numbers <paramref name="inside"/>; null when it is gone.</summary>
    public int? HostPid(int inside)
    {
        foreach (int pid in Processes())
            if (ProcessTable.PidInside(pid) == inside) return pid;
        return null;
    }

    /// <summary>Ends a PID 1 that nobody wrote down: it has its board in its memory (proc_pid_maps(5)).</summary>
    internal static void KillOrphan(string board)
    {
        foreach (int pid in ProcessTable.All().Where(p => ProcessTable.NameOf(p) == TailCalls.InitName))
        {
            using Descriptor? process = ProcessCalls.TryOpenPidFd(pid);
            if (process is null || !Lines($"/proc/{pid}/maps").Any(l => l.EndsWith(' ' + board, StringComparison.Ordinal))) continue;
            ProcessCalls.Signal(process, Signals.KILL);
            FileCalls.WaitReadable(process, 10_000);
        }
    }

    /// <summary>Our own copy of one of PID 1's descriptors.</summary>
    public Descriptor Copy(int number) => ProcessCalls.CopyDescriptor(Init, number);

    /// <summary>The log of a service.</summary>
    public LogFile LogOf(string service) => new(layout.Logs(record.Name), service);

    /// <summary>Brings a process in: a command as our child, a service as a child of PID 1. The host's pid.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="channels">Descriptors.</param>
    /// <param name="service">The service that it is of, by its place in the list; for one that is watched.</param>
    public int Enter(LaunchPlan plan, LaunchChannels channels, int service = -1)
    {
        using WatchDoor.Entrance? watched = record.Watch is { } queues && plan.Tail.Any(s => s is TailStep.WatchLookUps) ? new(this, queues, service) : null;
        if (watched is not null) channels = watched.Add(channels);
        List<Descriptor> groups = Group.OpenForEntering();
        using Descriptor? board = plan.Tail.Any(s => s is TailStep.NewService) ? FileCalls.Open(BoardFile, OpenFlags.ReadWrite) : null;
        try { return Launcher.Enter(plan, channels with { Process = Init, Cgroups = groups, Board = board }, watched is null ? null : watched.HandOver); }
        catch (SyscallException e) when (e.Errno == Errno.ESRCH) { throw new CapsuleException(Problems.NotRunning(record.Name.ToString()), e); }
        finally
        {
            foreach (Descriptor file in groups) file.Dispose();
        }
    }

    /// <summary>Whether a TCP port is listened on inside (/proc/PID/net/tcp: state 0A).</summary>
    public bool Listens(int port)
    {
        string wanted = $":{port:X4}";
        foreach (string file in (string[])["tcp", "tcp6"])
            foreach (string line in Lines($"/proc/{record.Init}/net/{file}"))
            {
                string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (fields.Length > 3 && fields[3] == "0A" && fields[1].EndsWith(wanted, StringComparison.Ordinal)) return true;
            }
        return false;
    }

    /// <summary>Whether a unix socket is listened on inside (/proc/PID/net/unix: flag __SO_ACCEPTCON).</summary>
    public bool Listens(string socketPath) =>
        Lines($"/proc/{record.Init}/net/unix").Any(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: >= 8 } fields && fields[3] == "00010000" && fields[7] == socketPath);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_init.IsValueCreated) _init.Value.Dispose();
    }

    private static string[] Lines(string file)
    {
        var (opened, _) = FileCalls.TryOpenAt(null, file, OpenFlags.ReadOnly);
        if (opened is null) return [];
        using (opened) return System.Text.Encoding.UTF8.GetString(FileCalls.ReadToEnd(opened, file)).Split('\n');
    }
}
