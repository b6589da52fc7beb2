using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Tests.Capture;

/// <summary>A source's tree in memory, to plan from.</summary>
internal sealed class MemoryTree : ISourceTree
{
    private readonly SortedDictionary<GuestPath, (FileFact Fact, byte[] Content)> _entries = new() { [GuestPath.Root] = (new(GuestPath.Root, EntryKind.Directory, 0x1ED, 0, 0, 0, []), []) };

    public MemoryTree File(string path, string content = "", int mode = 0x1A4, uint uid = 0) => File(path, Encoding.UTF8.GetBytes(content), mode, uid);

    /// <summary>Gives an entry another group than its owner's.</summary>
    public MemoryTree Group(string path, uint gid)
    {
        var (fact, content) = _entries[GuestPath.Parse(path)];
        _entries[GuestPath.Parse(path)] = (fact with { Gid = gid }, content);
        return this;
    }

    public MemoryTree File(string path, byte[] content, int mode = 0x1A4, uint uid = 0) => Put(path, EntryKind.Regular, mode, uid, content, []);

    /// <summary>A file of which only the size is known.</summary>
    public MemoryTree Large(string path, long size)
    {
        File(path);
        _entries[GuestPath.Parse(path)] = (_entries[GuestPath.Parse(path)].Fact with { Size = size }, []);
        return this;
    }

    public MemoryTree Directory(string path, uint uid = 0) => Put(path, EntryKind.Directory, 0x1ED, uid, [], []);

    public MemoryTree Link(string path, string target) => Put(path, EntryKind.SymbolicLink, 0x1FF, 0, [], [.. Encoding.UTF8.GetBytes(target)]);

    public FileFact? Look(GuestPath path) => Place(path, 0) is { } place && _entries.TryGetValue(place, out var entry) ? entry.Fact with { Path = path } : null;

    public ReadOnlyMemory<byte>? Read(GuestPath path, int limit = 16 << 20) => Follow(path, 0) is { } place && _entries.TryGetValue(place, out var entry) && entry.Fact.IsRegular && entry.Content.Length <= limit ? entry.Content : null;

    public ReadOnlyMemory<byte>? ReadStart(GuestPath path, int count) => Read(path) is { } all ? all[..Math.Min(count, all.Length)] : null;

    public bool Contains(GuestPath path, ReadOnlySpan<byte> bytes) => Read(path) is { } all && all.Span.IndexOf(bytes) >= 0;

    public ImmutableArray<FileFact> List(GuestPath directory) =>
        Follow(directory, 0) is { } place ? [.. _entries.Values.Where(e => !e.Fact.Path.IsRoot && e.Fact.Path.Parent == place).Select(e => e.Fact with { Path = directory.Child(e.Fact.Path.Name) })] : [];

    private MemoryTree Put(string path, EntryKind kind, int mode, uint uid, byte[] content, ImmutableArray<byte> target)
    {
        GuestPath place = GuestPath.Parse(path);
        for (GuestPath parent = place.Parent; !parent.IsRoot; parent = parent.Parent)
            if (!_entries.ContainsKey(parent)) _entries[parent] = (new(parent, EntryKind.Directory, 0x1ED, 0, 0, 0, []), []);
        _entries[place] = (new(place, kind, mode, uid, uid, content.Length, target), content);
        return this;
    }

    private GuestPath? Place(GuestPath path, int depth) => path.IsRoot ? path : Follow(path.Parent, depth) is { } parent ? parent.Child(path.Name) : null;

    private GuestPath? Follow(GuestPath path, int depth)
    {
        if (depth > 40 || Place(path, depth + 1) is not { } place) return null;
        return _entries.TryGetValue(place, out var entry) && entry.Fact.Kind == EntryKind.SymbolicLink ? Follow(place.Parent.Combine(entry.Fact.Target.AsSpan()), depth + 1) : place;
    }
}
