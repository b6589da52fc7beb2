using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Engine.Watching;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Opening;

/// <summary>
/// `capsule filler`: answers the opens of an open capsule's files, once they have their content (docs/adr/0024). It can be killed at any line: what it
/// took out of the queue and has not answered stands in the run directory under the number by which it is answered, and its successor answers it.
/// </summary>
/// <remarks>
/// An answer names nothing but that number. So no number may mean two files: it is written down before the file is filled, it is crossed out after the
/// answer, and only then is its descriptor closed, by which the kernel may use it again. A successor first denies all numbers that are not written
/// down, and keeps those that are from being used, before it takes its first event.
/// </remarks>
public sealed class Filler
{
    private const int FirstNumber = 100, MostNumbers = 4096, Workers = 4, LookMilliseconds = 200, LockAttempts = 10;

    private readonly StoreLayout _layout;
    private readonly CapsuleName _name;
    private readonly Descriptor _group;
    private readonly FileFiller _filler;
    private readonly string _tree, _notes;
    private readonly BlockingCollection<Waiting> _queue = []; // without a bound: whoever fills waits for our own thread, which must never wait for them
    private readonly HashSet<(GuestPath, string?)> _told = [];
    private readonly Lock _log = new();
    private readonly List<Descriptor> _low = []; // as long as we live: one that is collected is closed
    private volatile RunRecord? _run;

    /// <summary>One whose open waits. <paramref name="Held"/> keeps its number from being used again.</summary>
    private sealed record Waiting(int Number, GuestPath Path, Descriptor Held, bool IsFile, string? Program, string? Service);

    private Filler(StoreLayout layout, CapsuleName name, Descriptor group, OpenSource source)
    {
        (_layout, _name, _group) = (layout, name, group);
        (_tree, _notes) = (layout.OpenTree(name), FillGuard.Notes(layout, name));
        _filler = new(_tree, source.Source.Kind switch
        {
            SourceKind.Ssh => new SshSource(SshAddress.Parse(source.Source.Place)).Open,
            _ => () => new LocalSource(source),
        });
    }

    /// <summary>Fills until the capsule has ended; standard input is the group of events.</summary>
    public static void Run(StoreLayout layout, CapsuleName name)
    {
        ProcessCalls.MakeUndumpable();
        var group = new Descriptor(0);
        string lockFile = FillGuard.LockFile(layout, name);
        var (held, _) = FileCalls.TryOpenAt(null, lockFile, OpenFlags.ReadWrite);
        using (held)
            if (held is not null && SmallFiles.TryRead(layout.Open(name) + OpenTree.Source) is { } bytes && IsOurs(held))
                new Filler(layout, name, group, OpenSource.FromJson(bytes)).Serve(FileCalls.Stat(held));
        Guard.EndOwn();
        Environment.Exit(0); // the workers know no end
    }

    /// <summary>One fills. Another that was started for it, by a keeper that was faster than its guard, goes.</summary>
    private static bool IsOurs(Descriptor held)
    {
        for (int attempt = 0; attempt < LockAttempts; attempt++, Thread.Sleep(LookMilliseconds))
            if (FileCalls.Lock(held, exclusive: true, wait: false)) return true;
        return false;
    }

    private void Serve(FileStatus held)
    {
        List<(int Number, GuestPath Path)> notes = ReadNotes(); // before the next line: what is opened behind it may have one of these numbers
        do _low.Add(FileCalls.Open("/dev/null", OpenFlags.PathOnly));
        while (_low[^1].Number < FirstNumber); // numbers of events begin above whatever the runtime uses
        TakeOver(notes, _low[0]);
        for (int i = 0; i < Workers; i++) new Thread(Work) { IsBackground = true }.Start();

        Descriptor? init = null;
        while (true)
        {
            init ??= FindInit();
            ulong ready = FileCalls.WaitAny(init is null ? [_group] : [_group, init], init is null ? LookMilliseconds : -1);
            if ((ready & 1) != 0 && OpenGate.TryTake(_group) is var (file, pid)) Meet(file, pid);
            if ((ready & 2) != 0 || init is null && FileCalls.TryStat(null, FillGuard.LockFile(_layout, _name))?.Inode != held.Inode) return; // PID 1 is gone, and everybody in its namespace before it
        }
    }

    private Descriptor? FindInit()
    {
        if (RunRecord.Find(_layout, _name) is not { } run) return null;
        _run = run;
        return ProcessCalls.TryOpenPidFd(run.Init);
    }

    /// <summary>What a filler before this one left unanswered.</summary>
    private List<(int Number, GuestPath Path)> ReadNotes()
    {
        using Descriptor notes = FileCalls.Open(_notes, OpenFlags.ReadOnly | OpenFlags.Directory);
        return [.. FileCalls.List(notes).Select(n => (int.Parse(Encoding.ASCII.GetString(n.Name), CultureInfo.InvariantCulture), GuestPath.Parse(FileCalls.ReadLink(notes, n.Name).AsSpan())))];
    }

    private void TakeOver(List<(int Number, GuestPath Path)> notes, Descriptor nothing)
    {
        foreach (var (number, path) in notes)
        {
            ProcessCalls.Duplicate(nothing, number);
            _queue.Add(new(number, path, new Descriptor(number), IsFile: false, null, null));
        }
        HashSet<int> known = [.. notes.Select(n => n.Number)];
        for (int number = 0; number < MostNumbers; number++)
            while (!known.Contains(number) && OpenGate.TryAnswer(_group, number, Errno.EIO)) { }
    }

