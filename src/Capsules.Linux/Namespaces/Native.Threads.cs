using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc")] internal static partial int pthread_create(nuint* thread, void* attributes, delegate* unmanaged<void*, void*> entry, void* argument);
    [LibraryImport("libc")] internal static partial int pthread_join(nuint thread, void** result);
}
