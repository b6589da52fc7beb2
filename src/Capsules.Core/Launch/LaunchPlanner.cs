using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>From a specification to the steps of a launch. Pure: what it must know of the host comes with the request.</summary>
public static class LaunchPlanner
{
    /// <summary>File systems that belong to the namespaces of whoever mounts them: only the tail can make them.</summary>
    private static readonly ImmutableArray<string> OfNamespaces = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

    /// <summary>Where the kernel has the firmware's values; /sys/class/dmi/id is a link to it (drivers/firmware/dmi-id.c).</summary>
    private static readonly GuestPath DmiOfHost = GuestPath.Parse("/sys/devices/virtual/dmi/id");

    private const MountFlags Locked = MountFlags.NoSuid | MountFlags.NoDevices | MountFlags.NoExec;

    /// <summary>Plans a launch.</summary>
    /// <exception cref="FormatException">The specification asks for something that is not done here, or contradicts itself.</exception>
    public static LaunchPlan Plan(LaunchRequest request)
    {
        RuntimeSpec spec = request.Spec;
        if (request.End != LaunchEnd.Supervise && spec.Process is null) throw new FormatException("`process` is missing");
        var mounts = new MountSteps(request);
        foreach (MountSpec mount in spec.Mounts) mounts.Add(mount);

        var world = ImmutableArray.CreateBuilder<WorldStep>();
        world.Add(new WorldStep.Root(request.Lower, request.Writable, request.MapIds));
        if (request.Peer is { } peer) world.Add(new WorldStep.Peer(peer));
        world.AddRange(mounts.OnPeer);
        world.AddRange(mounts.World);
        world.Add(new WorldStep.Devices(spec.Devices));
        world.AddRange(request.RuntimeDirectories);
        if (request.Dmi is { } dmi)
        {
            HostPath shown = request.HostHasDmi ? new($"{dmi}/dmi/id") : dmi;
            world.Add(new WorldStep.Prepare(mounts.NextPrepared, new WorldStep.Bind(shown, request.HostHasDmi ? DmiOfHost : GuestPath.Parse("/sys/class"), new MountOptions { Set = MountFlags.ReadOnly | Locked }, request.MapIds)));
        }

        var tail = ImmutableArray.CreateBuilder<TailStep>();
        Enter(tail, request);
        tail.Add(new TailStep.NewSession());
        if (spec.Hooks.BeforeRoot) tail.Add(new TailStep.WaitForHooks());
        tail.AddRange(mounts.Opened);
        tail.Add(new TailStep.SwitchRoot(HasUserNamespace(spec)));
        tail.AddRange(mounts.Attached);
        if (request.Dmi is not null) tail.Add(request.HostHasDmi ? new TailStep.AttachPrepared(mounts.NextPrepared, DmiOfHost) : new TailStep.ShowDmi(mounts.NextPrepared));
        if (IsNew(spec, NamespaceKind.Uts))
        {
            if (spec.HostName is { } host) tail.Add(new TailStep.SetHostName(host));
            if (spec.DomainName is { } domain) tail.Add(new TailStep.SetDomainName(domain));
        }
        if (IsNew(spec, NamespaceKind.Network)) tail.Add(new TailStep.LoopbackUp());
        foreach (string name in spec.Sysctl.Keys) CheckSysctl(spec, name);
        foreach (var (name, value) in spec.Sysctl) tail.Add(new TailStep.Sysctl(GuestPath.Parse("/proc/sys/" + name.Replace('.', '/')), value));
        foreach (GuestPath path in spec.ReadOnlyPaths) tail.Add(new TailStep.MakeReadOnly(path));
        foreach (GuestPath path in spec.MaskedPaths) tail.Add(new TailStep.Hide(path));
        if (spec.RootReadOnly) tail.Add(new TailStep.MakeRootReadOnly());
        if (request.End == LaunchEnd.WaitThenExecute) tail.Add(new TailStep.WaitForStart());
        if (request.End == LaunchEnd.Supervise) tail.AddRange(new TailStep.TakeStreams(false, 0), new TailStep.BecomeInit(request.BoardEntries));
        else tail.AddRange(ProcessSteps(spec.Process!, spec.Seccomp, request));
        return new(world.ToImmutable(), tail.ToImmutable());
    }

