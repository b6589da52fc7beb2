using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Oci;

namespace Capsules.Core.Model;

/// <summary>What a capsule is, on disk and inside its image (label <c>org.capsules.manifest</c>): docs/formats/manifest.md.</summary>
public sealed record CapsuleManifest
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The capsule's name at its making; a running capsule may have another.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>The application's version, for people.</summary>
    public string? Version { get; init; }
    /// <summary>Where it came from.</summary>
    public SourceDescription? Source { get; init; }
    /// <summary>Layers of software and configuration, lowest first, by the digest of their uncompressed tar (OCI diff ids).</summary>
    public ImmutableArray<Digest> Layers { get; init; } = [];
    /// <summary>Programs that run, in the order of the source; <see cref="ServiceManifest.After"/> decides the order of starts.</summary>
    public ImmutableArray<ServiceManifest> Services { get; init; } = [];
    /// <summary>Persistent data outside the layers.</summary>
    public ImmutableArray<StateVolume> Volumes { get; init; } = [];
    /// <summary>Files kept apart from the layers, never exported unless told.</summary>
    public ImmutableArray<GuestPath> Secrets { get; init; } = [];
    /// <summary>What the source was for others, kept or made fresh when the capsule runs.</summary>
    public Identity Identity { get; init; } = new();
    /// <summary>What became of the source's SSH host keys; null when the application has none.</summary>
    public HostKeys? HostKeys { get; init; }
    /// <summary>Environment of every service and of exec, as NAME=value pictures.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Ports that the services listened on at the source.</summary>
    public ImmutableArray<Listener> Listeners { get; init; } = [];
    /// <summary>What other capsules may use.</summary>
    public ImmutableArray<Export> Exports { get; init; } = [];
    /// <summary>What it uses of other capsules, where its host's administrator makes links of it.</summary>
    public ImmutableArray<Import> Imports { get; init; } = [];
    /// <summary>Limits for the whole capsule.</summary>
    public ResourceLimits Limits { get; init; } = new();
}

/// <summary>What becomes of the SSH host keys of a source.</summary>
public enum HostKeys
{
    /// <summary>They are among the secrets: clients know the server again.</summary>
    Kept,
    /// <summary>They stay behind, and others are made at the first start.</summary>
    Fresh,
}

/// <summary>Where a capsule was made from.</summary>
/// <param name="System">As PRETTY_NAME of os-release(5).</param>
/// <param name="Architecture">As uname(2) says, such as x86_64.</param>
/// <param name="HostName">The source's name.</param>
public sealed record SourceDescription(string System, string Architecture, string HostName);

/// <summary>How a service says that it is up; the words of systemd.service(5).</summary>
public enum ServiceKind
{
    /// <summary>Up as soon as it was started.</summary>
    Simple,
    /// <summary>Up when its program was executed.</summary>
    Exec,
    /// <summary>Up when the first process has ended and left a daemon.</summary>
    Forking,
    /// <summary>Up when it says READY=1 on NOTIFY_SOCKET.</summary>
    Notify,
    /// <summary>Up when it has ended with success.</summary>
    Oneshot,
}

/// <summary>When a service that ended is started again; the words of systemd.service(5).</summary>
public enum RestartPolicy
{
    /// <summary>Never.</summary>
    No,
    /// <summary>After success only.</summary>
    OnSuccess,
    /// <summary>After an unclean status, signal or time-out.</summary>
    OnFailure,
    /// <summary>After an unclean signal or time-out.</summary>
    OnAbnormal,
    /// <summary>After an unclean signal.</summary>
    OnAbort,
    /// <summary>Whatever happened.</summary>
    Always,
}

