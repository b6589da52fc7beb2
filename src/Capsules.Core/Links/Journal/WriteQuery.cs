using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Journal;

/// <summary>A time of which nothing is known.</summary>
/// <param name="From">The last that is known before.</param>
/// <param name="To">From when on it is known again; null while it is not.</param>
/// <param name="Why">Why.</param>
public sealed record WriteGap(DateTimeOffset From, DateTimeOffset? To, GapReason Why);

/// <summary>Why nothing is known of a time.</summary>
public enum GapReason
{
    /// <summary>Neither the owner nor a capsule that can write there ran; this host's own processes may have written.</summary>
    NobodyRan,
    /// <summary>The process that notes was killed, or the host went down.</summary>
    Interrupted,
    /// <summary>More happened than could be read: the kernel's queue was full.</summary>
    Overflow,
}

/// <summary>What a journal knows of a path.</summary>
/// <param name="Writes">The newest first.</param>
/// <param name="Gaps">The newest first.</param>
/// <param name="Unwatched">Directories above or below the path whose names were too many to be watched.</param>
/// <param name="Since">The oldest record that the journal still has; null when it has none.</param>
public sealed record WriteAnswer(ImmutableArray<WriteRecord> Writes, ImmutableArray<WriteGap> Gaps, ImmutableArray<GuestPath> Unwatched, DateTimeOffset? Since);

/// <summary>Asks a journal.</summary>
public static class WriteQuery
{
    private const int MostNames = 256;

    /// <summary>
    /// All that is known of a path and of what is below it. Renames are followed into the past: what is a file's now may have been written under another name.
    /// </summary>
    /// <param name="records">In the order in which they were written.</param>
    /// <param name="path">The path as the owner sees it.</param>
    /// <param name="isRunning">Whether it is noted now.</param>
    public static WriteAnswer Ask(IReadOnlyList<WriteRecord> records, GuestPath path, bool isRunning)
    {
        var names = new List<GuestPath> { path }; // by which it was known at the time of the record
        var writes = ImmutableArray.CreateBuilder<WriteRecord>();
        for (int i = records.Count - 1; i >= 0; i--)
        {
            WriteRecord record = records[i];
            if (record.By is null || record.Path is not { } at) continue;
            bool isOf = names.Exists(n => at.IsWithin(n));
            if (record.From is { } from)
            {
                GuestPath[] earlier = [.. names.Where(n => n.IsWithin(at)).Select(n => from.Combine(n.RelativeTo(at)))];
                if (isOf && earlier.Length == 0) earlier = [from]; // it came into the directory
                isOf |= earlier.Length > 0 || names.Exists(n => from.IsWithin(n));
                names.AddRange(earlier.Where(e => !names.Exists(n => e.IsWithin(n))).Take(MostNames - names.Count));
            }
            if (isOf) writes.Add(record);
            if (record.Kind == WriteKind.Created) names.RemoveAll(n => n != path && n == at); // under this name it was not there before
        }
        return new(writes.ToImmutable(), Gaps(records, isRunning), [.. records.Where(r => r.Kind == WriteKind.Unwatched).Select(r => r.Path).OfType<GuestPath>().Where(p => p.IsWithin(path) || path.IsWithin(p)).Distinct()], records.Count == 0 ? null : records[0].Time);
    }

    private static ImmutableArray<WriteGap> Gaps(IReadOnlyList<WriteRecord> records, bool isRunning)
    {
        var gaps = new List<WriteGap>();
        for (int i = 0; i < records.Count; i++)
        {
            WriteRecord record = records[i];
            if (record.Kind == WriteKind.Lost) gaps.Add(new(i == 0 ? record.Time : records[i - 1].Time, record.Time, GapReason.Overflow));
            if (record.Kind != WriteKind.Began || i == 0) continue;
            WriteRecord before = records[i - 1];
            gaps.Add(new(before.Time, record.Time, before.Kind == WriteKind.Ended ? GapReason.NobodyRan : GapReason.Interrupted));
        }
        if (!isRunning && records.Count > 0) gaps.Add(new(records[^1].Time, null, records[^1].Kind == WriteKind.Ended ? GapReason.NobodyRan : GapReason.Interrupted));
        gaps.Reverse();
        return [.. gaps];
    }
}
