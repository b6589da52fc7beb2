using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Journals;

/// <summary>
/// Notes who writes to the state of capsules: one process of one thread for all. It can be killed at any time: its guard starts the next one, and the journal says of which time
/// nothing is known. It ends by itself when no capsule runs whose writes are to be noted.
/// </summary>
public sealed class Scribe : IDisposable
{
    private const int Busy = 64, BusyPause = 20; // events; milliseconds. Events of one file and process that wait in the queue become one there, so a busy directory costs less when it is read less often

    private const int Nice = -10; // who wrote may end at any moment: it is looked at before

    private readonly StoreLayout _layout;
    private readonly CapsuleStore _store;
    private readonly Epoll _epoll = new();
    private readonly WriterLookUp _lookUp = new();
    private readonly Dictionary<CapsuleName, OwnerJournal> _journals = [];
    private readonly Dictionary<ulong, (RunRecord Run, Descriptor Init)> _running = [];
    private readonly Descriptor _lock;
    private readonly Door _door;

    private Scribe(StoreLayout layout, Descriptor held)
    {
        (_layout, _store, _lock) = (layout, new(layout), held);
        foreach (CapsuleName left in DirectoryNames.In(layout.Run + "/journals")) // of one who was killed
            FileCalls.Remove(null, JournalDoor.Mark(layout, left));
        _door = new(JournalDoor.Fifo(layout), _epoll);
    }

    /// <summary>Notes until no capsule runs whose writes are to be noted; returns at once when another scribe is at work.</summary>
    public static void Run(StoreLayout layout)
    {
        ProcessCalls.MakeUndumpable();
        ProcessCalls.TrySetNice(Nice);
        SmallFiles.MakeDirectories(layout.Run + "/journals");
        if (Doorbell.Hold(JournalDoor.LockFile(layout)) is { } held)
        {
            using var scribe = new Scribe(layout, held);
            scribe.Loop();
        }
        Guard.EndOwn();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (OwnerJournal journal in _journals.Values) journal.Dispose();
        foreach (var (_, init) in _running.Values) init.Dispose();
        _door.Dispose();
        _epoll.Dispose();
        _lock.Dispose();
    }

    private void Loop()
    {
        Look();
        while (true)
        {
            if (_journals.Count == 0 && _door.IsClosed(Look, () => _journals.Count == 0)) return;
            long now = Environment.TickCount64, due = _journals.Values.Min(j => j.Due) ?? long.MaxValue;
            ulong[] ready = _epoll.Wait(due == long.MaxValue ? -1 : (int)Math.Clamp(due - now, 0, WriteCoalescer.Window));
            now = Environment.TickCount64;
            int events = 0;
            foreach (OwnerJournal journal in _journals.Values) Guarded(() => events += journal.Take(now));
            foreach (ulong token in ready)
                if (_running.Remove(token, out var ended))
                {
                    foreach (OwnerJournal journal in _journals.Values) Guarded(() => journal.Forget(ended.Run));
                    _epoll.Forget(ended.Init);
                    ended.Init.Dispose();
                    Look();
                }
                else if (token == _door.Token)
                {
                    _door.Hear();
                    Look();
                }
            if (events >= Busy) Thread.Sleep(BusyPause);
        }
    }

    /// <summary>Watches what the capsules that run, their links and their journals ask for now, and tells those who wait for that.</summary>
    private void Look()
    {
        IReadOnlyList<string> asked = SmallFiles.Names(JournalDoor.Asked(_layout)); // before: who asks later is looked at by the next knock
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules)) Guarded(() => Meet(name));
        RunRecord[] runs = [.. _running.Values.Select(r => r.Run)];
        _lookUp.Learn(runs);
        // One that has ended may still be among them beside the one that was started after it.
        var byName = runs.GroupBy(r => r.Name).ToDictionary(g => g.Key, g => g.MaxBy(r => r.InitStart)!);
        ILookup<CapsuleName, JournalRoot> plan = Enumerable.Empty<JournalRoot>().ToLookup(r => r.Owner);
        Guarded(() => plan = JournalDoor.Plan(_store, byName.Keys).ToLookup(r => r.Owner));
        foreach (OwnerJournal journal in _journals.Values.Where(j => !plan.Contains(j.Owner)).ToArray())
        {
            Guarded(journal.End);
            journal.Dispose();
            _journals.Remove(journal.Owner);
            FileCalls.Remove(null, JournalDoor.Mark(_layout, journal.Owner));
        }
        foreach (var roots in plan)
        {
            string? problem = Guarded(() =>
            {
                if (!_journals.TryGetValue(roots.Key, out OwnerJournal? journal)) _journals[roots.Key] = journal = new(_layout, roots.Key, _lookUp, _epoll);
                journal.Follow([.. roots], byName);
                journal.Take(Environment.TickCount64);
            });
            Guarded(() => SmallFiles.Write(JournalDoor.Mark(_layout, roots.Key), System.Text.Encoding.UTF8.GetBytes(problem ?? ""), durable: false));
        }
        foreach (string ask in asked) FileCalls.Remove(null, $"{JournalDoor.Asked(_layout)}/{ask}");
    }

    /// <summary>A capsule runs: its end is waited for.</summary>
    private void Meet(CapsuleName name)
    {
        if (RunRecord.Find(_layout, name) is not { IsAlive: true } run || _running.Values.Any(r => r.Run.Name == name && r.Run.InitStart == run.InitStart)) return;
        if (ProcessCalls.TryOpenPidFd(run.Init) is { } init) _running[_epoll.Watch(init)] = (run, init);
    }

    /// <summary>What goes wrong with one capsule must not end the others; why it went wrong.</summary>
    private static string? Guarded(Action work)
    {
        string? why = null;
        try { work(); }
        catch (CapsuleException e) { why = $"{e.Problem.What}: {e.Problem.Cause}"; }
        catch (Exception e) when (e is SyscallException or FormatException) { why = FactText.Of(e); }
        if (why is not null) Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {why}");
        return why;
    }
}
