using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Facts;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Networking;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Stacks;

/// <summary>A stack that is up: what a launch needs of it.</summary>
/// <param name="Record">The stack, with the identity in force.</param>
/// <param name="Namespaces">The pinned namespaces.</param>
/// <param name="Slot">Directory of its files: run/, files/, dmi/.</param>
/// <param name="SharedMemory">Where its /dev/shm is mounted.</param>
/// <param name="IdentityFiles">Files to be seen inside.</param>
/// <param name="HasDmi">Whether dmi/ holds values of its own.</param>
public sealed record StackUp(StackRecord Record, ImmutableArray<NamespaceSpec> Namespaces, string Slot, string SharedMemory, ImmutableArray<(GuestPath Path, HostPath File)> IdentityFiles, bool HasDmi)
{
    /// <summary>Whether its capsules share one PID 1.</summary>
    public bool SharesProcesses => Namespaces.Any(n => n.Kind == NamespaceKind.Pid);

    /// <summary>The map of its users.</summary>
    public ImmutableArray<IdMapping> Users => [.. Record.UserMap.Select(e => new IdMapping(e.Inside, e.Outside, e.Count))];

    /// <summary>The map of its groups.</summary>
    public ImmutableArray<IdMapping> Groups => [.. Record.GroupMap.Select(e => new IdMapping(e.Inside, e.Outside, e.Count))];
}

/// <summary>
/// Brings stacks up and down. What a stack shares (user, network, IPC and UTS namespace, /run, the files of its identity) is held by mounts and
/// files under its run directory, not by a process.
/// </summary>
/// <param name="layout">Where things are.</param>
public sealed class StackRunner(StoreLayout layout)
{
    private const uint FirstIdBase = 0x4000_0000; // far from accounts, subordinate ids (shadow-utils) and systemd-nspawn's range

    private readonly Dictionary<CapsuleName, (byte[] Bytes, StackRecord Record)> _read = [];
    private readonly StackNetwork _network = new(layout, stack => IsHeld(layout, stack));

    /// <summary>The stacks' networks.</summary>
    public StackNetwork Network => _network;

