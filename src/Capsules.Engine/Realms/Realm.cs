using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Realms;

/// <summary>
/// Where a user who is not root is root (docs/adr/0015): a user namespace with his subordinate ids, a mount namespace and a network namespace, held by a
/// process as long as the machine runs or somebody kills it. Commands go in by becoming themselves once more in there.
/// </summary>
public sealed class Realm
{
    /// <summary>The variable by which a process knows the realm that it is in: the number that its user has outside.</summary>
    internal const string Mark = "CAPSULE_REALM";

    private const string Refused = "CAPSULE_REALM_REFUSED";

    private readonly StoreLayout _layout;
    private readonly RealmUser _user;

    private Realm(StoreLayout layout, uint uid) => (_layout, _user) = (layout, RealmUser.Read(uid));

    /// <summary>The number that the user of this realm has outside; null when this process is in none.</summary>
    public static uint? UserOfThis => uint.TryParse(Environment.GetEnvironmentVariable(Mark), out uint uid) && !Host.IsInitial ? uid : null;

    /// <summary>Whether this process is in the realm of a user.</summary>
    public static bool IsThis => UserOfThis is not null;

    /// <summary>This command, once more, in the realm of its user, which is made when it is not there. Returns only by an exception.</summary>
    /// <exception cref="CapsuleException">The realm cannot be had.</exception>
    /// <param name="reconnect">Whether a connection with the world outside is made where there is none any more.</param>
    public static void Enter(bool reconnect = false)
    {
        StoreLayout layout = StoreLayout.Default();
        int attempt = int.TryParse(Environment.GetEnvironmentVariable(Refused), out int before) ? before + 1 : 1;
        NativePath directory = FileCalls.ReadLink(null, "/proc/self/cwd");
        if (ProcessCalls.IsRoot || attempt > 3) throw new CapsuleException(Problems.RealmNotMade($"enter {(ProcessCalls.IsRoot ? $"the directory {directory}" : "its namespaces")}", "the kernel refused it"));
        var realm = new Realm(layout, ProcessCalls.UserId);
        if (realm.Read() is null && realm._user.Lacks is { } lacks) throw new CapsuleException(Problems.NoSubordinateIds(realm._user.Name, lacks)); // before anything is made
        StorePlaces.Prepare(layout);
        using Descriptor process = realm.FindProcess() ?? realm.Make();
        if (reconnect) realm.Reconnect();
        using Descriptor program = FileCalls.Open("/proc/self/exe", OpenFlags.PathOnly);
        string[] Variables(params (string Name, string Value)[] own) =>
        [
            .. Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>().Where(v => (string)v.Key != Refused && !own.Any(o => o.Name == (string)v.Key)).Select(v => $"{v.Key}={v.Value}"),
            .. own.Select(o => $"{o.Name}={o.Value}"),
        ];
        RealmHolder.Enter(process, program, Environment.GetCommandLineArgs(),
            Variables((Mark, $"{ProcessCalls.UserId}"), ("CAPSULE_STATE", layout.State), ("CAPSULE_RUN", layout.Run)), directory, Variables((Refused, $"{attempt}")));
    }

    /// <summary>Whether entering was tried in vain, so that this process is root of a realm where it does not belong.</summary>
    public static bool WasRefused => Environment.GetEnvironmentVariable(Refused) is not null;

    private string RecordFile => RealmRecord.FileOf(_layout);

    private RealmRecord? Read()
    {
        if (SmallFiles.TryRead(RecordFile) is not { } bytes) return null;
        try { return RealmRecord.FromJson(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(RecordFile, e.Message), e); }
    }

    /// <summary>The holder, without a lock: the usual case.</summary>
    private Descriptor? FindProcess() =>
        Read() is { HasPortGuard: true } record && record.Has(record.Holder) && ProcessCalls.TryOpenPidFd(record.Holder) is { } holder && record.Has(record.Holder) ? holder : null;

    private Descriptor Make()
    {
        using Descriptor held = Lock();
        if (FindProcess() is { } found) return found;
        try
        {
            RealmRecord? before = Read();
            if (before?.AnyProcess() is var (_, inhabitant))
                using (inhabitant) return Keep(before.Has(before.Holder) ? before : before with { Holder = RealmHolder.HoldThoseOf(inhabitant) });

            if (_user.Lacks is { } lacks) throw new CapsuleException(Problems.NoSubordinateIds(_user.Name, lacks));
            if (before is not null) RealmLeftovers.Clear(_layout, before);
            using Descriptor? users = RealmLeftovers.UserNamespaceOfLiving(_layout);
            int holder = RealmHolder.Make(users, _user.WriteMaps);
            return Keep(RealmRecord.Of(holder) with { Connection = RealmNetwork.Connect(_layout, holder) });
        }
        catch (TailException e) { throw new CapsuleException(Problems.RealmNotMade(e.Step, Errno.Name(e.Errno)), e); }
        catch (SyscallException e) { throw new CapsuleException(Problems.RealmNotMade("make it", e.Message), e); }
    }

    private void Reconnect()
    {
        using Descriptor held = Lock();
        if (Read() is { Connection: not { IsAlive: true } } record)
            SmallFiles.Write(RecordFile, (record with { Connection = RealmNetwork.Connect(_layout, record.Holder) }).ToJson(), 0x180, durable: false);
    }

    private Descriptor Lock()
    {
        Descriptor held = FileCalls.Open(_layout.Run + "/realm.lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(held, exclusive: true, wait: true);
        return held;
    }

    private Descriptor Keep(RealmRecord record)
    {
        Descriptor holder = ProcessCalls.OpenPidFd(record.Holder);
        bool guarded = record.HasPortGuard;
        if (!guarded)
        {
            int guard = StartPortGuard(holder);
            record = record with { PortGuard = guard, PortGuardStart = ProcessTable.TryRead(guard)?.StartTime ?? 0 };
        }
        SmallFiles.Write(RecordFile, record.ToJson(), 0x180, durable: false);
        if (!guarded && DirectoryNames.In(_layout.RunningStacks).Any()) PortDoor.Knock(_layout); // their ports come back
        return holder;
    }

    /// <summary>`capsule`, which this program is, or which lies beside it or in its usual place.</summary>
    private static string RuntimeProgram()
    {
        string here = Path.GetDirectoryName(Environment.ProcessPath) ?? "/usr/bin";
        return ((string[])[here + "/capsule", here + "/../../bin/capsule", "/usr/bin/capsule"]).FirstOrDefault(File.Exists) ?? "/proc/self/exe";
    }

    /// <summary>From here, for the relay is to listen in the network namespace that this command is in.</summary>
    private int StartPortGuard(Descriptor holder)
    {
        string door = PortDoor.Fifo(_layout);
        if (FileCalls.TryStat(null, door) is null) FileCalls.MakeNode(null, door, FileKind.Fifo, 0x180);
        using Descriptor fifo = FileCalls.Open(door, OpenFlags.ReadWrite);
        using Descriptor program = FileCalls.Open(RuntimeProgram(), OpenFlags.PathOnly);
        using Descriptor log = FileCalls.Open(_layout.Run + "/ports.log", OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180);
        return RealmHolder.StartBetween("capsule-ports", holder, fifo, program, ["capsule", "ports"],
            [$"{Mark}={ProcessCalls.UserId}", $"CAPSULE_STATE={_layout.State}", $"CAPSULE_RUN={_layout.Run}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"], log);
    }
}
