using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int epoll_create1(int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int epoll_ctl(int epoll, int operation, int fd, EpollEvent* entry);
    [LibraryImport("libc", SetLastError = true)] internal static partial int epoll_wait(int epoll, EpollEvent* entries, int most, int milliseconds);

    /// <summary>struct epoll_event, packed to 12 bytes on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    internal struct EpollEvent { public uint Events; public ulong Data; }
}
