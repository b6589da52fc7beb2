using System.Collections.Immutable;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Oci;

namespace Capsules.Core.Capture;

/// <summary>
/// The filters of system calls that a unit asks for (systemd.exec(5): SystemCallFilter=, SystemCallArchitectures=, RestrictAddressFamilies=,
/// RestrictNamespaces=, RestrictRealtime=, RestrictSUIDSGID=, MemoryDenyWriteExecute=, LockPersonality=). The kernel asks every filter of a
/// process and takes the strictest answer, so these stand beside the capsule's own.
/// </summary>
public static class UnitFilters
{
    private const int Eperm = 1, Enosys = 38, Eafnosupport = 97;
    private const string Allow = "SCMP_ACT_ALLOW", Fail = "SCMP_ACT_ERRNO", Kill = "SCMP_ACT_KILL_PROCESS";
    private const string Equal = "SCMP_CMP_EQ", NotEqual = "SCMP_CMP_NE", Masked = "SCMP_CMP_MASKED_EQ";

    private static readonly ImmutableArray<string> Native = ["SCMP_ARCH_X86_64"], Both = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"];

    /// <summary>Families by name (address_families(7)), with their numbers (linux/socket.h).</summary>
    private static readonly ImmutableArray<(string Name, ulong Number)> Families =
    [
        ("AF_UNIX", 1), ("AF_LOCAL", 1), ("AF_INET", 2), ("AF_AX25", 3), ("AF_IPX", 4), ("AF_APPLETALK", 5), ("AF_X25", 9), ("AF_INET6", 10), ("AF_DECnet", 12), ("AF_KEY", 15),
        ("AF_NETLINK", 16), ("AF_PACKET", 17), ("AF_RDS", 21), ("AF_PPPOX", 24), ("AF_LLC", 26), ("AF_IB", 27), ("AF_MPLS", 28), ("AF_CAN", 29), ("AF_TIPC", 30), ("AF_BLUETOOTH", 31),
        ("AF_ALG", 38), ("AF_VSOCK", 40), ("AF_KCM", 41), ("AF_XDP", 44),
    ];

    /// <summary>CLONE_NEW* by the names of RestrictNamespaces=.</summary>
    private static readonly ImmutableArray<(string Name, ulong Flag)> Namespaces =
        [("cgroup", 0x02000000), ("ipc", 0x08000000), ("net", 0x40000000), ("mnt", 0x00020000), ("pid", 0x20000000), ("user", 0x10000000), ("uts", 0x04000000), ("time", 0x80)];

    /// <summary>The filters of a unit; none when it asks for none.</summary>
    /// <param name="file">The unit with its drop-ins.</param>
    /// <param name="note">Told of what cannot be done as the unit says.</param>
    public static ImmutableArray<SeccompSpec> Of(UnitFile file, Action<string> note)
    {
        bool nativeOnly = file.Words("Service", "SystemCallArchitectures") is { IsEmpty: false } architectures && architectures.All(a => a is "native" or "x86-64");
        var filters = ImmutableArray.CreateBuilder<SeccompSpec>();
        SeccompSpec? calls = Calls(file, note);
        SeccompCall[] restrictions =
        [
            .. AddressFamilies(file, note), .. RestrictedNamespaces(file, note), .. file.Flag("Service", "RestrictRealtime") is true ? Realtime() : [],
            .. file.Flag("Service", "RestrictSUIDSGID") is true ? SetIds() : [], .. file.Flag("Service", "MemoryDenyWriteExecute") is true ? WriteExecute() : [],
            .. file.Flag("Service", "LockPersonality") is true ? Personality() : [],
        ];
        if (restrictions.Length > 0 || (nativeOnly && calls is null)) filters.Add(new(Allow, null, nativeOnly ? Native : Both, [], [.. restrictions]));
        if (calls is not null) filters.Add(calls with { Architectures = nativeOnly ? Native : Both }); // last: it may not allow seccomp(2) itself
        return filters.ToImmutable();
    }

