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
/// Before 6.5 an overlay opens its lower files unseen (FMODE_NONOTIFY in fs/overlayfs/file.c), but for a copy up: there the overlay is marked as well.
/// Never where it is not needed: on 6.18 the event's own file of an overlay opens its lower one seen, and whoever takes the event waits for himself.
/// </remarks>
public static unsafe class OpenGate
{
    private const uint PreContent = 8, UnlimitedQueue = 0x10, UnlimitedMarks = 0x20;
    private const uint Add = 1, NoFollow = 4, OnlyDirectory = 8, IgnoredMask = 0x20, SurvivesModify = 0x40, WholeFileSystem = 0x100, Evictable = 0x200;
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

    /// <summary>fanotify_mark(2): opens of all files of this mount's file system wait from now on, by whichever mount and in whichever namespace.</summary>
    public static void MarkAll(Descriptor group, Descriptor mount)
    {
        fixed (byte* name = "."u8) // the literal ends with a zero
            Native.Check(Native.Call(SyscallNumber.FanotifyMark, group.Number, (nint)(Add | WholeFileSystem), unchecked((nint)OpenPermission), mount.Number, (nint)name), "fanotify_mark", "a whole file system");
    }

    /// <summary>Whether an answer may name an errno (FAN_DENY_ERRNO, 6.14). The kernel looks at what is said before it looks for who waits, and nobody does under this number.</summary>
    public static bool TellsErrno(Descriptor group) => Respond(group, int.MaxValue, Deny | Errno.EIO << ErrnoShift) == Errno.ENOENT;

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

    /// <summary>
    /// Answers: 0 lets the open go on, an errno (EIO, ENOSPC) is what it fails with, or EPERM where the kernel <see cref="TellsErrno">cannot tell</see> another.
    /// False when nobody waits under this number.
    /// </summary>
    public static bool TryAnswer(Descriptor group, int number, int errno)
    {
        int failed = Respond(group, number, errno == 0 ? Allow : Deny | (uint)errno << ErrnoShift);
        if (failed == Errno.EINVAL && errno != 0) failed = Respond(group, number, Deny);
        return failed switch
        {
            0 => true,
            Errno.ENOENT => false,
            _ => throw new SyscallException("write", "fanotify", failed),
        };
    }

    private static int Respond(Descriptor group, int number, uint answer)
    {
        uint* response = stackalloc uint[2] { (uint)number, answer };
        nint written;
        do written = Native.write(group.Number, (byte*)response, 8);
        while (Native.Interrupted(written));
        return written < 0 ? Marshal.GetLastPInvokeError() : 0;
    }
}
