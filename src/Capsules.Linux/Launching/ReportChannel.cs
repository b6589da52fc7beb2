using System.Runtime.InteropServices;

namespace Capsules.Linux.Launching;

/// <summary>
/// The way from the tail to the engine: a pair of unix sockets, so that the kernel tells who speaks. The pid of the credentials is
/// numbered as the receiver sees it (unix(7), SO_PASSCRED), which a process inside another PID namespace could not say itself.
/// </summary>
internal static unsafe class ReportChannel
{
    private const int Unix = 1, SequencedPackets = 5, CloseOnExec = 0x80000, SocketLevel = 1, PassCredentials = 16, Credentials = 2;

    public static (Descriptor Receive, Descriptor Send) Open()
    {
        int* ends = stackalloc int[2];
        Native.Check(Native.socketpair(Unix, SequencedPackets | CloseOnExec, 0, ends), "socketpair", "report");
        var (receive, send) = (new Descriptor(ends[0]), new Descriptor(ends[1]));
        int on = 1;
        Native.Check(Native.setsockopt(receive.Number, SocketLevel, PassCredentials, &on, sizeof(int)), "setsockopt", "SO_PASSCRED");
        return (receive, send);
    }

    /// <summary>The next message and its sender's pid; null at the end.</summary>
    public static (Report Message, int Sender)? Receive(Descriptor from)
    {
        Report message;
        byte* control = stackalloc byte[64];
        var vector = new Native.IoVector { Base = &message, Length = sizeof(Report) };
        var header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 64 };
        nint length;
        do length = Native.recvmsg(from.Number, &header, CloseOnExecDescriptors);
        while (Native.Interrupted(length));
        Native.Check(length, "recvmsg", "report");
        if (length == 0) return null;
        if (length != sizeof(Report)) throw new SyscallException("recvmsg", "report", 0);
        // struct cmsghdr: length 8, level 4, type 4; then struct ucred: pid, uid, gid.
        int sender = header.ControlLength >= 28 && *(int*)(control + 8) == SocketLevel && *(int*)(control + 12) == Credentials ? *(int*)(control + 16) : 0;
        return (message, sender);
    }

    private const int CloseOnExecDescriptors = 0x40000000; // MSG_CMSG_CLOEXEC: nobody sends any, but what came would be closed at exec
}
