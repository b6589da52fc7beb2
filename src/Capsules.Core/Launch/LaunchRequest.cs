using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>How a launch ends.</summary>
public enum LaunchEnd
{
    /// <summary>The process runs at once.</summary>
    Execute,
    /// <summary>It waits for the start signal before it is executed (OCI create).</summary>
    WaitThenExecute,
    /// <summary>The tail stays as PID 1; services are brought in afterwards.</summary>
    Supervise,
}

/// <summary>Everything that decides a launch plan beside the specification.</summary>
public sealed record LaunchRequest
{
    /// <inheritdoc/>
    public override string ToString() => nameof(LaunchRequest);

    /// <summary>The specification: from a bundle, or made from a capsule's manifest.</summary>
    public required RuntimeSpec Spec { get; init; }
    /// <summary>Trees of the root, topmost first; one alone, without a writable directory, is the root itself.</summary>
    public required ImmutableArray<HostPath> Lower { get; init; }
    /// <summary>Directory with "upper" and "work".</summary>
    public HostPath? Writable { get; init; }
    /// <summary>Ids on disk are the capsule's: layers, state and writable directory are seen through the map of the user namespace.</summary>
    public bool MapIds { get; init; }
    /// <summary>What is bound here is seen with the ids that the kernel has for it, whatever else is mapped.</summary>
    public GuestPath? Unmapped { get; init; }
    /// <summary>Host-side peer of the root.</summary>
    public HostPath? Peer { get; init; }
    /// <summary>How it ends.</summary>
    public LaunchEnd End { get; init; }
    /// <summary>Entries of the board, with <see cref="LaunchEnd.Supervise"/>.</summary>
    public int BoardEntries { get; init; }
    /// <summary>Whether control groups are entered.</summary>
    public bool Cgroups { get; init; }
    /// <summary>The control-group hierarchies of this host, to be shown inside when the specification asks for them.</summary>
    public ImmutableArray<CgroupHierarchy> Hierarchies { get; init; } = [];
    /// <summary>A directory with own values, in dmi/id, to be shown below /sys/class.</summary>
    public HostPath? Dmi { get; init; }
    /// <summary>Whether the host's firmware has such values, which must be covered.</summary>
    public bool HostHasDmi { get; init; }
    /// <summary>Directories made fresh after the mounts.</summary>
    public ImmutableArray<WorldStep.Directory> RuntimeDirectories { get; init; } = [];
    /// <summary>Hard limits that this host itself has, by name: what is above them is clamped.</summary>
    public ImmutableDictionary<string, ulong> HostHardLimits { get; init; } = ImmutableDictionary<string, ulong>.Empty;
    /// <summary>Look-ups of paths are told (run --watch).</summary>
    public bool Watched { get; init; }
    /// <summary>Whether those hard limits may be raised (CAP_SYS_RESOURCE).</summary>
    public bool MayRaiseLimits { get; init; } = true;
}

/// <summary>One hierarchy of control groups: a v1 one with its controllers, or the v2 one.</summary>
/// <param name="Name">The directory below /sys/fs/cgroup.</param>
/// <param name="Options">What mount(2) is told, such as "cpu,cpuacct" or "none,name=systemd"; empty for v2.</param>
/// <param name="IsUnified">Whether it is the v2 hierarchy.</param>
/// <param name="MountedAt">Where the host has it.</param>
public sealed record CgroupHierarchy(string Name, string Options, bool IsUnified, HostPath MountedAt);
