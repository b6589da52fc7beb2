using System.Collections.Immutable;
using Capsules.Core.CommandLine;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Store;

/// <summary>Capsules and images on this host.</summary>
/// <param name="layout">Where things are.</param>
public sealed class CapsuleStore(StoreLayout layout)
{
    /// <summary>Where things are.</summary>
    public StoreLayout Layout => layout;

    /// <summary>All capsules, by name.</summary>
    public ImmutableArray<CapsuleName> Names() => [.. DirectoryNames.In(layout.Capsules).Where(n => FileCalls.TryStat(null, RecordFile(n)) is not null)];

    /// <summary>A capsule; null when there is none of that name.</summary>
    /// <exception cref="CapsuleException">Its file is broken.</exception>
    public CapsuleRecord? Find(CapsuleName name)
    {
        if (SmallFiles.TryRead(RecordFile(name)) is not { } bytes) return null;
        try { return CapsuleRecord.FromJson(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(RecordFile(name), FactText.Of(e)), e); }
    }

    /// <summary>Whether there is a capsule of this name, readable or not.</summary>
    public bool Has(CapsuleName name) => FileCalls.TryStat(null, layout.Capsule(name)) is not null;

    /// <summary>As <see cref="Find"/>; null also when the record is broken, so that one capsule never stops the others.</summary>
    public CapsuleRecord? TryFind(CapsuleName name)
    {
        try { return Find(name); }
        catch (CapsuleException) { return null; }
    }

    /// <summary>A capsule that the user named.</summary>
    /// <exception cref="CapsuleException">There is none; a similar name is offered.</exception>
    public CapsuleRecord Get(string name) =>
        CapsuleName.TryParse(name, out CapsuleName parsed) && Find(parsed) is { } record ? record
            : throw new CapsuleException(Problems.NoSuchCapsule(name, CommandLineParser.Similar(name, Names().Select(n => n.ToString()))));

