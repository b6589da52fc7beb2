namespace Capsules.Linux.Files;

/// <summary>
/// fanotify(7): which processes write to the files of one file system. Only their contents: names that come and go are told by file handles
/// alone, which an overlay without nfs_export has none of. A file whose writer was seen is not told again while its inode is in memory.
/// </summary>
public static class WriteWatch
{
    private const uint Add = 1, IgnoredMask = 0x20, SurvivesModify = 0x40, Evictable = 0x200;
    private const ulong Modify = 2, CloseWrite = 8;

    /// <summary>fanotify_init(2): a queue of events; null when this user or kernel has none.</summary>
    public static Descriptor? TryCreate() => Fanotify.TryCreate();

    /// <summary>fanotify_mark(2) of the file system at a path, whoever sees it by whichever mount; false when that cannot be.</summary>
    public static bool TryMark(Descriptor queue, NativePath path) => Fanotify.TryMark(queue, path, Modify | CloseWrite);

    /// <summary>Takes what is in the queue: each file, open for reading, with the pid of the process that wrote to it.</summary>
    public static void Take(Descriptor queue, Action<Descriptor, int> written) => Fanotify.Take(queue, (file, pid, _) =>
    {
        written(file, pid);
        Native.Call(SyscallNumber.FanotifyMark, queue.Number, (nint)(Add | IgnoredMask | SurvivesModify | Evictable), (nint)(Modify | CloseWrite), file.Number, 0);
    });
}