    /// <summary>SystemCallFilter=: the first line decides whether its names are allowed or refused; later ones add, and with ~ the other way.</summary>
    private static SeccompSpec? Calls(UnitFile file, Action<string> note)
    {
        bool? allows = null;
        var named = new Dictionary<string, string?>(StringComparer.Ordinal); // with the answer that is written behind a colon
        foreach (string line in file.All("Service", "SystemCallFilter"))
        {
            bool refuses = line.StartsWith('~');
            if (allows is null)
            {
                allows = !refuses;
                if (!refuses) Add("@default", null);
            }
            foreach (string word in UnitText.Words(refuses ? line[1..] : line))
            {
                string[] parts = word.Split(':', 2);
                if (refuses == allows) Remove(parts[0]);
                else Add(parts[0], parts.Length > 1 ? parts[1] : null);
            }
        }
        if (allows is null) return null;
        (string Action, int? Errno) otherwise = Answer(file.Last("Service", "SystemCallErrorNumber")) ?? (Kill, null);
        if (allows is false)
            return new(Allow, null, [], [], [.. named.GroupBy(n => n.Value).Select(g => (Names: g.Select(n => n.Key).Order(StringComparer.Ordinal), Answer: Answer(g.Key) ?? otherwise))
                .Select(g => new SeccompCall([.. g.Names], g.Answer.Action, g.Answer.Errno, []))]);
        // What systemd does not know at all fails as on an older kernel (since 247), so that programs fall back.
        return new(Fail, Enosys, [], [],
        [
            new([.. named.Where(n => n.Value is null).Select(n => n.Key).Order(StringComparer.Ordinal)], Allow, null, []),
            // A name with an answer of its own is not allowed, it fails in that way.
            .. named.Where(n => n.Value is not null).OrderBy(n => n.Key, StringComparer.Ordinal).Select(n => (n.Key, Answer: Answer(n.Value)!.Value)).Select(n => new SeccompCall([n.Key], n.Answer.Action, n.Answer.Errno, [])),
            new([.. SyscallSets.Find("known")!.Except(named.Keys).Order(StringComparer.Ordinal)], otherwise.Action, otherwise.Errno, []),
        ]);

        void Add(string name, string? answer)
        {
            foreach (string call in Members(name)) named[call] = answer;
        }
        void Remove(string name)
        {
            foreach (string call in Members(name)) named.Remove(call);
        }
        IEnumerable<string> Members(string name)
        {
            if (!name.StartsWith('@')) return [name];
            if (SyscallSets.Find(name[1..]) is { } set) return set;
            note($"SystemCallFilter= names {name}, a set that is not known here; it is passed over");
            return [];
        }
    }

    /// <summary>An errno by name or number, or "kill".</summary>
    private static (string Action, int? Errno)? Answer(string? text) => text switch
    {
        null => null,
        "kill" => (Kill, null),
        _ when int.TryParse(text, out int number) && number is > 0 and < 4096 => (Fail, number),
        "EPERM" => (Fail, Eperm),
        "EACCES" => (Fail, 13),
        "ENOSYS" => (Fail, Enosys),
        "EINVAL" => (Fail, 22),
        "EUCLEAN" => (Fail, 117),
        "EAFNOSUPPORT" => (Fail, Eafnosupport),
        _ => (Fail, Eperm),
    };

    private static IEnumerable<SeccompCall> AddressFamilies(UnitFile file, Action<string> note)
    {
        string[] lines = [.. file.All("Service", "RestrictAddressFamilies")];
        if (lines.Length == 0) return [];
        if (lines is ["none"]) return [new(["socket"], Fail, Eafnosupport, [])];
        bool refuses = lines[0].StartsWith('~'); // the first line decides; one of the other kind takes away again
        var numbers = new HashSet<ulong>();
        foreach (var (word, adds) in lines.SelectMany(l => UnitText.Words(l.TrimStart('~')).Select(w => (w, l.StartsWith('~') == refuses))))
            if (Families.FirstOrDefault(f => f.Name == word) is { Name: not null } family) _ = adds ? numbers.Add(family.Number) : numbers.Remove(family.Number);
            else note($"RestrictAddressFamilies= names {word}, a family that is not known here; it is passed over");
        return refuses
            ? numbers.Order().Select(n => new SeccompCall(["socket"], Fail, Eafnosupport, [new(0, n, 0, Equal)]))
            : [new(["socket"], Fail, Eafnosupport, [.. numbers.Order().Select(n => new SeccompArgument(0, n, 0, NotEqual))])];
    }

