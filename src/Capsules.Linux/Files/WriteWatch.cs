namespace Capsules.Linux.Files;

/// <summary>
/// fanotify(7): which processes write to the files of one file system. Only their contents: names that come and go are told by file handles
/// alone, which an overlay without nfs_export has none of. A file whose writer was seen is not told again while its inode is in memory.
/// </summary>
public static unsafe class WriteWatch
{
    private const uint CloseOnExec = 1, NonBlocking = 2, Add = 1, IgnoredMask = 0x20, SurvivesModify = 0x40, WholeFileSystem = 0x100, Evictable = 0x200;
    private const ulong Modify = 2, CloseWrite = 8;
    private const uint EventFlags = 0xC8800; // O_RDONLY, O_CLOEXEC, O_NOATIME, O_LARGEFILE, O_NONBLOCK: an event opens the file, which may be a fifo
    private const int MetadataLength = 24; // struct fanotify_event_metadata: event_len, vers and reserved, metadata_len, mask, fd, pid

    /// <summary>fanotify_init(2): a queue of events; null when this user or kernel has none.</summary>
    public static Descriptor? TryCreate()
    {
        nint queue = Native.Call(SyscallNumber.FanotifyInit, (nint)(CloseOnExec | NonBlocking), (nint)EventFlags);
        return queue < 0 ? null : new((int)queue);
    }

    /// <summary>fanotify_mark(2) of the file system at a path, whoever sees it by whichever mount; false when that cannot be.</summary>
    public static bool TryMark(Descriptor queue, NativePath path)
    {
        fixed (byte* name = path.Terminated)
            return Native.Call(SyscallNumber.FanotifyMark, queue.Number, (nint)(Add | WholeFileSystem), (nint)(Modify | CloseWrite), Native.CurrentDirectory, (nint)name) >= 0;
    }

    /// <summary>Takes what is in the queue: each file, open for reading, with the pid of the process that wrote to it.</summary>
    public static void Take(Descriptor queue, Action<Descriptor, int> written)
    {
        byte* buffer = stackalloc byte[4096];
        while (true)
        {
            nint length = Native.read(queue.Number, buffer, 4096);
            if (Native.Interrupted((int)length)) continue;
            if (length <= 0) return; // EAGAIN: it is empty; an event whose file cannot be opened is lost
            for (byte* at = buffer; at + MetadataLength <= buffer + length; at += *(uint*)at)
            {
                int file = *(int*)(at + 16), pid = *(int*)(at + 20);
                if (file < 0) continue; // FAN_Q_OVERFLOW
                using var opened = new Descriptor(file);
                written(opened, pid);
                Native.Call(SyscallNumber.FanotifyMark, queue.Number, (nint)(Add | IgnoredMask | SurvivesModify | Evictable), (nint)(Modify | CloseWrite), file, 0);
            }
        }
    }
}
