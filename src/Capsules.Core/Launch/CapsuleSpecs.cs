using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>What a launch of a capsule needs to know beside its manifest.</summary>
public sealed record CapsulePlaces
{
    /// <inheritdoc/>
    public override string ToString() => nameof(CapsulePlaces);

    /// <summary>The stack's pinned namespaces.</summary>
    public required ImmutableArray<NamespaceSpec> StackNamespaces { get; init; }
    /// <summary>Whether a PID namespace is among them.</summary>
    public bool SharesProcesses { get; init; }
    /// <summary>The map of the users of the stack's user namespace; empty when it has none.</summary>
    public ImmutableArray<IdMapping> Users { get; init; } = [];
    /// <summary>The map of its groups.</summary>
    public ImmutableArray<IdMapping> Groups { get; init; } = [];
    /// <summary>The stack's /run.</summary>
    public required HostPath Run { get; init; }
    /// <summary>The stack's shared memory, whose files have the kernel's ids.</summary>
    public required HostPath SharedMemory { get; init; }
    /// <summary>The data of each volume.</summary>
    public ImmutableArray<(GuestPath Path, HostPath Data)> Volumes { get; init; } = [];
    /// <summary>Images of volumes that are block images, each with an ext4 file system.</summary>
    public ImmutableArray<(GuestPath Path, HostPath Image)> VolumeImages { get; init; } = [];
    /// <summary>Files of the stack's identity.</summary>
    public ImmutableArray<(GuestPath Path, HostPath File)> IdentityFiles { get; init; } = [];
    /// <summary>The directory of the sockets on which services say that they are up.</summary>
    public HostPath? Notify { get; init; }
    /// <summary>Directories of the host that the user shows inside (-v).</summary>
    public ImmutableArray<(HostPath Source, GuestPath Target, bool ReadOnly)> HostDirectories { get; init; } = [];
    /// <summary>Limits over the manifest's.</summary>
    public ResourceLimits Limits { get; init; } = new();
    /// <summary>Path of the control group.</summary>
    public required string Cgroup { get; init; }
    /// <summary>What the clocks show more than the host's; null for the host's own.</summary>
    public ClockOffsets? ClockOffsets { get; init; }
    /// <summary>Nothing but state may be written.</summary>
    public bool ReadOnlyRoot { get; init; }
    /// <summary>The filter of system calls.</summary>
    public required SeccompSpec Seccomp { get; init; }
}

