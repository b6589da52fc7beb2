using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int connect(int fd, byte* address, uint length);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint sendmsg(int fd, MessageHeader* header, int flags);
}
