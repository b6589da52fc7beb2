using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Journals;

/// <summary>
/// What is noted of one owner's state. Two kinds of marks work together (docs/adr/0032): the mounts by which a capsule writes have a queue for that capsule, so that whose a
/// write is needs no living process; the directories have one for all others and for names, in which those mounts are ignored, so that nothing is told twice.
/// </summary>
internal sealed class OwnerJournal : IDisposable
{
    private sealed record WriterMounts(RunRecord Run, FileEvents Events);

    private readonly StoreLayout _layout;
    private readonly WriterLookUp _lookUp;
    private readonly Epoll _epoll;
    private readonly FileEvents _names;
    private readonly WatchedDirectories _directories;
    private readonly JournalFile _file;
    private readonly Dictionary<CapsuleName, WriterMounts> _writers = [];
    private readonly WriteCoalescer _coalescer = new();
    private readonly List<WriteRecord> _records = [];
    private readonly List<FileEvent> _waiting = [];
    private List<(FileEvent Event, CapsuleName? By)> _written = [];
    private DateTimeOffset? _lost;

    /// <summary>Begins.</summary>
    public OwnerJournal(StoreLayout layout, CapsuleName owner, WriterLookUp lookUp, Epoll epoll)
    {
        (_layout, Owner, _lookUp, _epoll) = (layout, owner, lookUp, epoll);
        _file = new(layout, owner); // first: the queue is one of few, and whoever cannot write needs none
        _names = FileEvents.Open();
        _directories = new(_names);
        _epoll.Watch(_names.Queue);
        Note(new() { Time = DateTimeOffset.UtcNow, Kind = WriteKind.Began });
    }

    /// <summary>Whose state it is.</summary>
    public CapsuleName Owner { get; }

    /// <summary>When <see cref="Take"/> has something to do though nothing happens; null for never.</summary>
    public long? Due => _waiting.Count > 0 ? 0 : _coalescer.Due;

    /// <summary>Watches what is to be watched now, beside what is.</summary>
    /// <exception cref="SyscallException">The kernel refused something; the rest is watched.</exception>
    public void Follow(IReadOnlyList<JournalRoot> roots, IReadOnlyDictionary<CapsuleName, RunRecord> running)
    {
        SyscallException? failed = null;
        foreach (JournalRoot root in roots)
            try
            {
                string directory = _layout.Volume(Owner, root.Volume);
                if (!_directories.Add(root, directory)) Unwatched(root.Path);
                foreach (JournalView view in root.Views)
                    if (running.TryGetValue(view.Capsule, out RunRecord? run)) Follow(run, view, directory);
            }
            catch (SyscallException e) { failed ??= e; }
        if (failed is not null) throw failed;
    }

    /// <summary>A capsule has ended: what it did last is taken.</summary>
    public void Forget(RunRecord run)
    {
        if (!_writers.TryGetValue(run.Name, out WriterMounts? writer) || writer.Run.InitStart != run.InitStart) return;
        Take(Environment.TickCount64, isLast: true);
        _writers.Remove(run.Name);
        _epoll.Forget(writer.Events.Queue);
        writer.Events.Dispose();
    }

    /// <summary>Takes what has happened and writes it down; how many events that were.</summary>
    /// <param name="now">Milliseconds.</param>
    /// <param name="isLast">Whether all is taken, in whatever order it came.</param>
    public int Take(long now, bool isLast = false)
    {
        // Names first, so that what was written under a name that goes is there, too; and once more, so that nothing counts as written before its name came: what came
        // meanwhile waits for the next time.
        _names.Take(_waiting.Add);
        FileEvent[] names = [.. _waiting];
        _waiting.Clear();
        foreach (var (name, writer) in _writers)
            writer.Events.Take(e =>
            {
                _written.Add((e, name));
                _lookUp.Learn(e.Pid, name, now); // before names are looked at, of which some are the same process's
            });
        if (!isLast) _names.Take(_waiting.Add);
        var (ready, early) = EventOrder.Split(_written, _waiting);
        _written = early;
        DateTimeOffset time = DateTimeOffset.UtcNow;
        foreach (var (happened, by) in EventOrder.Merge(names, ready)) Handle(happened, by, time, now);
        _records.AddRange(_coalescer.Expired(now));
        WriteDown();
        return names.Length + ready.Count;
    }

