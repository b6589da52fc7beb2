using System.Collections.Immutable;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>
/// The filter of system calls that a capsule has unless told otherwise: the effect of podman's default profile for its default capabilities,
/// written the other way round. What is named here fails with EPERM, other calls that this program knows are allowed, and a call that it does
/// not know fails with ENOSYS, so that programs fall back as on an older kernel.
/// </summary>
public static class DefaultSeccomp
{
    private const int Eperm = 1, Enosys = 38, Einval = 22;

    /// <summary>Refused calls, by the reason.</summary>
    public static ImmutableArray<(string Reason, ImmutableArray<string> Names)> Refused { get; } =
    [
        ("they change the running kernel", ["init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms", "kexec_load", "kexec_file_load"]),
        ("they set the host's clock", ["settimeofday", "stime", "clock_settime", "clock_settime64"]),
        ("they reach the host's memory, swap and hardware", ["ioperm", "iopl", "swapon", "swapoff", "vm86", "vm86old", "move_pages", "migrate_pages", "set_mempolicy_home_node"]),
        ("they look into other processes or the kernel", ["kcmp", "perf_event_open", "bpf", "lookup_dcookie", "process_madvise", "userfaultfd"]),
        ("keyrings are not divided by namespaces", ["add_key", "request_key"]),
        ("they open files past the root directory", ["open_by_handle_at", "fanotify_init"]),
        ("they account for or limit the whole host", ["acct", "quotactl", "quotactl_fd"]),
        ("the name is the capsule's identity", ["sethostname", "setdomainname"]),
        ("a large surface with many past faults", ["io_uring_setup", "io_uring_enter", "io_uring_register", "vmsplice", "nfsservctl"]),
        ("nobody needs them any more", ["_sysctl", "sysfs", "uselib", "ustat", "vhangup", "afs_syscall", "tuxcall", "vserver", "security", "getpmsg", "putpmsg", "bdflush"]),
    ];

    private static readonly ulong[] AllowedPersonalities = [0, 8, 0x20000, 0x20008, 0xFFFFFFFF]; // Linux, ADDR_NO_RANDOMIZE's neighbours as runtimes allow them, and the query

    /// <summary>The profile.</summary>
    /// <param name="known">All calls that the program knows, of every architecture that it filters.</param>
    public static SeccompSpec Profile(IEnumerable<string> known)
    {
        var refused = Refused.SelectMany(r => r.Names).ToHashSet(StringComparer.Ordinal);
        var calls = ImmutableArray.CreateBuilder<SeccompCall>();
        calls.Add(new([.. refused], "SCMP_ACT_ERRNO", Eperm, []));
        foreach (ulong personality in AllowedPersonalities) calls.Add(new(["personality"], "SCMP_ACT_ALLOW", null, [new(0, personality, 0, "SCMP_CMP_EQ")]));
        // AF_NETLINK with NETLINK_AUDIT would speak to the host's audit system.
        calls.Add(new(["socket"], "SCMP_ACT_ERRNO", Einval, [new(0, 16, 0, "SCMP_CMP_EQ"), new(2, 9, 0, "SCMP_CMP_EQ")]));
        calls.Add(new(["socket"], "SCMP_ACT_ALLOW", null, [new(0, 16, 0, "SCMP_CMP_NE")]));
        calls.Add(new(["socket"], "SCMP_ACT_ALLOW", null, [new(2, 9, 0, "SCMP_CMP_NE")]));
        calls.Add(new([.. known.Where(n => !refused.Contains(n) && n is not ("personality" or "socket"))], "SCMP_ACT_ALLOW", null, []));
        return new("SCMP_ACT_ERRNO", Enosys, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], [], calls.ToImmutable());
    }
}
