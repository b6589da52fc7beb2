namespace Capsules.Linux.Files;

/// <summary>fanotify(7): a queue of events about files, each with the file, opened, and the process that did it.</summary>
internal static unsafe class Fanotify
{
    private const uint CloseOnExec = 1, NonBlocking = 2, AddMark = 1, WholeFileSystem = 0x100;
    private const uint EventFlags = 0xC8800; // O_RDONLY, O_CLOEXEC, O_NOATIME, O_LARGEFILE, O_NONBLOCK: an event opens the file, which may be a fifo
    private const int MetadataLength = 24; // struct fanotify_event_metadata: event_len, vers and reserved, metadata_len, mask, fd, pid

    /// <summary>fanotify_init(2); null when this user or kernel has none.</summary>
    public static Descriptor? TryCreate(uint flags = 0)
    {
        nint queue = Native.Call(SyscallNumber.FanotifyInit, (nint)(CloseOnExec | NonBlocking | flags), (nint)EventFlags);
        return queue < 0 ? null : new((int)queue);
    }

    /// <summary>fanotify_mark(2) of the file system at a path, whoever sees it by whichever mount; false when that cannot be.</summary>
    public static bool TryMark(Descriptor queue, NativePath path, ulong mask)
    {
        fixed (byte* name = path.Terminated)
            return Native.Call(SyscallNumber.FanotifyMark, queue.Number, (nint)(AddMark | WholeFileSystem), (nint)mask, Native.CurrentDirectory, (nint)name) >= 0;
    }

    /// <summary>Takes what is in the queue: file, pid, and what happened. False when events were lost since the last time (FAN_Q_OVERFLOW).</summary>
    public static bool Take(Descriptor queue, Action<Descriptor, int, ulong> event_)
    {
        byte* buffer = stackalloc byte[4096];
        bool whole = true;
        while (true)
        {
            nint length = Native.read(queue.Number, buffer, 4096);
            if (Native.Interrupted((int)length)) continue;
            if (length <= 0) return whole; // EAGAIN: it is empty; an event whose file cannot be opened is lost
            for (byte* at = buffer; at + MetadataLength <= buffer + length; at += *(uint*)at)
            {
                int file = *(int*)(at + 16), pid = *(int*)(at + 20);
                if (file < 0)
                {
                    whole = false;
                    continue;
                }
                using var opened = new Descriptor(file);
                event_(opened, pid, *(ulong*)(at + 8));
            }
        }
    }
}
