using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int socket(int family, int type, int protocol);
    [LibraryImport("libc", SetLastError = true)] internal static partial int bind(int fd, void* address, uint length);
    [LibraryImport("libc", SetLastError = true)] internal static partial int setsockopt(int fd, int level, int option, void* value, uint length);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint sendto(int fd, void* from, nint count, int flags, void* address, uint length);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint recvfrom(int fd, void* to, nint count, int flags, void* address, uint* length);
}
