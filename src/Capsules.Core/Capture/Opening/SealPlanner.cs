using System.Collections.Immutable;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Opening;

/// <summary>An entry of an open capsule's tree that becomes its own.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Entry">What it is.</param>
/// <param name="Size">Bytes of content.</param>
/// <param name="Because">The file for whose sake it comes along: of a directory one that is in it, of a link where it leads. Null for a file that was filled itself.</param>
public sealed record TakenPath(GuestPath Path, EntryKind Entry, long Size, GuestPath? Because = null);

/// <summary>What an open capsule took from its source → the plan of the capsule that is sealed.</summary>
public static class SealPlanner
{
    private static readonly GuestPath Etc = GuestPath.Parse("/etc");

    /// <summary>The plan before, with what was taken since. The plan of the layer is its paths that were not planned before.</summary>
    public static CapturePlan Together(CapturePlan before, ImmutableArray<TakenPath> taken, IEnumerable<MissRecord> misses)
    {
        var known = new Dictionary<GuestPath, MissRecord>();
        foreach (MissRecord miss in misses.Where(m => m.What == MissKind.Filled)) known.TryAdd(miss.Path, miss);
        var reasons = before.Reasons.ToBuilder();
        var indices = new Dictionary<Reason, int>();
        var paths = new SortedDictionary<GuestPath, PlannedPath>();
        foreach (PlannedPath path in before.Paths) paths.Add(path.Path, path);
        foreach (TakenPath path in taken.OrderBy(t => t.Because is not null)) // what others came along with has its reason first
        {
            int reason = path.Because is { } led && paths.TryGetValue(led, out PlannedPath? there) ? there.Reason : Index(new(Words(path.Because ?? path.Path), null));
            if (path.Because is { } file) reason = Index(new(path.Entry == EntryKind.SymbolicLink ? $"a link that leads to {file}" : $"{file} is in it", reason));
            paths.TryAdd(path.Path, new(path.Path, path.Path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, path.Entry, path.Size, reason));
        }
        return before with { Reasons = reasons.ToImmutable(), Paths = [.. paths.Values], LeftOut = [.. before.LeftOut.Where(l => !paths.ContainsKey(l.Path))] };

        int Index(Reason reason)
        {
            if (indices.TryGetValue(reason, out int index)) return index;
            reasons.Add(reason);
            return indices[reason] = reasons.Count - 1;
        }

        string Words(GuestPath file) => !known.TryGetValue(file, out MissRecord? miss) ? "it is needed by what was read while the capsule was open"
            : $"opened by {miss.Program ?? "a program that had ended"} at {miss.Time.ToUniversalTime():yyyy-MM-dd'T'HH:mm:ss'Z'}{(miss.Reason is { } more ? $", {more}" : "")}";
    }
}
