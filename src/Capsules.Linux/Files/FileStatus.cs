namespace Capsules.Linux.Files;

/// <summary>S_IFMT of a mode: what a directory entry is.</summary>
public enum FileKind
{
    Unknown = 0, Fifo = 0x1000, CharacterDevice = 0x2000, Directory = 0x4000, BlockDevice = 0x6000, Regular = 0x8000, SymbolicLink = 0xA000, Socket = 0xC000,
}

/// <summary>statx(2): what the kernel knows of a file. Times are since the epoch.</summary>
public readonly record struct FileStatus(
    FileKind Kind, int Mode, uint Uid, uint Gid, long Size, long AllocatedBytes, ulong Inode, ulong LinkCount, ulong Device, uint DeviceMajor, uint DeviceMinor,
    Timestamp Modified, Timestamp Changed, ulong MountId)
{
    /// <summary>Whether it is a directory.</summary>
    public bool IsDirectory => Kind == FileKind.Directory;
    /// <summary>Whether it is a regular file.</summary>
    public bool IsRegular => Kind == FileKind.Regular;
    /// <summary>Whether it is a symbolic link.</summary>
    public bool IsSymbolicLink => Kind == FileKind.SymbolicLink;
}

/// <summary>struct timespec: seconds and nanoseconds since the epoch.</summary>
public readonly record struct Timestamp(long Seconds, uint Nanoseconds) : IComparable<Timestamp>
{
    /// <inheritdoc/>
    public int CompareTo(Timestamp other) => Seconds != other.Seconds ? Seconds.CompareTo(other.Seconds) : Nanoseconds.CompareTo(other.Nanoseconds);

    public static bool operator <(Timestamp left, Timestamp right) => left.CompareTo(right) < 0;
    public static bool operator >(Timestamp left, Timestamp right) => left.CompareTo(right) > 0;
    public static bool operator <=(Timestamp left, Timestamp right) => left.CompareTo(right) <= 0;
    public static bool operator >=(Timestamp left, Timestamp right) => left.CompareTo(right) >= 0;
}
