using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>The inner side of a <see cref="Doorbell"/>: the fifo of the one process, made by it, among what it waits for.</summary>
internal sealed class Door : IDisposable
{
    private readonly string _fifo;
    private readonly Epoll _epoll;
    private Descriptor _opened;

    /// <summary>Opens; what a process before this one left is taken away.</summary>
    public Door(string fifo, Epoll epoll)
    {
        (_fifo, _epoll) = (fifo, epoll);
        FileCalls.Remove(null, fifo);
        _opened = Open();
    }

    /// <summary>What the waiting returns when somebody knocks.</summary>
    public ulong Token { get; private set; }

    /// <summary>Takes the knocks that wait: however many, one look answers them.</summary>
    public void Hear()
    {
        Span<byte> knocks = stackalloc byte[256];
        try { FileCalls.Read(_opened, knocks); }
        catch (SyscallException e) when (e.Errno == Errno.EAGAIN) { }
    }

    /// <summary>Before a process ends that has nothing to do: whether it still has nothing when nobody can knock any more. Who had knocked before is seen by this last look.</summary>
    public bool IsClosed(Action look, Func<bool> isIdle)
    {
        FileCalls.Remove(null, _fifo);
        look();
        if (isIdle()) return true;
        _epoll.Forget(_opened);
        _opened.Dispose();
        _opened = Open();
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => _opened.Dispose();

    private Descriptor Open()
    {
        FileCalls.MakeNode(null, _fifo, FileKind.Fifo, 0x180);
        Descriptor opened = FileCalls.Open(_fifo, OpenFlags.ReadWrite | OpenFlags.NonBlock);
        Token = _epoll.Watch(opened);
        return opened;
    }
}
