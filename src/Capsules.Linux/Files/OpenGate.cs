using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>
/// fanotify(7), permission events of class pre-content: whoever opens a file of a marked directory, by whichever mount or overlay, waits until the
/// group answers. Any holder of the group may answer, by the number that the file had for whoever read the event; when the last holder is gone the
/// kernel lets all of them go on.
/// </summary>
/// <remarks>
/// FAN_OPEN_PERM, and not FAN_PRE_ACCESS (6.14): through an overlay that one is not raised by mmap(2), which asks by the overlay's file, and the page
/// that is then read is an unfilled one. An open raises its event on the lower file itself: in open(2), execve(2), the loader, a copy up.
/// </remarks>
public static unsafe class OpenGate
{
    private const uint PreContent = 8, UnlimitedQueue = 0x10, UnlimitedMarks = 0x20;
    private const uint Add = 1, NoFollow = 4, OnlyDirectory = 8, IgnoredMask = 0x20, SurvivesModify = 0x40, Evictable = 0x200;
    private const ulong OpenPermission = 0x10000, OnChild = 0x08000000;
    private const uint Allow = 1, Deny = 2;
    private const int MetadataLength = 24, ErrnoShift = 24; // FAN_ERRNO_SHIFT, kernel 6.14

    /// <summary>fanotify_init(2); null when this user or kernel has none.</summary>
    public static Descriptor? TryCreate() => Fanotify.TryCreate(PreContent | UnlimitedQueue | UnlimitedMarks);

    /// <summary>fanotify_mark(2): opens of the files in this directory wait from now on.</summary>
    public static void Mark(Descriptor group, NativePath directory)
    {
        fixed (byte* name = directory.Terminated)
            Native.Check(Native.Call(SyscallNumber.FanotifyMark, group.Number, (nint)(Add | OnlyDirectory | NoFollow), unchecked((nint)(OpenPermission | OnChild)), Native.CurrentDirectory, (nint)name), "fanotify_mark", directory);
    }

    /// <summary>Opens of this file do not wait any more, as long as its inode is in memory.</summary>
    public static void Pass(Descriptor group, Descriptor file) =>
        Native.Call(SyscallNumber.FanotifyMark, group.Number, (nint)(Add | IgnoredMask | SurvivesModify | Evictable), unchecked((nint)OpenPermission), file.Number, 0); // refused: its opens are answered one by one

    /// <summary>Takes one event: the file, opened, and the process that waits. Null when there is none. One that finds no free descriptor is denied by the kernel.</summary>
    public static (Descriptor File, int Pid)? TryTake(Descriptor group)
    {
        byte* buffer = stackalloc byte[MetadataLength]; // no room for two: whoever takes one can write it down before the next
        while (true)
        {
            nint length = Native.read(group.Number, buffer, MetadataLength);
            if (length == MetadataLength) return (new Descriptor(*(int*)(buffer + 16)), *(int*)(buffer + 20));
            int errno = Marshal.GetLastPInvokeError();
            if (errno == Errno.EAGAIN) return null;
            if (errno is Errno.EBADF or Errno.EINVAL) throw new SyscallException("read", "fanotify", errno);
        }
    }

    /// <summary>Answers: 0 lets the open go on, an errno (EIO, ENOSPC; FAN_DENY_ERRNO) is what it fails with. False when nobody waits under this number.</summary>
    public static bool TryAnswer(Descriptor group, int number, int errno)
    {
        uint* response = stackalloc uint[2] { (uint)number, errno == 0 ? Allow : Deny | (uint)errno << ErrnoShift };
        nint written;
        do written = Native.write(group.Number, (byte*)response, 8);
        while (Native.Interrupted(written));
        if (written < 0 && Marshal.GetLastPInvokeError() == Errno.ENOENT) return false;
        Native.Check(written, "write", "fanotify");
        return true;
    }
}
