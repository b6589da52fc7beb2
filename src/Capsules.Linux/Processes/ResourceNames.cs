namespace Capsules.Linux.Processes;

/// <summary>setrlimit(2): names and numbers.</summary>
public static class ResourceNames
{
    private static readonly string[] Names =
        ["CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"];

    /// <summary>The number behind RLIMIT_NOFILE; null for an unknown name.</summary>
    public static int? Parse(string name)
    {
        int index = Array.IndexOf(Names, name.StartsWith("RLIMIT_", StringComparison.Ordinal) ? name[7..] : name);
        return index < 0 ? null : index;
    }

    /// <summary>All names, RLIMIT_ in front.</summary>
    public static IEnumerable<string> All => Names.Select(n => "RLIMIT_" + n);
}
