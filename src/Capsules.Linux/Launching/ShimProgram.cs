namespace Capsules.Linux.Launching;

/// <summary>The shim, carried as the tail is: what lies in a capsule where a program of another one is expected (docs/formats/crossing.md).</summary>
public static class ShimFile
{
    /// <summary>A static ELF file.</summary>
    public static ReadOnlySpan<byte> Content => ShimProgram.Bytes;
}

internal static partial class ShimProgram
{
    private static partial ReadOnlySpan<byte> Image { get; }

    internal static ReadOnlySpan<byte> Bytes => Image;
}
