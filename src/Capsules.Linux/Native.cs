using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Capsules.Linux;

/// <summary>
/// The kernel's own words that several wrappers share. A wrapper's private calls stand below it, in a part of this class of its own file.
/// Results are checked by <see cref="Check"/>; nothing outside this project sees a raw one.
/// </summary>
internal static unsafe partial class Native
{
    internal const int CurrentDirectory = -100; // AT_FDCWD

    [LibraryImport("libc", SetLastError = true)] internal static partial int close(int fd);

    /// <summary>syscall(2), for calls that the C library has no name for, or too new a name.</summary>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    internal static nint Call(int number, nint a = 0, nint b = 0, nint c = 0, nint d = 0, nint e = 0, nint f = 0) => syscall(number, a, b, c, d, e, f);

    internal static int Check(nint result, string call, string subject) =>
        result >= 0 ? (int)result : throw new SyscallException(call, subject, Marshal.GetLastPInvokeError());

    internal static int Check(nint result, string call, NativePath subject) =>
        result >= 0 ? (int)result : throw new SyscallException(call, subject.ToString(), Marshal.GetLastPInvokeError());

    /// <summary>Whether the last call was only interrupted (EINTR) and wants to be made again.</summary>
    internal static bool Interrupted(nint result) => result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR;
}