/// <summary>From a capsule's manifest to the specification that launches it.</summary>
public static class CapsuleSpecs
{
    /// <summary>podman's default capabilities: what a server that starts as root needs to become somebody else.</summary>
    public static ImmutableArray<string> DefaultCapabilities { get; } =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    ];

    /// <summary>Where services find the sockets of sd_notify(3).</summary>
    public static GuestPath NotifyDirectory { get; } = GuestPath.Parse("/dev/notify");

    /// <summary>Where programs have their shared memory and semaphores (shm_overview(7)).</summary>
    public static GuestPath SharedMemory { get; } = GuestPath.Parse("/dev/shm");

    /// <summary>Hidden from every capsule: they tell of the host or its hardware.</summary>
    private static readonly string[] Masked =
        ["/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block"];

    private static readonly string[] ReadOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    private static readonly string[] Locked = ["nosuid", "nodev", "noexec"];

    /// <summary>The specification.</summary>
    public static RuntimeSpec Of(CapsuleManifest manifest, CapsulePlaces places)
    {
        var mounts = ImmutableArray.CreateBuilder<MountSpec>();
        void Add(string target, string type, params string[] options) => mounts.Add(new(GuestPath.Parse(target), type, type, [.. options]));
        Add("/proc", "proc", Locked);
        Add("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=64k");
        Add("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5");
        mounts.Add(new(SharedMemory, "bind", places.SharedMemory.ToString(), ["bind", .. Locked]));
        Add("/dev/mqueue", "mqueue", Locked);
        Add("/sys", "sysfs", [.. Locked, "ro"]);
        Add("/sys/fs/cgroup", "cgroup", [.. Locked, "ro"]);
        Add("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777", "size=50%");
        mounts.Add(new(GuestPath.Parse("/run"), "bind", places.Run.ToString(), ["bind", "nosuid", "nodev"]));
        foreach (MountSpec volume in places.Volumes.Select(v => new MountSpec(v.Path, "bind", v.Data.ToString(), ["bind", "nosuid", "nodev"]))
                     .Concat(places.VolumeImages.Select(v => new MountSpec(v.Path, "ext4", v.Image.ToString(), ["loop", "nosuid", "nodev"]))).OrderBy(m => m.Destination)) mounts.Add(volume);
        foreach (var (path, file) in places.IdentityFiles) mounts.Add(new(path, "bind", file.ToString(), ["bind", "ro", .. Locked]));
        if (places.Notify is { } notify) mounts.Add(new(NotifyDirectory, "bind", notify.ToString(), ["bind", "ro", .. Locked]));
        foreach (var (source, target, readOnly) in places.HostDirectories) mounts.Add(new(target, "bind", source.ToString(), ["rbind", "nosuid", "nodev", readOnly ? "ro" : "rw"]));

        var namespaces = places.StackNamespaces.ToBuilder();
        if (!places.SharesProcesses) namespaces.Add(new(NamespaceKind.Pid));
        namespaces.Add(new(NamespaceKind.Mount));
        namespaces.Add(new(NamespaceKind.Cgroup));
        if (places.ClockOffsets is not null) namespaces.Add(new(NamespaceKind.Time));

        return new()
        {
            RootPath = "/",
            RootReadOnly = places.ReadOnlyRoot,
            Mounts = mounts.ToImmutable(),
            Namespaces = namespaces.ToImmutable(),
            ClockOffsets = places.ClockOffsets,
            UserMappings = places.Users,
            GroupMappings = places.Groups,
            CgroupsPath = places.Cgroup,
            Resources = Resources(places.Limits.Over(manifest.Limits)),
            Seccomp = places.Seccomp,
            MaskedPaths = [.. Masked.Select(GuestPath.Parse)],
            ReadOnlyPaths = [.. ReadOnly.Select(GuestPath.Parse)],
        };
    }

    /// <summary>The process of a service.</summary>
    /// <param name="service">The service.</param>
    /// <param name="manifest">Its manifest, for the common environment.</param>
    /// <param name="command">What is run: the service's own command or one of its helpers.</param>
    /// <param name="user">The service's user, as the capsule's files have it.</param>
    /// <param name="further">NAME=value pictures over all others.</param>
    public static ProcessSpec ProcessOf(ServiceManifest service, CapsuleManifest manifest, ImmutableArray<string> command, ResolvedUser user, IEnumerable<string> further)
    {
        // What a unit makes ambient lies in its bounding set, or is void (capabilities(7)); without a set of its own the unit's word widens ours.
        ImmutableArray<string> ambient = service.Capabilities is { } bound ? [.. service.AmbientCapabilities.Where(bound.Contains)] : service.AmbientCapabilities;
        ImmutableArray<string> capabilities = service.Capabilities ?? [.. DefaultCapabilities.Union(ambient)];
        bool root = user.Uid == 0;
        ImmutableArray<string> effective = root ? capabilities : ambient;
        return new()
        {
            Arguments = command,
            Program = command == service.Command ? service.Program?.ToString() : null,
            Environment = Environment(manifest.Environment, service.Environment, user, further),
            WorkingDirectory = service.WorkingDirectory,
            Uid = user.Uid,
            Gid = user.Gid,
            Groups = user.Groups,
            Umask = service.Umask,
            Capabilities = new(capabilities, effective, effective, root ? [] : ambient, ambient),
            Limits = service.ResourceLimits,
            NoNewPrivileges = service.NoNewPrivileges || !service.Filters.IsEmpty, // as systemd for a service without CAP_SYS_ADMIN
            Filters = service.Filters,
            OomScoreAdjust = service.OomScoreAdjust,
            Nice = service.Nice,
        };
    }

    /// <summary>
    /// The process of a command of the user's (exec), or of a crossing; <paramref name="common"/> is the environment of all the capsule's processes. It may gain rights
    /// by set-user-id and set-group-id files where the capsule's services may: a user's sendmail is nothing without its postdrop.
    /// </summary>
    public static ProcessSpec CommandOf(ImmutableArray<string> common, ImmutableArray<string> command, ResolvedUser user, IEnumerable<string> further, GuestPath directory, bool terminal, bool newPrivileges)
    {
        ImmutableArray<string> effective = user.Uid == 0 ? DefaultCapabilities : [];
        string[] given = [.. further];
        return new()
        {
            Arguments = command,
            Terminal = terminal,
            Environment = Environment(common, [], user, terminal && !given.Any(v => v.StartsWith("TERM=", StringComparison.Ordinal)) ? ["TERM=xterm", .. given] : given),
            WorkingDirectory = directory,
            Uid = user.Uid,
            Gid = user.Gid,
            Groups = user.Groups,
            Capabilities = new(DefaultCapabilities, effective, effective, [], []),
            NoNewPrivileges = !newPrivileges,
        };
    }

    /// <summary>Later ones win; PATH, HOME, USER, LOGNAME and SHELL as systemd sets them for a service.</summary>
    private static ImmutableArray<string> Environment(IEnumerable<string> common, IEnumerable<string> own, ResolvedUser user, IEnumerable<string> further)
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        void Set(string variable)
        {
            int equals = variable.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0) variables[variable[..equals]] = variable;
        }
        Set("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        foreach (string variable in common) Set(variable);
        Set("HOME=" + user.Home);
        Set("USER=" + user.Name);
        Set("LOGNAME=" + user.Name);
        foreach (string variable in own.Concat(further)) Set(variable);
        return [.. variables.Values];
    }

    private static ResourcesSpec Resources(ResourceLimits limits) => new()
    {
        Memory = limits.Memory,
        CpuQuota = limits.Cpus is double n ? (long)(n * 100_000) : null,
        CpuPeriod = limits.Cpus is null ? null : 100_000,
        Pids = limits.Pids,
        IoWeight = limits.IoWeight is int w ? Math.Clamp(w, 10, 1000) : null,
        Devices = [new(false, 'a', null, null, "rwm")],
    };
}

/// <summary>A user as the capsule's own files describe it.</summary>
public sealed record ResolvedUser(string Name, uint Uid, uint Gid, ImmutableArray<uint> Groups, string Home)
{
    /// <summary>Root, where nothing else is said.</summary>
    public static ResolvedUser Root { get; } = new("root", 0, 0, [], "/root");

    /// <summary>His shell; empty where the files name none.</summary>
    public string Shell { get; init; } = "";
}
