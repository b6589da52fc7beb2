using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>How one service is doing, for people.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">running, or how it ended.</param>
/// <param name="Pid">As the host numbers it; null when it does not run.</param>
/// <param name="Starts">How often it was started in this life.</param>
public sealed record ServiceView(string Name, string State, int? Pid, int Starts);

/// <summary>What `ps` and `status` show of a capsule.</summary>
public sealed record CapsuleView
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>Its name.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>ready, degraded (a service has ended), stopped, exited (N), or crashed.</summary>
    public required string State { get; init; }
    /// <summary>Whether PID 1 runs.</summary>
    public bool IsRunning { get; init; }
    /// <summary>Addresses in force, or those of its last life.</summary>
    public ImmutableArray<string> Addresses { get; init; } = [];
    /// <summary>Host name with its domain.</summary>
    public string? HostName { get; init; }
    /// <summary>When it was started, or ended.</summary>
    public DateTimeOffset? Since { get; init; }
    /// <summary>Processor time over its life so far, of one processor.</summary>
    public double? CpuPercent { get; init; }
    /// <summary>Memory in use, in bytes.</summary>
    public long? MemoryBytes { get; init; }
    /// <summary>Processes and threads.</summary>
    public long? Processes { get; init; }
    /// <summary>Digest of the image.</summary>
    public required Digest Image { get; init; }
    /// <summary>Name in the image's manifest.</summary>
    public required CapsuleName ImageName { get; init; }
    /// <summary>Whether it takes files of its source as they are opened.</summary>
    public bool IsOpen { get; init; }
    /// <summary>Its stack.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>Exit code of its last life.</summary>
    public int? ExitCode { get; init; }
    /// <summary>Its services.</summary>
    public ImmutableArray<ServiceView> Services { get; init; } = [];

    /// <summary>Looks.</summary>
    public static CapsuleView Of(CapsuleStore store, CapsuleRunner runner, CapsuleName name)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        Identity? identity = runner.Stacks.Find(capsule.Stack)?.Identity;
        LastRun? last = LastRun.Find(store.Layout, name);
        var view = new CapsuleView
        {
            Name = name,
            State = "stopped",
            Image = capsule.Image,
            ImageName = manifest.Name,
            Stack = capsule.Stack,
            IsOpen = capsule.Open,
            HostName = identity?.HostName is { } host ? identity.Domain is { } domain && !host.Contains('.', StringComparison.Ordinal) ? $"{host}.{domain}" : host : null,
            Addresses = identity is null ? [] : [.. identity.Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString())],
            Services = [.. manifest.Services.Select(s => new ServiceView(s.Name, "stopped", null, 0))],
        };
        if (RunRecord.Find(store.Layout, name) is not { } run)
            return last is null ? view with { State = "created" } : view with { State = last.Reason is "stopped" ? "stopped" : last.Reason is "killed" ? "crashed" : $"exited ({last.ExitCode})", Since = last.Ended, ExitCode = last.ExitCode };
        if (!run.IsAlive) return view with { State = "crashed" };

        using var running = new RunningCapsule(store.Layout, run);
        BoardState[] board = running.Board();
        var services = run.Services.Select((s, i) => new ServiceView(s.Name, Describe(board[i]), board[i].Running ? running.HostPid(board[i].Pid) : null, board[i].Generation)).ToImmutableArray();
        double seconds = (DateTimeOffset.UtcNow - run.Started).TotalSeconds;
        return view with
        {
            State = services.All(s => s.State is "running" or "done") ? "ready" : services.Any(s => s.State == "not started") ? "starting" : "degraded",
            IsRunning = true,
            Since = run.Started,
            Services = services,
            CpuPercent = running.Group.Counter("cpuacct.usage", "cpu.stat") is long nanoseconds ? nanoseconds / 1e7 / Math.Max(seconds, 0.01) : null,
            MemoryBytes = running.Group.Counter("memory.usage_in_bytes", "memory.current"),
            Processes = running.Group.Counter("pids.current", "pids.current"),
        };
    }

    private static string Describe(BoardState state) => state switch
    {
        { Running: true } => "running",
        { Generation: 0 } => "not started",
        { Status: 0 } => "done",
        { Signal: > 0 } => $"ended by {Linux.Processes.Signals.Name(state.Signal)}",
        _ => $"ended ({state.Status})",
    };
}
