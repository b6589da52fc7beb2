using System.Buffers.Binary;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Crossings;

/// <summary>
/// Runs programs of capsules for others: one process of one thread for all, which waits for none of them. It is no party to what they read and write. It can be
/// killed and replaced at any time; programs that it ran end with it. It ends by itself with the last capsule that has links with programs.
/// </summary>
public sealed class CrossingBroker : IDisposable
{
    private const int Patience = 10_000, AcceptedAtOnce = 16, WriteEvery = 1000, BusyPause = 100, FirstPause = 5, LongestPause = 1000, StatusSize = 4; // milliseconds; bytes

    private readonly StoreLayout _layout;
    private readonly LinkFacts _links;
    private readonly CrossingLaunch _launch;
    private readonly Epoll _epoll = new();
    private readonly Dictionary<ulong, Action> _watched = [];
    private readonly Dictionary<CapsuleName, (UsingCapsule Capsule, ulong[] Tokens)> _users = [];
    private readonly Dictionary<CapsuleName, (OwningCapsule Capsule, ulong Token)> _owners = [];
    private readonly HashSet<Crossing> _crossings = [];
    private readonly List<Ending> _ending = [];
    private readonly List<int> _unreaped = [];
    private readonly Descriptor _lock;
    private readonly Door _door;
    private long _next = Environment.TickCount64, _writeAt, _lookAgainAt; // numbers that no broker before us can have given

    private sealed record Ending(Crossing Crossing)
    {
        public long Due { get; set; }
        public int Pause { get; set; } = FirstPause;
        public bool IsCounted { get; set; }
    }

    private CrossingBroker(StoreLayout layout, Descriptor held)
    {
        (_layout, _lock) = (layout, held);
        var store = new CapsuleStore(layout);
        _links = new(store);
        _launch = new(_links);
        _door = new(CrossingDoor.Fifo(layout), _epoll);
    }

