using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>epoll(7), which of many descriptors has something to read, or an end.</summary>
public sealed unsafe class Epoll : IDisposable
{
    private const int Add = 1, Delete = 2;
    private const uint Readable = 1, Writable = 4, PeerEnded = 0x2000, EdgeTriggered = 1u << 31;
    private readonly Descriptor _epoll = new(Native.Check(Native.epoll_create1(0x80000), "epoll_create1", ""));

    private ulong _last;

    /// <summary>Watches a descriptor; the token by which <see cref="Wait"/> names it, which never comes again, as a number of a descriptor does.</summary>
    public ulong Watch(Descriptor descriptor)
    {
        var entry = new Native.EpollEvent { Events = Readable, Data = ++_last };
        Native.Check(Native.epoll_ctl(_epoll.Number, Add, descriptor.Number, &entry), "epoll_ctl", "add");
        return _last;
    }

    /// <summary>
    /// Watches a socket in both directions: named once whenever something has changed, not as long as it is so. Who is told must go on until nothing can
    /// be moved any more.
    /// </summary>
    public ulong WatchChanges(Descriptor socket)
    {
        var entry = new Native.EpollEvent { Events = Readable | Writable | PeerEnded | EdgeTriggered, Data = ++_last };
        Native.Check(Native.epoll_ctl(_epoll.Number, Add, socket.Number, &entry), "epoll_ctl", "add");
        return _last;
    }

    /// <summary>Does not watch it any more. Must come before it is closed: a copy held elsewhere would keep it watched.</summary>
    public void Forget(Descriptor descriptor) => Native.Check(Native.epoll_ctl(_epoll.Number, Delete, descriptor.Number, null), "epoll_ctl", "delete");

    /// <summary>Tokens of descriptors that are ready; none after the time (milliseconds, -1 for ever).</summary>
    public ulong[] Wait(int milliseconds)
    {
        const int most = 64;
        Native.EpollEvent* entries = stackalloc Native.EpollEvent[most];
        int count;
        do count = Native.epoll_wait(_epoll.Number, entries, most, milliseconds);
        while (Native.Interrupted(count));
        Native.Check(count, "epoll_wait", "");
        ulong[] ready = new ulong[count];
        for (int i = 0; i < count; i++) ready[i] = entries[i].Data;
        return ready;
    }

    /// <inheritdoc/>
    public void Dispose() => _epoll.Dispose();
}
