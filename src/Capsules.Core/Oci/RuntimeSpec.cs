using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>config.json of an OCI bundle (runtime-spec 1.2, config.md, config-linux.md), as far as a launch needs it. A capsule is launched from one too.</summary>
public sealed record RuntimeSpec
{
    /// <inheritdoc/>
    public override string ToString() => nameof(RuntimeSpec);

    /// <summary>The specification's version that the file was written for.</summary>
    public string Version { get; init; } = "1.0.2";
    /// <summary>The root file system, relative to the bundle or absolute.</summary>
    public required string RootPath { get; init; }
    /// <summary>root.readonly.</summary>
    public bool RootReadOnly { get; init; }
    /// <summary>What runs; null for a container that only holds its namespaces.</summary>
    public ProcessSpec? Process { get; init; }
    /// <summary>sethostname(2).</summary>
    public string? HostName { get; init; }
    /// <summary>setdomainname(2).</summary>
    public string? DomainName { get; init; }
    /// <summary>linux.timeOffsets: what the clocks of a fresh time namespace show more than the host's (time_namespaces(7)).</summary>
    public ClockOffsets? ClockOffsets { get; init; }
    /// <summary>In the order in which they are mounted.</summary>
    public ImmutableArray<MountSpec> Mounts { get; init; } = [];
    /// <summary>New or joined namespaces.</summary>
    public ImmutableArray<NamespaceSpec> Namespaces { get; init; } = [];
    /// <summary>The user namespace's map of users.</summary>
    public ImmutableArray<IdMapping> UserMappings { get; init; } = [];
    /// <summary>The user namespace's map of groups.</summary>
    public ImmutableArray<IdMapping> GroupMappings { get; init; } = [];
    /// <summary>Device nodes beside the default ones.</summary>
    public ImmutableArray<DeviceSpec> Devices { get; init; } = [];
    /// <summary>Path of the control group below the hierarchy; null when none is asked for.</summary>
    public string? CgroupsPath { get; init; }
    /// <summary>Limits of the control group.</summary>
    public ResourcesSpec Resources { get; init; } = new();
    /// <summary>Filter of system calls.</summary>
    public SeccompSpec? Seccomp { get; init; }
    /// <summary>Programs that are run at points of the container's life.</summary>
    public HooksSpec Hooks { get; init; } = new();
    /// <summary>Hidden paths.</summary>
    public ImmutableArray<GuestPath> MaskedPaths { get; init; } = [];
    /// <summary>Paths that are made read-only.</summary>
    public ImmutableArray<GuestPath> ReadOnlyPaths { get; init; } = [];
    /// <summary>Kernel parameters, by their dotted names.</summary>
    public ImmutableSortedDictionary<string, string> Sysctl { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>shared, slave, private or unbindable; null for slave.</summary>
    public string? RootPropagation { get; init; }
    /// <summary>Free words of whoever made the bundle.</summary>
    public ImmutableSortedDictionary<string, string> Annotations { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>process of config.json.</summary>
public sealed record ProcessSpec
{
    /// <inheritdoc/>
    public override string ToString() => nameof(ProcessSpec);

    /// <summary>Whether it gets a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>argv, as byte pictures.</summary>
    public required ImmutableArray<string> Arguments { get; init; }
    /// <summary>What is executed, when it is not argv[0].</summary>
    public string? Program { get; init; }
    /// <summary>NAME=value, as byte pictures.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Where it starts.</summary>
    public GuestPath WorkingDirectory { get; init; }
    /// <summary>User id inside.</summary>
    public uint Uid { get; init; }
    /// <summary>Group id inside.</summary>
    public uint Gid { get; init; }
    /// <summary>Further groups.</summary>
    public ImmutableArray<uint> Groups { get; init; } = [];
    /// <summary>umask(2); the default is 022.</summary>
    public int? Umask { get; init; }
    /// <summary>Sets of capabilities, by name; null leaves root's.</summary>
    public CapabilitySets? Capabilities { get; init; }
    /// <summary>setrlimit(2).</summary>
    public ImmutableArray<ResourceLimit> Limits { get; init; } = [];
    /// <summary>PR_SET_NO_NEW_PRIVS.</summary>
    public bool NoNewPrivileges { get; init; }
    /// <summary>Filters of its own, beside that of the whole; they need <see cref="NoNewPrivileges"/>.</summary>
    public ImmutableArray<SeccompSpec> Filters { get; init; } = [];
    /// <summary>oom_score_adj.</summary>
    public int? OomScoreAdjust { get; init; }
    /// <summary>Nice level.</summary>
    public int? Nice { get; init; }
}

/// <summary>The five sets of capabilities(7), each with names such as CAP_KILL.</summary>
public sealed record CapabilitySets(
    ImmutableArray<string> Bounding, ImmutableArray<string> Permitted, ImmutableArray<string> Effective, ImmutableArray<string> Inheritable, ImmutableArray<string> Ambient)
{
    /// <summary>The same names in the sets that a root process needs, none ambient.</summary>
    public static CapabilitySets Of(ImmutableArray<string> names) => new(names, names, names, [], []);
}

/// <summary>hooks (config.md, "POSIX-platform Hooks"), each list in its order.</summary>
public sealed record HooksSpec
{
    /// <inheritdoc/>
    public override string ToString() => nameof(HooksSpec);

    /// <summary>On the host, before the root is switched (deprecated, and still used).</summary>
    public ImmutableArray<HookSpec> Prestart { get; init; } = [];
    /// <summary>On the host, before the root is switched, behind the former.</summary>
    public ImmutableArray<HookSpec> CreateRuntime { get; init; } = [];
    /// <summary>A program of the host in the container's namespaces, before the root is switched.</summary>
    public ImmutableArray<HookSpec> CreateContainer { get; init; } = [];
    /// <summary>A program of the container in its namespaces, before its process is executed.</summary>
    public ImmutableArray<HookSpec> StartContainer { get; init; } = [];
    /// <summary>On the host, when the process has been executed.</summary>
    public ImmutableArray<HookSpec> Poststart { get; init; } = [];
    /// <summary>On the host, when the container has been deleted.</summary>
    public ImmutableArray<HookSpec> Poststop { get; init; } = [];

    /// <summary>Whether there are any.</summary>
    public bool Any => BeforeRoot || AroundStart || !Poststop.IsEmpty;
    /// <summary>Whether the launch must stop before it switches the root.</summary>
    public bool BeforeRoot => !(Prestart.IsEmpty && CreateRuntime.IsEmpty && CreateContainer.IsEmpty);
    /// <summary>Whether the launch must stop before the process is executed, or do something behind it.</summary>
    public bool AroundStart => !(StartContainer.IsEmpty && Poststart.IsEmpty);
}

/// <summary>Offsets of CLOCK_MONOTONIC and CLOCK_BOOTTIME.</summary>
public sealed record ClockOffsets(ClockOffset Monotonic, ClockOffset Boot);

/// <summary>One offset; the nanoseconds are added, for a negative one too.</summary>
public readonly record struct ClockOffset(long Seconds, uint Nanoseconds = 0);

/// <summary>One hook; its texts are byte pictures. Timeout in seconds, null for none.</summary>
public sealed record HookSpec(string Path, ImmutableArray<string> Arguments, ImmutableArray<string> Environment, int? Timeout);

/// <summary>One entry of mounts.</summary>
public sealed record MountSpec(GuestPath Destination, string? Type, string? Source, ImmutableArray<string> Options)
{
    /// <summary>Whether it shows something that exists.</summary>
    public bool IsBind => Type == "bind" || Options.Contains("bind") || Options.Contains("rbind");
}

/// <summary>One entry of linux.namespaces; without a path it is new.</summary>
public sealed record NamespaceSpec(NamespaceKind Kind, HostPath? Path = null);

/// <summary>Kinds of namespaces, by the specification's names.</summary>
public enum NamespaceKind { Pid, Network, Mount, Ipc, Uts, User, Cgroup, Time }

/// <summary>One extent of a user namespace's map.</summary>
public readonly record struct IdMapping(uint Inside, uint Outside, uint Count);

/// <summary>One entry of linux.devices; the type is c, b, u or p.</summary>
public sealed record DeviceSpec(GuestPath Path, char Type, uint Major, uint Minor, int Mode, uint Uid, uint Gid)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Path}";
}

/// <summary>linux.resources, as far as it is applied.</summary>
public sealed record ResourcesSpec
{
    /// <inheritdoc/>
    public override string ToString() => nameof(ResourcesSpec);

