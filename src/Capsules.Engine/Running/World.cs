using Capsules.Core.Facts;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Sockets;
using Capsules.Linux.Terminals;

namespace Capsules.Engine.Running;

/// <summary>
/// The part of a launch that ordinary code does with ordinary errors: the capsule's root, complete except for what belongs to namespaces
/// that do not exist yet. Lives in the mount namespace of a throw-away thread; nothing mounted has to be undone when a step throws,
/// because the namespace goes away with the thread.
/// </summary>
internal sealed class World(LaunchPlan plan, HostPath runDirectory, IReadOnlyList<IdExtent> userMap, IReadOnlyList<IdExtent> groupMap, Descriptor? userNamespace) : IDisposable
{
    private readonly Dictionary<int, Descriptor> _prepared = [];

    /// <summary>Where the root is attached in the world's mount namespace.</summary>
    public string RootDirectory => runDirectory + "/root";

    /// <summary>Mounts that the tail attaches, by number.</summary>
    public IReadOnlyDictionary<int, Descriptor> Prepared => _prepared;

    /// <summary>The socket that becomes /dev/log; null for none. It is an entry like any other of /dev: a daemon that takes it over puts its own in the place.</summary>
    public Descriptor? SystemLog { get; init; }

    /// <summary>The pair of terminals, when one was asked for.</summary>
    public (Descriptor Master, Descriptor Slave)? Terminal { get; private set; }

    /// <summary>The step that is being applied, for the error of one that throws.</summary>
    public string Step => _step is WorldStep step ? LaunchPlanText.Of(step) : (string?)_step ?? "";

    private object? _step; // its text is made when somebody asks

    private uint RootUid => userMap.Outside(0) ?? 0;
    private uint RootGid => groupMap.Outside(0) ?? 0;

    /// <summary>
    /// The root with its state. With a peer it is attached on the host's side, shared, and what is returned is a slave of it: what is mounted
    /// below the host's side later arrives in the capsule; what the capsule mounts does not leave it.
    /// </summary>
    private Descriptor AttachPeer(WorldStep.Peer peer, Threads.PrivateMountNamespace here, Descriptor? gate)
    {
        using Descriptor root = MakeRoot();
        _step = peer;
        if (gate is not null) OpenGate.MarkAll(gate, root); // nobody has seen it yet
        return here.Outside(() =>
        {
            string at = peer.At.ToString();
            MountCalls.SetPropagation(root, Propagation.Shared, at);
            MountCalls.Attach(root, null, at);
            PeerIsAttached = true;
            using (Descriptor peerRoot = FileCalls.Open(at, OpenFlags.PathOnly | OpenFlags.Directory)) AsRoot(() => AttachAll(peerRoot, s => s is WorldStep.Bind { OnPeer: true }));
            Descriptor slave = MountCalls.Clone(null, at, recursive: true);
            MountCalls.SetPropagation(slave, Propagation.Slave, at, recursive: true);
            return slave;
        });
    }

    /// <summary>Whether the host's side of the root is there, to be taken away when a later step fails.</summary>
    public bool PeerIsAttached { get; private set; }

    /// <summary>Attaches the root and applies the steps; call it on a thread with its own mount namespace.</summary>
    public void Build(Threads.PrivateMountNamespace here, bool terminal, Descriptor? gate)
    {
        using (Descriptor root = plan.World.OfType<WorldStep.Peer>().FirstOrDefault() is { } peer ? AttachPeer(peer, here, gate) : MakeRoot()) MountCalls.Attach(root, null, RootDirectory);
        using Descriptor inside = FileCalls.Open(RootDirectory, OpenFlags.PathOnly | OpenFlags.Directory);
        AsRoot(() => Apply(inside, terminal));
    }

