using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Realms;

/// <summary>Pipes that lie ready: a connection that moves nothing has none.</summary>
internal sealed class PipePool : IDisposable
{
    private const int Most = 32;
    private readonly Stack<(Descriptor Read, Descriptor Write)> _ready = new();

    public (Descriptor Read, Descriptor Write) Take() => _ready.Count > 0 ? _ready.Pop() : FileCalls.Pipe();

    /// <summary>Gives an empty pipe back; one with content is closed.</summary>
    public void Give((Descriptor Read, Descriptor Write) pipe, bool empty)
    {
        if (empty && _ready.Count < Most)
        {
            _ready.Push(pipe);
            return;
        }
        pipe.Read.Dispose();
        pipe.Write.Dispose();
    }

    public void Dispose()
    {
        while (_ready.Count > 0) Give(_ready.Pop(), empty: false);
    }
}

/// <summary>
/// One direction of a connection: from a socket through a pipe to the other socket, inside the kernel (splice(2)). What was read and cannot be written yet
/// waits in the pipe.
/// </summary>
internal sealed class TcpFlow(Descriptor from, Descriptor to, PipePool pipes)
{
    private const long Piece = 64 * 1024;

    private (Descriptor Read, Descriptor Write)? _pipe;
    private long _waiting;
    private bool _ended;

    /// <summary>The end was passed on.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Moves what can be moved, about <paramref name="most"/> bytes; false when there may be more.</summary>
    /// <exception cref="SyscallException">The connection is broken.</exception>
    public bool Move(long most)
    {
        long moved = 0;
        for (bool progress = true; progress && !IsOver;)
        {
            if (moved >= most) return false;
            progress = false;
            if (!_ended)
            {
                _pipe ??= pipes.Take();
                long count = Splicing.Move(from, _pipe.Value.Write, Piece);
                if (count > 0) (_waiting, progress) = (_waiting + count, true);
                else if (count == 0) (_ended, progress) = (true, true);
            }
            if (_waiting > 0 && Splicing.Move(_pipe!.Value.Read, to, _waiting) is > 0 and var written)
            {
                moved += written;
                (_waiting, progress) = (_waiting - written, true);
            }
            if (!_ended || _waiting > 0) continue;
            InternetSockets.EndSending(to);
            IsOver = true;
        }
        if (_waiting == 0) GivePipeBack();
        return true;
    }

    /// <summary>The connection is closed.</summary>
    public void GivePipeBack()
    {
        if (_pipe is { } pipe) pipes.Give(pipe, _waiting == 0);
        _pipe = null;
    }
}

/// <summary>Where what comes to a listening socket is led.</summary>
/// <param name="Connect">Makes a socket that leads there; of a stream the connection may be under way when it returns.</param>
/// <param name="Refused">Is told when nobody listens there.</param>
internal sealed record RelayTarget(Func<Descriptor> Connect, Action? Refused = null);

/// <summary>A connection to a listening socket and the one that leads on to the capsule.</summary>
internal sealed class TcpPair : IDisposable
{
    private const long Turn = 1 << 20;

    private readonly Descriptor _client, _capsule;
    private readonly TcpFlow _in, _out;
    private readonly RelayTarget _target;
    private bool _connecting = true;

    public TcpPair(Descriptor client, RelayTarget target, PipePool pipes)
    {
        (_client, _target) = (client, target);
        _capsule = target.Connect();
        (_in, _out) = (new(client, _capsule, pipes), new(_capsule, client, pipes));
    }

    public Descriptor Client => _client;
    public Descriptor Capsule => _capsule;

    /// <summary>It is to be closed.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Something has changed: moves what can be moved; false when there may be more, and the others shall have their turn first.</summary>
    public bool Move()
    {
        try
        {
            if (_connecting)
            {
                if (InternetSockets.ErrorOf(_capsule) is not 0 and var error)
                {
                    if (error == Errno.ECONNREFUSED) _target.Refused?.Invoke();
                    throw new SyscallException("connect", "capsule", error);
                }
                _connecting = false;
            }
            bool all = _in.Move(Turn) & _out.Move(Turn);
            IsOver = _in.IsOver && _out.IsOver;
            return all;
        }
        catch (SyscallException e) when (e.Errno == 107 /* ENOTCONN */)
        {
            _connecting = true; // not yet: it will be named again when it is
            return true;
        }
        catch (SyscallException) // one side is broken off: the other one learns it in the same way
        {
            BreakOff();
            return true;
        }
    }

    /// <summary>Breaks both sides off, when they are closed.</summary>
    public void BreakOff()
    {
        InternetSockets.BreakOffAtClose(_client);
        InternetSockets.BreakOffAtClose(_capsule);
        IsOver = true;
    }

    public void Dispose()
    {
        _in.GivePipeBack();
        _out.GivePipeBack();
        _client.Dispose();
        _capsule.Dispose();
    }
}
