using System.Runtime.InteropServices;

namespace Capsules.Linux;

/// <summary>A file descriptor that closes itself. Every one is opened close-on-exec.</summary>
public sealed class Descriptor : SafeHandle
{
    public Descriptor(int number) : base(-1, ownsHandle: true) => SetHandle(number);

    /// <summary>The number, as the kernel and /proc/self/fd know it.</summary>
    public int Number => (int)handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Native.close((int)handle) == 0;
}
