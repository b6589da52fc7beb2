using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int socketpair(int domain, int type, int protocol, int* ends);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint recvmsg(int fd, MessageHeader* header, int flags);

    /// <summary>struct iovec.</summary>
    internal struct IoVector { public void* Base; public nint Length; }

    /// <summary>struct msghdr, 56 bytes.</summary>
    internal struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nint VectorCount;
        public void* Control;
        public nint ControlLength;
        public int Flags;
    }
}
