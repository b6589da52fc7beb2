using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Facts;

/// <summary>What an entry of a directory is.</summary>
public enum EntryKind
{
    /// <summary>A directory.</summary>
    Directory,
    /// <summary>A regular file.</summary>
    Regular,
    /// <summary>A symbolic link.</summary>
    SymbolicLink,
    /// <summary>A named pipe.</summary>
    Fifo,
    /// <summary>A bound unix socket.</summary>
    Socket,
    /// <summary>A character device.</summary>
    CharacterDevice,
    /// <summary>A block device.</summary>
    BlockDevice,
}

/// <summary>What a look at one entry of a source's tree found. A symbolic link is itself, not what it leads to.</summary>
/// <param name="Path">Where it was looked for.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Uid">Owner.</param>
/// <param name="Gid">Group.</param>
/// <param name="Size">Length in bytes.</param>
/// <param name="Target">Of a symbolic link: where it points, as it stands there.</param>
public sealed record FileFact(GuestPath Path, EntryKind Kind, int Mode, uint Uid, uint Gid, long Size, ImmutableArray<byte> Target)
{
    /// <summary>Whether it is a directory.</summary>
    public bool IsDirectory => Kind == EntryKind.Directory;
    /// <summary>Whether it is a regular file.</summary>
    public bool IsRegular => Kind == EntryKind.Regular;
}

/// <summary>
/// A source's tree, to look at. Paths are the source's own, and never lead out of its root. Two kinds exist: a real root directory (engine),
/// and one in memory, from which planners are tested.
/// </summary>
public interface ISourceTree
{
    /// <summary>The entry itself, with links followed in the directories before it; null when it is not there or cannot be seen.</summary>
    FileFact? Look(GuestPath path);

    /// <summary>The content of a regular file, links followed; null when there is none, or it is longer than <paramref name="limit"/>.</summary>
    ReadOnlyMemory<byte>? Read(GuestPath path, int limit = 16 << 20);

    /// <summary>The first bytes of a regular file, links followed, <paramref name="count"/> at most; null when there is none.</summary>
    ReadOnlyMemory<byte>? ReadStart(GuestPath path, int count);

    /// <summary>Whether the content of a regular file, links followed, has these bytes in it; false when there is none. Nothing of it is kept, so that large programs can be asked.</summary>
    bool Contains(GuestPath path, ReadOnlySpan<byte> bytes);

    /// <summary>The entries of a directory in the order of bytes; none when it is none.</summary>
    ImmutableArray<FileFact> List(GuestPath directory);
}
