using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>
/// One for all capsules: takes their logs, starts services again as they say, and clears away what has ended. It keeps nothing that PID 1, the
/// board and the disk do not have, and can be killed and replaced at any time. It ends with the last capsule.
/// </summary>
public sealed class Keeper : IDisposable
{
    private const int Burst = 5, BurstMilliseconds = 10_000; // as systemd: StartLimitBurst=, StartLimitIntervalSec=

    private const int TidyAfter = 1000, FullDiskPause = 5000, BusyPause = 100, FillerPause = 1000; // milliseconds

    private readonly StoreLayout _layout;
    private readonly CapsuleStore _store;
    private readonly CapsuleRunner _runner;
    private readonly Epoll _epoll = new();
    private readonly Dictionary<CapsuleName, Kept> _kept = [];
    private readonly Dictionary<ulong, (Kept Capsule, int Service, bool IsLog)> _watched = [];
    private readonly Dictionary<Descriptor, ulong> _tokens = [];
    private readonly List<(long Due, CapsuleName Name, int Service)> _due = [];
    private readonly Descriptor _lock;
    private readonly Door _door;
    private readonly List<(long Due, Kept Capsule, int Log)> _paused = [];
    private long _lookAgainAt;
    private long _tidyAt = Environment.TickCount64 + TidyAfter;

    private Keeper(StoreLayout layout, Descriptor held)
    {
        (_layout, _lock) = (layout, held);
        _store = new(layout);
        _runner = new(_store);
        _door = new(KeeperDoor.Fifo(layout), _epoll);
    }

