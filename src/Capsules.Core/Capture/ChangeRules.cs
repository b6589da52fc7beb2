using System.Collections.Immutable;
using Capsules.Core.Facts;

namespace Capsules.Core.Capture;

/// <summary>A rule that tells noise from what an installation brought.</summary>
/// <param name="Name">How reports call it.</param>
/// <param name="Why">What such paths are.</param>
/// <param name="Patterns">The paths.</param>
public sealed record ChangeRule(string Name, string Why, ImmutableArray<PathGlob> Patterns)
{
    /// <summary>Only what is no directory: a server may need the place, not what was in it.</summary>
    public bool FilesOnly { get; init; }
    /// <summary>Only what no package owns.</summary>
    public bool UnownedOnly { get; init; }
}

/// <summary>The rules of noise, in the order in which they are asked: docs/guide/compare.md shows them.</summary>
public static class ChangeRules
{
    /// <summary>The table. It has no application's name: a rule is about a place, whoever writes there.</summary>
    public static ImmutableArray<ChangeRule> Noise { get; } =
    [
        new("volatile", "made anew at each start", Paths("/proc/**", "/sys/**", "/dev/**", "/run/**", "/tmp/**", "/var/tmp/**", "/var/run/**", "/var/lock/**")),
        new("package-lists", "what a mirror offers, not what is installed", Paths("/var/lib/apt/lists/**", "/var/lib/apt/periodic/**", "/var/lib/apt/mirrors/**", "/var/lib/dpkg/available", "/var/lib/dnf/repos/**")),
        new("locks", "locks and half-made work of package tools", Paths("/etc/.pwd.lock", "/var/lib/dpkg/lock*", "/var/lib/dpkg/triggers/Lock", "/var/lib/apt/**lock", "/var/lib/dpkg/updates/**", "/var/lib/dpkg/tmp.ci**", "/var/lib/rpm/.rpm.lock", "/var/lib/rpm/rpmdb.sqlite-shm", "/usr/lib/sysimage/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/rpmdb.sqlite-shm")),
        new("backups", "copies of files as they were before", Paths("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/var/lib/dpkg/*-old", "/var/backups/**", "/var/lib/ucf/*.0", "/var/lib/ucf/*.1", "/var/lib/ucf/*.2", "/**.dpkg-old", "/**.dpkg-dist")),
        new("logs", "what programs wrote about their work", Paths("/var/log/**")) { FilesOnly = true, UnownedOnly = true },
        new("caches", "what can be made again: ld.so's auxiliary cache, apt's, debconf's, fonts', man pages'", Paths("/var/cache/**")) { FilesOnly = true, UnownedOnly = true },
        new("histories", "histories and caches of users and their tools", Paths("/root/.cache**", "/root/.npm**", "/root/.*_history", "/root/.wget-hsts", "/root/.lesshst", "/root/.viminfo", "/root/.rnd", "/home/*/.cache**", "/home/*/.npm**", "/home/*/.*_history", "/var/lib/dnf/history.sqlite*")),
        new("machine", "of one machine, made anew or at random", Paths("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/adjtime", "/etc/mtab", "/var/lib/systemd/random-seed", "/var/lib/systemd/timers/**", "/var/lib/systemd/timesync/**", "/var/lib/urandom/**", "/lost+found**")),
    ];

    /// <summary>The rule that makes a change noise; null when it is none.</summary>
    /// <param name="change">The change.</param>
    /// <param name="isOwned">Whether a package owns the path.</param>
    public static ChangeRule? Of(TreeChange change, bool isOwned)
    {
        string picture = change.Path.ToString();
        foreach (ChangeRule rule in Noise)
            if (!(rule.FilesOnly && change.Entry == EntryKind.Directory) && !(rule.UnownedOnly && isOwned) && rule.Patterns.Any(p => p.Matches(picture))) return rule;
        return null;
    }

    private static ImmutableArray<PathGlob> Paths(params string[] patterns) => [.. patterns.Select(p => new PathGlob(p))];
}
