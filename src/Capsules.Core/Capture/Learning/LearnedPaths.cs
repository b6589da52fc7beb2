using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Learning;

/// <summary>A path over all runs.</summary>
/// <param name="Path">The path.</param>
/// <param name="Uses">Everything that any run did with it.</param>
/// <param name="Runs">How many runs met it, there or missing.</param>
/// <param name="IsMissing">No run found anything of that name.</param>
/// <param name="Why">Who met it, and how.</param>
public sealed record LearnedPath(GuestPath Path, Uses Uses, int Runs, bool IsMissing, Because Why);

/// <summary>A path of a capsule whose need is not proved.</summary>
/// <param name="Path">The path.</param>
/// <param name="Why">What speaks against it.</param>
public sealed record UncertainPath(GuestPath Path, string Why);

/// <summary>Several runs as one: what was met is met, whichever run it was.</summary>
public sealed record LearnedPaths
{
    private const Uses Weak = Uses.Look | Uses.ReadLink | Uses.Enter | Uses.Hold | Uses.Connect;

    /// <summary>How many runs these are.</summary>
    public required int Runs { get; init; }
    /// <summary>The paths, in their order.</summary>
    public required ImmutableArray<LearnedPath> Paths { get; init; }
    /// <summary>What was bound.</summary>
    public ImmutableArray<ObservedSocket> Sockets { get; init; } = [];
    /// <summary>What the ways of watching did not see.</summary>
    public ImmutableArray<string> Unseen { get; init; } = [];

    /// <summary>Adds runs together; the order in which they are given changes nothing but whose words the reasons are.</summary>
    public static LearnedPaths Merge(IReadOnlyList<ObservedRun> runs)
    {
        var paths = new SortedDictionary<GuestPath, (Uses Uses, int Runs, int LastRun, bool IsMissing, Observation First)>();
        for (int number = 0; number < runs.Count; number++)
            foreach (Observation seen in runs[number].Paths)
            {
                var (uses, met, last, missing, first) = paths.TryGetValue(seen.Path, out var known) ? known : (Uses.None, 0, -1, true, seen);
                bool isBetter = first.IsMissing && !seen.IsMissing || first.IsMissing == seen.IsMissing && (first.Use & Weak) != 0 && (seen.Use & Weak) == 0; // the reason that tells most
                paths[seen.Path] = (uses | seen.Use, met + (last == number ? 0 : 1), number, missing && seen.IsMissing, isBetter ? seen : first);
            }
        var reasons = new Dictionary<(Uses, string?), Because>();
        return new()
        {
            Runs = runs.Count,
            Paths = [.. paths.Select(p => new LearnedPath(p.Key, p.Value.Uses, p.Value.Runs, p.Value.IsMissing, Reason(p.Value.First)))],
            Sockets = [.. runs.SelectMany(r => r.Sockets).Distinct()],
            Unseen = [.. runs.SelectMany(r => r.Unseen).Distinct()],
        };

        Because Reason(Observation seen) => reasons.TryGetValue((seen.Use, seen.By), out Because? known) ? known
            : reasons[(seen.Use, seen.By)] = new($"{seen.By ?? "a program without a file"} {Words(seen.Use)} while it was learned");
    }

    /// <summary>What a capture is asked to widen: everything that was there.</summary>
    public ImmutableArray<FoundPath> Found => [.. Paths.Where(p => !p.IsMissing).Select(p => new FoundPath(p.Path, p.Why, (p.Uses & (Uses.Write | Uses.Bind)) != 0) { Uses = p.Uses })];

    /// <summary>Paths that one of several runs met alone, or that were looked at and never opened.</summary>
    public ImmutableArray<UncertainPath> Uncertain =>
    [
        .. Paths.Where(p => !p.IsMissing && !CaptureTables.Volatile.Any(p.Path.IsWithin) && (p.Uses & ~Weak) == 0 | (Runs > 1 && p.Runs == 1)).Select(p => new UncertainPath(p.Path,
            (p.Uses & ~Weak) == 0 ? $"never opened: {p.Why.Text}" : $"met in one of {Runs} runs: {p.Why.Text}")),
    ];

    private static string Words(Uses use) => use switch
    {
        Uses.Look => "looked at it",
        Uses.ReadLink => "read it as a link",
        Uses.Enter => "worked in it",
        Uses.List => "listed it",
        Uses.Write => "wrote it",
        Uses.Execute => "executed it",
        Uses.Load => "was started by way of it",
        Uses.Hold => "had it mapped or open",
        Uses.Connect => "connected to it",
        Uses.Bind => "bound a socket to it",
        _ => "opened it",
    };
}
