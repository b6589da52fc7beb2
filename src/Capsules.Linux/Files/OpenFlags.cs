namespace Capsules.Linux.Files;

/// <summary>open(2) flags (x86-64 and arm64 differ only in those named here by neither). O_CLOEXEC is always added.</summary>
[Flags]
public enum OpenFlags
{
    ReadOnly = 0, WriteOnly = 1, ReadWrite = 2, Create = 0x40, Exclusive = 0x80, NoControllingTerminal = 0x100, Truncate = 0x200, Append = 0x400, NonBlock = 0x800,
    Directory = 0x10000, NoFollow = 0x20000, NoAccessTime = 0x40000, PathOnly = 0x200000, Temporary = 0x410000,
}

/// <summary>RESOLVE_* of openat2(2).</summary>
[Flags]
public enum ResolveFlags : ulong
{
    None = 0, NoCrossMounts = 1, NoMagicLinks = 2, NoSymbolicLinks = 4, Beneath = 8, InRoot = 16,
}
