using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>splice(2): bytes from a pipe to a file inside the kernel. What left the pipe is in the file, whatever happens to the caller in between.</summary>
public static unsafe class Splicing
{
    /// <summary>Moves what is there, at most <paramref name="most"/> bytes, to an offset of the file; 0 when the pipe is empty.</summary>
    public static long Move(Descriptor pipe, Descriptor file, long offset, long most)
    {
        const nint move = 1, nonBlock = 2;
        nint count;
        do count = Native.Call(275 /* splice */, pipe.Number, 0, file.Number, (nint)(&offset), (nint)most, move | nonBlock);
        while (Native.Interrupted(count));
        if (count < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return 0;
        return Native.Check(count, "splice", "log");
    }

    /// <summary>Moves what is there between a pipe and a socket, at most <paramref name="most"/> bytes: 0 at the end, -1 when nothing can be moved now.</summary>
    /// <exception cref="SyscallException">The connection is broken.</exception>
    public static long Move(Descriptor from, Descriptor to, long most)
    {
        const nint move = 1, nonBlock = 2;
        nint count;
        do count = Native.Call(275 /* splice */, from.Number, 0, to.Number, 0, (nint)most, move | nonBlock);
        while (Native.Interrupted(count));
        if (count < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return -1;
        return Native.Check(count, "splice", "connection");
    }

    /// <summary>fcntl(2) F_SETPIPE_SZ: how much a pipe holds; the kernel's limit for users may refuse more.</summary>
    public static void TrySetCapacity(Descriptor pipe, int bytes) => Native.fcntl(pipe.Number, 1031, bytes);
}
