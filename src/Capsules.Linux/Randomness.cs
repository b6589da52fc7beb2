using System.Runtime.InteropServices;

namespace Capsules.Linux;

/// <summary>Random bytes from the kernel. The platform's own generator asks OpenSSL, which a static program has not.</summary>
public static unsafe class Randomness
{
    /// <summary>getrandom(2).</summary>
    public static byte[] Get(int count)
    {
        byte[] bytes = new byte[count];
        fixed (byte* to = bytes) // filled by the kernel during the calls
            for (int done = 0; done < count;)
            {
                nint got = Native.getrandom(to + done, count - done, 0);
                if (Native.Interrupted(got)) continue;
                done += Native.Check(got, "getrandom", "");
            }
        return bytes;
    }
}

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial nint getrandom(void* to, nint count, uint flags);
}
