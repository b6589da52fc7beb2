using System.Text;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Linux;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;
using Capsules.Linux.Security;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Running;

/// <summary>From the tail steps of a plan to the system calls of a tail. No policy: each step is one row of the switch.</summary>
internal sealed class TailTranslator(TailPlan tail, LaunchChannels channels, World? world, Func<HostPath, Descriptor> openNamespace, Descriptor? mapsWritten)
{
    private readonly Dictionary<int, Slot> _fileSystems = [];

    /// <summary>Adds every step.</summary>
    public void Translate(IEnumerable<TailStep> steps)
    {
        if (world is not null) tail.GoToRoot(world.RootDirectory);
        foreach (TailStep step in steps) Add(step);
    }

    private void Add(TailStep step)
    {
        switch (step)
        {
            case TailStep.EnterCgroups:
                foreach (Descriptor processes in channels.Cgroups) tail.EnterCgroup("enter the control group", processes);
                break;
            case TailStep.ShiftClocks clocks:
                tail.Call("new time namespace", SyscallNumber.Unshare, (nint)(uint)NamespaceKinds.Time);
                tail.WriteFile(LaunchPlanText.Of(step), "/proc/self/timens_offsets", OffsetsText(clocks.Offsets));
                break;
            case TailStep.Join join: tail.Join(LaunchPlanText.Of(join), openNamespace(join.File), Kind(join.Kind)); break;
            case TailStep.JoinProcess join: tail.Join("join the capsule", channels.Process!, Kinds(join.Kinds)); break;
            case TailStep.BecomeRoot: tail.BecomeRoot(); break;
            case TailStep.NewProcess process: tail.CloneForEngine(Kinds(process.Fresh)); break;
            case TailStep.NewService service: tail.CloneForInit(channels.Board!, service.BoardEntry, service.Generation); break;
            case TailStep.WaitForMaps: tail.WaitForByte("wait for the id maps", mapsWritten!); break;
            case TailStep.WaitForHooks: tail.WaitForByte("wait for the hooks", channels.HooksDone!); break;
            case TailStep.NewSession: tail.Call("setsid", SyscallNumber.Setsid); break;
            case TailStep.SwitchRoot change: tail.SwitchRoot(change.BindFirst); break;
            case TailStep.OpenFileSystem open: _fileSystems[open.Number] = tail.NewMount(open.Type, (MountAttributes)(int)open.Flags, [.. open.Data]); break;
            case TailStep.AttachFileSystem attach: tail.Attach(_fileSystems[attach.Number], attach.Target.ToNative()); break;
            case TailStep.AttachPrepared attach: tail.Attach(world!.Prepared[attach.Number], attach.Target.ToNative()); break;
            case TailStep.ShowDmi dmi: ShowDmi(dmi); break;
            case TailStep.SetHostName name: tail.Call($"sethostname {name.Name}", SyscallNumber.Sethostname, name.Name, Encoding.UTF8.GetByteCount(name.Name)); break;
            case TailStep.SetDomainName name: tail.Call($"setdomainname {name.Name}", SyscallNumber.Setdomainname, name.Name, Encoding.UTF8.GetByteCount(name.Name)); break;
            case TailStep.LoopbackUp: tail.LoopbackUp(); break;
            case TailStep.Sysctl sysctl: tail.WriteFile($"sysctl {sysctl.File}", sysctl.File.ToNative(), Encoding.UTF8.GetBytes(sysctl.Value)); break;
            case TailStep.MakeReadOnly path: tail.MakeReadOnly(path.Path.ToNative()); break;
            case TailStep.MakeRootReadOnly: tail.MakeRootReadOnly(); break;
            case TailStep.Hide path: tail.Mask(path.Path.ToNative()); break;
            case TailStep.WaitForStart:
                tail.TellCreated();
                tail.RedirectReport(channels.FailureRecord!);
                tail.WaitForByte("wait for the start signal", channels.StartSignal!);
                break;
            case TailStep.BecomeInit init: tail.BecomeInit(channels.Board, init.BoardEntries, channels.Kept); break;
            case TailStep.TakeStreams streams: TakeStreams(streams); break;
            case TailStep.Limit limit:
                tail.Limit($"limit {limit.Name}", ResourceNames.Parse(limit.Name) ?? throw new FormatException($"`{limit.Name}` is no limit"), limit.Soft, limit.Hard);
                break;
            case TailStep.OomScore score: tail.WriteFile($"oom score {score.Value}", "/proc/self/oom_score_adj", Encoding.UTF8.GetBytes($"{score.Value}")); break;
            case TailStep.NiceLevel nice: tail.Call($"nice {nice.Value}", SyscallNumber.Setpriority, 0, 0, nice.Value); break;
            case TailStep.BoundCapabilities bound: Bound(bound); break;
            case TailStep.NoNewPrivileges: tail.NoNewPrivileges(); break;
            case TailStep.Seccomp seccomp: tail.Seccomp(SeccompTranslator.Compile(seccomp.Spec), SeccompTranslator.Flags(seccomp.Spec)); break;
            case TailStep.WatchLookUps:
                tail.ListenedSeccomp(WatchedCalls.LookUps(), channels.ListenerPlace!);
                tail.TellCreated();
                tail.WaitForByte("wait until the listener is handed over", channels.ListenerTaken!);
                break;
            case TailStep.BecomeUser user: BecomeUser(user); break;
            case TailStep.Umask umask: tail.Call("umask", SyscallNumber.Umask, umask.Value); break;
            case TailStep.WorkingDirectory directory: tail.Call($"chdir {directory.Path}", SyscallNumber.Chdir, directory.Path.ToNative()); break;
            case TailStep.Execute execute:
                tail.PrepareForExec(3 + channels.PreservedDescriptors);
                foreach (SeccompSpec filter in execute.Filters) tail.Seccomp(SeccompTranslator.Compile(filter), SeccompTranslator.Flags(filter));
                tail.Execute([.. execute.Candidates.Select(NativePaths.FromPicture)], [.. execute.Arguments.Select(NativePaths.FromPicture)], [.. execute.Environment.Select(NativePaths.FromPicture)]);
                break;
            default: throw new System.Diagnostics.UnreachableException();
        }
    }