/// <summary>One program of a capsule: how it is started, known to be up, reloaded, stopped and started again.</summary>
public sealed record ServiceManifest
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>Unique in the capsule, such as the unit's name without ".service".</summary>
    public required string Name { get; init; }
    /// <summary>The unit or script it was read from.</summary>
    public string? Unit { get; init; }
    /// <summary>See <see cref="ServiceKind"/>.</summary>
    public ServiceKind Kind { get; init; }
    /// <summary>argv, as byte pictures; argv[0] is what is executed unless <see cref="Program"/> says otherwise.</summary>
    public required ImmutableArray<string> Command { get; init; }
    /// <summary>What is executed, when it is not argv[0].</summary>
    public GuestPath? Program { get; init; }
    /// <summary>NAME=value pictures, over the capsule's.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Where it starts.</summary>
    public GuestPath WorkingDirectory { get; init; }
    /// <summary>User by name or number; root when null.</summary>
    public string? User { get; init; }
    /// <summary>Group by name or number; the user's own when null.</summary>
    public string? Group { get; init; }
    /// <summary>Further groups beside those that the group file gives the user.</summary>
    public ImmutableArray<string> SupplementaryGroups { get; init; } = [];
    /// <summary>umask(2).</summary>
    public int Umask { get; init; } = 0x12;
    /// <summary>Commands run to their end before the start, each an argv with the signs of <see cref="HelperCommand"/>.</summary>
    public ImmutableArray<ImmutableArray<string>> StartPre { get; init; } = [];
    /// <summary>Commands run to their end once it is up.</summary>
    public ImmutableArray<ImmutableArray<string>> StartPost { get; init; } = [];
    /// <summary>A command that asks it to stop; else <see cref="StopSignal"/> does.</summary>
    public ImmutableArray<ImmutableArray<string>> Stop { get; init; } = [];
    /// <summary>A command that makes it read its configuration again.</summary>
    public ImmutableArray<ImmutableArray<string>> Reload { get; init; } = [];
    /// <summary>Number of the signal that asks it to stop.</summary>
    public int StopSignal { get; init; } = 15;
    /// <summary>Where a forking service leaves its pid.</summary>
    public GuestPath? PidFile { get; init; }
    /// <summary>Longest time to come up, in milliseconds; 0 waits for ever.</summary>
    public long StartTimeout { get; init; } = 90_000;
    /// <summary>Longest time to stop before SIGKILL, in milliseconds; 0 waits for ever.</summary>
    public long StopTimeout { get; init; } = 90_000;
    /// <summary>See <see cref="RestartPolicy"/>.</summary>
    public RestartPolicy Restart { get; init; }
    /// <summary>Pause before a restart, in milliseconds.</summary>
    public long RestartDelay { get; init; } = 100;
    /// <summary>Exit statuses that count as success beside 0.</summary>
    public ImmutableArray<int> SuccessStatuses { get; init; } = [];
    /// <summary>Services that must be up before.</summary>
    public ImmutableArray<string> After { get; init; } = [];
    /// <summary>What else shows that it is up.</summary>
    public Readiness? Ready { get; init; }
    /// <summary>Directories made for it at each start.</summary>
    public ImmutableArray<RuntimeDirectory> RuntimeDirectories { get; init; } = [];
    /// <summary>Capabilities by name, such as CAP_NET_BIND_SERVICE; null leaves the capsule's default set.</summary>
    public ImmutableArray<string>? Capabilities { get; init; }
    /// <summary>Capabilities that a service under another user keeps across exec.</summary>
    public ImmutableArray<string> AmbientCapabilities { get; init; } = [];
    /// <summary>PR_SET_NO_NEW_PRIVS; off only when the source's unit runs set-uid programs.</summary>
    public bool NoNewPrivileges { get; init; } = true;
    /// <summary>Filters of system calls beside the capsule's own; with any, new privileges are ruled out.</summary>
    public ImmutableArray<SeccompSpec> Filters { get; init; } = [];
    /// <summary>setrlimit(2), by the names of the specification, such as RLIMIT_NOFILE.</summary>
    public ImmutableArray<ResourceLimit> ResourceLimits { get; init; } = [];
    /// <summary>OOM score adjustment, -1000 to 1000.</summary>
    public int? OomScoreAdjust { get; init; }
    /// <summary>Nice level.</summary>
    public int? Nice { get; init; }
}

/// <summary>One limit of setrlimit(2); <see cref="ulong.MaxValue"/> is no limit.</summary>
public sealed record ResourceLimit(string Name, ulong Soft, ulong Hard);

/// <summary>A directory that is made anew at each start (RuntimeDirectory=, tmpfiles.d).</summary>
public sealed record RuntimeDirectory(GuestPath Path, string User, string Group, int Mode);

/// <summary>A sign that a service is up. Exactly one member is set.</summary>
public sealed record Readiness
{
    /// <summary>This TCP port answers.</summary>
    public int? Port { get; init; }
    /// <summary>This unix socket takes connections.</summary>
    public GuestPath? Socket { get; init; }
    /// <summary>This command ends with success.</summary>
    public ImmutableArray<string> Command { get; init; } = [];
}

/// <summary>How a state volume is stored.</summary>
public enum VolumeKind
{
    /// <summary>A directory on a real file system of the host.</summary>
    Directory,
    /// <summary>A block image, for machines.</summary>
    Image,
}

/// <summary>Named persistent data outside the layers, owned by one capsule. Ids on disk are the capsule's.</summary>
public sealed record StateVolume
{
    /// <summary>Unique in the capsule.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>Where it is seen inside.</summary>
    public required GuestPath Path { get; init; }
    /// <summary>See <see cref="VolumeKind"/>.</summary>
    public VolumeKind Kind { get; init; }
    /// <summary>Why it is state, for people.</summary>
    public string? Reason { get; init; }
}

/// <summary>A socket that was listened on.</summary>
/// <param name="Protocol">tcp, udp or unix.</param>
/// <param name="Address">Address or socket path; "*" for any.</param>
/// <param name="Port">Port; 0 for unix sockets.</param>
/// <param name="Service">The service that had it.</param>
public sealed record Listener(string Protocol, string Address, int Port, string? Service = null);

/// <summary>Limits of a capsule's control group; null is no limit.</summary>
public sealed record ResourceLimits
{
    /// <summary>Bytes of memory.</summary>
    public long? Memory { get; init; }
    /// <summary>Processors, such as 1.5.</summary>
    public double? Cpus { get; init; }
    /// <summary>Processes and threads.</summary>
    public long? Pids { get; init; }
    /// <summary>Relative share of I/O, 1 to 10000.</summary>
    public int? IoWeight { get; init; }

    /// <summary>These, and where they say nothing the others.</summary>
    public ResourceLimits Over(ResourceLimits others) => new() { Memory = Memory ?? others.Memory, Cpus = Cpus ?? others.Cpus, Pids = Pids ?? others.Pids, IoWeight = IoWeight ?? others.IoWeight };
}