    /// <summary>An open that waits. Our own are let go at once: a file is filled by one.</summary>
    private void Meet(Descriptor file, int pid)
    {
        int errno = 0;
        if (file.Number >= MostNumbers) errno = Errno.EIO; // more wait than a successor would look for
        else if (pid != Environment.ProcessId && UnfilledMark.IsOn(file))
            try
            {
                GuestPath path = PathOf(file);
                FileCalls.MakeSymbolicLink(path.Bytes, null, $"{_notes}/{file.Number}");
                _queue.Add(new(file.Number, path, file, IsFile: true, ProgramOf(pid), ServiceOf(pid)));
                return;
            }
            catch (Exception e) when (e is SyscallException or CapsuleException)
            {
                Say(FactText.Of(e));
                errno = e is SyscallException { Errno: Errno.ENOSPC } ? Errno.ENOSPC : Errno.EIO;
            }
        else if (pid != Environment.ProcessId) OpenGate.Pass(_group, file);
        OpenGate.TryAnswer(_group, file.Number, errno);
        file.Dispose();
    }

    /// <summary>
    /// The event's file is named from the root of the overlay's own copy of the tree, from the capsule's or the host's side of the overlay, or from the host
    /// when it was opened there; or from wherever else a part of the root was bound to, and then it is looked for. An overlay shows a lower file under that
    /// file's number (overlayfs.rst, Inode properties), and a number of the tree is one file.
    /// </summary>
    private GuestPath PathOf(Descriptor file)
    {
        byte[] name = FileCalls.ReadLink(null, $"/proc/self/fd/{file.Number}");
        ulong inode = FileCalls.Stat(file).Inode;
        foreach (string root in (ReadOnlySpan<string>)[_tree, _layout.RunOf(_name) + "/peer", ""])
            if (name.AsSpan().StartsWith(Encoding.UTF8.GetBytes(root + "/")) && GuestPath.Normalize(name.AsSpan(Encoding.UTF8.GetByteCount(root))) is var path && Is(path)) return path;
        foreach (GuestPath directory in OpenTree.DirectoriesWithFiles(_layout, _name))
        {
            using Descriptor opened = FileCalls.Open(OpenTree.PlaceOf(_tree, directory), OpenFlags.ReadOnly | OpenFlags.Directory);
            foreach (var (entry, kind) in FileCalls.List(opened))
                if (kind == FileKind.Regular && FileCalls.TryStat(opened, entry)?.Inode == inode) return directory.Child(entry);
        }
        throw new SyscallException("find", BytePicture.Of(name) + " in the open tree", Errno.ENOENT);

        bool Is(GuestPath path) => FileCalls.TryStat(null, OpenTree.PlaceOf(_tree, path))?.Inode == inode;
    }

    /// <summary>What opens a program to start it is not that program yet: our own tail, which is a file without a name.</summary>
    private static string? ProgramOf(int pid) => StrayWriters.ProgramOf(pid) is { } program ? program.StartsWith("/memfd:", StringComparison.Ordinal) ? "capsule" : program : null;

    /// <summary>Nothing that cannot be known of a reader may keep it waiting: it is written down already.</summary>
    private string? ServiceOf(int pid)
    {
        try
        {
            if ((_run ??= RunRecord.Find(_layout, _name)) is not { } run) return null;
            using var running = new RunningCapsule(_layout, run);
            return new StrayWriters(_layout, running).ServiceOf(pid);
        }
        catch (Exception e) when (e is SyscallException or CapsuleException)
        {
            Say(FactText.Of(e));
            return null;
        }
    }

    private void Work()
    {
        foreach (Waiting waiting in _queue.GetConsumingEnumerable())
        {
            FillResult result = _filler.Fill(waiting.Path);
            if (result.Errno != 0 || result.IsNew || !waiting.IsFile) Note(waiting, result); // one that was taken over may have been filled before its filler could note it
            if (result.Errno == 0 && waiting.IsFile) OpenGate.Pass(_group, waiting.Held);
            OpenGate.TryAnswer(_group, waiting.Number, result.Errno);
            FileCalls.Remove(null, $"{_notes}/{waiting.Number}");
            waiting.Held.Dispose();
        }
    }

    private void Note(Waiting waiting, FillResult result)
    {
        string? reason = result.Reason ?? (result.Folder is { } folder ? $"with all of {folder}" : null);
        lock (_log)
            try
            {
                if (result.Errno != 0 && !_told.Add((waiting.Path, reason))) return; // tried again and again
                MissLog.Append(_layout, _name, new(DateTimeOffset.UtcNow, result.Errno == 0 ? MissKind.Filled : MissKind.Failed, waiting.Path, waiting.Program)
                {
                    Service = waiting.Service,
                    Size = FileCalls.TryStat(null, OpenTree.PlaceOf(_tree, waiting.Path))?.Size,
                    Reason = reason,
                });
            }
            catch (SyscallException e) { Say(e.Message); } // a full disk costs a note, never the answer
    }

    private void Say(string what) => Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {_name}: {what}");
}
