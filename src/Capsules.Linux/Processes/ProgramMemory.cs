using System.Globalization;
using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Processes;

/// <summary>Gives memory back while a resident program waits.</summary>
public static unsafe class ProgramMemory
{
    /// <summary>
    /// Collects garbage for good, and unmaps the pages of the program's code (madvise(2) MADV_DONTNEED): they stay in the page cache, and come
    /// back one by one as they are needed. The program's data may have been written, before it was protected too: it is only offered to be
    /// paged out (MADV_PAGEOUT), which keeps what has no copy on disk.
    /// </summary>
    public static void Release()
    {
        GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        const int dontNeed = 4, pageOut = 21;
        foreach (string line in Encoding.ASCII.GetString(FileCalls.ReadAll("/proc/self/maps")).Split('\n'))
        {
            // ADDRESS-END PERMISSIONS OFFSET DEVICE INODE PATH (proc(5)); inode 0 is no file
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 6 || fields[4] == "0") continue;
            int dash = fields[0].IndexOf('-', StringComparison.Ordinal);
            nint start = nint.Parse(fields[0].AsSpan(0, dash), NumberStyles.AllowHexSpecifier), end = nint.Parse(fields[0].AsSpan(dash + 1), NumberStyles.AllowHexSpecifier);
            Native.Call(28 /* madvise */, start, end - start, fields[1] == "r-xp" ? dontNeed : pageOut);
        }
    }
}
