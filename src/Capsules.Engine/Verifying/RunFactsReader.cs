using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Model;
using Capsules.Core.Verifying;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Verifying;

/// <summary>Looks at a running capsule: services, sockets, users, limits.</summary>
internal static class RunFactsReader
{
    private const int Listens = 10, UnconnectedUdp = 7; // states of /proc/net/tcp and udp
    private const long CpuPeriod = 100_000; // microseconds, as limits are written

    /// <summary>Looks.</summary>
    public static RunFacts Read(StoreLayout layout, RunRecord run, CapsuleManifest manifest, ResourceLimits limits, uint idBase)
    {
        using var running = new RunningCapsule(layout, run);
        BoardState[] board = running.Board();
        var accounts = AccountFiles.OfRunning(run.Init);
        return new()
        {
            Services = [.. manifest.Services.Select((service, i) => Service(running, accounts, service, board[i], idBase))],
            Tcp = [.. Internet(run.Init, "tcp", Listens), .. Internet(run.Init, "tcp6", Listens)],
            Udp = [.. Internet(run.Init, "udp", UnconnectedUdp), .. Internet(run.Init, "udp6", UnconnectedUdp)],
            Unix = [.. SocketTable.Unix(Table(run.Init, "unix")).Where(s => s.Path.Length > 0).Select(s => BytePicture.Of(s.Path.AsSpan())).Distinct()],
            Group = new()
            {
                Memory = limits.Memory is null ? null : running.Group.Counter("memory.limit_in_bytes", "memory.max"),
                Pids = limits.Pids is null ? null : running.Group.Counter("pids.max", "pids.max"),
                Cpus = limits.Cpus is null ? null : Cpus(running),
            },
            HostHardLimits = HostLimits.Hard(manifest.Services.SelectMany(s => s.ResourceLimits).Select(l => l.Name)),
        };
    }

    private static ServiceFact Service(RunningCapsule running, AccountFiles accounts, ServiceManifest service, BoardState state, uint idBase)
    {
        string ended = state.Signal != 0 ? $"was ended by {Signals.Name(state.Signal)}" : $"ended with status {state.Status}";
        var fact = new ServiceFact(service.Name, state.Running, state.Running ? null : ended, !state.Running && state.Generation > 0 && ServiceStarter.IsSuccess(service, state), state.Generation);
        if (!state.Running || running.HostPid(state.Pid) is not int pid || SmallFiles.TryRead($"/proc/{pid}/status") is not { } status) return fact;
        return fact with
        {
            Uid = ProcStatus.Parse(status).Uids is [_, var effective, ..] && effective >= idBase ? effective - idBase : null,
            WantedUid = accounts.Resolve(service.User, service.Group, service.SupplementaryGroups).Uid,
            Limits = service.ResourceLimits.Where(l => ResourceNames.Parse(l.Name) is not null).DistinctBy(l => l.Name).ToImmutableDictionary(l => l.Name, l => ProcessCalls.Limit(pid, ResourceNames.Parse(l.Name)!.Value)),
        };
    }

    private static double? Cpus(RunningCapsule running)
    {
        if (running.Group.Counter("cpu.cfs_quota_us", "") is long quota) return quota / (double)CpuPeriod;
        foreach (string directory in running.Group.Directories)
            if (SmallFiles.TryRead(directory + "/cpu.max") is { } text && System.Text.Encoding.ASCII.GetString(text).Trim().Split(' ') is [var most, var period] && long.TryParse(most, out long time) && long.TryParse(period, out long each)) return time / (double)each;
        return null;
    }

    private static IEnumerable<IPEndPoint> Internet(int init, string table, int state) => SocketTable.Internet(Table(init, table)).Where(s => s.State == state).Select(s => s.Local).Distinct();

    private static byte[] Table(int init, string name) => SmallFiles.TryRead($"/proc/{init}/net/{name}") ?? [];
}
