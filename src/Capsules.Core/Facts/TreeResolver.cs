using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Facts;

/// <summary>Where a path leads in a tree.</summary>
/// <param name="Path">The place without any symbolic link before or at its end.</param>
/// <param name="Entry">What is there; null when nothing is (a dangling link, or no such name).</param>
/// <param name="Links">The symbolic links that were followed, by their own places without links before them, in the order met.</param>
public sealed record Resolution(GuestPath Path, FileFact? Entry, ImmutableArray<GuestPath> Links);

/// <summary>Follows symbolic links as the kernel would inside the tree, and remembers what it saw.</summary>
public sealed class TreeResolver(ISourceTree tree)
{
    private const int MostLinks = 40; // as the kernel: MAXSYMLINKS

    private readonly Dictionary<GuestPath, FileFact?> _seen = [];
    private readonly Dictionary<GuestPath, Resolution> _directories = [];

    /// <summary>The tree that is looked at.</summary>
    public ISourceTree Tree => tree;

    /// <summary>The entry at a place without links before it.</summary>
    public FileFact? Look(GuestPath canonical)
    {
        if (!_seen.TryGetValue(canonical, out FileFact? fact)) _seen[canonical] = fact = tree.Look(canonical);
        return fact;
    }

    /// <summary>Follows every link. Null when the links go round in circles.</summary>
    public Resolution? Resolve(GuestPath path) => Resolve(path, followLast: true, 0);

    /// <summary>Follows the links of the directories before the last name, not the entry itself. Null when links go round in circles.</summary>
    public Resolution? ResolveParent(GuestPath path) => Resolve(path, followLast: false, 0);

    /// <summary>The place of a name with the links of its directories followed, without a look at the entry itself: cheap for many names.</summary>
    public GuestPath? PlaceOf(GuestPath path)
    {
        if (path.IsRoot) return path;
        if (!_directories.TryGetValue(path.Parent, out Resolution? parent))
        {
            if (Resolve(path.Parent, followLast: true, 1) is not { } found) return null;
            _directories[path.Parent] = parent = found;
        }
        return parent.Path.Child(path.Name);
    }

    private Resolution? Resolve(GuestPath path, bool followLast, int depth)
    {
        if (path.IsRoot) return new(path, Look(path), []);
        if (depth > MostLinks) return null;
        if (!_directories.TryGetValue(path.Parent, out Resolution? parent))
        {
            parent = Resolve(path.Parent, followLast: true, depth + 1);
            if (parent is null) return null;
            _directories[path.Parent] = parent;
        }
        GuestPath place = parent.Path.Child(path.Name);
        FileFact? entry = Look(place);
        if (entry is not { Kind: EntryKind.SymbolicLink } || !followLast) return new(place, entry, parent.Links);
        ReadOnlySpan<byte> target = entry.Target.AsSpan();
        if (target.Length == 0 || target.Contains((byte)0)) return new(place, null, [.. parent.Links, place]);
        // A ".." in the target climbs from where the directories really are, which the parent's resolution has made canonical.
        Resolution? end = ResolveTarget(parent.Path, target, depth + 1);
        return end is null ? null : end with { Links = [.. parent.Links, place, .. end.Links] };
    }

    private Resolution? ResolveTarget(GuestPath from, ReadOnlySpan<byte> target, int depth)
    {
        GuestPath at = target[0] == '/' ? GuestPath.Root : from;
        FileFact? entry = null;
        var links = ImmutableArray.CreateBuilder<GuestPath>();
        foreach (Range range in target.Split((byte)'/'))
        {
            ReadOnlySpan<byte> name = target[range];
            if (name.Length == 0 || name.SequenceEqual("."u8)) continue;
            if (name.SequenceEqual(".."u8))
            {
                at = at.Parent;
                continue;
            }
            Resolution? next = Resolve(at.Child(name), followLast: true, depth + 1);
            if (next is null) return null;
            links.AddRange(next.Links);
            at = next.Path;
        }
        entry = Look(at);
        return new(at, entry, links.ToImmutable());
    }
}
