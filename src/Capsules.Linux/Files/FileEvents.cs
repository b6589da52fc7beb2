using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>What happened to a file.</summary>
public enum FileEventKind
{
    /// <summary>It was open for writing, and was closed (FAN_CLOSE_WRITE).</summary>
    Written,
    /// <summary>Its name came (FAN_CREATE).</summary>
    Created,
    /// <summary>Its name became another, of this or another directory (FAN_RENAME).</summary>
    Renamed,
    /// <summary>Its name went (FAN_DELETE).</summary>
    Removed,
    /// <summary>Events were lost: the queue was full (FAN_Q_OVERFLOW).</summary>
    Lost,
}

/// <summary>A directory as events name it: the number of its file system and its handle (name_to_handle_at(2)).</summary>
public readonly struct DirectoryKey(byte[] bytes) : IEquatable<DirectoryKey>
{
    private readonly byte[] _bytes = bytes;

    internal ReadOnlySpan<byte> Handle => _bytes.AsSpan(FileSystemSize);

    /// <summary>Whether both are of one file system.</summary>
    public bool IsBeside(DirectoryKey other) => _bytes.AsSpan(0, FileSystemSize).SequenceEqual(other._bytes.AsSpan(0, FileSystemSize));

    /// <inheritdoc/>
    public bool Equals(DirectoryKey other) => _bytes.AsSpan().SequenceEqual(other._bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is DirectoryKey other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(_bytes);
        return hash.ToHashCode();
    }

    /// <inheritdoc cref="Equals(DirectoryKey)"/>
    public static bool operator ==(DirectoryKey left, DirectoryKey right) => left.Equals(right);

    /// <inheritdoc cref="Equals(DirectoryKey)"/>
    public static bool operator !=(DirectoryKey left, DirectoryKey right) => !left.Equals(right);

    internal const int FileSystemSize = 8; // __kernel_fsid_t
}

/// <summary>An event.</summary>
/// <param name="Kind">What.</param>
/// <param name="Pid">The process; 0 for one of no namespace of ours.</param>
/// <param name="IsDirectory">It happened to a directory.</param>
/// <param name="Directory">In which directory.</param>
/// <param name="Name">Under which name.</param>
/// <param name="OldDirectory">Of a rename: the directory before; null where the one who asks watches only the new one.</param>
/// <param name="OldName">Of a rename: the name before.</param>
public readonly record struct FileEvent(FileEventKind Kind, int Pid, bool IsDirectory, DirectoryKey? Directory, byte[] Name, DirectoryKey? OldDirectory, byte[] OldName);

/// <summary>
/// fanotify(7) with names (FAN_REPORT_DFID_NAME): what happens to files, told by their directory and name, so that no file is opened for it. A mark of a mount counts for
/// that mount alone, not for its copies in other mount namespaces; one of a directory counts whichever mount it is reached by.
/// </summary>
public sealed unsafe class FileEvents : IDisposable
{
    private const uint UnlimitedMarks = 0x20, ReportNames = 0xC00; // FAN_REPORT_DIR_FID, FAN_REPORT_NAME
    private const uint Add = 1, OnlyDirectory = 8, OfMount = 0x10, IgnoredMask = 0x20, SurvivesModify = 0x40;
    private const ulong CloseWrite = 8, Create = 0x100, Delete = 0x200, Overflow = 0x4000, OnChild = 0x08000000, Rename = 0x10000000, OnDirectory = 0x40000000;
    private const byte DirectoryAndName = 2, OldName = 10, NewName = 12; // FAN_EVENT_INFO_TYPE_*
    private const int MetadataLength = 24, FidAt = 4, HandleHead = 8, MostHandle = 128;

    private FileEvents(Descriptor queue) => Queue = queue;

    /// <summary>Readable while events wait.</summary>
    public Descriptor Queue { get; }

    /// <summary>fanotify_init(2).</summary>
    /// <exception cref="SyscallException">This user or kernel has none of that kind, or there are too many (fs.fanotify.max_user_groups).</exception>
    public static FileEvents Open() => new(Fanotify.TryCreate(ReportNames | UnlimitedMarks) ?? throw new SyscallException("fanotify_init", "events with names", Marshal.GetLastPInvokeError()));

    /// <summary>fanotify_mark(2): names in a directory, and who wrote the files in it.</summary>
    public void MarkDirectory(Descriptor directory) => Mark(directory, Add | OnlyDirectory, Create | Delete | Rename | CloseWrite | OnChild | OnDirectory, "a directory");

    /// <summary>fanotify_mark(2): files that are written through one mount.</summary>
    public void MarkMount(Descriptor at) => Mark(at, Add | OfMount, CloseWrite, "a mount");

