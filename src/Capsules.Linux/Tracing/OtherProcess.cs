using Capsules.Linux.Processes;

namespace Capsules.Linux.Tracing;

/// <summary>Questions about a process that waits.</summary>
public static unsafe class OtherProcess
{
    private const int GetOption = 55 /* getsockopt */, SocketLevel = 1, TypeOption = 3 /* SO_TYPE */, Datagram = 2;

    /// <summary>Whether a descriptor of another process is a socket for packets; null when it cannot be looked at.</summary>
    public static bool? IsPacketSocket(int pid, int descriptor)
    {
        try
        {
            using Descriptor? process = ProcessCalls.TryOpenPidFd(pid);
            if (process is null) return null;
            using Descriptor socket = ProcessCalls.CopyDescriptor(process, descriptor);
            int type = 0, length = sizeof(int);
            Native.Check(Native.Call(GetOption, socket.Number, SocketLevel, TypeOption, (nint)(&type), (nint)(&length)), "getsockopt", "SO_TYPE");
            return type == Datagram;
        }
        catch (SyscallException) { return null; }
    }
}
