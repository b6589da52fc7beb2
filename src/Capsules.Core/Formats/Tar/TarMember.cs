using System.Collections.Immutable;

namespace Capsules.Core.Formats.Tar;

/// <summary>typeflag of ustar: what an entry is.</summary>
public enum TarMemberKind
{
    /// <summary>A regular file.</summary>
    File = '0',
    /// <summary>Another name of an entry before it.</summary>
    HardLink = '1',
    /// <summary>A symbolic link.</summary>
    SymbolicLink = '2',
    /// <summary>A character device.</summary>
    CharacterDevice = '3',
    /// <summary>A block device.</summary>
    BlockDevice = '4',
    /// <summary>A directory.</summary>
    Directory = '5',
    /// <summary>A fifo.</summary>
    Fifo = '6',
}

/// <summary>The head of one entry of an archive: pax(1), with the extensions of GNU and of star that container layers use. Names are bytes, as written.</summary>
public sealed record TarMember
{
    /// <summary>The path, without the slash at a directory's end.</summary>
    public required ReadOnlyMemory<byte> Name { get; init; }
    /// <summary>See <see cref="TarMemberKind"/>.</summary>
    public required TarMemberKind Kind { get; init; }
    /// <summary>Permissions, with set-id and sticky bits.</summary>
    public int Mode { get; init; }
    /// <summary>Owner.</summary>
    public uint Uid { get; init; }
    /// <summary>Group.</summary>
    public uint Gid { get; init; }
    /// <summary>Bytes of content that follow.</summary>
    public long Size { get; init; }
    /// <summary>Modification time, seconds since the epoch.</summary>
    public long Modified { get; init; }
    /// <summary>Fraction of the modification time.</summary>
    public uint Nanoseconds { get; init; }
    /// <summary>How long a file is whose content is not in the archive (CAPSULES.size, a record of our own); null for one whose content follows.</summary>
    public long? HollowSize { get; init; }
    /// <summary>Where a link leads.</summary>
    public ReadOnlyMemory<byte> LinkTarget { get; init; }
    /// <summary>Of a device.</summary>
    public uint DeviceMajor { get; init; }
    /// <summary>Of a device.</summary>
    public uint DeviceMinor { get; init; }
    /// <summary>Extended attributes, in the order of names (SCHILY.xattr).</summary>
    public ImmutableArray<(string Name, ReadOnlyMemory<byte> Value)> Attributes { get; init; } = [];
}