    /// <summary>Plans a process in a capsule that runs: a command of a user, or a service as a child of PID 1.</summary>
    /// <param name="process">The process.</param>
    /// <param name="request">The request with which the capsule was launched.</param>
    /// <param name="service">The entry of the board and the number of the start; null for a command.</param>
    public static LaunchPlan PlanEnter(ProcessSpec process, LaunchRequest request, (int Entry, int Generation)? service)
    {
        var tail = ImmutableArray.CreateBuilder<TailStep>();
        AdjustOomScore(tail, process, request);
        if (request.Cgroups) tail.Add(new TailStep.EnterCgroups());
        NamespaceKind[] kinds = [.. request.Spec.Namespaces.Select(n => n.Kind).Append(NamespaceKind.Mount).Distinct().Order()];
        tail.Add(new TailStep.JoinProcess([.. kinds]));
        if (HasUserNamespace(request.Spec)) tail.Add(new TailStep.BecomeRoot());
        tail.Add(service is (int entry, int generation) ? new TailStep.NewService(entry, generation) : new TailStep.NewProcess([]));
        tail.Add(new TailStep.NewSession());
        tail.AddRange(ProcessSteps(process, request.Spec.Seccomp, request));
        return new([], tail.ToImmutable());
    }

    /// <summary>Plans PID 1 of a stack whose capsules share one numbering of processes: it has an empty root, and nothing but its board.</summary>
    /// <param name="stack">The stack's pinned namespaces, the user namespace among them.</param>
    /// <param name="root">An empty directory of the host.</param>
    /// <param name="entries">Size of the board.</param>
    public static LaunchPlan PlanStackInit(ImmutableArray<NamespaceSpec> stack, GuestPath root, int entries)
    {
        var tail = ImmutableArray.CreateBuilder<TailStep>();
        tail.Add(new TailStep.WorkingDirectory(root)); // while it may walk there
        Enter(tail, new() { Spec = new() { RootPath = "/", Namespaces = [.. stack, new(NamespaceKind.Pid)] }, Lower = [], Cgroups = true, End = LaunchEnd.Supervise });
        tail.AddRange(new TailStep.NewSession(), new TailStep.SwitchRoot(true), new TailStep.TakeStreams(false, 0), new TailStep.BecomeInit(entries));
        return new([], tail.ToImmutable());
    }

    /// <summary>A parameter that belongs to no namespace of the container's own is the whole host's (sysctl(5); core_pattern would run programs as its root).</summary>
    private static void CheckSysctl(RuntimeSpec spec, string name)
    {
        string path = name.Replace('/', '.');
        NamespaceKind? kind = path switch
        {
            _ when path.StartsWith("net.", StringComparison.Ordinal) => NamespaceKind.Network,
            _ when path.StartsWith("fs.mqueue.", StringComparison.Ordinal) || path.StartsWith("kernel.shm", StringComparison.Ordinal) => NamespaceKind.Ipc,
            "kernel.msgmax" or "kernel.msgmnb" or "kernel.msgmni" or "kernel.sem" => NamespaceKind.Ipc,
            "kernel.domainname" or "kernel.hostname" => NamespaceKind.Uts,
            _ => null,
        };
        if (kind is null || path.Contains("..", StringComparison.Ordinal)) throw new FormatException($"sysctl {name} is not of a namespace: it would change the host");
        if (!spec.Namespaces.Any(n => n.Kind == kind)) throw new FormatException($"sysctl {name} needs a namespace of its own: {kind}");
    }

    private static void Enter(ImmutableArray<TailStep>.Builder tail, LaunchRequest request)
    {
        RuntimeSpec spec = request.Spec;
        AdjustOomScore(tail, request.End == LaunchEnd.Supervise ? null : spec.Process, request);
        if (request.Cgroups) tail.Add(new TailStep.EnterCgroups());
        bool shifted = false;
        foreach (NamespaceSpec space in spec.Namespaces)
            if (space is { Kind: NamespaceKind.Time, Path: null } && spec.ClockOffsets is { } offsets)
            {
                tail.Add(new TailStep.ShiftClocks(offsets));
                shifted = true;
            }
        NamespaceSpec? user = spec.Namespaces.FirstOrDefault(n => n.Kind == NamespaceKind.User);
        if (user?.Path is { } held) tail.Add(new TailStep.Join(NamespaceKind.User, held));
        foreach (NamespaceSpec joined in spec.Namespaces.Where(n => n.Path is not null && n.Kind != NamespaceKind.User))
            tail.Add(new TailStep.Join(joined.Kind, joined.Path!.Value));
        if (user?.Path is not null) tail.Add(new TailStep.BecomeRoot()); // before the clone: namespaces and their file systems belong to whoever makes them
        tail.Add(new TailStep.NewProcess([.. spec.Namespaces.Where(n => n.Path is null && !(shifted && n.Kind == NamespaceKind.Time)).Select(n => n.Kind).Append(NamespaceKind.Mount).Distinct().Order()]));
        if (user is { Path: null })
        {
            tail.Add(new TailStep.WaitForMaps());
            tail.Add(new TailStep.BecomeRoot());
        }
    }

