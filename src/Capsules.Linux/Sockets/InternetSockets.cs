using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace Capsules.Linux.Sockets;

/// <summary>
/// Sockets of ip(7), ipv6(7), tcp(7) and udp(7) that never wait. Each is made in the network namespace of the calling thread, and stays in it.
/// </summary>
public static unsafe class InternetSockets
{
    private const int Inet = 2, Inet6 = 10, Stream = 1, Datagram = 2, Flags = 0x80800 /* SOCK_CLOEXEC | SOCK_NONBLOCK */, SocketLevel = 1;
    private const int ReuseAddress = 2, ErrorOption = 4, KeepAlive = 9, Linger = 13, OnlyIPv6 = 26, IPv6Level = 41, InProgress = 115, AfNoSupport = 97, LongestAddress = 28, Backlog = 512;
    private const int Accept4 = 288, ConnectCall = 42, ListenCall = 50, Shutdown = 48, GetOption = 55;

    /// <summary>socket(2), bind(2), listen(2). Without an address it hears both families, where the kernel has both.</summary>
    /// <exception cref="SyscallException">The port is taken, or may not be had.</exception>
    public static Descriptor Listen(IPAddress? address, int port, bool udp)
    {
        if (address is not null) return Bound(address, port, udp, both: false);
        try { return Bound(IPAddress.IPv6Any, port, udp, both: true); }
        catch (SyscallException e) when (e.Errno is AfNoSupport or Errno.EINVAL or 99 /* EADDRNOTAVAIL: IPv6 is switched off */) { return Bound(IPAddress.Any, port, udp, both: false); }
    }

    /// <summary>accept4(2); null when nobody waits, or who waited is gone.</summary>
    public static Descriptor? Accept(Descriptor listener)
    {
        nint number = Native.Call(Accept4, listener.Number, 0, 0, Flags);
        if (number < 0 && Marshal.GetLastPInvokeError() is Errno.EAGAIN or Errno.EINTR or 103 /* ECONNABORTED */ or 71 /* EPROTO */) return null;
        var socket = new Descriptor(Native.Check(number, "accept4", ""));
        Set(socket, SocketLevel, KeepAlive, 1);
        return socket;
    }

    /// <summary>connect(2), which is under way when this returns; of a datagram socket it is done.</summary>
    public static Descriptor Connect(IPAddress address, int port, bool udp)
    {
        Descriptor socket = New(address, udp);
        try
        {
            if (!udp) Set(socket, SocketLevel, KeepAlive, 1);
            byte* name = stackalloc byte[LongestAddress];
            int length = Write(name, address, port);
            nint result = Native.Call(ConnectCall, socket.Number, (nint)name, length);
            if (result < 0 && Marshal.GetLastPInvokeError() is InProgress or Errno.EINTR) return socket;
            Native.Check(result, "connect", $"{address}:{port}");
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>SO_ERROR: how a connect(2) that was under way ended, or what came since; 0 when nothing is wrong.</summary>
    public static int ErrorOf(Descriptor socket)
    {
        int error = 0, length = sizeof(int);
        Native.Check(Native.Call(GetOption, socket.Number, SocketLevel, ErrorOption, (nint)(&error), (nint)(&length)), "getsockopt", "SO_ERROR");
        return error;
    }

    /// <summary>shutdown(2): the other side reads the end of what was sent.</summary>
    public static void EndSending(Descriptor socket) => Native.Call(Shutdown, socket.Number, 1); // a connection that is gone needs no end

    /// <summary>Closing it breaks the connection off instead of ending it (SO_LINGER with no time).</summary>
    public static void BreakOffAtClose(Descriptor socket)
    {
        long onWithoutTime = 1;
        Native.setsockopt(socket.Number, SocketLevel, Linger, &onWithoutTime, sizeof(long));
    }

    /// <summary>recvfrom(2): the next datagram and its sender's address as the kernel writes it; -1 when there is none now, -2 when an earlier one met a closed port.</summary>
    public static int Receive(Descriptor socket, Span<byte> to, out byte[] sender)
    {
        byte* name = stackalloc byte[LongestAddress];
        uint length = LongestAddress;
        nint count;
        fixed (byte* bytes = to)
        {
            do count = Native.recvfrom(socket.Number, bytes, to.Length, 0, name, &length);
            while (Native.Interrupted(count));
        }
        sender = [];
        if (count < 0 && Marshal.GetLastPInvokeError() is Errno.EAGAIN or Errno.ECONNREFUSED) return Marshal.GetLastPInvokeError() == Errno.EAGAIN ? -1 : -2;
        Native.Check(count, "recvfrom", "");
        sender = new ReadOnlySpan<byte>(name, (int)Math.Min(length, LongestAddress)).ToArray();
        return (int)count;
    }

    /// <summary>sendto(2); to whom it is connected when no address is given. What cannot be sent is lost, as datagrams are.</summary>
    public static void Send(Descriptor socket, ReadOnlySpan<byte> content, ReadOnlySpan<byte> to)
    {
        fixed (byte* bytes = content, name = to) Native.sendto(socket.Number, bytes, content.Length, 0x4000 /* MSG_NOSIGNAL */, to.IsEmpty ? null : name, (uint)to.Length);
    }

    private static Descriptor Bound(IPAddress address, int port, bool udp, bool both)
    {
        Descriptor socket = New(address, udp);
        try
        {
            if (!udp) Set(socket, SocketLevel, ReuseAddress, 1); // connections of an earlier life that have not quite ended
            if (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6) Set(socket, IPv6Level, OnlyIPv6, both ? 0 : 1);
            byte* name = stackalloc byte[LongestAddress];
            int length = Write(name, address, port);
            Native.Check(Native.bind(socket.Number, name, (uint)length), "bind", $"{address}:{port}");
            if (!udp) Native.Check(Native.Call(ListenCall, socket.Number, Backlog), "listen", $"{address}:{port}");
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static Descriptor New(IPAddress address, bool udp) =>
        new(Native.Check(Native.socket(address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? Inet6 : Inet, (udp ? Datagram : Stream) | Flags, 0), "socket", $"{address}"));

    private static void Set(Descriptor socket, int level, int option, int value) => Native.Check(Native.setsockopt(socket.Number, level, option, &value, sizeof(int)), "setsockopt", $"{option}");

    /// <summary>struct sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes); the length.</summary>
    private static int Write(byte* name, IPAddress address, int port)
    {
        var bytes = new Span<byte>(name, LongestAddress);
        bytes.Clear();
        bool six = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(six ? Inet6 : Inet));
        BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], (ushort)port);
        address.TryWriteBytes(bytes[(six ? 8 : 4)..], out _);
        if (six && address.IsIPv6LinkLocal) BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], (uint)address.ScopeId);
        return six ? 28 : 16;
    }
}