    /// <summary>memory.limit, bytes.</summary>
    public long? Memory { get; init; }
    /// <summary>memory.swap: memory and swap together, bytes.</summary>
    public long? MemoryAndSwap { get; init; }
    /// <summary>memory.reservation, bytes.</summary>
    public long? MemoryReservation { get; init; }
    /// <summary>cpu.shares.</summary>
    public long? CpuShares { get; init; }
    /// <summary>cpu.quota, microseconds.</summary>
    public long? CpuQuota { get; init; }
    /// <summary>cpu.period, microseconds.</summary>
    public long? CpuPeriod { get; init; }
    /// <summary>cpu.cpus, such as 0-1.</summary>
    public string? CpuSet { get; init; }
    /// <summary>cpu.mems.</summary>
    public string? CpuSetMemory { get; init; }
    /// <summary>pids.limit.</summary>
    public long? Pids { get; init; }
    /// <summary>blockIO.weight, 10 to 1000.</summary>
    public int? IoWeight { get; init; }
    /// <summary>Rules for device nodes, in order.</summary>
    public ImmutableArray<DeviceRule> Devices { get; init; } = [];
    /// <summary>Files of cgroup v2 set as they are.</summary>
    public ImmutableSortedDictionary<string, string> Unified { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>One entry of resources.devices; null numbers are any.</summary>
public sealed record DeviceRule(bool Allow, char Type, long? Major, long? Minor, string Access);

/// <summary>linux.seccomp.</summary>
public sealed record SeccompSpec(string DefaultAction, int? DefaultErrno, ImmutableArray<string> Architectures, ImmutableArray<string> Flags, ImmutableArray<SeccompCall> Calls)
{
    /// <summary>The whole filter as BPF, eight bytes an instruction, when it was compiled before; the calls may be absent then.</summary>
    public ImmutableArray<ulong> Compiled { get; init; } = [];
}

/// <summary>One entry of seccomp.syscalls.</summary>
public sealed record SeccompCall(ImmutableArray<string> Names, string Action, int? Errno, ImmutableArray<SeccompArgument> Arguments);

/// <summary>A condition on an argument; operators are named SCMP_CMP_*.</summary>
public sealed record SeccompArgument(int Index, ulong Value, ulong ValueTwo, string Operator);