    /// <summary>Plans a hook: a program with all rights, on the host or in the namespaces of a container's first process.</summary>
    /// <param name="hook">The hook.</param>
    /// <param name="directory">Where it starts.</param>
    /// <param name="join">The namespaces; null for a hook of the host.</param>
    public static LaunchPlan PlanHook(HookSpec hook, GuestPath directory, ImmutableArray<NamespaceKind>? join)
    {
        var tail = ImmutableArray.CreateBuilder<TailStep>();
        if (join is { } kinds)
        {
            tail.Add(new TailStep.JoinProcess([.. kinds.Append(NamespaceKind.Mount).Distinct().Order()]));
            if (kinds.Contains(NamespaceKind.User)) tail.Add(new TailStep.BecomeRoot());
        }
        tail.AddRange(new TailStep.NewProcess([]), new TailStep.NewSession(), new TailStep.TakeStreams(false, 0), new TailStep.WorkingDirectory(directory));
        tail.Add(new TailStep.Execute([hook.Path], hook.Arguments.IsEmpty ? [hook.Path] : hook.Arguments, hook.Environment));
        return new([], tail.ToImmutable());
    }

    /// <summary>What a process becomes before its program is executed. The order follows capabilities(7): what needs a right comes before the right is given up.</summary>
    private static IEnumerable<TailStep> ProcessSteps(ProcessSpec process, SeccompSpec? seccomp, LaunchRequest request)
    {
        yield return new TailStep.TakeStreams(process.Terminal, process.Uid);
        foreach (ResourceLimit limit in process.Limits) yield return Clamp(limit, request);
        if (process.Nice is int nice) yield return new TailStep.NiceLevel(nice);
        CapabilitySets capabilities = process.Capabilities ?? CapabilitySets.Of([]);
        yield return new TailStep.BoundCapabilities(capabilities.Bounding);
        if (request.Watched) yield return new TailStep.WatchLookUps(); // while it is root: a user would need no_new_privs
        if (seccomp is not null && !process.NoNewPrivileges) yield return new TailStep.Seccomp(seccomp); // needs CAP_SYS_ADMIN, which goes next
        yield return new TailStep.BecomeUser(process.Uid, process.Gid, process.Groups, capabilities);
        yield return new TailStep.WorkingDirectory(process.WorkingDirectory);
        yield return new TailStep.Umask(process.Umask ?? 0x12);
        if (process.NoNewPrivileges)
        {
            yield return new TailStep.NoNewPrivileges();
            if (seccomp is not null) yield return new TailStep.Seccomp(seccomp);
        }
        yield return new TailStep.Execute(Candidates(process), process.Arguments, process.Environment) { Filters = process.Filters };
    }

    /// <summary>
    /// First of all, as the host's root: a process that has changed its ids owns its files in /proc no more, and must not be made to. What is
    /// started takes the score over. Without the right to lower it the step is left out, and named by <see cref="Clamped"/>.
    /// </summary>
    private static void AdjustOomScore(ImmutableArray<TailStep>.Builder tail, ProcessSpec? process, LaunchRequest request)
    {
        if (process?.OomScoreAdjust is int score && (score >= 0 || request.MayRaiseLimits)) tail.Add(new TailStep.OomScore(score));
    }

    private static TailStep.Limit Clamp(ResourceLimit limit, LaunchRequest request)
    {
        if (request.MayRaiseLimits || !request.HostHardLimits.TryGetValue(limit.Name, out ulong most)) return new(limit.Name, limit.Soft, limit.Hard);
        return new(limit.Name, Math.Min(limit.Soft, most), Math.Min(limit.Hard, most));
    }

    /// <summary>The limits that had to be clamped, for a warning.</summary>
    public static IEnumerable<string> Clamped(ProcessSpec process, LaunchRequest request) =>
        process.Limits.Where(l => Clamp(l, request) is var c && (c.Hard != l.Hard || c.Soft != l.Soft)).Select(l => l.Name)
            .Concat(process.OomScoreAdjust < 0 && !request.MayRaiseLimits ? ["the OOM score"] : []);

    /// <summary>PATH is searched by the plan: one execve for each directory.</summary>
    public static ImmutableArray<string> Candidates(ProcessSpec process)
    {
        string program = process.Program ?? process.Arguments[0];
        if (program.Contains('/', StringComparison.Ordinal)) return [program];
        string path = process.Environment.LastOrDefault(v => v.StartsWith("PATH=", StringComparison.Ordinal)) ?? "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        return [.. path["PATH=".Length..].Split(':').Select(d => d.Length == 0 ? "./" + program : $"{d}/{program}")];
    }

    internal static bool HasUserNamespace(RuntimeSpec spec) => spec.Namespaces.Any(n => n.Kind == NamespaceKind.User);

    private static bool IsNew(RuntimeSpec spec, NamespaceKind kind) => spec.Namespaces.Any(n => n.Kind == kind && n.Path is null);

