using System.Text;

namespace Capsules.Linux.Terminals;

/// <summary>Hands a descriptor to whoever listens on a unix socket (unix(7), SCM_RIGHTS), as OCI engines expect the master of a terminal.</summary>
public static unsafe class ConsoleSocket
{
    private const int Unix = 1, Stream = 1, CloseOnExec = 0x80000, SocketLevel = 1, Rights = 1;

    /// <summary>Connects and sends the descriptor, with its name as the message.</summary>
    public static void Send(string path, Descriptor descriptor)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        if (name.Length > 107) throw new SyscallException("connect", path, Errno.ENAMETOOLONG);
        using var socket = new Descriptor(Native.Check(Native.socket(Unix, Stream | CloseOnExec, 0), "socket", "unix"));
        byte* address = stackalloc byte[110]; // struct sockaddr_un
        *(ushort*)address = Unix;
        name.CopyTo(new Span<byte>(address + 2, 107));
        Native.Check(Native.connect(socket.Number, address, (uint)(3 + name.Length)), "connect", path);

        byte* control = stackalloc byte[24]; // struct cmsghdr with one descriptor: CMSG_LEN 20, CMSG_SPACE 24
        *(long*)control = 20;
        *(int*)(control + 8) = SocketLevel;
        *(int*)(control + 12) = Rights;
        *(int*)(control + 16) = descriptor.Number;
        fixed (byte* text = "/dev/ptmx"u8)
        {
            var vector = new Native.IoVector { Base = text, Length = 9 };
            var header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 24 };
            Native.Check(Native.sendmsg(socket.Number, &header, 0), "sendmsg", path);
        }
    }
}