    /// <summary>Ends: nobody runs who could write, or nothing is to be noted any more.</summary>
    public void End()
    {
        Take(Environment.TickCount64, isLast: true);
        _records.AddRange(_coalescer.Expired(long.MaxValue - WriteCoalescer.Window));
        Note(new() { Time = DateTimeOffset.UtcNow, Kind = WriteKind.Ended });
        WriteDown();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (WriterMounts writer in _writers.Values)
        {
            _epoll.Forget(writer.Events.Queue);
            writer.Events.Dispose();
        }
        _epoll.Forget(_names.Queue);
        _names.Dispose();
        _directories.Dispose();
        _file.Dispose();
    }

    private void Follow(RunRecord run, JournalView view, string directory)
    {
        if (_writers.TryGetValue(run.Name, out WriterMounts? writer) && writer.Run.InitStart != run.InitStart) Forget(writer.Run);
        using Descriptor root = FileCalls.Open($"/proc/{run.Init}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        var (at, _) = FileCalls.TryOpenResolved(root, view.Path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        if (at is null) return; // the link waits
        using (at)
        {
            FileStatus seen = FileCalls.Stat(at);
            if (FileCalls.TryStat(null, new NativePath(directory + "/").Append(view.Below.RelativeTo(GuestPath.Root))) is not { } own || own.Device != seen.Device || own.Inode != seen.Inode) return; // something of its own is there
            if (!_writers.TryGetValue(run.Name, out writer))
            {
                _writers[run.Name] = writer = new(run, FileEvents.Open());
                _epoll.Watch(writer.Events.Queue);
            }
            writer.Events.MarkMount(at);
            _names.IgnoreMount(at); // in this order: what happens between them is told twice; a mark that is there already stays
        }
    }

    private void Handle(FileEvent happened, CapsuleName? by, DateTimeOffset time, long now)
    {
        if (happened.Kind == FileEventKind.Lost)
        {
            _records.Add(new() { Time = time, Kind = WriteKind.Lost });
            return;
        }
        GuestPath? path = happened.Directory is { } directory ? _directories.PathOf(directory, happened.Name) : null;
        GuestPath? from = happened.OldDirectory is { } old ? _directories.PathOf(old, happened.OldName) : null;
        WriteKind? kind = happened.Kind switch
        {
            FileEventKind.Written when path is not null => WriteKind.Written,
            FileEventKind.Created when path is not null => WriteKind.Created,
            FileEventKind.Removed when path is not null => WriteKind.Removed,
            FileEventKind.Renamed when path is not null && from is not null => WriteKind.Renamed,
            FileEventKind.Renamed when path is not null => WriteKind.Created, // from a directory that is not watched
            FileEventKind.Renamed when from is not null => WriteKind.Removed, // to one
            _ => null, // of a directory that is no part of the state any more
        };
        if (kind is not { } what) return;
        Note(new() { Time = time, Kind = what, Path = path ?? from, From = what == WriteKind.Renamed ? from : null, IsDirectory = happened.IsDirectory, By = _lookUp.Of(happened.Pid, by, now) }, now);
        if (!happened.IsDirectory) return;
        switch (what)
        {
            case WriteKind.Renamed: _directories.Moved(happened.OldDirectory!.Value, happened.OldName, happened.Directory!.Value, happened.Name); break;
            case WriteKind.Created when !_directories.Came(happened.Directory!.Value, happened.Name): Unwatched(path!.Value); break;
            case WriteKind.Removed when path is null: _directories.Went(happened.OldDirectory!.Value, happened.OldName); break;
            case WriteKind.Removed: _directories.Went(happened.Directory!.Value, happened.Name); break;
        }
    }

    private void Unwatched(GuestPath path) => Note(new() { Time = DateTimeOffset.UtcNow, Kind = WriteKind.Unwatched, Path = path });

    private void Note(WriteRecord record) => _records.Add(record);

    private void Note(WriteRecord happened, long now)
    {
        if (_coalescer.Take(happened, now) is { } record) _records.Add(record);
    }

    private void WriteDown()
    {
        if (_records.Count == 0) return;
        // What cannot be written is not kept in memory for as long as the disk is full: that it is lost is written when there is room.
        if (_lost is { } since) _records.Insert(0, new() { Time = since, Kind = WriteKind.Lost });
        try
        {
            _file.Append(_records);
            _lost = null;
        }
        catch (SyscallException)
        {
            bool first = _lost is null;
            _lost ??= DateTimeOffset.UtcNow;
            if (first) throw; // it is said once
        }
        finally { _records.Clear(); }
    }
}
