using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>Which directories one capsule may show to another at the same path.</summary>
public static class ShareablePaths
{
    private static readonly GuestPath[] Own = [.. ((string[])["/proc", "/sys", "/dev", "/tmp"]).Select(GuestPath.Parse)];

    /// <summary>Directories of every system: a link over one would hide the other capsule's own.</summary>
    private static readonly GuestPath[] Common = [.. ((string[])
    [
        "/bin", "/sbin", "/lib", "/lib64", "/boot", "/etc", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/share", "/usr/local", "/usr/local/bin",
        "/var", "/var/lib", "/var/cache", "/var/log", "/var/spool", "/var/run", "/run", "/run/lock", "/home", "/opt", "/srv", "/root",
    ]).Select(GuestPath.Parse)];

    /// <summary>Why a directory cannot be shown to others; null when it can.</summary>
    public static string? WhyNot(GuestPath path)
    {
        if (path.IsRoot) return "it is the whole root";
        if (Own.FirstOrDefault(path.IsWithin) is { IsRoot: false } own) return $"{own} is each capsule's own, and made anew at each start";
        return Common.Contains(path) ? "every system has one, and the other capsule would lose its own" : null;
    }
}
