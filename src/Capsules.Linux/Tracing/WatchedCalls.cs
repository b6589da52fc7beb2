using Capsules.Linux.Security;

namespace Capsules.Linux.Tracing;

/// <summary>What a watched call does with its path.</summary>
public enum CallKind : byte
{
    /// <summary>Asks about it: stat, access, the source of a link.</summary>
    Look,
    /// <summary>Reads a symbolic link.</summary>
    ReadLink,
    /// <summary>chdir(2).</summary>
    Enter,
    /// <summary>chroot(2), pivot_root(2): from then on a root is asked for with every path.</summary>
    ChangeRoot,
    /// <summary>Opens it; its flags say how.</summary>
    Open,
    /// <summary>execve(2).</summary>
    Execute,
    /// <summary>Makes, renames, removes or changes it.</summary>
    Change,
    /// <summary>connect(2) of a socket.</summary>
    Connect,
    /// <summary>bind(2) of a socket.</summary>
    Bind,
    /// <summary>io_uring_setup(2): what the ring opens is no call of its own.</summary>
    Ring,
}

/// <summary>A call that carries a path. Arguments are numbered from 0; -1 is none.</summary>
/// <param name="Name">Its name in <see cref="SyscallTable"/>.</param>
/// <param name="Kind">What it does.</param>
/// <param name="Path">The argument with the path (with the address, for sockets).</param>
/// <param name="Directory">The argument with the directory that a relative path begins at; none for the working directory.</param>
/// <param name="Flags">The argument with the flags of open(2), or those with AT_EMPTY_PATH.</param>
public sealed record WatchedCall(string Name, CallKind Kind, int Path, int Directory = -1, int Flags = -1)
{
    /// <inheritdoc/>
    public override string ToString() => nameof(WatchedCall);

    /// <summary>A second path, which the call changes (rename, link).</summary>
    public int SecondPath { get; init; } = -1;
    /// <summary>As <see cref="Directory"/>, of the second path.</summary>
    public int SecondDirectory { get; init; } = -1;
    /// <summary>It is about a symbolic link itself, whatever its flags say.</summary>
    public bool NeverFollows { get; init; }
    /// <summary>With AT_EMPTY_PATH it is about a descriptor and carries no path: the filter lets such calls through.</summary>
    public bool CanBeEmpty { get; init; }
}

/// <summary>The calls that are watched: those that carry a path, and never one that moves data. Numbers of native and of 32-bit programs.</summary>
public static class WatchedCalls
{
    /// <summary>The table.</summary>
    public static IReadOnlyList<WatchedCall> All { get; } =
    [
        new("open", CallKind.Open, 0, Flags: 1), new("openat", CallKind.Open, 1, 0, 2), new("openat2", CallKind.Open, 1, 0, 2), new("creat", CallKind.Change, 0),
        new("execve", CallKind.Execute, 0), new("execveat", CallKind.Execute, 1, 0, 4),
        new("stat", CallKind.Look, 0), new("lstat", CallKind.Look, 0) { NeverFollows = true }, new("access", CallKind.Look, 0), new("statfs", CallKind.Look, 0),
        new("newfstatat", CallKind.Look, 1, 0, 3) { CanBeEmpty = true }, new("statx", CallKind.Look, 1, 0, 2) { CanBeEmpty = true },
        new("faccessat", CallKind.Look, 1, 0), new("faccessat2", CallKind.Look, 1, 0, 3) { CanBeEmpty = true }, new("inotify_add_watch", CallKind.Look, 1),
        new("stat64", CallKind.Look, 0), new("lstat64", CallKind.Look, 0) { NeverFollows = true }, new("fstatat64", CallKind.Look, 1, 0, 3) { CanBeEmpty = true }, new("statfs64", CallKind.Look, 0),
        new("readlink", CallKind.ReadLink, 0) { NeverFollows = true }, new("readlinkat", CallKind.ReadLink, 1, 0) { NeverFollows = true },
        new("chdir", CallKind.Enter, 0), new("chroot", CallKind.ChangeRoot, 0), new("pivot_root", CallKind.ChangeRoot, 0),
        new("mkdir", CallKind.Change, 0), new("mkdirat", CallKind.Change, 1, 0), new("mknod", CallKind.Change, 0), new("mknodat", CallKind.Change, 1, 0),
        new("truncate", CallKind.Change, 0), new("truncate64", CallKind.Change, 0), new("symlink", CallKind.Change, 1), new("symlinkat", CallKind.Change, 2, 1),
        new("unlink", CallKind.Change, 0), new("unlinkat", CallKind.Change, 1, 0), new("rmdir", CallKind.Change, 0),
        new("link", CallKind.Look, 0) { SecondPath = 1, NeverFollows = true }, new("linkat", CallKind.Look, 1, 0) { SecondPath = 3, SecondDirectory = 2, NeverFollows = true },
        new("rename", CallKind.Change, 0) { SecondPath = 1 }, new("renameat", CallKind.Change, 1, 0) { SecondPath = 3, SecondDirectory = 2 }, new("renameat2", CallKind.Change, 1, 0) { SecondPath = 3, SecondDirectory = 2 },
        new("connect", CallKind.Connect, 1), new("bind", CallKind.Bind, 1),
        new("io_uring_setup", CallKind.Ring, -1),
    ];

    private const int EmptyPath = 0x1000; // AT_EMPTY_PATH

    /// <summary>The filter: everything is allowed, and these calls are told first. Where the answer is always "allowed" the kernel remembers it, so that other calls cost nothing.</summary>
    public static ulong[] Filter() => Compile(_ => true);

    /// <summary>As <see cref="Filter"/>, of look-ups only: what makes, changes or removes a name, and sockets, are not told.</summary>
    public static ulong[] LookUps() => Compile(call => call.Kind is CallKind.Look or CallKind.ReadLink or CallKind.Enter or CallKind.ChangeRoot or CallKind.Open or CallKind.Execute);

    private static ulong[] Compile(Func<WatchedCall, bool> isTold) => SeccompFilter.Compile(SeccompAction.Allow,
    [
        .. All.Where(isTold).Select(call => new SeccompRule([call.Name], SeccompAction.Notify, call.CanBeEmpty ? [new(call.Flags, SeccompComparison.MaskedEqual, EmptyPath, 0)] : [])),
    ], with32Bit: true);

    /// <summary>Rows of the table by the number of the call, in 64-bit programs or 32-bit ones.</summary>
    internal static WatchedCall?[] ByNumber(bool is32Bit)
    {
        var rows = new WatchedCall?[1024];
        foreach (WatchedCall call in All)
            if ((is32Bit ? SyscallTable.I386 : SyscallTable.X64).TryGetValue(call.Name, out int number)) rows[number] = call;
        return rows;
    }
}
