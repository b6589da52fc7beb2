using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>The bytes of open files: holes, copies inside the kernel, clones that share blocks.</summary>
public static unsafe class FileContent
{
    private const nuint Clone = 0x40049409; // FICLONE, ioctl_ficlone(2)

    /// <summary>lseek(2) with SEEK_DATA and SEEK_HOLE: the parts of a file that hold data. A file system that knows no holes gives one part.</summary>
    public static List<(long Offset, long Length)> DataOf(Descriptor file, long size)
    {
        const int seekData = 3, seekHole = 4, noSuchAddress = 6; // ENXIO: no data from here to the end
        var parts = new List<(long, long)>();
        for (long at = 0; at < size;)
        {
            long data = Native.lseek(file.Number, at, seekData);
            if (data < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == noSuchAddress) break;
                if (errno != Errno.EINVAL) throw new SyscallException("lseek", "SEEK_DATA", errno);
                parts.Add((at, size - at));
                break;
            }
            long hole = Native.lseek(file.Number, data, seekHole);
            if (hole < 0) hole = size;
            hole = Math.Min(hole, size);
            if (hole <= data) break;
            parts.Add((data, hole - data));
            at = hole;
        }
        return parts;
    }

    /// <summary>ioctl_ficlone(2): makes <paramref name="to"/> share the blocks of <paramref name="from"/>; false where the file systems cannot.</summary>
    public static bool TryClone(Descriptor from, Descriptor to) => Native.ioctl(to.Number, Clone, from.Number) == 0;

    /// <summary>copy_file_range(2); how much was copied (0 at the end), or null where the file systems cannot.</summary>
    public static long? TryCopy(Descriptor from, Descriptor to, long offset, long length)
    {
        long source = offset, target = offset;
        nint count;
        do count = Native.copy_file_range(from.Number, &source, to.Number, &target, (nint)Math.Min(length, 1L << 30), 0);
        while (Native.Interrupted(count));
        if (count >= 0) return count;
        return Marshal.GetLastPInvokeError() is Errno.EXDEV or Errno.EINVAL or Errno.ENOSYS or Errno.EOPNOTSUPP
            ? null
            : throw new SyscallException("copy_file_range", "", Marshal.GetLastPInvokeError());
    }

    /// <summary>pwrite(2) until everything is written.</summary>
    public static void WriteAt(Descriptor to, ReadOnlySpan<byte> content, long offset, string subject)
    {
        fixed (byte* bytes = content)
            for (int done = 0; done < content.Length;)
            {
                nint count = Native.pwrite(to.Number, bytes + done, content.Length - done, offset + done);
                if (Native.Interrupted(count)) continue;
                done += Native.Check(count, "pwrite", subject);
            }
    }

    /// <summary>ftruncate(2): gives the file this length; what is added is a hole.</summary>
    public static void SetLength(Descriptor file, long length, string subject) => Native.Check(Native.ftruncate(file.Number, length), "ftruncate", subject);

    /// <summary>fallocate(2) with FALLOC_FL_PUNCH_HOLE: gives back the blocks of the first <paramref name="length"/> bytes; false where the file system cannot.</summary>
    public static bool TryRelease(Descriptor file, long length)
    {
        const int keepSize = 1, punchHole = 2;
        return Native.Call(285 /* fallocate */, file.Number, keepSize | punchHole, 0, (nint)length) == 0;
    }

    /// <summary>
    /// sync_file_range(2), all of it, and waits. From then on a store through a mapping of the file changes its times again: until a page was written and
    /// protected, only the first store to it does (folio_clear_dirty_for_io, mm/page-writeback.c).
    /// </summary>
    public static void SyncPages(Descriptor file, string subject) => Native.Check(Native.sync_file_range(file.Number, 0, 0, 7), "sync_file_range", subject);

    /// <summary>syncfs(2): writes out everything of the file system that holds this file.</summary>
    public static void SyncFileSystem(Descriptor file) => Native.Check(Native.syncfs(file.Number), "syncfs", "");
}
