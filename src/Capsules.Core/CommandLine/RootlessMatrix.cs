using System.Collections.Immutable;

namespace Capsules.Core.CommandLine;

/// <summary>What is left of a verb for a user who is not root.</summary>
public enum Rootless
{
    /// <summary>All of it.</summary>
    Full,
    /// <summary>Less than for root; the row says what.</summary>
    Reduced,
    /// <summary>Nothing: CAP1006.</summary>
    Refused,
}

/// <summary>One row.</summary>
public sealed record RootlessRow(Rootless Level, string Note, ImmutableArray<string> Verbs);

/// <summary>An option that a user cannot have: with any value, or with those that begin with one of <paramref name="Values"/>.</summary>
public sealed record RootOption(string Name, ImmutableArray<string> Values, string Why)
{
    /// <summary>As the table shows it.</summary>
    public override string ToString() => Values.IsEmpty ? $"`{Name}`" : string.Join(", ", Values.Select(v => $"`{Name} {v}`"));
}

/// <summary>What works without root, verb by verb; SPECIFICATION.md shows it, and both programs ask it before they do anything.</summary>
public static class RootlessMatrix
{
    /// <summary>The table. Every verb of <see cref="VerbTable"/> is in one row.</summary>
    public static ImmutableArray<RootlessRow> Table { get; } =
    [
        new(Rootless.Full, "they need nothing of the host", Outside),
        new(Rootless.Full, "in the user's own realm: his store, his ids, his network",
        [
            "run", "start", "stop", "restart", "reload", "kill", "wait", "exec", "rm", "ps", "status", "inspect", "diff", "logs", "misses", "why", "images", "export", "import", "sbom", "capture export", "commit", "state add",
            "identity show", "identity list", "identity set", "identity check", "stack list", "stack set", "stack start", "stack stop", "stack rm", "keeper", "ports", "watcher", "crossings",
        ]),
        new(Rootless.Reduced, "processes of other users are seen without their files, and unreadable files are left out", ["scan"]),
        new(Rootless.Reduced, "tells what the user lacks, and clears what is left in his realm; root's capsules are not seen", ["doctor"]),
        new(Rootless.Reduced, "control groups are left out: limits, `oci pause`, `resume` and `update` are refused (CAP1010)", ["oci create", "oci run", "oci start", "oci state", "oci kill", "oci delete", "oci pause", "oci resume", "oci update", "oci ps", "oci exec", "oci list"]),
        new(Rootless.Reduced, "users are shared only where both capsules have the same number for them", ["share add", "share list", "share rm", "link add", "link list", "link rm", "link swap", "link check", "link test", "stack link", "linker", "prober", "forwarder"]),
        new(Rootless.Refused, "copying owners and modes of the source needs root", ["adopt", "learn", "apply", "install", "prescan", "postscan", "compare", "seal", "filler"]),
        new(Rootless.Refused, "marks of mounts (fanotify) are the host's root's to set", ["journal add", "journal list", "journal rm", "who-wrote", "scribe"]),
        new(Rootless.Refused, "the network of the copy is made with the rights of the host's root", ["verify"]),
    ];

    /// <summary>Options that are refused (CAP1010), and why.</summary>
    public static ImmutableArray<RootOption> Options { get; } =
    [
        new("--memory", [], "control groups are root's"),
        new("--cpus", [], "control groups are root's"),
        new("--pids-limit", [], "control groups are root's"),
        new("--watch", [], "the filter that tells look-ups is the host's root's to put in place"),
        new("--network", ["macvlan:", "bridge:"], "links of this host are root's"),
        new("--network", ["host"], "the network of this host is not the realm's"),
    ];

    private static ImmutableArray<string> Outside => ["help", "version", "explain", "completion"];

    /// <summary>What is left of a verb.</summary>
    public static Rootless Of(Verb verb) => Table.First(r => r.Verbs.Contains(verb.Name)).Level;

    /// <summary>Whether the verb is done in the user's realm.</summary>
    public static bool IsInRealm(Verb verb) => Of(verb) != Rootless.Refused && verb.Name != "scan" && !Outside.Contains(verb.Name);

    /// <summary>The first option of a command that a user cannot have.</summary>
    public static RootOption? RefusedOption(ParsedCommand command) =>
        Options.FirstOrDefault(o => command.Value(o.Name) is { } value && (o.Values.IsEmpty || o.Values.Any(v => v.EndsWith(':') ? value.StartsWith(v, StringComparison.Ordinal) : value == v)));
}