    /// <summary>With the file-system ids of the capsule's root: what is made belongs to it.</summary>
    private void AsRoot(Action work)
    {
        if (RootUid == 0) work();
        else Threads.WithFileSystemIds(RootUid, RootGid, () => { work(); return 0; });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Descriptor mount in _prepared.Values) mount.Dispose();
        Terminal?.Slave.Dispose();
    }

    private void Apply(Descriptor root, bool terminal)
    {
        AttachAll(root, s => s is not (WorldStep.Root or WorldStep.Peer or WorldStep.Bind { OnPeer: true }));
        if (!terminal) return;
        _step = "terminal";
        Terminal = PseudoTerminal.Open(root);
        ShowConsole(root, Terminal.Value.Master);
    }

    private void AttachAll(Descriptor root, Func<WorldStep, bool> which)
    {
        foreach (WorldStep step in plan.World)
        {
            if (!which(step)) continue;
            _step = step;
            switch (step)
            {
                case WorldStep.MountPoint point: BeneathRoot.MakeDirectories(root, point.Path).Dispose(); break;
                case WorldStep.Prepare prepare: _prepared[prepare.Number] = Make(prepare.Mount); break;
                case WorldStep.Devices devices: MakeDevices(root, devices); break;
                case WorldStep.Directory directory: MakeFresh(root, directory); break;
                default: AttachTo(root, step); break;
            }
        }
    }

    private Descriptor MakeRoot()
    {
        var root = plan.World.OfType<WorldStep.Root>().First();
        _step = root;
        if (root.Writable is not { } writable)
        {
            Descriptor clone = MountCalls.Clone(null, root.Lower[0].ToNative(), recursive: true);
            if (root.MapIds) MountCalls.MapIds(clone, userNamespace!, root.Lower[0].ToString());
            return clone;
        }
        // The disk holds capsule ids: every layer is seen through the map, and the overlay's mounter must be in it. The mapped copies are
        // attached below a tmpfs, since an overlay takes paths; they go away with this thread, the overlay keeps its own hold on them.
        string places = runDirectory + "/root";
        using (Descriptor room = MountCalls.New("tmpfs", MountAttributes.None, ("mode", "755"))) MountCalls.Attach(room, null, places);
        string upper = Show(writable, places + "/w", root.MapIds);
        for (int i = 0; i < root.Lower.Length; i++) Show(root.Lower[i], $"{places}/{i}", root.MapIds);
        (string, string?)[] options = [("upperdir", upper + "/upper"), ("workdir", upper + "/work"), .. MarkOptions, .. LayerOptions(places, Enumerable.Range(0, root.Lower.Length).Select(i => $"{i}"))];
        Descriptor Overlay() => MountCalls.New("overlay", MountAttributes.None, options);
        return Threads.InDirectory(places, () => RootUid == 0 ? Overlay() : Threads.WithFileSystemIds(RootUid, RootGid, Overlay));
    }

    /// <summary>
    /// Layers by their names in a directory, the topmost first, for a mount that is made there: fsconfig(2) takes 255 bytes for an option, so that all in one are named
    /// from where they are.
    /// </summary>
    internal static (string, string?)[] LayerOptions(string directory, IEnumerable<string> names) =>
        Host.Kernel.Has(KernelFeature.OverlayLayerByLayer) ? [.. names.Select(n => ("lowerdir+", (string?)$"{directory}/{n}"))] : [("lowerdir", string.Join(':', names))];

    /// <summary>Without CAP_SYS_ADMIN on the host an overlay keeps its marks in attributes of users (overlayfs.rst, User xattr).</summary>
    internal static (string, string?)[] MarkOptions => Host.IsInitial ? [] : [("userxattr", null)];

    private string Show(HostPath path, string at, bool mapped)
    {
        FileCalls.MakeDirectory(null, at);
        using Descriptor clone = MountCalls.Clone(null, path.ToNative());
        if (mapped) MountCalls.MapIds(clone, userNamespace!, path.ToString());
        MountCalls.Attach(clone, null, at);
        return at;
    }

    private void AttachTo(Descriptor root, WorldStep step)
    {
        using Descriptor mount = Make(step);
        GuestPath target = step is WorldStep.Bind bind ? bind.Target : step is WorldStep.Image image ? image.Target : ((WorldStep.FileSystem)step).Target;
        using Descriptor point = step is WorldStep.Bind && !FileCalls.Stat(mount).IsDirectory ? BeneathRoot.MakeFile(root, target) : BeneathRoot.MakeDirectories(root, target);
        if (step is WorldStep.FileSystem { Type: "tmpfs", Options.CopyUp: true }) CoveredFiles.Copy(point, mount);
        MountCalls.Attach(mount, point, "");
    }

    private Descriptor Make(WorldStep step) => step switch
    {
        WorldStep.Bind bind => MakeBind(bind),
        WorldStep.FileSystem fileSystem => MakeFileSystem(fileSystem),
        WorldStep.Image image => MakeImage(image),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private Descriptor MakeBind(WorldStep.Bind bind)
    {
        string source = bind.Source.ToString();
        Descriptor clone = MountCalls.Clone(null, source, bind.Options.Recursive);
        if (bind.MapIds && userNamespace is not null)
            try { MountCalls.MapIds(clone, userNamespace, source); }
            catch (SyscallException e) when (e.Errno == Errno.EINVAL && FileCalls.Stat(clone) is { Uid: 0, IsDirectory: false }) { } // a file of root's on a file system without idmaps (tmpfs before 6.3), read-only or a socket
        SetOptions(clone, bind.Options, source);
        return clone;
    }

    private Descriptor MakeImage(WorldStep.Image image)
    {
        var (path, device) = LoopDevice.Attach(image.Source.ToString());
        using (device)
        {
            Descriptor mount = MountCalls.New(image.Type, Flags(image.Options.Set), [("source", path), .. image.Options.Data]);
            if (image.MapIds && userNamespace is not null) MountCalls.MapIds(mount, userNamespace, path);
            return mount;
        }
    }

    private Descriptor MakeFileSystem(WorldStep.FileSystem step)
    {
        var data = new List<(string, string?)>();
        foreach (var (key, value) in step.Options.Data)
            data.Add(key switch // the kernel takes its own ids here, the specification gives the capsule's
            {
                "uid" => (key, $"{userMap.Outside(uint.Parse(value!)) ?? uint.Parse(value!)}"),
                "gid" => (key, $"{groupMap.Outside(uint.Parse(value!)) ?? uint.Parse(value!)}"),
                _ => (key, value),
            });
        if (step.Type == "tmpfs" && RootUid != 0)
        {
            if (!step.Options.Data.Any(d => d.Key == "uid")) data.Add(("uid", $"{RootUid}"));
            if (!step.Options.Data.Any(d => d.Key == "gid")) data.Add(("gid", $"{RootGid}"));
        }
        Descriptor mount = MountCalls.New(step.Type, Flags(step.Options.Set), [.. data]);
        if (step.Type == "devpts" && RootUid != 0)
        {
            FileCalls.ChangeOwner(mount, "", RootUid, RootGid);
            FileCalls.ChangeOwner(mount, "ptmx", RootUid, RootGid);
        }
        foreach (string name in step.Directories) FileCalls.MakeDirectory(mount, name);
        if (SystemLog is not null && step.Target.Bytes.SequenceEqual("/dev"u8)) UnixDatagram.Bind(SystemLog, mount, "log"); // before a directory of the host may lie over it
        if (step.Options.Propagation is not null) SetOptions(mount, new MountOptions { Propagation = step.Options.Propagation }, step.Type);
        return mount;
    }

    private static void SetOptions(Descriptor mount, MountOptions options, string subject)
    {
        if (options.Set != MountFlags.None || options.Clear != MountFlags.None)
            MountCalls.SetAttributes(mount, subject, Flags(options.Set), Flags(options.Clear), options.Recursive);
        if (options.Propagation is not { } word) return;
        bool recursive = word[0] == 'r';
        MountCalls.SetPropagation(mount, (recursive ? word[1..] : word) switch
        {
            "shared" => Propagation.Shared,
            "slave" => Propagation.Slave,
            "private" => Propagation.Private,
            _ => Propagation.Unbindable,
        }, subject, recursive);
    }

    private static MountAttributes Flags(MountFlags flags) => (MountAttributes)(int)flags; // the same bits: both are the kernel's

    private void MakeDevices(Descriptor root, WorldStep.Devices step)
    {
        using Descriptor directory = BeneathRoot.MakeDirectories(root, GuestPath.Parse("/dev"));
        using Descriptor dev = FileCalls.OpenResolved(root, "dev", OpenFlags.Directory | OpenFlags.ReadOnly, ResolveFlags.InRoot);
        foreach (var (name, major, minor) in DefaultDevices.Nodes) MakeNode(dev, name, FileKind.CharacterDevice, 0x1B6, major, minor, RootUid, RootGid);
        foreach (var (name, target) in DefaultDevices.Links)
        {
            if (FileCalls.TryStat(dev, name) is not null) continue;
            FileCalls.MakeSymbolicLink(target, dev, name);
        }
        foreach (var device in step.Further)
        {
            FileKind kind = device.Type switch { 'b' => FileKind.BlockDevice, 'p' => FileKind.Fifo, _ => FileKind.CharacterDevice };
            using Descriptor parent = BeneathRoot.MakeDirectories(root, device.Path.Parent);
            using Descriptor opened = FileCalls.OpenResolved(root, device.Path.Parent.BelowRoot(), OpenFlags.Directory | OpenFlags.ReadOnly, ResolveFlags.InRoot);
            MakeNode(opened, new NativePath(device.Path.Name), kind, device.Mode, device.Major, device.Minor, userMap.Outside(device.Uid) ?? RootUid, groupMap.Outside(device.Gid) ?? RootGid);
        }
    }

    private void MakeNode(Descriptor directory, NativePath name, FileKind kind, int mode, uint major, uint minor, uint uid, uint gid)
    {
        if (FileCalls.TryStat(directory, name) is { } existing)
        {
            if (existing.Kind == kind && existing.DeviceMajor == major && existing.DeviceMinor == minor) return; // a bundle may bring its own /dev
            FileCalls.Remove(directory, name, existing.IsDirectory);
        }
        if (!Host.IsInitial && kind is FileKind.CharacterDevice or FileKind.BlockDevice)
        {
            ShowDevice(directory, name, kind, major, minor);
            return;
        }
        FileCalls.MakeNode(directory, name, kind, mode, major, minor);
        if (RootUid != 0) FileCalls.ChangeOwner(directory, name, uid, gid);
    }

    /// <summary>Where no node may be made (mknod(2), EPERM in a user namespace), the host's own is shown.</summary>
    private static void ShowDevice(Descriptor directory, NativePath name, FileKind kind, uint major, uint minor)
    {
        NativePath ofHost = new NativePath("/dev").Append(name.Bytes);
        if (FileCalls.TryStat(null, ofHost) is not { } there || there.Kind != kind || there.DeviceMajor != major || there.DeviceMinor != minor) throw new SyscallException("mknod", $"{name} (and {ofHost} is not that device)", Errno.EPERM);
        using Descriptor device = MountCalls.Clone(null, ofHost);
        FileCalls.MakeNode(directory, name, FileKind.Regular, 0x1B6);
        MountCalls.Attach(device, directory, name);
    }

    /// <summary>/dev/console is the slave of the terminal.</summary>
    private static void ShowConsole(Descriptor root, Descriptor master)
    {
        using Descriptor terminals = FileCalls.OpenResolved(root, "dev/pts", OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot);
        using Descriptor slave = MountCalls.Clone(terminals, $"{PseudoTerminal.NumberOf(master)}");
        using Descriptor point = BeneathRoot.MakeFile(root, GuestPath.Parse("/dev/console"));
        MountCalls.Attach(slave, point, "");
    }

    private void MakeFresh(Descriptor root, WorldStep.Directory step)
    {
        BeneathRoot.MakeDirectories(root, step.Path).Dispose();
        using Descriptor directory = FileCalls.OpenResolved(root, step.Path.BelowRoot(), OpenFlags.Directory | OpenFlags.ReadOnly, ResolveFlags.InRoot);
        FileCalls.ChangeOwner(directory, "", userMap.Outside(step.Uid) ?? step.Uid, groupMap.Outside(step.Gid) ?? step.Gid);
        FileCalls.ChangeMode(directory, ".", step.Mode);
    }
}

/// <summary>What every /dev has (runtime-spec, config-linux.md, default devices).</summary>
internal static class DefaultDevices
{
    public static readonly (string Name, uint Major, uint Minor)[] Nodes =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

    public static readonly (string Name, string Target)[] Links =
        [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"), ("core", "/proc/kcore")];
}