    /// <summary>The record of a stack; null when there is none.</summary>
    /// <exception cref="CapsuleException">The file is broken.</exception>
    public StackRecord? Find(CapsuleName name)
    {
        if (SmallFiles.TryRead(RecordFile(name)) is not { } bytes) return null;
        if (_read.TryGetValue(name, out var last) && last.Bytes.AsSpan().SequenceEqual(bytes)) return last.Record; // one start asks several times
        try
        {
            StackRecord record = StackRecord.FromJson(bytes);
            _read[name] = (bytes, record);
            return record;
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(RecordFile(name), FactText.Of(e)), e); }
    }

    /// <summary>All stacks.</summary>
    public ImmutableArray<StackRecord> List()
    {
        var stacks = ImmutableArray.CreateBuilder<StackRecord>();
        foreach (CapsuleName name in DirectoryNames.In(layout.Stacks))
            try
            {
                if (Find(name) is { } stack) stacks.Add(stack);
            }
            catch (CapsuleException) { } // a broken one does not stop the others; who needs it is told
        return stacks.ToImmutable();
    }

    /// <summary>The stack, or what would be made of it: with a range of ids that no other has.</summary>
    public StackRecord FindOrDraft(CapsuleName name, Identity source)
    {
        if (Find(name) is { } found) return found;
        var used = List().Select(s => s.IdBase).ToHashSet();
        uint idBase = FirstIdBase;
        while (used.Contains(idBase)) idBase += StackRecord.IdCount;
        return new() { Name = name, IdBase = idBase, Source = source };
    }

    /// <summary>The stack, made if it is not there, and changed.</summary>
    public StackRecord Ensure(CapsuleName name, Identity source, Func<StackRecord, StackRecord>? change = null)
    {
        SmallFiles.MakeDirectories(layout.Stacks);
        using Descriptor all = LockFile(layout.Stacks + "/.lock");
        StackRecord record = FindOrDraft(name, source);
        if (change is not null) record = change(record);
        Save(record);
        return record;
    }

    /// <summary>Writes the record, unless the file says the same: a write waits for the disk.</summary>
    public void Save(StackRecord record)
    {
        byte[] bytes = record.ToJson();
        if (SmallFiles.TryRead(RecordFile(record.Name)) is { } there && there.AsSpan().SequenceEqual(bytes)) return;
        SmallFiles.MakeDirectories(layout.Stack(record.Name));
        SmallFiles.Write(RecordFile(record.Name), bytes);
    }

    /// <summary>Excludes other changes to this stack, until the descriptor is closed.</summary>
    public Descriptor Lock(CapsuleName name)
    {
        string file = layout.Stack(name) + "/lock";
        while (true)
        {
            SmallFiles.MakeDirectories(layout.Stack(name));
            try
            {
                Descriptor held = LockFile(file);
                if (FileCalls.TryStat(null, file)?.Inode == FileCalls.Stat(held).Inode) return held;
                held.Dispose(); // the stack was removed while we waited
            }
            catch (SyscallException e) when (e.Errno == Errno.ENOENT) { } // or before that
        }
    }

    /// <summary>What is there of a stack that has no record: its maker or its remover was killed. The caller holds the stack's lock.</summary>
    internal void RemoveIfUnknown(CapsuleName name)
    {
        using Descriptor all = LockFile(layout.Stacks + "/.lock"); // under which records come
        if (LastChange(name) is null) RemovePlace(name);
    }

    private void RemovePlace(CapsuleName name) => SmallFiles.RemoveAtOnce(layout.Stack(name), layout.Temporary); // whoever makes something in it meanwhile makes it in another one

    /// <summary>When its record was written; null when it has none.</summary>
    internal DateTimeOffset? LastChange(CapsuleName name) => FileCalls.TryStat(null, RecordFile(name)) is { } status ? DateTimeOffset.FromUnixTimeSeconds(status.Modified.Seconds) : null;

    /// <summary>Whether its namespaces are pinned.</summary>
    public bool IsUp(CapsuleName name) => FileCalls.TryStat(null, UpMark(name)) is not null;

    /// <summary>Whether it is up, or somebody is just bringing it up or down: then what it has is not left over.</summary>
    internal static bool IsHeld(StoreLayout layout, CapsuleName name)
    {
        if (FileCalls.TryStat(null, layout.RunOfStack(name) + "/up") is not null) return true;
        return SmallFiles.IsLocked(layout.Stack(name) + "/lock");
    }

    /// <summary>Brings the stack up, unless it is. Call it with the stack's lock.</summary>
    /// <param name="record">The stack.</param>
    /// <param name="keepRun">See <see cref="Down"/>.</param>
    /// <exception cref="CapsuleException">Its identity is held elsewhere, or a step failed; what was made is taken away again.</exception>
    public (StackUp Up, ImmutableArray<Warning> Warnings) Up(StackRecord record, bool keepRun = false)
    {
        if (IsUp(record.Name)) return (Describe(record), []);
        if (FileCalls.TryStat(null, layout.RunOfStack(record.Name)) is not null) Down(record.Name, keepRun); // of a life that ended without goodbye, or whose /run others see
        using var rollback = new Rollback();
        SmallFiles.MakeDirectories(layout.RunOfStack(record.Name));
        IdentityPlan plan = _network.Claim(record.ToRequest(Others(record.Name)), rollback);
        rollback.Add(() => Down(record.Name, keepRun));

        bool ownNetwork = record.Network.Kind != NetworkKind.Host;
        NamespaceKinds kinds = NamespaceKinds.Ipc | NamespaceKinds.Uts | (ownNetwork ? NamespaceKinds.Network : NamespaceKinds.None);
        try
        {
            foreach (var (kind, file) in Pins(record.Name, kinds)) MakeEmptyFile(file);
            NamespaceHolder.Make(kinds, record.UserMap, record.GroupMap, plan.Identity.HostName, kind => PinOf(record.Name, kind));
            if (ownNetwork)
                using (Descriptor space = FileCalls.Open(PinOf(record.Name, NamespaceKinds.Network), OpenFlags.ReadOnly)) _network.Apply(plan.Network, space);
        }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("make the namespaces of the stack", e.Message), e); }
        catch (TailException e) { throw new CapsuleException(Problems.LaunchFailed(e.Step, Errno.Name(e.Errno)), e); }

        WriteFiles(record.Name, plan);
        MakeSharedMemory(record);
        record = record with { Identity = plan.Identity };
        Save(record);
        SmallFiles.Write(UpMark(record.Name), "up\n"u8, durable: false); // last: from here on it counts as up
        rollback.Commit();
        return (Describe(record), plan.Warnings);
    }

    /// <summary>Takes the stack down. Call it with the stack's lock, when no member runs. Nothing happens when it is not up.</summary>
    /// <param name="name">The stack.</param>
    /// <param name="keepRun">Its /run and shared memory stay, because others see it through links: what they see is there again when it comes up again.</param>
    public void Down(CapsuleName name, bool keepRun = false)
    {
        FileCalls.Remove(null, UpMark(name));
        if (FileCalls.TryStat(null, PinOf(name, NamespaceKinds.Pid)) is not null)
        {
            Cgroup group = StackInit.GroupOf(layout, name);
            group.Kill(); // PID 1 of the stack
            group.RemoveWithPatience();
        }
        _network.Release(name);
        string run = layout.RunOfStack(name);
        foreach (var (_, file) in Pins(name, All))
            while (MountCalls.Detach(file)) { }
        FileCalls.Remove(null, PinOf(name, NamespaceKinds.Pid)); // its being there says that the stack has one
        if (keepRun)
        {
            SmallFiles.RemoveTree(SlotOf(name) + "/files");
            SmallFiles.RemoveTree(SlotOf(name) + "/dmi");
            return;
        }
        while (MountCalls.Detach(SharedMemoryOf(name))) { }
        SmallFiles.RemoveTree(SlotOf(name));
        SmallFiles.RemoveTree(run);
    }

    /// <summary>Removes a stack that is down: its identity is nobody's any more.</summary>
    /// <param name="name">The stack.</param>
    /// <param name="isStill">Asked once more when nobody else can change it: whether it is to go.</param>
    public void Remove(CapsuleName name, Func<bool>? isStill = null)
    {
        using (Lock(name))
        {
            if (isStill?.Invoke() == false) return;
            Down(name);
            _network.Forget(name);
            RemovePlace(name);
        }
    }

    /// <summary>A stack that is up.</summary>
    public StackUp Describe(StackRecord record)
    {
        string slot = SlotOf(record.Name), files = slot + "/files";
        var namespaces = ImmutableArray.CreateBuilder<NamespaceSpec>();
        foreach (var (kind, file) in Pins(record.Name, All))
            if (FileCalls.TryStat(null, file) is not null) namespaces.Add(new(KindOf(kind), new HostPath(file)));
        var identity = ImmutableArray.CreateBuilder<(GuestPath, HostPath)>();
        if (SmallFiles.TryRead(files + "/list") is { } list)
            foreach (string line in System.Text.Encoding.UTF8.GetString(list).Split('\n', StringSplitOptions.RemoveEmptyEntries))
                identity.Add((GuestPath.Parse(line), new HostPath($"{files}/{identity.Count}")));
        return new(record, namespaces.ToImmutable(), slot, SharedMemoryOf(record.Name), identity.ToImmutable(), FileCalls.TryStat(null, slot + "/dmi") is not null);
    }

    /// <summary>Addresses of other stacks that are up, by the names of their capsules' stack.</summary>
    private IEnumerable<(string Name, IPAddress Address)> Others(CapsuleName name) =>
        List().Where(s => s.Name != name && IsUp(s.Name) && s.Identity is not null).SelectMany(s => s.Identity!.Interfaces.SelectMany(i => i.Addresses).Take(1).Select(a => (s.Name.ToString(), a.Address)));

    /// <summary>
    /// One for all capsules of the stack, as for all programs of one machine. Its files have the kernel's ids, not the capsules': they are gone before a number can change,
    /// and a capsule of another stack that uses it keeps its own users in it.
    /// </summary>
    private void MakeSharedMemory(StackRecord record)
    {
        string at = SharedMemoryOf(record.Name);
        if (IsMount(at)) return; // kept for others who use it
        SmallFiles.MakeDirectories(at);
        using Descriptor memory = MountCalls.New("tmpfs", MountAttributes.NoSuid | MountAttributes.NoDevices | MountAttributes.NoExec, ("source", "shm"), ("mode", "1777"), ("size", "25%"), ("uid", $"{record.UserMap.Outside(0)}"), ("gid", $"{record.GroupMap.Outside(0)}"));
        MountCalls.Attach(memory, null, at);
    }

    private void WriteFiles(CapsuleName name, IdentityPlan plan)
    {
        string slot = SlotOf(name), files = slot + "/files";
        SmallFiles.MakeDirectories(files);
        SmallFiles.MakeDirectories(slot + "/run");
        SmallFiles.MakeDirectories(slot + "/run/lock");
        FileCalls.ChangeMode(null, slot + "/run/lock", 0x3FF);
        var list = new System.Text.StringBuilder();
        int number = 0;
        foreach (IdentityFile file in plan.Files.Append(new(GuestPath.Parse("/proc/sys/kernel/random/boot_id"), System.Text.Encoding.UTF8.GetBytes(plan.BootId + "\n"), 0x124)))
        {
            SmallFiles.WriteNew($"{files}/{number++}", file.Content.Span, file.Mode);
            list.Append(file.Path).Append('\n');
        }
        SmallFiles.WriteNew(files + "/list", System.Text.Encoding.UTF8.GetBytes(list.ToString()), 0x1A4);

        string dmi = slot + "/dmi";
        SmallFiles.MakeDirectories(dmi + "/dmi/id");
        foreach (DmiFile file in plan.Dmi) SmallFiles.WriteNew($"{dmi}/dmi/id/{file.Name}", System.Text.Encoding.UTF8.GetBytes(file.Content), file.Mode);
    }

    /// <summary>Files that are shown through the map of ids: on the run directory's tmpfs where that can be mapped, else on the state's file system.</summary>
    private string SlotOf(CapsuleName name) =>
        Host.Kernel.Has(KernelFeature.IdMappedTmpfs) ? layout.RunOfStack(name) + "/slot" : layout.Stack(name) + "/slot";

    private const NamespaceKinds All = NamespaceKinds.User | NamespaceKinds.Network | NamespaceKinds.Ipc | NamespaceKinds.Uts | NamespaceKinds.Pid;

    private bool IsMount(string at) => FileCalls.TryStat(null, at) is { } there && there.Device != FileCalls.TryStat(null, layout.Run)?.Device;

    /// <summary>Where the shared memory of a stack that is up is mounted.</summary>
    internal string SharedMemoryOf(CapsuleName name) => layout.RunOfStack(name) + "/shm";

    private static readonly (NamespaceKinds Kind, string Name, NamespaceKind Spec)[] Kinds =
    [
        (NamespaceKinds.User, "user", NamespaceKind.User), (NamespaceKinds.Network, "net", NamespaceKind.Network),
        (NamespaceKinds.Ipc, "ipc", NamespaceKind.Ipc), (NamespaceKinds.Uts, "uts", NamespaceKind.Uts), (NamespaceKinds.Pid, "pid", NamespaceKind.Pid),
    ];

    private IEnumerable<(NamespaceKinds Kind, string File)> Pins(CapsuleName name, NamespaceKinds kinds) =>
        Kinds.Where(k => kinds.HasFlag(k.Kind) || k.Kind == NamespaceKinds.User).Select(k => (k.Kind, PinOf(name, k.Kind)));

    /// <summary>The file on which a namespace of a stack is held.</summary>
    internal string PinOf(CapsuleName name, NamespaceKinds kind) => $"{layout.RunOfStack(name)}/{Kinds.First(k => k.Kind == kind).Name}";
    private static NamespaceKind KindOf(NamespaceKinds kind) => Kinds.First(k => k.Kind == kind).Spec;
    private string RecordFile(CapsuleName name) => layout.Stack(name) + "/stack.json";
    private string UpMark(CapsuleName name) => layout.RunOfStack(name) + "/up";

    private static void MakeEmptyFile(string path)
    {
        if (FileCalls.TryStat(null, path) is null) FileCalls.MakeNode(null, path, FileKind.Regular, 0x180);
    }

    private static Descriptor LockFile(string path)
    {
        Descriptor file = FileCalls.Open(path, OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(file, exclusive: true, wait: true);
        return file;
    }
}
