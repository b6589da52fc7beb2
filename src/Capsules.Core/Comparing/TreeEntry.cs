using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Comparing;

/// <summary>How an entry of a tree looked, without its content.</summary>
/// <param name="Path">Its place.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Uid">Owner.</param>
/// <param name="Gid">Group.</param>
/// <param name="Size">Bytes of content; 0 for what is no file.</param>
/// <param name="Modified">mtime in nanoseconds since the epoch.</param>
/// <param name="Changed">ctime in nanoseconds since the epoch.</param>
/// <param name="Inode">Its number.</param>
/// <param name="Target">Of a symbolic link: where it points.</param>
public readonly record struct TreeEntry(GuestPath Path, EntryKind Kind, int Mode, uint Uid, uint Gid, long Size, long Modified, long Changed, ulong Inode, ReadOnlyMemory<byte> Target);

/// <summary>A tree at one time, its entries in the order of paths.</summary>
/// <param name="Entries">The entries.</param>
/// <param name="Packages">Installed packages: name, version, architecture.</param>
public sealed record TreeSnapshot(ImmutableArray<TreeEntry> Entries, ImmutableArray<InstalledPackage> Packages);

/// <summary>A package of a snapshot.</summary>
public sealed record InstalledPackage(string Name, string Version, string Architecture);

/// <summary>What differs between two snapshots.</summary>
/// <param name="Changes">What surely differs.</param>
/// <param name="Suspects">Files of the same size with another time: only their content can tell.</param>
public sealed record TreeDifference(ImmutableArray<TreeChange> Changes, ImmutableArray<GuestPath> Suspects)
{
    /// <summary>Goes through both in the order of paths. Times of directories are no change: names in them are.</summary>
    /// <param name="before">The earlier one.</param>
    /// <param name="after">The later one.</param>
    /// <param name="isSameTree">Both were read from one place: then a file with the same inode and times is the same file.</param>
    public static TreeDifference Between(TreeSnapshot before, TreeSnapshot after, bool isSameTree)
    {
        var changes = ImmutableArray.CreateBuilder<TreeChange>();
        var suspects = ImmutableArray.CreateBuilder<GuestPath>();
        int left = 0, right = 0;
        while (left < before.Entries.Length || right < after.Entries.Length)
        {
            int order = left == before.Entries.Length ? 1 : right == after.Entries.Length ? -1 : before.Entries[left].Path.CompareTo(after.Entries[right].Path);
            if (order < 0) changes.Add(new(before.Entries[left].Path, ChangeKind.Deleted, before.Entries[left++].Kind));
            else if (order > 0) changes.Add(new(after.Entries[right].Path, ChangeKind.Added, after.Entries[right++].Kind));
            else Compare(before.Entries[left++], after.Entries[right++]);
        }
        return new(changes.ToImmutable(), suspects.ToImmutable());

        void Compare(TreeEntry old, TreeEntry now)
        {
            if (old.Kind != now.Kind || old.Mode != now.Mode || old.Uid != now.Uid || old.Gid != now.Gid || old.Size != now.Size || !old.Target.Span.SequenceEqual(now.Target.Span)) changes.Add(new(now.Path, ChangeKind.Changed, now.Kind));
            else if (now.Kind == EntryKind.Regular && (old.Modified != now.Modified || isSameTree && (old.Inode != now.Inode || old.Changed != now.Changed))) suspects.Add(now.Path);
        }
    }
}
