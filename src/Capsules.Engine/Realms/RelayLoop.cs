using System.Collections.Concurrent;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Realms;

/// <summary>
/// Passes on what comes to the listening sockets that it is given. Each socket stays in the network namespace in which it was made, so that the two sides of a
/// connection may be in different ones.
/// </summary>
internal sealed class RelayLoop : IDisposable
{
    private const int ForgetEvery = 10_000, PauseWithoutDescriptors = 100;

    private readonly Epoll _epoll = new();
    private readonly PipePool _pipes = new();
    private readonly ConcurrentQueue<Action> _orders = new();
    private readonly Dictionary<ulong, object> _watched = [];
    private readonly Dictionary<string, (Descriptor Socket, ulong Token, UdpRelay? Datagrams)> _listeners = new(StringComparer.Ordinal);
    private readonly Dictionary<TcpPair, (ulong Client, ulong Capsule, string Listener)> _pairs = [];
    private readonly HashSet<TcpPair> _unfinished = [];
    private readonly Descriptor _wake, _waker;
    private long _forgetAt;

    public RelayLoop()
    {
        (_wake, _waker) = FileCalls.Pipe();
        _watched[_epoll.Watch(_wake)] = _wake;
    }

    /// <summary>Takes a listening socket; called from another thread.</summary>
    public void Open(string name, Descriptor listener, RelayTarget target, bool udp) => Order(() =>
    {
        ulong token = _epoll.Watch(listener);
        UdpRelay? datagrams = udp ? new(listener, target) : null;
        _listeners[name] = (listener, token, datagrams);
        _watched[token] = datagrams is not null ? datagrams : new Listener(name, listener, target);
    });

    /// <summary>Closes a listening socket; connections that it took go on, unless they are to be broken off. Called from another thread, which waits until it is done.</summary>
    public void Close(string name, bool breakOff = false)
    {
        using var done = new ManualResetEventSlim();
        Order(() =>
        {
            if (_listeners.Remove(name, out var listener))
            {
                listener.Datagrams?.ForgetAll(Forget);
                _watched.Remove(listener.Token);
                _epoll.Forget(listener.Socket);
                listener.Socket.Dispose();
            }
            foreach (var (pair, _) in breakOff ? _pairs.Where(p => p.Value.Listener == name).ToArray() : [])
            {
                pair.BreakOff();
                End(pair);
            }
            done.Set();
        });
        done.Wait(TimeSpan.FromSeconds(5));
    }

    /// <summary>Runs for ever.</summary>
    public void Run()
    {
        while (true)
        {
            foreach (ulong token in _epoll.Wait(_unfinished.Count > 0 ? 0 : _listeners.Values.Any(l => l.Datagrams?.HasClients == true) ? ForgetEvery : -1))
                if (_watched.TryGetValue(token, out object? what)) Guarded(() => Handle(what));
            foreach (TcpPair pair in _unfinished.ToArray()) Move(pair);
            if (Environment.TickCount64 < _forgetAt) continue;
            _forgetAt = Environment.TickCount64 + ForgetEvery;
            foreach (var listener in _listeners.Values) listener.Datagrams?.ForgetSilent(Forget);
        }
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _pipes.Dispose();
        _wake.Dispose();
        _waker.Dispose();
    }

    private sealed record Listener(string Name, Descriptor Socket, RelayTarget Target);

    private void Order(Action order)
    {
        _orders.Enqueue(order);
        FileCalls.Write(_waker, "o"u8, "relay");
    }

    private void Handle(object what)
    {
        switch (what)
        {
            case Descriptor:
                FileCalls.Read(_wake, stackalloc byte[64]);
                while (_orders.TryDequeue(out Action? order)) order();
                break;
            case Listener listener: Take(listener); break;
            case UdpRelay datagrams: datagrams.TakeFromClients(Watch, Forget); break;
            case UdpRelay.Client client: client.Relay.TakeFromCapsule(client); break;
            case TcpPair pair: Move(pair); break;
        }
    }

    private void Take(Listener listener)
    {
        const int tooManyOfSystem = 23, tooManyOfProcess = 24; // ENFILE, EMFILE
        Descriptor? client;
        try { client = InternetSockets.Accept(listener.Socket); }
        catch (SyscallException e) when (e.Errno is tooManyOfSystem or tooManyOfProcess)
        {
            Thread.Sleep(PauseWithoutDescriptors); // they wait in the socket's queue until others have ended
            return;
        }
        if (client is null) return;
        TcpPair pair;
        try { pair = new(client, listener.Target, _pipes); }
        catch (SyscallException)
        {
            InternetSockets.BreakOffAtClose(client);
            client.Dispose();
            throw;
        }
        var tokens = (_epoll.WatchChanges(pair.Client), _epoll.WatchChanges(pair.Capsule), listener.Name);
        _pairs[pair] = tokens;
        _watched[tokens.Item1] = _watched[tokens.Item2] = pair;
    }

    private void Move(TcpPair pair)
    {
        if (!_pairs.ContainsKey(pair)) return; // was closed by an event before it in the same turn
        bool all = pair.Move();
        if (!pair.IsOver)
        {
            if (all) _unfinished.Remove(pair);
            else _unfinished.Add(pair);
            return;
        }
        End(pair);
    }

    private void End(TcpPair pair)
    {
        _unfinished.Remove(pair);
        _pairs.Remove(pair, out var tokens);
        _watched.Remove(tokens.Client);
        _watched.Remove(tokens.Capsule);
        _epoll.Forget(pair.Client);
        _epoll.Forget(pair.Capsule);
        pair.Dispose();
    }

    private void Watch(UdpRelay.Client client)
    {
        client.Token = _epoll.Watch(client.Socket);
        _watched[client.Token] = client;
    }

    private void Forget(UdpRelay.Client client)
    {
        _watched.Remove(client.Token);
        _epoll.Forget(client.Socket);
    }

    /// <summary>What goes wrong with one connection must not end the others.</summary>
    private static void Guarded(Action work)
    {
        try { work(); }
        catch (SyscallException e) { Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Message}"); }
    }
}
