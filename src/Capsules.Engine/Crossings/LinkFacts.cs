using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Engine.Crossings;

/// <summary>What capsules use of each other now. Records are read again when they have changed, manifests never do: a link that is taken away counts for the next call.</summary>
internal sealed class LinkFacts(CapsuleStore store)
{
    private const int MostKept = 512;

    private readonly Dictionary<CapsuleName, (ulong Inode, Timestamp Modified, long Size, CapsuleRecord Record)> _records = [];
    private readonly Dictionary<Digest, ImmutableArray<Export>> _exports = [];

    /// <summary>A capsule's links, each with what its owner offers by it; a link whose owner is gone, or offers it no more, is left out.</summary>
    public IEnumerable<UsedExport> UsedBy(CapsuleName capsule)
    {
        if (Find(capsule) is not { } record) yield break;
        foreach (CapsuleLink link in record.Links)
            if (Find(link.Import.From) is { } owner && ExportsOf(owner).FirstOrDefault(e => e.Name == link.Import.Export) is { } export)
                yield return new(link with { Preset = (LinkPreset)Math.Min((int)link.Preset, (int)export.Preset) }, export); // an export that was narrowed narrows its links
    }

    private ImmutableArray<Export> ExportsOf(CapsuleRecord owner)
    {
        if (owner.Exports is { } own) return own;
        if (_exports.TryGetValue(owner.Image, out var known)) return known;
        if (_exports.Count >= MostKept) _exports.Clear();
        try { return _exports[owner.Image] = store.Manifest(owner.Image).Exports; }
        catch (CapsuleException) { return []; } // its image is broken: it offers nothing
    }

    private CapsuleRecord? Find(CapsuleName name)
    {
        if (FileCalls.TryStat(null, store.Layout.Capsule(name) + "/capsule.json") is not { } status) return null;
        if (_records.TryGetValue(name, out var known) && known.Inode == status.Inode && known.Modified == status.Modified && known.Size == status.Size) return known.Record;
        if (_records.Count >= MostKept) _records.Clear();
        if (store.TryFind(name) is not { } record) return null;
        _records[name] = (status.Inode, status.Modified, status.Size, record);
        return record;
    }
}
