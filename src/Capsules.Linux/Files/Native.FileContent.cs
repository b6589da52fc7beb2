using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial nint listxattr(byte* path, byte* list, nint size);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint getxattr(byte* path, byte* name, void* value, nint size);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint llistxattr(byte* path, byte* list, nint size);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint lgetxattr(byte* path, byte* name, void* value, nint size);
    [LibraryImport("libc", SetLastError = true)] internal static partial int lremovexattr(byte* path, byte* name);
    [LibraryImport("libc", SetLastError = true)] internal static partial int lsetxattr(byte* path, byte* name, void* value, nint size, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint copy_file_range(int from, long* fromOffset, int to, long* toOffset, nint length, uint flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int ftruncate(int fd, long length);
    [LibraryImport("libc", SetLastError = true)] internal static partial int ioctl(int fd, nuint request, nint argument);
    [LibraryImport("libc", SetLastError = true)] internal static partial int uname(void* buffer);
    [LibraryImport("libc", SetLastError = true)] internal static partial int syncfs(int fd);
    [LibraryImport("libc", SetLastError = true)] internal static partial int sync_file_range(int fd, long offset, long count, uint flags);
}
