using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    /// <summary>struct mount_attr of mount_setattr(2), 32 bytes.</summary>
    internal struct MountAttributeRequest { public ulong Set, Clear, Propagation, UserNamespace; }

    /// <summary>struct loop_info64 of linux/loop.h, 232 bytes.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 232)]
    internal struct LoopStatus
    {
        [FieldOffset(0)] public ulong Device;
        [FieldOffset(8)] public ulong Inode;
    }

    /// <summary>struct loop_config of linux/loop.h, 304 bytes: the file, the block size, a loop_info64 (its lo_flags stand 52 bytes behind its beginning), and room.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 304)]
    internal struct LoopConfig
    {
        [FieldOffset(0)] public uint File;
        [FieldOffset(4)] public uint BlockSize;
        [FieldOffset(60)] public uint Flags;
    }
}
