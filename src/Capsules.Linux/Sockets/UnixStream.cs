using System.Runtime.InteropServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Sockets;

/// <summary>Who made a connection, as the kernel knows it (unix(7)): numbers as we see them.</summary>
/// <param name="Process">The process that called connect(2), whatever its number is worth now.</param>
/// <param name="Pid">Its number at that time.</param>
public sealed record UnixPeer(Descriptor Process, int Pid) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Process.Dispose();
}

/// <summary>Stream sockets of unix(7) that never wait, on which descriptors come and go (SCM_RIGHTS).</summary>
public static unsafe class UnixStream
{
    private const int Unix = 1, Stream = 1, Flags = 0x80800 /* SOCK_CLOEXEC | SOCK_NONBLOCK */, SocketLevel = 1, Rights = 1, Credentials = 17, PidDescriptor = 77, Backlog = 512;
    private const int AcceptCall = 288, ListenCall = 50, GetOption = 55, NoSignal = 0x4000, CloseOnExecDescriptors = 0x40000000, ControlCut = 8, HeaderLength = 16, MostDescriptors = 253;

    /// <summary>Listens at a name of a directory, for everybody, in the place of a socket that was there. There is one at every moment.</summary>
    public static Descriptor Listen(Descriptor directory, string name)
    {
        Descriptor socket = New();
        try
        {
            string beside = name + ".new";
            FileCalls.Remove(directory, beside);
            byte* address = stackalloc byte[110];
            uint length = Address(address, $"/proc/self/fd/{directory.Number}/{beside}"); // short, wherever the directory is
            Native.Check(Native.bind(socket.Number, address, length), "bind", name);
            FileCalls.ChangeMode(directory, beside, 0x1B6);
            Native.Check(Native.Call(ListenCall, socket.Number, Backlog), "listen", name);
            FileCalls.Rename(directory, beside, directory, name);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Listens at a new name in the working directory, for whom the umask lets.</summary>
    public static Descriptor ListenHere(string name)
    {
        Descriptor socket = New();
        byte* address = stackalloc byte[110];
        Native.Check(Native.bind(socket.Number, address, Address(address, name)), "bind", name);
        Native.Check(Native.Call(ListenCall, socket.Number, Backlog), "listen", name);
        return socket;
    }

    /// <summary>connect(2) to a name in the working directory.</summary>
    public static Descriptor ConnectHere(string name)
    {
        Descriptor socket = New();
        byte* address = stackalloc byte[110];
        Native.Check(Native.connect(socket.Number, address, Address(address, name)), "connect", name);
        return socket;
    }

    /// <summary>SO_PEERCRED: user and group of the process that called connect(2), as our user namespace numbers them.</summary>
    public static (uint Uid, uint Gid) UserOf(Descriptor connection)
    {
        int* credentials = stackalloc int[3];
        int length = 12;
        Native.Check(Native.Call(GetOption, connection.Number, SocketLevel, Credentials, (nint)credentials, (nint)(&length)), "getsockopt", "SO_PEERCRED");
        return ((uint)credentials[1], (uint)credentials[2]);
    }

    /// <summary>Whether somebody listens at a path; who does sees a connection that ends at once.</summary>
    public static bool IsListened(Descriptor directory, string name)
    {
        using Descriptor socket = New();
        byte* address = stackalloc byte[110];
        uint length = Address(address, $"/proc/self/fd/{directory.Number}/{name}");
        return Native.connect(socket.Number, address, length) == 0 || Marshal.GetLastPInvokeError() == Errno.EAGAIN; // EAGAIN: many wait already
    }

    /// <summary>accept4(2); null when nobody waits.</summary>
    public static Descriptor? Accept(Descriptor listener)
    {
        nint number = Native.Call(AcceptCall, listener.Number, 0, 0, Flags);
        if (number < 0 && Marshal.GetLastPInvokeError() is Errno.EAGAIN or Errno.EINTR or 103 /* ECONNABORTED */) return null;
        return new(Native.Check(number, "accept4", ""));
    }

    /// <summary>SO_PEERCRED and SO_PEERPIDFD (since 6.5; before, the process is looked up by its number); null when it is gone.</summary>
    public static UnixPeer? PeerOf(Descriptor connection)
    {
        int* credentials = stackalloc int[3];
        int length = 12, descriptor = -1, size = sizeof(int);
        Native.Check(Native.Call(GetOption, connection.Number, SocketLevel, Credentials, (nint)credentials, (nint)(&length)), "getsockopt", "SO_PEERCRED");
        int pid = credentials[0];
        if (pid <= 0) return null; // not of our namespace
        if (Native.Call(GetOption, connection.Number, SocketLevel, PidDescriptor, (nint)(&descriptor), (nint)(&size)) == 0) return new(new(descriptor), pid);
        const int noSuchOption = 92; // ENOPROTOOPT: a kernel before 6.5; anything else says that the process is gone, and its number may be another's by now
        return Marshal.GetLastPInvokeError() == noSuchOption && Processes.ProcessCalls.TryOpenPidFd(pid) is { } process ? new(process, pid) : null;
    }

    /// <summary>recvmsg(2): what is there; 0 at the end, -1 when nothing is there now. Descriptors that come along are added.</summary>
    /// <exception cref="SyscallException">The connection broke, or more descriptors came than there is room for.</exception>
    public static int Receive(Descriptor connection, Span<byte> to, List<Descriptor> descriptors)
    {
        const int room = HeaderLength + MostDescriptors * sizeof(int) + 8;
        byte* control = stackalloc byte[room];
        nint count;
        Native.MessageHeader header;
        fixed (byte* bytes = to)
        {
            var vector = new Native.IoVector { Base = bytes, Length = to.Length };
            do
            {
                header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = room };
                count = Native.recvmsg(connection.Number, &header, CloseOnExecDescriptors);
            }
            while (Native.Interrupted(count));
        }
        if (count < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return -1;
        Native.Check(count, "recvmsg", "connection");
        if (header.ControlLength >= HeaderLength && *(int*)(control + 8) == SocketLevel && *(int*)(control + 12) == Rights)
            for (nint at = HeaderLength; at + sizeof(int) <= *(nint*)control; at += sizeof(int)) descriptors.Add(new(*(int*)(control + at)));
        if ((header.Flags & ControlCut) != 0) throw new SyscallException("recvmsg", "connection (not all descriptors could be taken)", 24 /* EMFILE */);
        return (int)count;
    }

    /// <summary>sendmsg(2), with a descriptor when one is given; false when the other side is gone or takes nothing.</summary>
    public static bool Send(Descriptor connection, ReadOnlySpan<byte> content, Descriptor? sent = null)
    {
        byte* control = stackalloc byte[24];
        *(nint*)control = HeaderLength + sizeof(int);
        *(int*)(control + 8) = SocketLevel;
        *(int*)(control + 12) = Rights;
        *(int*)(control + 16) = sent?.Number ?? -1;
        fixed (byte* bytes = content)
        {
            var vector = new Native.IoVector { Base = bytes, Length = content.Length };
            var header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = sent is null ? null : control, ControlLength = sent is null ? 0 : 24 };
            nint count;
            do count = Native.sendmsg(connection.Number, &header, NoSignal);
            while (Native.Interrupted(count));
            return count == content.Length;
        }
    }

    private static Descriptor New() => new(Native.Check(Native.socket(Unix, Stream | Flags, 0), "socket", "unix"));

    private static uint Address(byte* address, string path)
    {
        *(ushort*)address = Unix;
        int length = System.Text.Encoding.UTF8.GetBytes(path, new Span<byte>(address + 2, 107));
        address[2 + length] = 0;
        return (uint)(3 + length);
    }
}
