using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Installing;

/// <summary>A package source of this host, as apt lists it: where, which suite, which component.</summary>
public sealed record AptSource(string Place, string Suite, string Component)
{
    /// <summary>Reads what `apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)'` prints; lines of another kind are left out.</summary>
    public static ImmutableArray<AptSource> Parse(string text) =>
        [.. text.Split('\n').Select(l => l.Split('|')).Where(w => w.Length == 3 && w.All(p => p.Length > 0 && !p.Any(char.IsWhiteSpace))).Select(w => new AptSource(w[0], w[1], w[2])).Distinct()];
}

/// <summary>What apt inside a throw-away capsule is told: files beside its own, so that nothing of the host stays in the result.</summary>
public static class AptText
{
    /// <summary>The mirror that has a suite: the host's own source of it, else one that has another suite of its kind.</summary>
    public static AptSource? MirrorOf(ImmutableArray<AptSource> sources, string suite) =>
        sources.FirstOrDefault(s => s.Suite == suite) ?? sources.FirstOrDefault(s => !s.Suite.Contains('-', StringComparison.Ordinal) && !s.Suite.Contains('/', StringComparison.Ordinal));

    /// <summary>sources.list(5) for a suite: what the host has of it, or the one mirror.</summary>
    public static string Sources(ImmutableArray<AptSource> sources, string suite)
    {
        ImmutableArray<AptSource> own = [.. sources.Where(s => s.Suite == suite || s.Suite.StartsWith(suite + "-", StringComparison.Ordinal))];
        if (!own.Any(s => s.Suite == suite) && MirrorOf(sources, suite) is { } mirror) own = [new(mirror.Place, suite, "main")];
        return string.Concat(own.GroupBy(s => (s.Place, s.Suite)).Select(g => $"deb {g.Key.Place} {g.Key.Suite} {string.Join(' ', g.Select(s => s.Component))}\n"));
    }

    /// <summary>The lines of `apt-config dump` that tell how mirrors are reached; the rest of the host's configuration is its own.</summary>
    public static string Reaching(string dump)
    {
        var text = new StringBuilder();
        foreach (string line in dump.Split('\n'))
            if (Kept.Any(k => line.StartsWith("Acquire::" + k, StringComparison.OrdinalIgnoreCase)) && line.EndsWith("\";", StringComparison.Ordinal) && !line.EndsWith(" \"\";", StringComparison.Ordinal)) text.Append(line).Append('\n');
        return text.ToString();
    }

    private static readonly string[] Kept = ["http::", "https::", "ftp::", "Check-Valid-Until", "Check-Date", "Retries", "ForceIPv", "AllowInsecureRepositories", "socks::"];

    /// <summary>Pins of the locked versions (apt_preferences(5)): above everything, downgrades too.</summary>
    public static string Pins(RecipeLock? locked) =>
        locked is null ? "" : string.Concat(locked.Packages.Select(p => $"Package: {p.Name}\nPin: version {p.Version}\nPin-Priority: 1001\n\n"));

    /// <summary>apt.conf(5), named by APT_CONFIG.</summary>
    /// <param name="inside">The directory of these files inside.</param>
    /// <param name="archives">Where packages are kept for the next time.</param>
    /// <param name="reaching">As <see cref="Reaching"/> gave it.</param>
    /// <param name="ownSources">Whether sources.list is given, because the base has none.</param>
    public static string Configuration(string inside, string archives, string reaching, bool ownSources) =>
        $"""
        Dir::Cache::archives "{archives}";
        {(ownSources ? $"Dir::Etc::sourcelist \"{inside}/sources.list\";" : "")}
        Dir::Etc::preferences "{inside}/preferences";
        Acquire::Languages "none";
        APT::Keep-Downloaded-Packages "true";
        Binary::apt::APT::Keep-Downloaded-Packages "true";
        Dpkg::Use-Pty "false";

        """ + reaching;
}
