namespace Capsules.Linux.Cgroups;

/// <summary>Limits of a control group; null leaves what the parent allows.</summary>
public sealed record CgroupLimits
{
    /// <inheritdoc/>
    public override string ToString() => nameof(CgroupLimits);

    /// <summary>Bytes of memory.</summary>
    public long? Memory { get; init; }
    /// <summary>Bytes of memory and swap together.</summary>
    public long? MemoryAndSwap { get; init; }
    /// <summary>Bytes of memory that it is pushed back to under pressure.</summary>
    public long? MemoryReservation { get; init; }
    /// <summary>v1 shares, 2 to 262144.</summary>
    public long? CpuShares { get; init; }
    /// <summary>Microseconds of processor time in a period.</summary>
    public long? CpuQuota { get; init; }
    /// <summary>Microseconds of a period.</summary>
    public long? CpuPeriod { get; init; }
    /// <summary>Processors, such as 0-1.</summary>
    public string? CpuSet { get; init; }
    /// <summary>Memory nodes.</summary>
    public string? CpuSetMemory { get; init; }
    /// <summary>Processes and threads; -1 is no limit.</summary>
    public long? Pids { get; init; }
    /// <summary>v1 weight of block I/O, 10 to 1000.</summary>
    public int? IoWeight { get; init; }
    /// <summary>Rules for device nodes in v1's words, such as "a" denied first.</summary>
    public IReadOnlyList<(bool Allow, string Rule)> Devices { get; init; } = [];
    /// <summary>Files of v2 set as they are.</summary>
    public IReadOnlyList<(string File, string Value)> Unified { get; init; } = [];

    /// <summary>The files to write for a controller of version 1 (Documentation/admin-guide/cgroup-v1).</summary>
    internal IEnumerable<(string File, string Value)> Version1(string controller)
    {
        switch (controller)
        {
            case "memory":
                if (Memory is long memory) yield return ("memory.limit_in_bytes", $"{memory}");
                if (MemoryAndSwap is long swap) yield return ("memory.memsw.limit_in_bytes", $"{swap}");
                if (MemoryReservation is long soft) yield return ("memory.soft_limit_in_bytes", $"{soft}");
                break;
            case "cpu":
                if (CpuShares is long shares) yield return ("cpu.shares", $"{shares}");
                if (CpuPeriod is long period) yield return ("cpu.cfs_period_us", $"{period}");
                if (CpuQuota is long quota) yield return ("cpu.cfs_quota_us", $"{quota}");
                break;
            case "cpuset":
                if (CpuSet is { } cpus) yield return ("cpuset.cpus", cpus);
                if (CpuSetMemory is { } nodes) yield return ("cpuset.mems", nodes);
                break;
            case "pids":
                if (Pids is long pids) yield return ("pids.max", pids < 0 ? "max" : $"{pids}");
                break;
            case "blkio":
                if (IoWeight is int weight) yield return ("blkio.weight", $"{weight}");
                break;
            case "devices":
                foreach (var (allow, rule) in Devices) yield return (allow ? "devices.allow" : "devices.deny", rule);
                break;
        }
    }

    /// <summary>The files to write for a controller of version 2 (Documentation/admin-guide/cgroup-v2.rst).</summary>
    internal IEnumerable<(string File, string Value)> Version2(string controller)
    {
        switch (controller)
        {
            case "memory":
                if (Memory is long memory) yield return ("memory.max", memory < 0 ? "max" : $"{memory}");
                if (MemoryAndSwap is long swap && Memory is long ram) yield return ("memory.swap.max", swap < 0 ? "max" : $"{Math.Max(0, swap - ram)}");
                if (MemoryReservation is long low) yield return ("memory.low", $"{low}");
                break;
            case "cpu":
                if (CpuShares is long shares) yield return ("cpu.weight", $"{Math.Clamp(1 + (shares - 2) * 9999 / 262142, 1, 10000)}");
                if (CpuQuota is long quota) yield return ("cpu.max", $"{(quota < 0 ? "max" : $"{quota}")} {CpuPeriod ?? 100_000}");
                break;
            case "cpuset":
                if (CpuSet is { } cpus) yield return ("cpuset.cpus", cpus);
                if (CpuSetMemory is { } nodes) yield return ("cpuset.mems", nodes);
                break;
            case "pids":
                if (Pids is long pids) yield return ("pids.max", pids < 0 ? "max" : $"{pids}");
                break;
            case "io":
                if (IoWeight is int weight) yield return ("io.weight", $"default {Math.Clamp(1 + (weight - 10) * 9999 / 990, 1, 10000)}");
                break;
        }
    }
}
