using System.Runtime;
using System.Runtime.CompilerServices;

namespace Capsules.Shim;

/// <summary>What makes the program short: system calls of at most three arguments (the others are whatever is in their registers), and texts of one byte a character.</summary>
internal static unsafe class Short
{
    // Numbers of texts in words.S; the text behind each goes with it.
    public const int Unreachable = 1, MakeLink = 3, TooLong = 4, BrokenOff = 6;

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "system_call")]
    private static extern long system_call(long number, long a0, long a1, long a2);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "texts")]
    private static extern byte* texts();

    public static long Call(long number, long a0 = 0, long a1 = 0, long a2 = 0) => system_call(number, a0, a1, a2);

    /// <summary>The text of a number, with its NUL.</summary>
    public static byte* Text(int number)
    {
        byte* at = texts();
        for (; number > 0; number--) at += Length(at) + 1;
        return at;
    }

    public static long Length(byte* text)
    {
        long length = 0;
        while (text[length] != 0) length++;
        return length;
    }
}