    /// <summary>Answers until no capsule runs that may run programs of others; returns at once when another broker is at work.</summary>
    public static void Run(StoreLayout layout)
    {
        ProcessCalls.MakeUndumpable();
        ProcessCalls.ReserveNumbers(CrossingFormat.DescriptorsBelow); // those of callers: ours never stand in their way
        SmallFiles.MakeDirectories(layout.Run);
        if (Doorbell.Hold(CrossingDoor.LockFile(layout)) is { } held)
        {
            using var broker = new CrossingBroker(layout, held);
            broker.Loop();
        }
        Guard.EndOwn();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Crossing crossing in _crossings) crossing.Dispose();
        foreach (var (capsule, _) in _users.Values) capsule.Dispose();
        foreach (var (capsule, _) in _owners.Values) capsule.Dispose();
        _door.Dispose();
        _epoll.Dispose();
        _lock.Dispose();
    }

    private void Loop()
    {
        ClearLeftOvers();
        Look();
        while (true)
        {
            if (IsIdle && _door.IsClosed(Look, () => IsIdle)) return;
            foreach (ulong token in _epoll.Wait(PatienceNow()))
                if (token == _door.Token)
                {
                    _door.Hear();
                    Guarded(Look);
                }
                else if (_watched.TryGetValue(token, out Action? handle)) Guarded(handle); // else it was ended by an event before it in the same turn
            long now = Environment.TickCount64;
            foreach (Crossing late in _crossings.Where(c => c.Message is null && c.Due <= now).ToArray()) Drop(late);
            foreach (Ending ending in _ending.Where(e => e.Due <= now).ToArray()) Guarded(() => End(ending));
            foreach (var (owner, _) in _owners.Values)
                if (owner.SpareDue <= now) Guarded(owner.ClearSpare);
            _unreaped.RemoveAll(ProcessCalls.TryReap);
            if (_lookAgainAt != 0 && now >= _lookAgainAt)
            {
                _lookAgainAt = 0;
                Look();
            }
            if (now < _writeAt) continue;
            _writeAt = now + WriteEvery;
            foreach (var (capsule, _) in _users.Values) Guarded(capsule.Usage.Write);
        }
    }

    private bool IsIdle => _users.Count == 0 && _crossings.Count == 0 && _ending.Count == 0 && _lookAgainAt == 0;

    private int PatienceNow()
    {
        long now = Environment.TickCount64, due = long.MaxValue;
        foreach (Crossing crossing in _crossings)
            if (crossing.Message is null) due = Math.Min(due, crossing.Due);
        foreach (Ending ending in _ending) due = Math.Min(due, ending.Due);
        foreach (var (owner, _) in _owners.Values) due = Math.Min(due, owner.SpareDue ?? long.MaxValue);
        if (_unreaped.Count > 0) due = Math.Min(due, now + BusyPause);
        if (_lookAgainAt != 0) due = Math.Min(due, _lookAgainAt);
        if (_users.Values.Any(u => u.Capsule.Usage.IsDirty)) due = Math.Min(due, Math.Max(now, _writeAt));
        return due == long.MaxValue ? -1 : (int)Math.Clamp(due - now, 0, Patience);
    }

    /// <summary>What goes wrong with one capsule or call must not end the others.</summary>
    private static void Guarded(Action work)
    {
        try { work(); }
        catch (CapsuleException e) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Problem}"); }
        catch (Exception e) when (e is SyscallException or TailException or FormatException) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {FactText.Of(e)}"); }
    }

    /// <summary>Programs of a broker before us run for nobody: their shims have ended.</summary>
    private void ClearLeftOvers()
    {
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules))
            Guarded(() =>
            {
                if (RunRecord.Find(_layout, name) is not { IsAlive: true } run) return;
                foreach (CrossingGroup left in CrossingGroup.LeftIn(run))
                    for (int attempt = 0; !(left.Kill() && left.TryRemove()) && attempt < 100; attempt++) Thread.Sleep(FirstPause); // one that is frozen is cleared with its capsule
            });
    }

    /// <summary>Opens and closes sockets, so that each running capsule with such links has one.</summary>
    private void Look()
    {
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules))
            Guarded(() =>
            {
                RunRecord? run = RunRecord.Find(_layout, name) is { IsAlive: true } alive ? alive : null;
                bool known = _users.TryGetValue(name, out var user), wanted = run is not null && _links.UsedBy(name).Any(u => u.RunsPrograms);
                if (known && (!wanted || user.Capsule.Run.InitStart != run!.InitStart)) Close(user.Capsule);
                if (wanted && !_users.ContainsKey(name)) Open(run!);
            });
    }

    private void Open(RunRecord run)
    {
        var capsule = new UsingCapsule(_layout, run);
        ulong listener = _epoll.Watch(capsule.Listener), init = _epoll.Watch(capsule.Init);
        _watched[listener] = () => Accept(capsule);
        _watched[init] = () => Close(capsule);
        _users[run.Name] = (capsule, [listener, init]);
    }

    private void Close(UsingCapsule capsule)
    {
        foreach (Crossing crossing in _crossings.Where(c => c.User == capsule).ToArray()) Drop(crossing);
        capsule.Usage.Write();
        if (!_users.Remove(capsule.Name, out var known)) return;
        foreach (ulong token in known.Tokens) _watched.Remove(token);
        _epoll.Forget(capsule.Listener);
        _epoll.Forget(capsule.Init);
        capsule.Dispose();
    }

    private void Accept(UsingCapsule capsule)
    {
        for (int i = 0; i < AcceptedAtOnce; i++) // then others have their turn
        {
            Descriptor? connection;
            try { connection = UnixStream.Accept(capsule.Listener); }
            catch (SyscallException e) when (e.Errno is 23 or 24) // ENFILE, EMFILE: they wait in the socket's queue until others have ended
            {
                Thread.Sleep(FirstPause);
                return;
            }
            if (connection is null) return;
            try { Take(capsule, connection); }
            catch (SyscallException e) // it is about this one
            {
                connection.Dispose();
                Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Message}");
            }
        }
    }

    private void Take(UsingCapsule capsule, Descriptor connection)
    {
        using UnixPeer? peer = UnixStream.PeerOf(connection);
        Problem? refusal = null;
        if (peer is not null && !FileCalls.WaitReadable(peer.Process, 0))
        {
            Caller? caller = Caller.Of(peer, capsule);
            if (caller is null) refusal = Problems.ForeignCaller($"{capsule.Name}");
            else if (capsule.Count >= CrossingRules.MostAtOnce) refusal = Problems.TooManyCrossings($"{capsule.Name}", CrossingRules.MostAtOnce);
            else
            {
                Crossing? outer = caller.Inside == 0 ? null : _crossings.FirstOrDefault(c => c.Group?.Number == caller.Inside || c.Group?.Witness == -caller.Inside);
                var crossing = new Crossing(capsule, connection, caller, caller.Inside == 0 ? 1 : (outer?.Depth ?? CrossingRules.MostNested) + 1, _next++) { Due = Environment.TickCount64 + Patience };
                capsule.Count++;
                _crossings.Add(crossing);
                Watch(crossing, connection, () => Hear(crossing));
                return;
            }
        }
        if (refusal is not null) Crossing.Refuse(connection, refusal);
        connection.Dispose();
    }

    private void Watch(Crossing crossing, Descriptor descriptor, Action handle)
    {
        ulong token = _epoll.Watch(descriptor);
        crossing.Watched.Add((descriptor, token));
        _watched[token] = () =>
        {
            try { handle(); }
            catch (CapsuleException e) { Refuse(crossing, e.Problem); }
            catch (FormatException e) { Refuse(crossing, Problems.BadCrossing(FactText.Of(e))); }
            catch (TailException e) { Refuse(crossing, Launcher.TailFailed(e)); }
            catch (SyscallException e) { Refuse(crossing, Problems.LaunchFailed("cross into the capsule", e.Message)); }
        };
    }

    private void Unwatch(Crossing crossing, Descriptor? one = null)
    {
        foreach (var (descriptor, token) in crossing.Watched.Where(w => one is null || w.Descriptor == one))
        {
            _watched.Remove(token);
            _epoll.Forget(descriptor);
        }
        crossing.Watched.RemoveAll(w => one is null || w.Descriptor == one);
    }

    /// <summary>Something came from the shim, or it is gone: then all that runs for it is ended.</summary>
    private void Hear(Crossing crossing)
    {
        if (crossing.Message is null)
        {
            if (!crossing.Read()) Drop(crossing);
            else if (crossing.Message is not null) Begin(crossing);
            return;
        }
        IReadOnlyList<uint>? signals;
        try { signals = crossing.ReadSignals(); }
        catch (SyscallException) { signals = null; } // reset
        if (signals is null) Drop(crossing);
        else
            foreach (uint signal in signals) Pass(crossing, signal);
    }

    private void Pass(Crossing crossing, uint word)
    {
        int signal = (int)(word & ~CrossingFormat.ToGroup);
        if (crossing.Process is null)
        {
            if (CrossingRules.EndsBeforeStart(signal, crossing.Message!)) Finish(crossing, signal);
            else crossing.Early.Add(word);
        }
        else if ((word & CrossingFormat.ToGroup) != 0) ProcessCalls.SignalGroup(crossing.Process, signal);
        else ProcessCalls.Signal(crossing.Process, signal);
    }

    private void Begin(Crossing crossing)
    {
        RunRecord? Running(CapsuleName name) => _owners.TryGetValue(name, out var owner) && owner.Capsule.IsAlive ? owner.Capsule.Run : RunRecord.Find(_layout, name) is { IsAlive: true } run ? run : null;
        var (used, user, run) = _launch.Judge(crossing, Running);
        if (!_owners.TryGetValue(used.Owner, out var known) || known.Capsule.Run.InitStart != run.InitStart)
        {
            if (known.Capsule is not null) Forget(known.Capsule);
            known = (new OwningCapsule(_layout, run), 0);
            OwningCapsule owner = known.Capsule;
            known.Token = _epoll.Watch(owner.Running.Init);
            _watched[known.Token] = () => Forget(owner);
            _owners[used.Owner] = known;
        }
        crossing.Owner = known.Capsule;
        known.Capsule.Crossings.Add(crossing);
        _launch.Start(crossing, used, user);
        _unreaped.Add(crossing.Tail!.Launcher);
        Watch(crossing, crossing.Tail.Reports, () => Follow(crossing));
        Watch(crossing, crossing.Statuses!, () => Learn(crossing));
    }

    /// <summary>The owner has ended, and all of its processes.</summary>
    private void Forget(OwningCapsule owner)
    {
        foreach (Crossing crossing in owner.Crossings.ToArray()) Lose(crossing);
        if (!_owners.Remove(owner.Run.Name, out var known)) return;
        _watched.Remove(known.Token);
        _epoll.Forget(owner.Running.Init);
        owner.Dispose();
    }

    /// <summary>The tail says something: the witness is there, the program's process is, or its program was executed.</summary>
    private void Follow(Crossing crossing)
    {
        if (crossing.Tail!.Next() is int pid)
        {
            if (crossing.Group!.Witness == 0)
            {
                crossing.Group.Witness = pid;
                _unreaped.Add(pid);
                return;
            }
            crossing.Process = ProcessCalls.TryOpenPidFd(pid);
            foreach (uint word in crossing.Early) Pass(crossing, word); // blocked until its exec, and delivered then
            crossing.Early.Clear();
            return;
        }
        Unwatch(crossing, crossing.Tail.Reports);
        crossing.Tail.Dispose();
        crossing.Tail = null;
        if (crossing.Terminal is null) return;
        crossing.Tell(CrossingFormat.Terminal, 0, crossing.Terminal);
        crossing.Terminal.Dispose();
        crossing.Terminal = null;
    }

    /// <summary>The witness says something.</summary>
    private void Learn(Crossing crossing)
    {
        Span<byte> bytes = stackalloc byte[StatusSize];
        if (FileCalls.Read(crossing.Statuses!, bytes) != StatusSize)
        {
            Lose(crossing);
            return;
        }
        int status = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if ((status & 0xff) == 0x7f) // WIFSTOPPED of wait(2)
        {
            crossing.Tell(CrossingFormat.Stopped, (uint)(status >> 8 & 0xff));
            return;
        }
        while (crossing.Tail is not null && FileCalls.WaitReadable(crossing.Tail.Reports, BusyPause)) Follow(crossing); // a program that could not be executed has ended, too: the tail says why
        if ((status & 0x7f) == Signals.KILL && crossing.Owner!.IsEnding) Lose(crossing);
        else Finish(crossing, status, hasEnded: true);
    }

    /// <summary>The program is gone, and nobody says how.</summary>
    private void Lose(Crossing crossing)
    {
        string program = crossing.Program;
        Refuse(crossing, crossing.Owner is { IsEnding: true } owner ? Problems.OwnerStopped(program, $"{owner.Run.Name}") : Problems.CrossingBrokenOff(program));
    }

    private void Refuse(Crossing crossing, Problem problem)
    {
        if (!_crossings.Contains(crossing)) return;
        if (crossing.Statuses is null) crossing.User.Usage.CountRefusal(crossing.Used?.Owner, crossing.Used?.Export.Name, crossing.Caller.Program);
        crossing.Group?.Kill();
        Crossing.Refuse(crossing.Connection, problem);
        Drop(crossing);
    }

    private void Finish(Crossing crossing, int status, bool hasEnded = false)
    {
        crossing.Group?.Kill(hasEnded); // what it has left behind ends with it, before anybody knows that it has ended
        crossing.Tell(CrossingFormat.Ended, (uint)status);
        Drop(crossing);
    }

    /// <summary>Ends a crossing, whatever is there of it.</summary>
    private void Drop(Crossing crossing)
    {
        if (!_crossings.Remove(crossing)) return;
        Unwatch(crossing);
        crossing.User.Count--;
        crossing.Owner?.Crossings.Remove(crossing);
        crossing.Dispose();
        if (crossing.Group is null) return;
        var ending = new Ending(crossing);
        _ending.Add(ending);
        End(ending);
    }

    /// <summary>Until nobody is left of it: a process may fork while it is killed, and one that is frozen dies when it is thawed.</summary>
    private void End(Ending ending)
    {
        Crossing crossing = ending.Crossing;
        CrossingGroup group = crossing.Group!;
        if (group.Kill())
        {
            if (!ending.IsCounted && crossing.Used is { } used) crossing.User.Usage.Count(used.Owner, used.Export.Name, crossing.Caller.Program, group.Cpu, group.MemoryPeak, DateTimeOffset.UtcNow);
            ending.IsCounted = true;
            if (crossing.Owner!.TryKeep(group) || group.TryRemove())
            {
                _ending.Remove(ending);
                return;
            }
        }
        ending.Pause = Math.Clamp(ending.Pause * 2, FirstPause, LongestPause);
        ending.Due = Environment.TickCount64 + ending.Pause;
    }
}
