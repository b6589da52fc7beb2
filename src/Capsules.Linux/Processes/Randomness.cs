namespace Capsules.Linux.Processes;

/// <summary>getrandom(2). The platform's generator comes from OpenSSL, which a static program cannot load.</summary>
public static unsafe class Randomness
{
    /// <summary>Random bytes, good for keys.</summary>
    public static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        fixed (byte* start = bytes)
            for (int done = 0; done < count;)
            {
                nint got = Native.Call(318 /* getrandom */, (nint)(start + done), count - done, 0);
                if (Native.Interrupted(got)) continue;
                done += Native.Check(got, "getrandom", "");
            }
        return bytes;
    }
}