    /// <summary>fanotify_mark(2): files of marked directories that are written through this mount are not told.</summary>
    public void IgnoreMount(Descriptor at) => Mark(at, Add | OfMount | IgnoredMask | SurvivesModify, CloseWrite, "a mount");

    /// <summary>Takes what is in the queue; how many events that were.</summary>
    /// <exception cref="SyscallException">The queue cannot be read.</exception>
    public int Take(Action<FileEvent> happened)
    {
        const int size = 16384;
        byte* buffer = stackalloc byte[size];
        for (int count = 0; ;)
        {
            nint length = Native.read(Queue.Number, buffer, size);
            if (Native.Interrupted(length)) continue;
            if (length < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return count;
            Native.Check(length, "read", "fanotify");
            for (byte* at = buffer; at + MetadataLength <= buffer + length; at += *(uint*)at, count++) Tell(at, happened);
        }
    }

    /// <summary>The key of a directory that is open; fanotify(7) forms it of the same two.</summary>
    public static DirectoryKey KeyOf(Descriptor directory)
    {
        byte* key = stackalloc byte[DirectoryKey.FileSystemSize + HandleHead + MostHandle];
        byte* statistics = stackalloc byte[120];
        Native.Check(Native.Call(138 /* fstatfs */, directory.Number, (nint)statistics), "fstatfs", "");
        *(ulong*)key = *(ulong*)(statistics + 56); // struct statfs: f_fsid is behind seven words
        byte* handle = key + DirectoryKey.FileSystemSize;
        *(uint*)handle = MostHandle;
        int mount;
        fixed (byte* name = "."u8) // the literal ends with a zero
            Native.Check(Native.Call(303 /* name_to_handle_at */, directory.Number, (nint)name, (nint)handle, (nint)(&mount), 0), "name_to_handle_at", "");
        return new(new ReadOnlySpan<byte>(key, DirectoryKey.FileSystemSize + HandleHead + (int)*(uint*)handle).ToArray());
    }

    /// <summary>open_by_handle_at(2): the directory of a key; null when it is gone, or on another file system.</summary>
    public static Descriptor? TryOpen(Descriptor mount, DirectoryKey key)
    {
        fixed (byte* handle = key.Handle)
        {
            nint opened = Native.Call(304 /* open_by_handle_at */, mount.Number, (nint)handle, (nint)((int)(OpenFlags.ReadOnly | OpenFlags.Directory) | 0x80000 /* O_CLOEXEC */));
            return opened < 0 ? null : new((int)opened);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Queue.Dispose();

    private void Mark(Descriptor at, uint flags, ulong mask, string what)
    {
        fixed (byte* name = "."u8) // the literal ends with a zero
            Native.Check(Native.Call(SyscallNumber.FanotifyMark, Queue.Number, (nint)flags, (nint)mask, at.Number, (nint)name), "fanotify_mark", what);
    }

    /// <summary>One event: struct fanotify_event_metadata, and behind it records of struct fanotify_event_info_fid. Events of one file and process come merged, in one mask.</summary>
    private static void Tell(byte* at, Action<FileEvent> happened)
    {
        ulong mask = *(ulong*)(at + 8);
        int pid = *(int*)(at + 20);
        if ((mask & Overflow) != 0)
        {
            happened(new(FileEventKind.Lost, 0, false, null, [], null, []));
            return;
        }
        DirectoryKey? directory = null, oldDirectory = null;
        byte[] name = [], oldName = [];
        byte* end = at + *(uint*)at;
        for (byte* info = at + *(ushort*)(at + 6); info + FidAt <= end && *(ushort*)(info + 2) >= FidAt; info += *(ushort*)(info + 2))
        {
            int length = DirectoryKey.FileSystemSize + HandleHead + (int)*(uint*)(info + FidAt + DirectoryKey.FileSystemSize);
            var key = new DirectoryKey(new ReadOnlySpan<byte>(info + FidAt, length).ToArray());
            byte[] called = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(info + FidAt + length).ToArray();
            switch (*info)
            {
                case DirectoryAndName or NewName: (directory, name) = (key, called); break;
                case OldName: (oldDirectory, oldName) = (key, called); break;
            }
        }
        bool isDirectory = (mask & OnDirectory) != 0;
        void Say(ulong bit, FileEventKind kind)
        {
            if ((mask & bit) != 0) happened(new(kind, pid, isDirectory, directory, name, oldDirectory, oldName));
        }
        Say(Create, FileEventKind.Created);
        Say(Rename, FileEventKind.Renamed);
        Say(CloseWrite, FileEventKind.Written);
        Say(Delete, FileEventKind.Removed);
    }
}