    /// <summary>The manifest of an image.</summary>
    /// <exception cref="CapsuleException">The image is not here, or broken.</exception>
    public CapsuleManifest Manifest(Digest image)
    {
        string file = layout.Image(image) + "/manifest.json";
        try { return ManifestJson.Read(SmallFiles.TryRead(file) ?? throw new FormatException("it is not there")); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(file, FactText.Of(e)), e); }
    }

    /// <summary>Writes the record of a capsule that exists.</summary>
    public void Save(CapsuleRecord record) => SmallFiles.Write(RecordFile(record.Name), record.ToJson());

    /// <summary>Moves a capsule to an image that holds its changes. From the rename of its record on the commit counts; what is left is <see cref="EndCommit"/>. Its lock is held.</summary>
    public void BeginCommit(CapsuleRecord record)
    {
        Sync(record.Name); // what the record will name is on the disk before it
        Save(record with { Committed = true });
        Sync(record.Name);
    }

    /// <summary>Empties the writable layer of a capsule whose commit counts, and changes its secrets; the record. May be cut off and done again anywhere. Its lock is held.</summary>
    public CapsuleRecord EndCommit(CapsuleRecord record)
    {
        if (!record.Open) RemoveOpen(record.Name);
        if (!record.Committed) return record;
        CapsuleName name = record.Name;
        if (FileCalls.TryStat(null, layout.NewSecrets(name)) is not null)
        {
            SmallFiles.RemoveTree(layout.Secrets(name));
            FileCalls.Rename(null, layout.NewSecrets(name), null, layout.Secrets(name));
        }
        SmallFiles.RemoveTree(layout.Writable(name));
        FileCalls.Remove(null, layout.Writers(name));
        CapsuleRecord ended = record with { Committed = false };
        Save(ended);
        return ended;
    }

    /// <summary>Closes an open capsule: from the rename of its record on it is of the image that holds what it took. Its lock is held.</summary>
    public void Seal(CapsuleRecord record)
    {
        Sync(record.Name);
        Save(record with { Open = false });
        Sync(record.Name);
        RemoveOpen(record.Name);
    }

    private void RemoveOpen(CapsuleName name)
    {
        if (FileCalls.TryStat(null, layout.Open(name)) is not null) SmallFiles.RemoveTree(layout.Open(name));
    }

    private void Sync(CapsuleName name)
    {
        using Descriptor directory = FileCalls.Open(layout.Capsule(name), OpenFlags.ReadOnly | OpenFlags.Directory);
        FileContent.SyncFileSystem(directory);
    }

    /// <summary>The images that are here.</summary>
    public ImmutableArray<Digest> Images()
    {
        var (opened, _) = FileCalls.TryOpenAt(null, layout.Images, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return [];
        using (opened)
            return [.. FileCalls.List(opened).Select(e => System.Text.Encoding.UTF8.GetString(e.Name)).Order(StringComparer.Ordinal)
                .Select(name => Digest.TryParse("sha256:" + name, out Digest digest) ? digest : (Digest?)null).OfType<Digest>()];
    }

    /// <summary>Makes a further capsule of an image that is here.</summary>
    /// <param name="record">The capsule.</param>
    /// <param name="fill">Puts more into its directory, before that has its final name.</param>
    /// <exception cref="CapsuleException">The name is taken.</exception>
    public CapsuleRecord Create(CapsuleRecord record, Action<string>? fill = null)
    {
        SmallFiles.MakeDirectories(layout.Temporary);
        string half = $"{layout.Temporary}/{record.Name}.{Environment.ProcessId}";
        try
        {
            SmallFiles.MakeDirectories(half);
            fill?.Invoke(half);
            SmallFiles.Write(half + "/capsule.json", record.ToJson());
            SmallFiles.MakeDirectories(layout.Capsules);
            FileCalls.Rename(null, half, null, layout.Capsule(record.Name));
        }
        catch (Exception e)
        {
            SmallFiles.RemoveTree(half);
            if (e is SyscallException { Errno: Errno.ENOTEMPTY or Errno.EEXIST }) throw new CapsuleException(Problems.NameTaken(record.Name.ToString()), e);
            throw;
        }
        return record;
    }

    /// <summary>What a capsule offers to others.</summary>
    public ImmutableArray<Export> Offered(CapsuleRecord capsule) => capsule.Exports ?? Manifest(capsule.Image).Exports;

    /// <summary>What a link uses; null when its owner is not here, or does not offer it.</summary>
    public Export? Offered(Import import) => TryFind(import.From) is { } owner ? Offered(owner).FirstOrDefault(e => e.Name == import.Export) : null;

    /// <summary>The capsules that use something that a capsule offers.</summary>
    public IEnumerable<CapsuleName> UsersOf(CapsuleRecord owner, CapsuleName export) =>
        owner.LinkedBy.Where(n => TryFind(n)?.Links.Any(l => l.Import == new Import(owner.Name, export)) == true);

    /// <summary>Excludes other changes to this capsule until the descriptor is closed; null when another holds it and <paramref name="wait"/> is false.</summary>
    public Descriptor? Lock(CapsuleName name, bool wait)
    {
        var (file, errno) = FileCalls.TryOpenAt(null, layout.Capsule(name) + "/lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        if (file is null) throw errno == Errno.ENOENT ? new CapsuleException(Problems.NoSuchCapsule(name.ToString())) : new SyscallException("open", layout.Capsule(name) + "/lock", errno);
        if (FileCalls.Lock(file, exclusive: true, wait)) return file;
        file.Dispose();
        return null;
    }

    /// <summary>Whether it has state of its own.</summary>
    public bool HasVolumes(CapsuleName name) => FileCalls.TryStat(null, layout.Capsule(name) + "/volumes") is not null;

    /// <summary>Removes a capsule that does not run. State volumes stay in kept/NAME unless told. Its image stays: other capsules may be of it.</summary>
    public void Remove(CapsuleRecord record, bool volumes)
    {
        string place = layout.Capsule(record.Name);
        if (!volumes && FileCalls.TryStat(null, place + "/volumes") is not null)
        {
            SmallFiles.MakeDirectories(layout.Kept);
            string kept = $"{layout.Kept}/{record.Name}";
            for (int number = 2; FileCalls.TryStat(null, kept) is not null; number++) kept = $"{layout.Kept}/{record.Name}.{number}";
            FileCalls.Rename(null, place + "/volumes", null, kept);
        }
        SmallFiles.RemoveAtOnce(place, layout.Temporary);
    }

    private string RecordFile(CapsuleName name) => layout.Capsule(name) + "/capsule.json";
}
