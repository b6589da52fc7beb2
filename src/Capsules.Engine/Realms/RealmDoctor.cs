using Capsules.Engine.Checkups;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Realms;

/// <summary>Tells what a user lacks for a realm of his own, with the command of root's that gives it.</summary>
internal static class RealmDoctor
{
    /// <summary>Sysctls that keep users from making user namespaces: upstream's limit, Debian's switch, AppArmor's restriction.</summary>
    private static readonly (string File, string Off, string On)[] Switches =
    [
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ];

    /// <summary>Whether something is missing without which there is no realm.</summary>
    public static bool Stops(uint uid) => Check(uid).Any(r => r.Level == CheckLevel.Fail);

    /// <summary>Everything that a realm needs.</summary>
    public static IEnumerable<CheckResult> Check(uint uid)
    {
        RealmUser user = RealmUser.Read(uid);
        yield return new(CheckLevel.Ok, $"user {user.Name} ({uid}), in a realm of his own");
        foreach (var (file, off, on) in Switches)
            if (SmallFiles.TryRead(file) is { } value && System.Text.Encoding.UTF8.GetString(value).Trim() == off)
                yield return new(CheckLevel.Fail, $"users may not make user namespaces ({file} is {off})", $"as root: sysctl {on}");
        if (user.Lacks is { } lacks) yield return new(CheckLevel.Fail, lacks, Core.Problems.Problems.NoSubordinateIds(user.Name, lacks).Fix);
        else yield return new(CheckLevel.Ok, $"{user.Users.Sum(r => (long)r.Count)} subordinate users, {user.Groups.Sum(r => (long)r.Count)} groups");
        if (RealmNetwork.Tools.FirstOrDefault() is { } tool) yield return new(CheckLevel.Ok, $"network by {tool}");
        else yield return new(CheckLevel.Warn, "neither pasta nor slirp4netns is there: capsules reach nothing outside", "as root: apt-get install passt");
        if (RealmNetwork.TunLacks is { } tun) yield return new(CheckLevel.Warn, tun, "as root: modprobe tun && chmod 666 /dev/net/tun");
        StoreLayout layout = StoreLayout.Default();
        if (SmallFiles.TryRead(RealmRecord.FileOf(layout)) is { } bytes && RealmRecord.FromJson(bytes).Connection is not { IsAlive: true })
            yield return new(CheckLevel.Warn, "the network of the realm is not connected with the host's", "capsule doctor --fix");
        yield return new(CheckLevel.Warn, "no control groups: limits are refused (--memory, --cpus, --pids-limit)", "run as root what must have limits");
    }
}
