using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Journals;

/// <summary>The directories of an owner's state, each with a mark of its own, and their paths: events name them by handle.</summary>
/// <param name="names">Where the marks are.</param>
internal sealed class WatchedDirectories(FileEvents names) : IDisposable
{
    /// <summary>Each holds its inode in memory.</summary>
    public const int Most = 16384;

    private readonly Dictionary<DirectoryKey, Place> _places = [];
    private readonly Dictionary<Place, DirectoryKey> _keys = [];
    private readonly Dictionary<CapsuleName, Root> _roots = [];

    /// <summary>A directory of a volume.</summary>
    internal readonly record struct Place(CapsuleName Volume, GuestPath Below);

    private sealed record Root(JournalRoot Of, Descriptor Directory, ulong MountId)
    {
        public bool IsTooMuch { get; set; }
    }

    /// <summary>Watches a volume from now on; false when not all of its directories could be.</summary>
    public bool Add(JournalRoot root, string directory)
    {
        if (_roots.ContainsKey(root.Volume)) return true;
        Descriptor opened = FileCalls.Open(directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        _roots[root.Volume] = new(root, opened, FileCalls.Stat(opened).MountId);
        return Watch(new(root.Volume, GuestPath.Root));
    }

    /// <summary>The path of a name of a directory, as the owner sees it; null when it is none of the state.</summary>
    public GuestPath? PathOf(DirectoryKey directory, byte[] name) => Find(directory) is { } place && GuestPath.IsName(name) ? Shown(place with { Below = place.Below.Child(name) }) : null;

    /// <summary>A directory came: what is below it is watched, too. False when it cannot be.</summary>
    public bool Came(DirectoryKey parent, byte[] name) => Find(parent) is not { } place || Watch(place with { Below = place.Below.Child(name) });

    /// <summary>A directory went, or is no part of the state any more.</summary>
    public void Went(DirectoryKey parent, byte[] name)
    {
        if (Find(parent) is not { } place) return;
        Place gone = place with { Below = place.Below.Child(name) };
        if (_keys.Remove(gone, out DirectoryKey key)) _places.Remove(key);
    }

    /// <summary>
    /// A directory has another name: so have all below it. What was under that name before is gone, or has changed places with it (RENAME_EXCHANGE of rename(2), which is
    /// told as two renames): where it is the kernel tells when something happens in it.
    /// </summary>
    public void Moved(DirectoryKey oldParent, byte[] oldName, DirectoryKey newParent, byte[] newName)
    {
        if (Find(oldParent) is not { } oldPlace || Find(newParent) is not { } newPlace) return;
        Place before = oldPlace with { Below = oldPlace.Below.Child(oldName) }, after = newPlace with { Below = newPlace.Below.Child(newName) };
        bool hasStayed = _keys.TryGetValue(before, out DirectoryKey moved) && Ask(moved) == before; // the other half of an exchange
        foreach (var (place, key) in Below(after))
        {
            _places.Remove(key);
            _keys.Remove(place);
        }
        if (hasStayed)
        {
            Watch(after);
            return;
        }
        foreach (var (place, key) in Below(before))
        {
            _keys.Remove(place);
            Put(key, new(after.Volume, after.Below.Combine(place.Below.RelativeTo(before.Below))));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Root root in _roots.Values) root.Directory.Dispose();
    }

    private KeyValuePair<Place, DirectoryKey>[] Below(Place top) => [.. _keys.Where(k => k.Key.Volume == top.Volume && k.Key.Below.IsWithin(top.Below))];

    private GuestPath Shown(Place place) => _roots[place.Volume].Of.Path.Combine(place.Below.RelativeTo(GuestPath.Root));

    private void Put(DirectoryKey key, Place place)
    {
        if (_places.TryGetValue(key, out Place before)) _keys.Remove(before);
        _places[key] = place;
        _keys[place] = key;
    }

    /// <summary>Where a directory is: as it was marked, or, of one so new that it is not, as the kernel opens it by its handle.</summary>
    private Place? Find(DirectoryKey key) => _places.TryGetValue(key, out Place place) ? place : Ask(key);

    private Place? Ask(DirectoryKey key)
    {
        foreach (var (volume, root) in _roots)
        {
            if (!_keys.TryGetValue(new(volume, GuestPath.Root), out DirectoryKey top) || !top.IsBeside(key)) continue;
            using Descriptor? opened = FileEvents.TryOpen(root.Directory, key);
            if (opened is null) continue;
            byte[] at = FileCalls.ReadLink(null, $"/proc/self/fd/{opened.Number}"), of = FileCalls.ReadLink(null, $"/proc/self/fd/{root.Directory.Number}");
            if (GuestPath.TryParse(at, out GuestPath path) && GuestPath.TryParse(of, out GuestPath above) && path.IsWithin(above)) return new(volume, GuestPath.Root.Combine(path.RelativeTo(above)));
        }
        return null;
    }

    private bool Watch(Place place)
    {
        Root root = _roots[place.Volume];
        var (directory, _) = FileCalls.TryOpenResolved(root.Directory, place.Below.BelowRoot(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow, ResolveFlags.Beneath | ResolveFlags.NoMagicLinks);
        if (directory is null) return true; // it went again
        using (directory) Mark(root, directory, place);
        bool isWhole = !root.IsTooMuch;
        root.IsTooMuch = false; // told once for each directory that came
        return isWhole;
    }

    private void Mark(Root root, Descriptor directory, Place place)
    {
        if (_places.Count >= Most)
        {
            root.IsTooMuch = true;
            return;
        }
        names.MarkDirectory(directory); // before it is listed: what comes then is told
        Put(FileEvents.KeyOf(directory), place);
        foreach (var (name, kind) in FileCalls.List(directory))
        {
            if (kind is not (FileKind.Directory or FileKind.Unknown)) continue;
            var (below, _) = FileCalls.TryOpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
            if (below is null) continue; // no directory, or gone
            using (below)
                if (FileCalls.Stat(below).MountId == root.MountId) Mark(root, below, place with { Below = place.Below.Child(name) });
        }
    }
}