    /// <summary>Sorts mounts between world and tail, keeping their order.</summary>
    private sealed class MountSteps(LaunchRequest request)
    {
        private readonly List<GuestPath> _ofTail = [], _ofCapsule = [];
        private int _opened;

        public List<WorldStep> OnPeer { get; } = [];
        public List<WorldStep> World { get; } = [];
        public List<TailStep> Opened { get; } = [];
        public List<TailStep> Attached { get; } = [];
        public int NextPrepared { get; private set; }

        public void Add(MountSpec mount)
        {
            if (mount.Destination.IsRoot) throw new FormatException("nothing can be mounted on /: that is what `root` is for");
            MountOptions options = MountOptions.Of(mount);
            bool inTail = _ofTail.Any(mount.Destination.IsWithin);
            if (mount.IsBind)
            {
                bool isState = request.MapIds && !inTail && mount.Destination != request.Unmapped;
                var bind = new WorldStep.Bind(new HostPath(mount.Source ?? throw new FormatException($"the bind of {mount.Destination} has no `source`")), mount.Destination, options, isState);
                // What others may share, and links may reach into: not what lies below mounts that only the capsule has, nor files of its identity.
                bool onPeer = request.Peer is not null && !inTail && !options.Set.HasFlag(MountFlags.ReadOnly) && !_ofCapsule.Any(mount.Destination.IsWithin);
                if (onPeer) OnPeer.Add(bind with { OnPeer = true });
                else Place(mount.Destination, inTail, bind);
            }
            else if (mount.Options.Contains("loop"))
                Place(mount.Destination, inTail, new WorldStep.Image(new HostPath(mount.Source ?? throw new FormatException($"the image for {mount.Destination} has no `source`")), mount.Type ?? "ext4", mount.Destination,
                    MountOptions.Of(mount with { Options = mount.Options.Remove("loop") }), request.MapIds && !inTail));
            else if (mount.Type is "cgroup") AddCgroups(mount.Destination, options);
            else if (OfNamespaces.Contains(mount.Type ?? "")) AddToTail(mount.Destination, mount.Type!, options);
            else Place(mount.Destination, inTail, new WorldStep.FileSystem(mount.Type ?? throw new FormatException($"the mount of {mount.Destination} has no `type`"), mount.Destination, options, []));
        }

        private void Place(GuestPath target, bool inTail, WorldStep step)
        {
            if (!inTail)
            {
                World.Add(step);
                _ofCapsule.Add(target);
                return;
            }
            World.Add(new WorldStep.Prepare(NextPrepared, step));
            Attached.Add(new TailStep.AttachPrepared(NextPrepared++, target));
        }

        private void AddToTail(GuestPath target, string type, MountOptions options)
        {
            if (type == "sysfs" && !request.Spec.Namespaces.Any(n => n.Kind == NamespaceKind.Network))
            {
                // Without a network namespace of its own the capsule sees the host's sysfs, which it may not mount anew.
                World.Add(new WorldStep.Bind(new HostPath("/sys"), target, options with { Recursive = true }, false));
                return;
            }
            if (!_ofTail.Any(target.IsWithin)) World.Add(new WorldStep.MountPoint(target));
            _ofTail.Add(target);
            Opened.Add(new TailStep.OpenFileSystem(_opened, type, options.Set, options.Data));
            Attached.Add(new TailStep.AttachFileSystem(_opened++, target));
        }

        /// <summary>The hierarchies as the host has them: v2 alone, or a directory with one for each v1 hierarchy (and "unified").</summary>
        private void AddCgroups(GuestPath target, MountOptions options)
        {
            if (!request.Spec.Namespaces.Any(n => n.Kind == NamespaceKind.Cgroup) || request.Hierarchies.IsEmpty) return; // the host's whole tree would be shown
            var plain = options with { Data = [] };
            if (request.Hierarchies is [{ IsUnified: true }])
            {
                AddToTail(target, "cgroup2", plain);
                return;
            }
            var directory = new WorldStep.FileSystem("tmpfs", target, new MountOptions { Set = Locked, Data = [("mode", "755"), ("size", "64k")] }, [.. request.Hierarchies.Select(h => h.Name)]);
            Place(target, _ofTail.Any(target.IsWithin), directory);
            if (!_ofTail.Any(target.IsWithin)) _ofTail.Add(target);
            foreach (CgroupHierarchy hierarchy in request.Hierarchies)
            {
                Opened.Add(new TailStep.OpenFileSystem(_opened, hierarchy.IsUnified ? "cgroup2" : "cgroup", plain.Set, [.. hierarchy.Options.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Option)]));
                Attached.Add(new TailStep.AttachFileSystem(_opened++, target.Child(hierarchy.Name)));
            }
        }

        private static (string Key, string? Value) Option(string word)
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            return equals < 0 ? (word, null) : (word[..equals], word[(equals + 1)..]);
        }
    }
}
