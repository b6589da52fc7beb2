using System.Net;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Realms;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Netlink;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Forwarding;

/// <summary>
/// Leads ports of the loopback networks of capsules to those of others: one process for all (docs/adr/0034). It listens in the network of who uses while the owner listens
/// on that port, and makes each connection in the owner's network, so that both see 127.0.0.1. It can be killed at any time: its guard starts the next one, which listens on
/// all ports again; connections that ran are broken off. It ends by itself when no capsule runs that uses ports of others.
/// </summary>
public sealed class Forwarder : IDisposable
{
    private const int FirstPause = 20, LongestPause = 1000, OpenFiles = 7 /* RLIMIT_NOFILE */, NoAddress = 99, NoFamily = 97; // milliseconds; EADDRNOTAVAIL, EAFNOSUPPORT

    private readonly StoreLayout _layout;
    private readonly CapsuleStore _store;
    private readonly Epoll _epoll = new();
    private readonly RelayLoop _relay = new();
    private readonly Dictionary<CapsuleName, Running> _running = [];
    private readonly Dictionary<(CapsuleName Capsule, Import Import, LoopbackPort Port), Led> _led = [];
    private readonly Descriptor _lock, _wake, _waker;
    private readonly ulong _refusals;
    private readonly Door _door;
    private int _pause = FirstPause;

    /// <summary>A capsule that runs.</summary>
    private sealed record Running(RunRecord Run, Descriptor Init, ulong Token)
    {
        public bool IsAlive => !FileCalls.WaitReadable(Init, 0);
    }

    /// <summary>A port that is to be led.</summary>
    private sealed class Led(Forward forward, Running user, Running? owner)
    {
        public Forward Forward => forward;
        public Running User => user;
        public Running? Owner => owner;
        public bool IsOpen { get; set; }
        public string? Problem { get; set; }
        /// <summary>Set by the thread that moves what comes: nobody of the owner listens any more.</summary>
        public volatile bool Refused;

        /// <summary>One listener for each family.</summary>
        public IEnumerable<(string Name, IPAddress Address)> Listeners => [($"{forward.Capsule} {forward.Port} 4", IPAddress.Loopback), ($"{forward.Capsule} {forward.Port} 6", IPAddress.IPv6Loopback)];

        public bool IsSame(Forward other, Running otherUser, Running? otherOwner) => forward == other && user == otherUser && owner == otherOwner;
    }

    private Forwarder(StoreLayout layout, Descriptor held)
    {
        (_layout, _store, _lock) = (layout, new(layout), held);
        foreach (CapsuleName left in DirectoryNames.In(ForwardDoor.Marks(layout))) FileCalls.Remove(null, ForwardDoor.Mark(layout, left)); // of one who was killed
        _door = new(ForwardDoor.Fifo(layout), _epoll);
        (_wake, _waker) = FileCalls.Pipe();
        _refusals = _epoll.Watch(_wake);
    }

