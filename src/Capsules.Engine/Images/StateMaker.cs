using System.Collections.Immutable;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>
/// Makes directories of a capsule persistent state. Their data is made beside its place; a mark stands beside the record from before it is there until the record
/// names it, so that `doctor` finds what a crash left between the two. The caller holds the capsule's lock.
/// </summary>
/// <param name="store">Capsules and images.</param>
internal sealed class StateMaker(CapsuleStore store)
{
    private readonly StoreLayout _layout = store.Layout;

    /// <summary>The volume that a directory would be; nothing is changed.</summary>
    /// <exception cref="CapsuleException">The path is none that can be state.</exception>
    public StateVolume Draft(CapsuleRecord capsule, GuestPath path, string reason)
    {
        if (capsule.Open) throw new CapsuleException(Problems.StillOpen($"{capsule.Name}", "a directory of it cannot become state yet"));
        ImmutableArray<StateVolume> volumes = [.. store.Manifest(capsule.Image).Volumes, .. capsule.FurtherVolumes];
        if (path.IsRoot) throw new CapsuleException(Problems.BadStatePath("/", "it is the whole root"));
        if (volumes.FirstOrDefault(v => v.Path.IsWithin(path) || path.IsWithin(v.Path)) is { } other) throw new CapsuleException(Problems.BadStatePath($"{path}", $"volume `{other.Name}` holds {other.Path}"));
        if (LinkTables.NewAtEachStart.FirstOrDefault(r => path.IsWithin(r) || r.IsWithin(path)) is { IsRoot: false } reserved) throw new CapsuleException(Problems.BadStatePath($"{path}", $"{reserved} is made anew at each start"));
        return new() { Name = FreeName(path, volumes), Path = path, Reason = reason };
    }

    /// <summary>Fills a directory that is not there yet with what the capsule shows at a path, stray writes too; false when it has no directory there.</summary>
    public bool Seed(CapsuleRecord capsule, GuestPath path, string half) =>
        VolumeSeeder.Seed([.. store.Manifest(capsule.Image).Layers.Select(_layout.Layer), _layout.Secrets(capsule.Name), Upper(capsule.Name)], path, half);

    /// <summary>Gives data its place. From the rename of the record on it counts.</summary>
    /// <param name="record">The capsule with its new state.</param>
    /// <param name="made">The new volumes, and where their data is.</param>
    public void Place(CapsuleRecord record, IReadOnlyList<(CapsuleName Volume, string Half)> made)
    {
        if (made.Count > 0) SmallFiles.MakeDirectories(_layout.Capsule(record.Name) + "/volumes");
        foreach (var (volume, half) in made)
        {
            SmallFiles.Write(_layout.MakingMark(record.Name, volume), [], durable: false);
            SmallFiles.RemoveTree(_layout.Volume(record.Name, volume)); // of an earlier try that ended before the record was written
            FileCalls.Rename(null, half, null, _layout.Volume(record.Name, volume));
        }
        store.Save(record);
        foreach (var (volume, _) in made) FileCalls.Remove(null, _layout.MakingMark(record.Name, volume));
    }

    /// <summary>Takes state that was added, and its data, away. From the rename of the record on it is none; what a crash leaves, `doctor` finds by the same mark.</summary>
    public void Remove(CapsuleRecord capsule, CapsuleName volume)
    {
        SmallFiles.Write(_layout.MakingMark(capsule.Name, volume), [], durable: false);
        CapsuleRecord without = capsule with { FurtherVolumes = capsule.FurtherVolumes.RemoveAll(v => v.Name == volume) };
        store.Save(without);
        Clear(store, without, $"{volume}");
    }

    /// <summary>What was written over the layers at a path is in a volume now; where it stays, the volume covers it. The capsule does not run.</summary>
    public void RemoveSeed(CapsuleName capsule, GuestPath path) => SmallFiles.RemoveTree(Upper(capsule) + System.Text.Encoding.UTF8.GetString(path.Bytes));

    /// <summary>Names of volumes whose making was cut off.</summary>
    public static IEnumerable<string> CutOff(StoreLayout layout, CapsuleName capsule) =>
        SmallFiles.Names(layout.Capsule(capsule)).Where(n => n.StartsWith(StoreLayout.MakingPrefix, StringComparison.Ordinal) && !n.EndsWith(".tmp", StringComparison.Ordinal)).Select(n => n[StoreLayout.MakingPrefix.Length..]);

    /// <summary>Takes away what was cut off: the mark, and the data unless the record names it.</summary>
    public static void Clear(CapsuleStore store, CapsuleRecord record, string volume)
    {
        string place = store.Layout.Capsule(record.Name);
        if (!record.Folded(store.Manifest(record.Image)).Volumes.Any(v => v.Name.ToString() == volume)) SmallFiles.RemoveTree($"{place}/volumes/{volume}");
        FileCalls.Remove(null, $"{place}/{StoreLayout.MakingPrefix}{volume}");
    }

    private string Upper(CapsuleName capsule) => _layout.Writable(capsule) + "/upper";

    private static CapsuleName FreeName(GuestPath path, ImmutableArray<StateVolume> volumes)
    {
        string text = CapsuleName.From(path.ToString().Trim('/').Replace('/', '-')).ToString();
        if (text.Length > 58) text = text[..58];
        CapsuleName name = CapsuleName.Parse(text);
        for (int number = 2; volumes.Any(v => v.Name == name); number++) name = CapsuleName.Parse($"{text}.{number}");
        return name;
    }
}
