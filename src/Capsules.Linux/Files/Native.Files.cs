using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int openat(int directory, byte* path, int flags, int mode);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint read(int fd, void* to, nint count);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint pread(int fd, void* to, nint count, long offset);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint write(int fd, void* from, nint count);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint pwrite(int fd, void* from, nint count, long offset);
    [LibraryImport("libc", SetLastError = true)] internal static partial long lseek(int fd, long offset, int whence);
    [LibraryImport("libc", SetLastError = true)] internal static partial int pipe2(int* ends, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int memfd_create(byte* name, uint flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int fcntl(int fd, int command, nint argument);
    [LibraryImport("libc", SetLastError = true)] internal static partial int statx(int directory, byte* path, int flags, uint mask, StatxBuffer* buffer);
    [LibraryImport("libc", SetLastError = true)] internal static partial nint readlinkat(int directory, byte* path, byte* to, nint size);
    [LibraryImport("libc", SetLastError = true)] internal static partial int mkdirat(int directory, byte* path, uint mode);
    [LibraryImport("libc", SetLastError = true)] internal static partial int mknodat(int directory, byte* path, uint mode, ulong device);
    [LibraryImport("libc", SetLastError = true)] internal static partial int symlinkat(byte* target, int directory, byte* path);
    [LibraryImport("libc", SetLastError = true)] internal static partial int linkat(int fromDirectory, byte* from, int directory, byte* path, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int renameat(int fromDirectory, byte* from, int directory, byte* path);
    [LibraryImport("libc", SetLastError = true)] internal static partial int unlinkat(int directory, byte* path, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int fchownat(int directory, byte* path, uint uid, uint gid, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int fchmodat(int directory, byte* path, uint mode, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int utimensat(int directory, byte* path, long* times, int flags);
    [LibraryImport("libc", SetLastError = true)] internal static partial int fsync(int fd);
    [LibraryImport("libc", SetLastError = true)] internal static partial int flock(int fd, int operation);
    [LibraryImport("libc", SetLastError = true)] internal static partial int poll(PollEntry* entries, ulong count, int milliseconds);

    internal struct PollEntry { public int Descriptor; public short Events, Returned; }

    /// <summary>struct open_how of openat2(2).</summary>
    internal struct OpenHow { public ulong Flags, Mode, Resolve; }

    internal struct StatxTime { public long Seconds; public uint Nanoseconds; public int Reserved; }

    /// <summary>struct statx, 256 bytes (include/uapi/linux/stat.h).</summary>
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    internal struct StatxBuffer
    {
        public uint Mask, BlockSize;
        public ulong Attributes;
        public uint LinkCount, Uid, Gid;
        public ushort Mode, Padding;
        public ulong Inode, Size, Blocks, AttributesMask;
        public StatxTime Accessed, Born, Changed, Modified;
        public uint SpecialMajor, SpecialMinor, DeviceMajor, DeviceMinor;
        public ulong MountId;
    }
}
