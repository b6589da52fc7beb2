using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>
/// What will be done to launch a capsule or a bundle, in order. The world is built by ordinary code in a mount namespace of its own; the
/// tail runs as a flat list of system calls in the new process (docs/adr/0004).
/// </summary>
/// <param name="World">Applied by the engine.</param>
/// <param name="Tail">Run by the tail.</param>
public sealed record LaunchPlan(ImmutableArray<WorldStep> World, ImmutableArray<TailStep> Tail)
{
    /// <summary>As --plan prints it, one step a line.</summary>
    public override string ToString() => LaunchPlanText.Of(this);
}

/// <summary>One step of the world. Nothing of it outlives the mount namespace in which it is done, but what it says it makes on disk.</summary>
public abstract record WorldStep
{
    private WorldStep() { }

    /// <summary>The root: one tree, or an overlay of lower trees (topmost first) under a writable directory with "upper" and "work".</summary>
    public sealed record Root(ImmutableArray<HostPath> Lower, HostPath? Writable, bool MapIds) : WorldStep;

    /// <summary>Attaches the root on the host's side too, and below it what is <see cref="Bind.OnPeer"/>: links reach the capsule from there.</summary>
    public sealed record Peer(HostPath At) : WorldStep;

    /// <summary>A directory (and those above it) that must be there to mount on.</summary>
    public sealed record MountPoint(GuestPath Path) : WorldStep;

    /// <summary>Shows a directory or file of the host inside; with <paramref name="OnPeer"/> on the host's side, from where it reaches the capsule.</summary>
    public sealed record Bind(HostPath Source, GuestPath Target, MountOptions Options, bool MapIds, bool OnPeer = false) : WorldStep;

    /// <summary>A new file system that belongs to no namespace of the capsule, such as a tmpfs, with directories to mount on.</summary>
    public sealed record FileSystem(string Type, GuestPath Target, MountOptions Options, ImmutableArray<string> Directories) : WorldStep;

    /// <summary>The file system in an image file, by a loop device that goes with its mount.</summary>
    public sealed record Image(HostPath Source, string Type, GuestPath Target, MountOptions Options, bool MapIds) : WorldStep;

    /// <summary>The default device nodes and links below /dev, and further ones.</summary>
    public sealed record Devices(ImmutableArray<DeviceSpec> Further) : WorldStep;

    /// <summary>Prepares a mount that the tail attaches, because it lies below one that only the tail can make.</summary>
    public sealed record Prepare(int Number, WorldStep Mount) : WorldStep;

    /// <summary>A directory made fresh in the root with owner and mode, as services expect it below /run.</summary>
    public sealed record Directory(GuestPath Path, uint Uid, uint Gid, int Mode) : WorldStep;
}

/// <summary>One step of the tail.</summary>
public abstract record TailStep
{
    private TailStep() { }

