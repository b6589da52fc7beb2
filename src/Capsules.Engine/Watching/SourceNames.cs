using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Watching;

/// <summary>
/// Which paths the source of a capsule had: those of its plan, those that the capture met and left out, and, while the source is there, what a look at it says.
/// Of state only what a fresh copy can lack counts: what an application removes or makes anew is its own business.
/// </summary>
internal sealed class SourceNames : IDisposable
{
    private readonly ImmutableArray<PlannedPath> _planned;
    private readonly HashSet<GuestPath> _leftOut;
    private readonly RootTree? _source;
    private readonly (GuestPath Path, string Pristine)[] _state;
    private readonly ImmutableArray<GuestPath> _hostDirectories;
    private readonly long _created;
    private readonly bool _isFresh;

    /// <summary>Of a capsule, or of the one that it is a copy of.</summary>
    /// <exception cref="CapsuleException">Its image is broken.</exception>
    public SourceNames(CapsuleRecord capsule, CapsuleStore store)
    {
        CapsuleRecord original = capsule.CopyOf is { } name && store.TryFind(name) is { } found ? found : capsule;
        string image = store.Layout.Image(original.Image);
        CapturePlan? plan;
        try
        {
            plan = SmallFiles.TryRead(image + "/plan.json") is { } bytes ? CapturePlanJson.Read(bytes) : null;
            _leftOut = SmallFiles.TryRead(image + "/left-out.jsonl") is { } lines ? [.. LeftOutFile.Read(lines).Select(l => l.Path)] : [];
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(image, FactText.Of(e)), e); }
        _planned = plan?.Paths ?? [];
        _source = plan?.Base is null ? MissExplainer.TryOpen(original, store.Layout) : null;
        _state = [.. original.Folded(store.Manifest(original.Image)).Volumes.Select(v => (v.Path, original.PlaceOf(store.Layout, v.Name)))];
        _hostDirectories = [.. original.HostDirectories.Select(d => d.Target)];
        _created = original.Created.ToUnixTimeSeconds();
        _isFresh = original != capsule && FileCalls.TryStat(null, Running.LastRun.FileOf(store.Layout, original.Name)) is null && Running.RunRecord.Find(store.Layout, original.Name) is null;
        IsKnown = plan is not null || _source is not null;
    }

    /// <summary>Whether anything at all is known of the source.</summary>
    public bool IsKnown { get; }

    /// <summary>Whether the source itself is looked at, and not only what the capture wrote down of it.</summary>
    public bool IsThere => _source is not null;

    /// <summary>Whether the source had a path that the capsule does not have.</summary>
    public bool Had(GuestPath path)
    {
        if (CaptureTables.Volatile.Any(path.IsWithin) || _hostDirectories.Any(path.IsWithin)) return false;
        foreach (var (directory, pristine) in _state)
            if (path.IsWithin(directory) && path != directory)
                return _isFresh && _source is not null && FileCalls.TryStat(null, new NativePath(pristine).Append([.. "/"u8, .. path.RelativeTo(directory)])) is null && IsOlder(path);
        if (IsPlanned(path) || _leftOut.Contains(path)) return true;
        using Descriptor? entry = _source?.TryOpen(path, OpenFlags.PathOnly);
        return entry is not null && FileCalls.Stat(entry).Kind != FileKind.Socket;
    }

    /// <summary>Whether the plan has exactly this path.</summary>
    public bool IsPlanned(GuestPath path) => IndexOf(path) >= 0;

    /// <summary>The names that the plan has directly in a directory.</summary>
    public IEnumerable<GuestPath> PlannedIn(GuestPath directory)
    {
        int at = IndexOf(directory);
        for (at = at < 0 ? ~at : at + 1; at < _planned.Length && (_planned[at].Path.IsWithin(directory) || Between(_planned[at].Path, directory)); at++)
            if (_planned[at].Path.Parent == directory) yield return _planned[at].Path;
    }

    /// <inheritdoc/>
    public void Dispose() => _source?.Dispose();

    /// <summary>A name such as "/a-b" stands between "/a" and "/a/b" in the order of bytes.</summary>
    private static bool Between(GuestPath path, GuestPath directory) => path.Bytes.StartsWith(directory.Bytes);

    private int IndexOf(GuestPath path) => _planned.BinarySearch(new PlannedPath(path, default, default, 0, 0), Comparer<PlannedPath>.Create((a, b) => a.Path.CompareTo(b.Path)));

    private bool IsOlder(GuestPath path)
    {
        using Descriptor? entry = _source!.TryOpen(path, OpenFlags.PathOnly);
        return entry is not null && FileCalls.Stat(entry) is { IsRegular: true } status && status.Changed.Seconds < _created;
    }
}
