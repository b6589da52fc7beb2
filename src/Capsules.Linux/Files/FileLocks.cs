using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>How a lock of fcntl(2) shuts others out.</summary>
public enum LockKind : short
{
    /// <summary>F_RDLCK: others may read.</summary>
    Shared = 0,
    /// <summary>F_WRLCK: others may do nothing.</summary>
    Exclusive = 1,
    /// <summary>F_UNLCK: none.</summary>
    None = 2,
}

/// <summary>Locks and leases of fcntl(2), never waited for.</summary>
public static unsafe class FileLocks
{
    private const int SetLock = 6, SetOpenFileLock = 37, SetSignal = 10, SetLease = 1024, Urgent = 23;

    /// <summary>struct flock of x86-64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Range { public short Type, Whence; public long Start, Length; public int Pid; }

    /// <summary>F_SETLK on the whole file: a lock of the process. False when another's stands against it.</summary>
    public static bool TryProcess(Descriptor file, LockKind kind) => Try(file, SetLock, kind);

    /// <summary>F_OFD_SETLK on the whole file: a lock of the open file. False when another's stands against it.</summary>
    public static bool TryOpenFile(Descriptor file, LockKind kind) => Try(file, SetOpenFileLock, kind);

    /// <summary>F_SETLEASE: who opens the file later must wait. It is told by SIGURG, which nobody dies of. False when somebody has it open.</summary>
    public static bool TryLease(Descriptor file, LockKind kind)
    {
        Native.Check(Native.fcntl(file.Number, SetSignal, Urgent), "fcntl", "F_SETSIG");
        int result = Native.fcntl(file.Number, SetLease, (nint)(short)kind);
        if (result < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return false;
        Native.Check(result, "fcntl", "F_SETLEASE");
        return true;
    }

    private static bool Try(Descriptor file, int command, LockKind kind)
    {
        var range = new Range { Type = (short)kind };
        int result = Native.fcntl(file.Number, command, (nint)(&range));
        if (result < 0 && Marshal.GetLastPInvokeError() is Errno.EAGAIN or Errno.EACCES) return false;
        Native.Check(result, "fcntl", "F_SETLK");
        return true;
    }
}
