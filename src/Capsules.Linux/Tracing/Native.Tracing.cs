using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial nint process_vm_readv(int pid, IoVector* local, ulong localCount, IoVector* remote, ulong remoteCount, ulong flags);

    /// <summary>struct seccomp_notif, 80 bytes (include/uapi/linux/seccomp.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SeccompNotification
    {
        public ulong Id;
        public uint Pid, Flags;
        public int Number;
        public uint Architecture;
        public ulong InstructionPointer;
        public fixed ulong Arguments[6];
    }

    /// <summary>struct seccomp_notif_resp, 24 bytes.</summary>
    internal struct SeccompResponse { public ulong Id; public long Value; public int Error; public uint Flags; }
}
