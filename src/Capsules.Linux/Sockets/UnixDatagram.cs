using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Sockets;

/// <summary>Datagram sockets of unix(7) that listen at a path, as sd_notify(3) and syslog(3) speak to.</summary>
public static unsafe class UnixDatagram
{
    private const int Unix = 1, Datagram = 2, CloseOnExec = 0x80000, NonBlocking = 0x800, PeekFlag = 2;

    /// <summary>Makes a socket at a path, in the place of one that was there, for everybody to write to.</summary>
    public static Descriptor Bind(string path)
    {
        FileCalls.Remove(null, path);
        Descriptor socket = Create();
        Bind(socket, path);
        return socket;
    }

    /// <summary>socket(2): one that is nowhere yet.</summary>
    public static Descriptor Create() => new(Native.Check(Native.socket(Unix, Datagram | CloseOnExec | NonBlocking, 0), "socket", "unix"));

    /// <summary>Gives a socket its place, in a directory of a mount that need not be attached; for everybody to write to.</summary>
    public static void Bind(Descriptor socket, Descriptor directory, string name) => Bind(socket, $"/proc/thread-self/fd/{directory.Number}/{name}");

    private static void Bind(Descriptor socket, string path)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        if (name.Length > 107) throw new SyscallException("bind", path, Errno.ENAMETOOLONG);
        byte* address = stackalloc byte[110]; // struct sockaddr_un
        *(ushort*)address = Unix;
        name.CopyTo(new Span<byte>(address + 2, 107));
        Native.Check(Native.bind(socket.Number, address, (uint)(3 + name.Length)), "bind", path);
        FileCalls.ChangeMode(null, path, 0x1B6);
    }

    /// <summary>recv(2): the next message, which stays in the socket when it is only looked at; null when there is none now.</summary>
    public static byte[]? Receive(Descriptor socket, bool peek = false)
    {
        byte[] buffer = GC.AllocateUninitializedArray<byte>(64 * 1024);
        fixed (byte* bytes = buffer)
        {
            nint length;
            do length = Native.recvfrom(socket.Number, bytes, buffer.Length, peek ? PeekFlag : 0, null, null);
            while (Native.Interrupted(length));
            if (length < 0 && System.Runtime.InteropServices.Marshal.GetLastPInvokeError() == Errno.EAGAIN) return null;
            return buffer[..Native.Check(length, "recv", "unix")];
        }
    }
}
