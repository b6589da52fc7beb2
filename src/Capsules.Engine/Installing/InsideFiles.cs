using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Installing;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Engine.Installing;

/// <summary>What is shown inside a throw-away capsule while an installer runs: how the host reaches its mirrors, and stand-ins for the service manager. Nothing of it is in the result.</summary>
internal sealed record InsideFiles(ImmutableArray<HostDirectory> Shown, ImmutableArray<string> Environment)
{
    private const string Inside = "/run/capsule-install", Archives = "/run/capsule-archives";

    /// <summary>Where the caller's files are seen.</summary>
    public const string FromPlace = "/run/capsule-from";

    /// <summary>Places that mounts stand on: they are no changes of the installer's.</summary>
    public ImmutableHashSet<GuestPath> Places => [.. Shown.Select(s => s.Target)];

    /// <summary>Writes them below <paramref name="work"/>.</summary>
    /// <param name="work">A directory of ours that goes away afterwards.</param>
    /// <param name="cache">Where downloaded packages are kept for the next time.</param>
    /// <param name="suite">The suite of the base, when it is one of Debian's and has no package sources of its own.</param>
    /// <param name="locked">The versions that are wanted.</param>
    /// <param name="latestTime">The base's date, for installers that ask for one.</param>
    /// <param name="hasSbin">/usr/sbin of the base is a directory of its own, and no link to /usr/bin.</param>
    public static InsideFiles Write(string work, string cache, string? suite, RecipeLock? locked, long latestTime, bool hasSbin)
    {
        string files = work + "/inside";
        SmallFiles.MakeDirectories(files);
        SmallFiles.MakeDirectories(cache);
        string reaching = HostTool.Find("apt-config") is { } tool ? AptText.Reaching(HostTool.Run([tool, "dump"], work + "/apt-config", TimeSpan.FromMinutes(1)).Said) : "";
        string sources = suite is null ? "" : AptText.Sources(BaseImages.HostSources(work + "/apt-sources"), suite);
        void Put(string name, string text, int mode = 0x1A4)
        {
            SmallFiles.WriteNew($"{files}/{name}", Encoding.UTF8.GetBytes(text), mode);
            FileCalls.ChangeMode(null, $"{files}/{name}", mode);
        }
        Put("apt.conf", AptText.Configuration(Inside, Archives, reaching, sources.Length > 0));
        Put("sources.list", sources);
        Put("preferences", AptText.Pins(locked));
        Put("policy-rc.d", InstallerScripts.PolicyRc, 0x1ED);
        Put("systemctl", InstallerScripts.Systemctl, 0x1ED);
        var shown = ImmutableArray.CreateBuilder<HostDirectory>();
        shown.Add(new(files, GuestPath.Parse(Inside), true));
        shown.Add(new(cache, GuestPath.Parse(Archives), false));
        shown.Add(new(files + "/policy-rc.d", GuestPath.Parse("/usr/sbin/policy-rc.d"), true));
        shown.Add(new(files + "/systemctl", GuestPath.Parse("/usr/local/sbin/systemctl"), true));
        // rpm runs scriptlets with a PATH of its own, /sbin:/bin:/usr/sbin:/usr/bin. In a /usr/bin a package may bring the real one, which cannot replace what a mount stands on.
        if (hasSbin) shown.Add(new(files + "/systemctl", GuestPath.Parse("/usr/sbin/systemctl"), true));
        foreach (string name in (string[])["/etc/resolv.conf", "/etc/hosts"]) // the network is the host's, and so are its names
            if (File.ResolveLinkTarget(name, returnFinalTarget: true)?.FullName is var target && File.Exists(target ?? name)) shown.Add(new(target ?? name, GuestPath.Parse(name), true));
        if (FileCalls.TryStat(null, work + "/from") is not null) shown.Add(new(work + "/from", GuestPath.Parse(FromPlace), false));
        return new(shown.ToImmutable(),
        [
            $"APT_CONFIG={Inside}/apt.conf", $"SOURCE_DATE_EPOCH={latestTime}", "LANG=C.UTF-8", "PYTHONHASHSEED=0", "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_ROOT_USER_ACTION=ignore",
            "npm_config_cache=/tmp/npm", "npm_config_update_notifier=false", .. HostTool.ProxyVariables(),
        ]);
    }
}