    private static IEnumerable<SeccompCall> RestrictedNamespaces(UnitFile file, Action<string> note)
    {
        if (file.Last("Service", "RestrictNamespaces") is not { } text) return [];
        bool? all = file.Flag("Service", "RestrictNamespaces");
        if (all is false) return [];
        string[] words = all is true ? [] : [.. UnitText.Words(text.TrimStart('~'))];
        foreach (string word in words.Where(w => !Namespaces.Any(n => n.Name == w))) note($"RestrictNamespaces= names {word}, which is no kind of namespace");
        bool namesRefused = text.StartsWith('~');
        ulong[] refused = [.. Namespaces.Where(n => words.Contains(n.Name) == namesRefused).Select(n => n.Flag)];
        if (refused.Length == 0) return [];
        return
        [
            .. refused.Select(f => new SeccompCall(["unshare", "clone"], Fail, Eperm, [new(0, f, f, Masked)])),
            // setns(2) with 0 joins whatever the descriptor is; with every kind refused there is nothing to join.
            .. refused.Length == Namespaces.Length ? [new SeccompCall(["setns"], Fail, Eperm, [])] : refused.Select(f => new SeccompCall(["setns"], Fail, Eperm, [new(1, f, f, Masked)])).Append(new(["setns"], Fail, Eperm, [new(1, 0, 0, Equal)])),
            new(["clone3"], Fail, Enosys, []), // its flags are in memory, where no filter looks; the C library falls back to clone
        ];
    }

    /// <summary>sched(7): what is neither SCHED_OTHER, SCHED_BATCH nor SCHED_IDLE.</summary>
    private static IEnumerable<SeccompCall> Realtime() => [new(["sched_setscheduler"], Fail, Eperm, [new(1, 0, 0, NotEqual), new(1, 3, 0, NotEqual), new(1, 5, 0, NotEqual)])];

    private static IEnumerable<SeccompCall> SetIds()
    {
        const ulong create = 0x40; // O_CREAT
        foreach (ulong bit in (ulong[])[0x800, 0x400]) // S_ISUID, S_ISGID
        {
            SeccompArgument Mode(int index) => new(index, bit, bit, Masked);
            yield return new(["chmod", "fchmod", "mkdir", "mknod", "creat"], Fail, Eperm, [Mode(1)]);
            yield return new(["fchmodat", "fchmodat2", "mkdirat", "mknodat"], Fail, Eperm, [Mode(2)]);
            yield return new(["open"], Fail, Eperm, [new(1, create, create, Masked), Mode(2)]);
            yield return new(["openat"], Fail, Eperm, [new(2, create, create, Masked), Mode(3)]);
        }
        yield return new(["openat2"], Fail, Enosys, []); // its mode is in memory
    }

    private static IEnumerable<SeccompCall> WriteExecute()
    {
        const ulong write = 2, execute = 4, executeSegment = 0x8000; // PROT_WRITE, PROT_EXEC, SHM_EXEC
        yield return new(["mmap", "mmap2"], Fail, Eperm, [new(2, write | execute, write | execute, Masked)]);
        yield return new(["mprotect", "pkey_mprotect"], Fail, Eperm, [new(2, execute, execute, Masked)]);
        yield return new(["shmat"], Fail, Eperm, [new(2, executeSegment, executeSegment, Masked)]);
    }

    /// <summary>personality(2): the query, and Linux, which every process here begins with.</summary>
    private static IEnumerable<SeccompCall> Personality() => [new(["personality"], Fail, Eperm, [new(0, 0, 0, NotEqual), new(0, 0xFFFFFFFF, 0, NotEqual)])];
}
