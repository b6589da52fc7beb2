namespace Capsules.Linux.Launching;

/// <summary>The tail, carried inside every program of ours and run from sealed memory: no file to find, none that a capsule could overwrite.</summary>
internal static partial class TailProgram
{
    private static partial ReadOnlySpan<byte> Image { get; }
}
