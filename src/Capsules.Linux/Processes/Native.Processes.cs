using System.Runtime.InteropServices;

namespace Capsules.Linux;

internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)] internal static partial int kill(int pid, int signal);

    // posix_spawn: the child runs the C library's code only, and keeps the calling thread's mount namespace.
    [LibraryImport("libc")] internal static partial int posix_spawn(int* pid, byte* path, void* actions, void* attributes, byte** arguments, byte** environment);
    [LibraryImport("libc")] internal static partial int posix_spawn_file_actions_init(void* actions);
    [LibraryImport("libc")] internal static partial int posix_spawn_file_actions_adddup2(void* actions, int from, int to);
    [LibraryImport("libc")] internal static partial int posix_spawn_file_actions_destroy(void* actions);
    [LibraryImport("libc")] internal static partial int posix_spawnattr_init(void* attributes);
    [LibraryImport("libc")] internal static partial int posix_spawnattr_setflags(void* attributes, short flags);
    [LibraryImport("libc")] internal static partial int posix_spawnattr_setsigmask(void* attributes, void* set);
    [LibraryImport("libc")] internal static partial int posix_spawnattr_setsigdefault(void* attributes, void* set);
    [LibraryImport("libc")] internal static partial int posix_spawnattr_destroy(void* attributes);
}