    private static byte[] OffsetsText(ClockOffsets offsets) =>
        Encoding.UTF8.GetBytes($"monotonic {offsets.Monotonic.Seconds} {offsets.Monotonic.Nanoseconds}\nboottime {offsets.Boot.Seconds} {offsets.Boot.Nanoseconds}\n");

    private void TakeStreams(TailStep.TakeStreams streams)
    {
        if (streams.Terminal) tail.TakeTerminal(channels.Terminal ?? world?.Terminal?.Slave ?? throw new InvalidOperationException("a terminal was planned and none was made"), streams.Uid);
        if (channels.Input is { } input) tail.StandardStream(input, 0);
        if (channels.Output is { } output) tail.StandardStream(output, 1);
        if (channels.Error is { } error) tail.StandardStream(error, 2);
    }

    /// <summary>
    /// One overlay shows the own directory over the kernel's classes, whose links lead to /sys/devices as before. An overlay takes paths, so
    /// the own directory waits on a place of sysfs that every kernel has; the overlay keeps its own hold on it.
    /// </summary>
    private void ShowDmi(TailStep.ShowDmi step)
    {
        const string place = "/sys/kernel";
        tail.Attach(world!.Prepared[step.Prepared], place);
        Slot classes = tail.NewMount("overlay", MountAttributes.ReadOnly | MountAttributes.Locked, [("lowerdir", place + ":/sys/class")]);
        tail.Attach(classes, "/sys/class");
        tail.Detach(place);
    }

    private void Bound(TailStep.BoundCapabilities step)
    {
        ulong bounding = Capabilities.Mask(step.Bounding);
        for (int number = 0; number < Capabilities.Count; number++)
            if ((bounding >> number & 1) == 0) tail.DropFromBounding(number);
    }

