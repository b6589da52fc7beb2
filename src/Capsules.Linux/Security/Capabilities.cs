namespace Capsules.Linux.Security;

/// <summary>capabilities(7): names and numbers.</summary>
public static class Capabilities
{
    private static readonly string[] Names =
    [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",
        "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
        "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON",
        "BPF", "CHECKPOINT_RESTORE",
    ];

    /// <summary>How many are known.</summary>
    public static int Count => Names.Length;

    /// <summary>The number behind "CAP_CHOWN" or "chown"; null for an unknown name.</summary>
    public static int? Parse(string name)
    {
        string upper = name.ToUpperInvariant();
        int index = Array.IndexOf(Names, upper.StartsWith("CAP_", StringComparison.Ordinal) ? upper[4..] : upper);
        return index < 0 ? null : index;
    }

    /// <summary>"CAP_CHOWN".</summary>
    public static string Name(int number) => "CAP_" + Names[number];

    /// <summary>A set as the bits of /proc/PID/status; unknown names are left out.</summary>
    public static ulong Mask(IEnumerable<string> names)
    {
        ulong mask = 0;
        foreach (string name in names)
            if (Parse(name) is int number) mask |= 1UL << number;
        return mask;
    }

    /// <summary>prctl(2) PR_CAPBSET_READ: whether this process, and so anybody below it, can have it.</summary>
    public static bool IsAvailable(int number) => Native.Call(SyscallNumber.Prctl, 23, number) == 1;

    /// <summary>Those of a set that are available: what a host lacks cannot be given away.</summary>
    public static ulong Available(ulong mask)
    {
        for (int number = 0; number < Names.Length; number++)
            if ((mask >> number & 1) != 0 && !IsAvailable(number)) mask &= ~(1UL << number);
        return mask;
    }
}
