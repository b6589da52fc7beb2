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

/// <summary>What works without root, verb by verb; SPECIFICATION.md shows it, and both programs ask it before they do anything.</summary>
public static class RootlessMatrix
{
    /// <summary>The table. Every verb of <see cref="VerbTable"/> is in one row.</summary>
    public static ImmutableArray<RootlessRow> Table { get; } =
    [
        new(Rootless.Full, "they need nothing of the host", ["help", "version", "explain", "completion"]),
        new(Rootless.Full, "what is in the user's own store, which nothing but root can fill yet", ["ps", "status", "inspect", "diff", "logs", "misses", "images", "identity show", "identity list", "stack list"]),
        new(Rootless.Reduced, "processes of other users are seen without their files, and unreadable files are left out", ["scan"]),
        new(Rootless.Reduced, "tells what is missing; leftovers of root's capsules are not seen", ["doctor"]),
        new(Rootless.Refused, "copying owners and modes of the source needs root", ["adopt", "apply", "export", "import"]),
        new(Rootless.Refused, "mounting with mapped ids, control groups and links need root",
        [
            "run", "start", "stop", "restart", "reload", "kill", "wait", "exec", "rm", "state add", "identity set", "identity check", "stack start", "stack stop", "stack rm", "keeper",
        ]),
        new(Rootless.Refused, "the OCI door mounts as the host's root", ["oci create", "oci run", "oci start", "oci state", "oci kill", "oci delete", "oci pause", "oci resume", "oci update", "oci ps", "oci exec", "oci list"]),
    ];

    /// <summary>What is left of a verb.</summary>
    public static Rootless Of(Verb verb) => Table.First(r => r.Verbs.Contains(verb.Name)).Level;
}