    /// <summary>Moves itself into the capsule's control groups.</summary>
    public sealed record EnterCgroups : TailStep;
    /// <summary>
    /// Makes the time namespace of the processes to come and sets its clocks: that goes only while nobody is in it, and before the user
    /// namespace is joined, whose root may not write the file.
    /// </summary>
    public sealed record ShiftClocks(ClockOffsets Offsets) : TailStep;
    /// <summary>Joins namespaces held by a file.</summary>
    public sealed record Join(NamespaceKind Kind, HostPath File) : TailStep;
    /// <summary>Joins all namespaces of a running process.</summary>
    public sealed record JoinProcess(ImmutableArray<NamespaceKind> Kinds) : TailStep;
    /// <summary>Takes ids 0:0 of its user namespace.</summary>
    public sealed record BecomeRoot : TailStep;
    /// <summary>Clones the capsule's first process.</summary>
    public sealed record NewProcess(ImmutableArray<NamespaceKind> Fresh) : TailStep;
    /// <summary>Clones a service as a child of the capsule's PID 1.</summary>
    public sealed record NewService(int BoardEntry, int Generation) : TailStep;
    /// <summary>Waits until the engine has written the maps of the user namespace.</summary>
    public sealed record WaitForMaps : TailStep;
    /// <summary>Waits until the engine has run what is to run before the root is switched.</summary>
    public sealed record WaitForHooks : TailStep;
    /// <summary>setsid(2).</summary>
    public sealed record NewSession : TailStep;
    /// <summary>pivot_root(2).</summary>
    public sealed record SwitchRoot(bool BindFirst) : TailStep;
    /// <summary>A file system of the new namespaces, opened while the host's is still visible.</summary>
    public sealed record OpenFileSystem(int Number, string Type, MountFlags Flags, ImmutableArray<(string Key, string? Value)> Data) : TailStep;
    /// <summary>Attaches one of those.</summary>
    public sealed record AttachFileSystem(int Number, GuestPath Target) : TailStep;
    /// <summary>Attaches a mount that the world prepared.</summary>
    public sealed record AttachPrepared(int Number, GuestPath Target) : TailStep;
    /// <summary>/sys/class with a dmi of the capsule's own, on a host that has none.</summary>
    public sealed record ShowDmi(int Prepared) : TailStep;
    /// <summary>sethostname(2).</summary>
    public sealed record SetHostName(string Name) : TailStep;
    /// <summary>setdomainname(2).</summary>
    public sealed record SetDomainName(string Name) : TailStep;
    /// <summary>Brings up a new network namespace's loopback.</summary>
    public sealed record LoopbackUp : TailStep;
    /// <summary>Writes a kernel parameter.</summary>
    public sealed record Sysctl(GuestPath File, string Value) : TailStep;
    /// <summary>Makes a path read-only.</summary>
    public sealed record MakeReadOnly(GuestPath Path) : TailStep;
    /// <summary>Makes the root read-only.</summary>
    public sealed record MakeRootReadOnly : TailStep;
    /// <summary>Hides a path.</summary>
    public sealed record Hide(GuestPath Path) : TailStep;
    /// <summary>Tells that all is made, and waits for the start signal.</summary>
    public sealed record WaitForStart : TailStep;
    /// <summary>Stays as PID 1 for good.</summary>
    public sealed record BecomeInit(int BoardEntries) : TailStep;
    /// <summary>Streams of the new process, as the engine has them.</summary>
    public sealed record TakeStreams(bool Terminal, uint Uid) : TailStep;
    /// <summary>setrlimit(2).</summary>
    public sealed record Limit(string Name, ulong Soft, ulong Hard) : TailStep;
    /// <summary>oom_score_adj; refused to lower it without privilege, which is a warning.</summary>
    public sealed record OomScore(int Value) : TailStep;
    /// <summary>setpriority(2).</summary>
    public sealed record NiceLevel(int Value) : TailStep;
    /// <summary>Drops what is not in the bounding set.</summary>
    public sealed record BoundCapabilities(ImmutableArray<string> Bounding) : TailStep;
    /// <summary>PR_SET_NO_NEW_PRIVS.</summary>
    public sealed record NoNewPrivileges : TailStep;
    /// <summary>Installs the filter of system calls.</summary>
    public sealed record Seccomp(SeccompSpec Spec) : TailStep;
    /// <summary>Puts a filter in place by which look-ups of paths are told, and waits until somebody listens.</summary>
    public sealed record WatchLookUps : TailStep;
    /// <summary>Changes user and groups, then sets capabilities.</summary>
    public sealed record BecomeUser(uint Uid, uint Gid, ImmutableArray<uint> Groups, CapabilitySets Capabilities) : TailStep;
    /// <summary>umask(2).</summary>
    public sealed record Umask(int Value) : TailStep;
    /// <summary>chdir(2).</summary>
    public sealed record WorkingDirectory(GuestPath Path) : TailStep;
    /// <summary>execve(2), trying each candidate in turn.</summary>
    public sealed record Execute(ImmutableArray<string> Candidates, ImmutableArray<string> Arguments, ImmutableArray<string> Environment) : TailStep
    {
        /// <summary>The process's own filters of system calls, put in place last of all: they may allow little but execve.</summary>
        public ImmutableArray<SeccompSpec> Filters { get; init; } = [];
    }
}