    private void BecomeUser(TailStep.BecomeUser step)
    {
        ulong permitted = Capabilities.Available(Capabilities.Mask(step.Capabilities.Permitted)), // what this host itself lacks is dropped, as runtime-spec 1.1 says
            effective = Capabilities.Mask(step.Capabilities.Effective) & permitted;
        ulong inheritable = Capabilities.Mask(step.Capabilities.Inheritable) & permitted, ambient = Capabilities.Mask(step.Capabilities.Ambient) & permitted & inheritable;
        if (step.Uid != 0) tail.KeepCapabilities(true);
        tail.BecomeUser(step.Uid, step.Gid, step.Groups.AsSpan());
        tail.SetCapabilities(permitted, effective, inheritable);
        if (step.Uid != 0) tail.KeepCapabilities(false);
        tail.RaiseAmbient(ambient);
    }

    private static NamespaceKinds Kinds(IEnumerable<NamespaceKind> kinds) => kinds.Aggregate(NamespaceKinds.None, (all, kind) => all | Kind(kind));

    internal static NamespaceKinds Kind(NamespaceKind kind) => kind switch
    {
        NamespaceKind.Pid => NamespaceKinds.Pid,
        NamespaceKind.Network => NamespaceKinds.Network,
        NamespaceKind.Mount => NamespaceKinds.Mount,
        NamespaceKind.Ipc => NamespaceKinds.Ipc,
        NamespaceKind.Uts => NamespaceKinds.Uts,
        NamespaceKind.User => NamespaceKinds.User,
        NamespaceKind.Cgroup => NamespaceKinds.Cgroup,
        NamespaceKind.Time => NamespaceKinds.Time,
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

/// <summary>From the specification's words for a filter to the compiler's.</summary>
internal static class SeccompTranslator
{
    /// <summary>The filter as BPF.</summary>
    /// <exception cref="FormatException">An action, operator or flag is not known, or asks for an agent.</exception>
    public static ulong[] Compile(SeccompSpec spec)
    {
        if (!spec.Compiled.IsEmpty) return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsArray(spec.Compiled)!;
        var rules = spec.Calls.Select(call => new SeccompRule(call.Names, Action(call.Action, call.Errno),
            [.. call.Arguments.Select(a => new SeccompCondition(a.Index, Comparison(a.Operator), a.Value, a.ValueTwo))])).ToList();
        return SeccompFilter.Compile(Action(spec.DefaultAction, spec.DefaultErrno), rules, with32Bit: spec.Architectures.Contains("SCMP_ARCH_X86"));
    }

    /// <summary>SECCOMP_FILTER_FLAG_*.</summary>
    public static uint Flags(SeccompSpec spec) => spec.Flags.Aggregate(0u, (all, flag) => all | flag switch
    {
        "SECCOMP_FILTER_FLAG_TSYNC" => 1u,
        "SECCOMP_FILTER_FLAG_LOG" => 2u,
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4u,
        _ => throw new FormatException($"seccomp flag `{flag}` is not known here"),
    });

    private static SeccompAction Action(string name, int? errno) => name switch
    {
        "SCMP_ACT_ALLOW" => SeccompAction.Allow,
        "SCMP_ACT_ERRNO" => SeccompAction.Error(errno ?? Errno.EPERM),
        "SCMP_ACT_KILL" or "SCMP_ACT_KILL_THREAD" => SeccompAction.KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction.KillProcess,
        "SCMP_ACT_TRAP" => SeccompAction.Trap,
        "SCMP_ACT_LOG" => SeccompAction.Log,
        "SCMP_ACT_TRACE" => SeccompAction.Trace(errno ?? Errno.EPERM),
        _ => throw new FormatException($"seccomp action `{name}` is not done here"),
    };

    private static SeccompComparison Comparison(string name) => name switch
    {
        "SCMP_CMP_NE" => SeccompComparison.NotEqual,
        "SCMP_CMP_LT" => SeccompComparison.Less,
        "SCMP_CMP_LE" => SeccompComparison.LessOrEqual,
        "SCMP_CMP_EQ" => SeccompComparison.Equal,
        "SCMP_CMP_GE" => SeccompComparison.GreaterOrEqual,
        "SCMP_CMP_GT" => SeccompComparison.Greater,
        "SCMP_CMP_MASKED_EQ" => SeccompComparison.MaskedEqual,
        _ => throw new FormatException($"seccomp operator `{name}` is not known here"),
    };
}
