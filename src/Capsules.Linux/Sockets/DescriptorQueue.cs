namespace Capsules.Linux.Sockets;

/// <summary>
/// A pair of connected datagram sockets (unix(7)) whose queue holds open descriptors (SCM_RIGHTS): what is in it stays open as long as anybody has the ends,
/// whoever sent it may be gone. Between connected ends only the sender's buffer is a limit, which some hundred messages fill.
/// </summary>
public static unsafe class DescriptorQueue
{
    private const int Unix = 1, Datagram = 2, CloseOnExec = 0x80000, NonBlocking = 0x800, SocketLevel = 1, Rights = 1, PeekFlag = 2, CloseOnExecDescriptors = 0x40000000, NoSignal = 0x4000;
    private const int ControlLength = 24, HeaderLength = 16; // struct cmsghdr, and one descriptor, aligned

    /// <summary>socketpair(2): where one sends, where one receives.</summary>
    public static (Descriptor In, Descriptor Out) Create()
    {
        int* ends = stackalloc int[2];
        Native.Check(Native.socketpair(Unix, Datagram | CloseOnExec | NonBlocking, 0, ends), "socketpair", "queue");
        return (new(ends[0]), new(ends[1]));
    }

    /// <summary>sendmsg(2): puts a descriptor into the queue, with a word of eight bytes about it.</summary>
    public static void Send(Descriptor to, ulong word, Descriptor sent)
    {
        byte* control = stackalloc byte[ControlLength];
        *(nint*)control = HeaderLength + sizeof(int);
        *(int*)(control + 8) = SocketLevel;
        *(int*)(control + 12) = Rights;
        *(int*)(control + 16) = sent.Number;
        var vector = new Native.IoVector { Base = &word, Length = sizeof(ulong) };
        var header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlLength };
        nint length;
        do length = Native.sendmsg(to.Number, &header, NoSignal);
        while (Native.Interrupted(length));
        Native.Check(length, "sendmsg", "queue");
    }

    /// <summary>recvmsg(2): the first message, a copy of which stays in the queue when it is only looked at; null when there is none.</summary>
    public static (ulong Word, Descriptor Sent)? TryReceive(Descriptor from, bool peek = false)
    {
        ulong word = 0;
        byte* control = stackalloc byte[64];
        var vector = new Native.IoVector { Base = &word, Length = sizeof(ulong) };
        var header = new Native.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 64 };
        nint length;
        do length = Native.recvmsg(from.Number, &header, CloseOnExecDescriptors | (peek ? PeekFlag : 0));
        while (Native.Interrupted(length));
        if (length < 0 && System.Runtime.InteropServices.Marshal.GetLastPInvokeError() == Errno.EAGAIN) return null;
        Native.Check(length, "recvmsg", "queue");
        if (length != sizeof(ulong) || header.ControlLength < HeaderLength + sizeof(int) || *(int*)(control + 8) != SocketLevel || *(int*)(control + 12) != Rights) throw new SyscallException("recvmsg", "queue (no descriptor came)", 0);
        return (word, new(*(int*)(control + 16)));
    }
}