    /// <summary>Keeps until no capsule runs; returns at once when another keeper is at work.</summary>
    public static void Run(StoreLayout layout)
    {
        ProcessCalls.MakeUndumpable();
        SmallFiles.MakeDirectories(layout.Run);
        if (Doorbell.Hold(KeeperDoor.LockFile(layout)) is { } held)
        {
            using var keeper = new Keeper(layout, held);
            keeper.Loop();
        }
        Guard.EndOwn();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Kept kept in _kept.Values) kept.Dispose();
        _door.Dispose();
        _epoll.Dispose();
        _lock.Dispose();
    }

    private void Loop()
    {
        Look();
        while (true)
        {
            if (IsIdle && _door.IsClosed(Look, () => IsIdle)) return;
            foreach (ulong token in WaitForEvents()) Guarded(() => Handle(token));
            foreach (var (due, capsule, log) in _paused.Where(p => p.Due <= Environment.TickCount64).ToArray())
            {
                _paused.Remove((due, capsule, log));
                if (_kept.ContainsValue(capsule)) Watch(capsule.Logs[log], capsule, log, isLog: true);
            }
            if (_lookAgainAt != 0 && Environment.TickCount64 >= _lookAgainAt)
            {
                _lookAgainAt = 0;
                Look();
            }
            foreach (var (_, name, service) in _due.Where(d => d.Due <= Environment.TickCount64).ToArray()) Guarded(() => StartAgain(name, service));
            foreach (Kept kept in _kept.Values.Where(k => k.Fills is not null)) Guarded(() => EnsureFiller(kept));
            foreach (Kept kept in _kept.Values.Where(k => k.Run.CommandOnly || k.Run.Owner != 0).ToArray()) Guarded(() => FinishIfAlone(kept));
        }
    }

    private bool IsIdle => _kept.Count == 0 && _due.Count == 0 && _lookAgainAt == 0;

    /// <summary>A second after real work the memory that it took is given back; taking logs is no such work.</summary>
    private ulong[] WaitForEvents()
    {
        int patience = Patience();
        if (_tidyAt == 0) return _epoll.Wait(patience);
        long rest = _tidyAt - Environment.TickCount64;
        if (rest > 0) return _epoll.Wait(patience < 0 ? (int)rest : (int)Math.Min(patience, rest));
        ProgramMemory.Release();
        _tidyAt = 0;
        return _epoll.Wait(patience);
    }

    /// <summary>What goes wrong with one capsule must not end the keeping of the others.</summary>
    private static void Guarded(Action work)
    {
        try { work(); }
        catch (CapsuleException e) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Problem}"); }
        catch (Exception e) when (e is SyscallException or TailException or FormatException or TimeoutException) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {FactText.Of(e)}"); }
    }

    private int Patience()
    {
        if (_paused.Count > 0) return 1000;
        if (_lookAgainAt != 0) return (int)Math.Clamp(_lookAgainAt - Environment.TickCount64, 0, 1000);
        if (_due.Count > 0) return (int)Math.Clamp(_due.Min(d => d.Due) - Environment.TickCount64, 0, 1000);
        return _kept.Values.Any(k => k.Run.CommandOnly || k.Run.Owner != 0) ? 1000 : _kept.Values.Any(k => k.Fills is not null) ? FillerPause : -1;
    }

    private void Handle(ulong token)
    {
        if (token == _door.Token)
        {
            _door.Hear();
            Look();
            _tidyAt = Environment.TickCount64 + TidyAfter;
            return;
        }
        if (!_watched.TryGetValue(token, out var watched)) return; // ended by an event before it in the same turn
        if (watched.IsLog)
            try { watched.Capsule.TakeLog(watched.Service); }
            catch (SyscallException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT) // the service waits until there is room again
            {
                _paused.Add((Environment.TickCount64 + FullDiskPause, watched.Capsule, watched.Service));
                _epoll.Forget(watched.Capsule.Logs[watched.Service]);
                _watched.Remove(token);
                _tokens.Remove(watched.Capsule.Logs[watched.Service]);
                Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {watched.Capsule.Run.Name}: no room for its log; tried again in {FullDiskPause / 1000} s");
            }
        else
        {
            if (watched.Service < 0) InitEnded(watched.Capsule);
            else ServiceEnded(watched.Capsule, watched.Service);
            _tidyAt = Environment.TickCount64 + TidyAfter;
        }
    }

    /// <summary>Finds capsules that are new, and services that are.</summary>
    private void Look()
    {
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules))
            Guarded(() =>
            {
                if (RunRecord.Find(_layout, name) is not { } run) return;
                if (_kept.TryGetValue(name, out Kept? known) && known.Run.InitStart == run.InitStart)
                {
                    WatchServices(known);
                    FinishIfAllEnded(known); // while its start held the lock nothing could be decided
                }
                else
                {
                    if (known is not null) Drop(known);
                    Take(run);
                }
            });
    }

    private void LookAgain(int milliseconds)
    {
        long due = Environment.TickCount64 + milliseconds;
        if (_lookAgainAt == 0 || due < _lookAgainAt) _lookAgainAt = due;
    }

    private void Take(RunRecord run)
    {
        if (!run.IsAlive)
        {
            using Descriptor? held = _store.Lock(run.Name, wait: false);
            if (held is not null) Finish(run, "killed");
            else LookAgain(BusyPause);
            return;
        }
        var kept = new Kept(run, new RunningCapsule(_layout, run));
        _kept[run.Name] = kept;
        Watch(kept.Running.Init, kept, -1, isLog: false);
        for (int i = 0; i < run.Services.Length; i++)
        {
            kept.Logs.Add(kept.Running.Copy(run.Services[i].LogRead));
            Watch(kept.Logs[i], kept, i, isLog: true);
        }
        if (run.SystemLog >= 0)
        {
            kept.Logs.Add(kept.Running.Copy(run.SystemLog));
            Watch(kept.Logs[^1], kept, kept.Logs.Count - 1, isLog: true);
        }
        if (run.Writes >= 0)
        {
            kept.Writers = new(_layout, kept.Running);
            kept.Logs.Add(kept.Running.Copy(run.Writes));
            Watch(kept.Logs[^1], kept, kept.Logs.Count - 1, isLog: true);
        }
        if (run.Fills >= 0) kept.Fills = kept.Running.Copy(run.Fills);
        WatchServices(kept);
    }

    /// <summary>Its own guard starts it again at once; one whose guard is gone as well is ours.</summary>
    private void EnsureFiller(Kept kept)
    {
        if (FillGuard.HasFiller(_layout, kept.Run.Name)) kept.FillerGone = 0;
        else if (kept.FillerGone == 0) kept.FillerGone = Environment.TickCount64;
        else if (Environment.TickCount64 - kept.FillerGone >= FillerPause)
        {
            kept.FillerGone = 0;
            FillGuard.Start(_layout, kept.Run.Name, kept.Fills!);
        }
    }

    private void WatchServices(Kept kept)
    {
        BoardState[] board = kept.Running.Board();
        for (int i = 0; i < kept.Run.Services.Length; i++)
        {
            if (kept.Services.ContainsKey(i)) continue;
            if (board[i].Running)
            {
                if (kept.Running.HostPid(board[i].Pid) is int pid && ProcessCalls.TryOpenPidFd(pid) is { } process)
                {
                    kept.Services[i] = process;
                    Watch(process, kept, i, isLog: false);
                }
                else LookAgain(20); // it has just ended, and PID 1 has not written it down yet
            }
            else if (board[i] is { Running: false, Generation: > 0 } && !kept.Handled.Contains((i, board[i].Generation))) Ended(kept, i, board[i]); // while nobody kept
        }
    }

    private void InitEnded(Kept kept)
    {
        if (kept.Run.IsAlive) return;
        for (int i = 0; i < kept.Logs.Count; i++)
        {
            int log = i;
            Guarded(() => kept.TakeLog(log)); // ours are the last copies; what finds no room is lost with them
        }
        Drop(kept);
        using Descriptor? held = _store.Lock(kept.Run.Name, wait: false);
        if (held is null) // a stop is at it, or somebody who only waits
        {
            LookAgain(BusyPause);
            return;
        }
        if (RunRecord.Find(_layout, kept.Run.Name) is { } run && run.InitStart == kept.Run.InitStart) Finish(run, "killed");
    }

    /// <summary>What a capsule left is cleared away. Those that cannot be without it hear of it from another program: nobody else's keeping waits for their stop.</summary>
    private void Finish(RunRecord run, string reason)
    {
        _runner.Finish(run, reason);
        if (!run.Services.IsEmpty && _store.TryFind(run.Name) is { LinkedBy.IsEmpty: false }) LinkDoor.Lose(_layout, run.Name);
    }

    private void ServiceEnded(Kept kept, int service)
    {
        if (kept.Services.Remove(service, out Descriptor? process)) Unwatch(process);
        BoardState state = kept.Running.Board()[service];
        for (int attempt = 0; state.Running && attempt < 200 && kept.Run.IsAlive; attempt++) // PID 1 reaps it a moment later
        {
            if (kept.Running.HostPid(state.Pid) is int pid && ProcessTable.TryRead(pid) is { IsDead: false }) // a daemon took its place
            {
                WatchServices(kept);
                return;
            }
            Thread.Sleep(5);
            state = kept.Running.Board()[service];
        }
        Ended(kept, service, state);
    }

    private void Ended(Kept kept, int service, BoardState state)
    {
        kept.Handled.Add((service, state.Generation));
        if (FileCalls.TryStat(null, _runner.StoppingMark(kept.Run.Name)) is not null) return;
        CapsuleRecord capsule = _store.Get(kept.Run.Name.ToString());
        ServiceManifest manifest = _store.Manifest(capsule.Image).Services[service];
        if (Wants(capsule.Restart ?? manifest.Restart, manifest, state) && kept.MayStartAgain(service, Burst, BurstMilliseconds))
        {
            _due.Add((Environment.TickCount64 + manifest.RestartDelay, kept.Run.Name, service));
            return;
        }
        FinishIfAllEnded(kept);
    }

    /// <summary>The table of systemd.service(5), Restart=.</summary>
    private static bool Wants(RestartPolicy policy, ServiceManifest service, BoardState state)
    {
        bool success = ServiceStarter.IsSuccess(service, state);
        return policy switch
        {
            RestartPolicy.Always => true,
            RestartPolicy.OnSuccess => success,
            RestartPolicy.OnFailure => !success,
            RestartPolicy.OnAbnormal or RestartPolicy.OnAbort => !success && state.Signal != 0,
            _ => false,
        };
    }

    private void StartAgain(CapsuleName name, int service)
    {
        using Descriptor? held = _store.Lock(name, wait: false);
        if (held is null && _kept.ContainsKey(name)) return; // somebody changes it; looked at again in the next turn
        _due.RemoveAll(d => d.Name == name && d.Service == service);
        if (held is null || !_kept.TryGetValue(name, out Kept? kept) || !kept.Run.IsAlive || FileCalls.TryStat(null, _runner.StoppingMark(name)) is not null) return;
        if (kept.Running.Board()[service].Running) return;
        try { _runner.Restart(kept.Run, service); }
        finally { WatchServices(kept); }
    }

    private void FinishIfAllEnded(Kept kept)
    {
        if (kept.Run.CommandOnly || _due.Any(d => d.Name == kept.Run.Name)) return;
        BoardState[] board = kept.Running.Board();
        for (int i = 0; i < kept.Run.Services.Length; i++)
            if (board[i].Running || board[i].Generation == 0 || !kept.Handled.Contains((i, board[i].Generation))) return; // an end that nobody has decided about yet may want a restart
        using Descriptor? held = _store.Lock(kept.Run.Name, wait: false);
        if (held is null) // a start, a stop, or our own starting again is at work: it is decided when that is done
        {
            LookAgain(BusyPause);
            return;
        }
        Drop(kept);
        Finish(kept.Run, "ended");
    }

    /// <summary>A capsule that only held a command, whose starter is gone as well; or one that ran for somebody who is gone.</summary>
    private void FinishIfAlone(Kept kept)
    {
        if (!kept.Run.IsOrphan && (!kept.Run.CommandOnly || kept.Running.Processes().Count > 1)) return;
        using Descriptor? held = _store.Lock(kept.Run.Name, wait: false);
        if (held is null || !kept.Run.IsOrphan && DateTimeOffset.UtcNow - kept.Run.Started < TimeSpan.FromSeconds(10)) return;
        Drop(kept);
        Finish(kept.Run, "ended");
    }

    private void Watch(Descriptor descriptor, Kept kept, int service, bool isLog)
    {
        ulong token = _epoll.Watch(descriptor);
        _tokens[descriptor] = token;
        _watched[token] = (kept, service, isLog);
    }

    private void Unwatch(Descriptor descriptor)
    {
        if (_tokens.Remove(descriptor, out ulong token))
        {
            _watched.Remove(token);
            _epoll.Forget(descriptor);
        }
        descriptor.Dispose();
    }

    private void Drop(Kept kept)
    {
        _kept.Remove(kept.Run.Name);
        _due.RemoveAll(d => d.Name == kept.Run.Name);
        _paused.RemoveAll(p => p.Capsule == kept);
        if (_tokens.Remove(kept.Running.Init, out ulong token)) _watched.Remove(token);
        _epoll.Forget(kept.Running.Init);
        foreach (Descriptor descriptor in kept.Logs.Concat(kept.Services.Values)) Unwatch(descriptor);
        kept.Logs.Clear();
        kept.Services.Clear();
        kept.Dispose();
    }

    /// <summary>What the keeper holds of one capsule.</summary>
    private sealed class Kept(RunRecord run, RunningCapsule running) : IDisposable
    {
        private readonly Dictionary<int, List<long>> _starts = [];

        public RunRecord Run => run;
        public RunningCapsule Running => running;
        public List<Descriptor> Logs { get; } = [];
        public Dictionary<int, Descriptor> Services { get; } = [];
        public HashSet<(int Service, int Generation)> Handled { get; } = [];

        public StrayWriters? Writers { get; set; }

        /// <summary>Of a service; behind them all, of /dev/log, and who wrote what.</summary>
        public void TakeLog(int index)
        {
            if (index < run.Services.Length) running.LogOf(run.Services[index].Name).Take(Logs[index]);
            else if (Writers is not null && index == Logs.Count - 1) Writers.Take(Logs[index]);
            else running.LogOf(LogFile.SystemLog).TakeMessages(Logs[index]);
        }

        public bool MayStartAgain(int service, int burst, int milliseconds)
        {
            if (!_starts.TryGetValue(service, out var starts)) _starts[service] = starts = [];
            starts.RemoveAll(t => Environment.TickCount64 - t > milliseconds);
            starts.Add(Environment.TickCount64);
            return starts.Count <= burst;
        }

        /// <summary>Of an open capsule: held as long as it runs, and given to a new filler.</summary>
        public Descriptor? Fills { get; set; }
        /// <summary>Since when its filler is missed; 0 when it is there.</summary>
        public long FillerGone { get; set; }

        public void Dispose()
        {
            Fills?.Dispose();
            running.Dispose();
        }
    }
}