    /// <summary>Leads ports until no capsule runs that uses some; returns at once when another forwarder is at work.</summary>
    public static void Run(StoreLayout layout)
    {
        ProcessCalls.MakeUndumpable();
        ProcessCalls.RaiseToHardLimit(OpenFiles);
        SmallFiles.MakeDirectories(ForwardDoor.Marks(layout));
        if (Doorbell.Hold(ForwardDoor.LockFile(layout)) is { } held)
        {
            using var forwarder = new Forwarder(layout, held);
            new Thread(forwarder._relay.Run, 128 * 1024) { IsBackground = true }.Start();
            forwarder.Loop();
            Guard.EndOwn();
            Environment.Exit(0); // the relay's thread knows no end
        }
        Guard.EndOwn();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Running running in _running.Values) running.Init.Dispose();
        _door.Dispose();
        _epoll.Dispose();
        _relay.Dispose();
        _lock.Dispose();
        _wake.Dispose();
        _waker.Dispose();
    }

    private void Loop()
    {
        Look();
        while (true)
        {
            if (_led.Count == 0 && _door.IsClosed(Look, () => _led.Count == 0)) return;
            bool waits = _led.Values.Any(l => !l.IsOpen && l.Owner is not null && l.Forward.LedTo is null);
            ulong[] ready = _epoll.Wait(waits ? _pause : -1);
            _pause = ready.Length > 0 ? FirstPause : Math.Min(_pause * 2, LongestPause);
            bool look = false;
            foreach (ulong token in ready)
                if (token == _door.Token)
                {
                    _door.Hear();
                    look = true;
                }
                else if (token == _refusals) HearRefusals();
                else if (_running.Values.FirstOrDefault(r => r.Token == token) is { } ended)
                {
                    Forget(ended);
                    look = true;
                }
            if (look) Look();
            else Try();
        }
    }

    /// <summary>Leads what the links of the capsules that run ask for now, and tells those who wait for that.</summary>
    private void Look()
    {
        IReadOnlyList<string> asked = SmallFiles.Names(ForwardDoor.Asked(_layout)); // before: who asks later is looked at by the next knock
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules)) Guarded(() => Meet(name));
        foreach (Running gone in _running.Values.Where(r => !r.IsAlive).ToArray()) Forget(gone);
        var plan = new Dictionary<(CapsuleName, Import, LoopbackPort), Forward>();
        Guarded(() =>
        {
            foreach (Forward forward in ForwardDoor.Plan(_store, _running.Keys)) plan.TryAdd((forward.Capsule, forward.Import, forward.Port), forward);
        });
        foreach (var (key, led) in _led.ToArray())
            if (!plan.TryGetValue(key, out Forward? forward) || !_running.TryGetValue(forward.Capsule, out Running? user) || !led.IsSame(forward, user, _running.GetValueOrDefault(forward.Import.From)))
            {
                Close(led, breakOff: true);
                _led.Remove(key);
            }
        foreach (var (key, forward) in plan)
            if (!_led.ContainsKey(key) && _running.TryGetValue(forward.Capsule, out Running? user))
                _led[key] = new(forward, user, _running.GetValueOrDefault(forward.Import.From)) { Problem = forward.LedTo is { } other ? $"it is led to {other} already" : null };
        foreach (CapsuleName left in DirectoryNames.In(ForwardDoor.Marks(_layout)).Where(n => !_led.Keys.Any(k => k.Capsule == n))) FileCalls.Remove(null, ForwardDoor.Mark(_layout, left));
        Try();
        foreach (string ask in asked) FileCalls.Remove(null, $"{ForwardDoor.Asked(_layout)}/{ask}");
    }

    /// <summary>A capsule runs: its end is waited for.</summary>
    private void Meet(CapsuleName name)
    {
        if (RunRecord.Find(_layout, name) is not { IsAlive: true } run) return;
        if (_running.TryGetValue(name, out Running? known))
        {
            if (known.Run.InitStart == run.InitStart) return;
            Forget(known);
        }
        if (ProcessCalls.TryOpenPidFd(run.Init) is { } init) _running[name] = new(run, init, _epoll.Watch(init));
    }

    /// <summary>It has ended. What leads to it or from it goes first: its descriptor is used for that.</summary>
    private void Forget(Running ended)
    {
        foreach (var (key, led) in _led.Where(l => l.Value.User == ended || l.Value.Owner == ended).ToArray())
        {
            Close(led, breakOff: true);
            _led.Remove(key);
        }
        _running.Remove(ended.Run.Name);
        _epoll.Forget(ended.Init);
        ended.Init.Dispose();
    }

    /// <summary>Opens and closes, so that each port is listened on while the owner listens: else connections are refused, as on one machine.</summary>
    private void Try()
    {
        foreach (var ofCapsule in _led.Values.GroupBy(l => l.Forward.Capsule))
        {
            foreach (Led led in ofCapsule.Where(l => l.Forward.LedTo is null))
            {
                if (led.Owner is not { } owner || led.IsOpen && !led.Refused) continue;
                led.Refused = false;
                try
                {
                    bool listens = LoopbackSockets.Has(owner.Run.Init, led.Forward.Port);
                    if (led.IsOpen && !listens) Close(led, breakOff: false);
                    else if (!led.IsOpen && listens && !IsOneNetwork(led.User, owner)) Open(led, owner);
                }
                catch (SyscallException e) { led.Problem = e.Errno == Errno.EADDRINUSE ? $"a program of {led.Forward.Capsule} listens there itself" : FactText.Of(e); }
                catch (FormatException e) { led.Problem = FactText.Of(e); }
            }
            Guarded(() => ForwardDoor.Write(_layout, ofCapsule.Key, ofCapsule.Select(l => new ForwardState(l.Forward.Import, l.Forward.Port, l.IsOpen, l.Problem))));
        }
    }

    private void HearRefusals() => FileCalls.Read(_wake, stackalloc byte[64]);

    private static bool IsOneNetwork(Running one, Running other)
    {
        using Descriptor here = FileCalls.Open($"/proc/{one.Run.Init}/ns/net", OpenFlags.ReadOnly), there = FileCalls.Open($"/proc/{other.Run.Init}/ns/net", OpenFlags.ReadOnly);
        return FileCalls.Stat(here).Inode == FileCalls.Stat(there).Inode;
    }

    private void Open(Led led, Running owner)
    {
        bool udp = led.Forward.Port.Protocol == "udp";
        var target = new RelayTarget(() => Connect(owner, led.Forward.Port, udp), () =>
        {
            led.Refused = true;
            FileCalls.Write(_waker, "r"u8, "forwarder"); // on the thread that moves what comes: the other one looks
        });
        var listeners = new List<(string Name, Descriptor Socket)>();
        try
        {
            foreach (var (name, address) in led.Listeners)
                try { listeners.Add((name, NetworkNamespace.Inside(led.User.Init, () => InternetSockets.Listen(address, led.Forward.Port.Number, udp)))); }
                catch (SyscallException e) when (e.Errno is NoAddress or NoFamily) { } // a network without IPv6
        }
        catch
        {
            foreach (var (_, socket) in listeners) socket.Dispose();
            throw;
        }
        foreach (var (name, socket) in listeners) _relay.Open(name, socket, target, udp);
        (led.IsOpen, led.Problem) = (true, null);
    }

    private void Close(Led led, bool breakOff)
    {
        foreach (var (name, _) in led.Listeners) _relay.Close(name, breakOff);
        (led.IsOpen, led.Refused) = (false, false);
    }

    /// <summary>Makes a connection in the owner's network; on the thread that moves what comes. It is known at once whether one on the loopback link is refused.</summary>
    private static Descriptor Connect(Running owner, LoopbackPort port, bool udp) => NetworkNamespace.Inside(owner.Init, () =>
    {
        Descriptor socket = InternetSockets.Connect(udp ? LoopbackSockets.AddressOf(owner.Run.Init, port) : IPAddress.Loopback, port.Number, udp);
        if (udp || InternetSockets.ErrorOf(socket) != Errno.ECONNREFUSED) return socket;
        socket.Dispose();
        return InternetSockets.Connect(IPAddress.IPv6Loopback, port.Number, udp);
    });

    /// <summary>What goes wrong with one capsule must not end the others.</summary>
    private static void Guarded(Action work)
    {
        try { work(); }
        catch (CapsuleException e) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Problem}"); }
        catch (Exception e) when (e is SyscallException or FormatException) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {FactText.Of(e)}"); }
    }
}
