using System.Collections.Immutable;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>What an import made.</summary>
/// <param name="Capsule">The capsule.</param>
/// <param name="Source">What it showed of its source, when it was exported open.</param>
/// <param name="Sealed">It was sealed because its source cannot be reached from here.</param>
/// <param name="IsLess">It was exported open, and what it showed of its source was left in the archive: only root of the host can guard it.</param>
public sealed record ImportedCapsule(CapsuleRecord Capsule, OpenSource? Source, SealResult? Sealed, bool IsLess);

/// <summary>Capsules out of the store as archives, and archives into it as capsules.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class CapsuleImages(CapsuleStore store)
{
    private readonly StoreLayout _layout = store.Layout;

    /// <summary>Writes a capsule, with the volumes that its user added; the digest of the image's manifest.</summary>
    /// <exception cref="CapsuleException">Its state is asked for while it runs, a layer is missing, or a shell is needed.</exception>
    public Digest Export(CapsuleRecord capsule, ExportOptions options, Stream output)
    {
        using Descriptor held = store.Lock(capsule.Name, wait: true)!; // it is not started or removed meanwhile
        capsule = store.EndCommit(store.Get(capsule.Name.ToString()));
        if (options.Open && !capsule.Open) throw new CapsuleException(Problems.NotOpen(capsule.Name.ToString()));
        if (capsule.Open && !options.Open) throw new CapsuleException(Problems.StillOpen(capsule.Name.ToString(), "it is exported with --open, or when it is sealed"));
        if (options.Open && new CapsuleRunner(store).Running(capsule.Name) is not null) throw new CapsuleException(Problems.SealWhileRunning(capsule.Name.ToString()));
        CapsuleManifest manifest = capsule.Folded(store.Manifest(capsule.Image));
        if (options.WithState)
            foreach (CapsuleName writer in (CapsuleName[])[capsule.Name, .. capsule.SharedVolumes.Select(s => s.Owner)])
                if (new CapsuleRunner(store).Running(writer) is not null) throw new CapsuleException(Problems.StateInUse(writer.ToString()));
        return new OciExporter(_layout, capsule.SharedVolumes).Export(manifest, capsule.Name, $"{capsule.Name}:latest", options, output, options.Open ? tar => OpenArchive.Pack(tar, _layout, capsule.Name, capsule.Image) : null);
    }

    /// <summary>
    /// Imports an archive and makes a stopped capsule of it, whose volumes begin with what the image has at their paths. One of an open capsule stays
    /// open when its source can be reached from here; else it is sealed at once, with what had come from its source before it was exported.
    /// </summary>
    /// <param name="path">An OCI archive or a docker-archive.</param>
    /// <param name="name">The capsule's name; the image's own when null.</param>
    /// <param name="clock">Dates the capsule.</param>
    /// <param name="source">Where an open capsule is filled from; null for where the archive says.</param>
    /// <exception cref="CapsuleException">It is no image, or the name is taken. Nothing half-made stays.</exception>
    public ImportedCapsule Import(string path, CapsuleName? name, TimeProvider clock, SshAddress? source = null)
    {
        if (name is { } wanted && store.Find(wanted) is not null) throw new CapsuleException(Problems.NameTaken(wanted.ToString()));
        if (source is not null && !Host.IsInitial) throw new CapsuleException(Problems.CannotGuard(path, "only root of the host may hold up an open"));
        return WorkDirectory.Use(_layout, "import", work =>
        {
            // What another machine calls `live` is not this one: under a name of nothing nobody fills from here, whatever happens before it is sealed.
            var open = new OpenImport(work + "/open", recorded => source?.ReferenceFor(recorded) ?? (recorded.Kind == SourceKind.Ssh ? recorded : SourceReference.OfBase(recorded.ToString())), IsWanted: Host.IsInitial, IsDemanded: source is not null);
            var (image, manifest) = new OciImporter(_layout).Import(path, name, open);
            CapsuleName own = name ?? manifest.Name;
            CapsuleRecord capsule = Create(new() { Name = own, Image = image, Stack = own, Created = clock.GetUtcNow(), Source = open.Made is { Source: { Kind: SourceKind.Ssh } reached } ? reached.ToString() : null, Open = open.Made is not null }, manifest, half =>
            {
                if (open.Made is not null) FileCalls.Rename(null, open.Place, null, half + "/open");
            });
            if (open.Made is null or { Source.Kind: SourceKind.Ssh }) return new ImportedCapsule(capsule, open.Made, null, open is { WasThere: true, Made: null });
            try
            {
                SealResult result = new SealRunner(store).Seal(own);
                return new(store.Get(own.ToString()), open.Made, result, false);
            }
            catch
            {
                store.Remove(capsule, volumes: true);
                throw;
            }
        });
    }

    /// <summary>Makes a further capsule of an image; its volumes begin with what the layers show at their paths.</summary>
    /// <param name="record">The capsule.</param>
    /// <param name="manifest">The manifest of its image.</param>
    /// <param name="fill">Puts more into its directory, before that has its final name.</param>
    /// <exception cref="CapsuleException">The name is taken, or a layer cannot be read.</exception>
    public CapsuleRecord Create(CapsuleRecord record, CapsuleManifest manifest, Action<string>? fill = null)
    {
        string[] layers = [.. manifest.Layers.Select(_layout.Layer)];
        return store.Create(record, half =>
        {
            SmallFiles.MakeDirectories(half + "/volumes");
            foreach (StateVolume volume in manifest.Volumes.Where(v => v.Kind == VolumeKind.Directory)) VolumeSeeder.Seed(layers, volume.Path, $"{half}/volumes/{volume.Name}");
            fill?.Invoke(half);
        });
    }

    /// <summary>Makes a directory of a stopped capsule persistent state: what it shows there now is the volume's first content, stray writes too.</summary>
    /// <exception cref="CapsuleException">It runs, or the path is none that can be state.</exception>
    public StateVolume AddState(CapsuleName name, GuestPath path)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        if (new CapsuleRunner(store).Running(name) is not null) throw new CapsuleException(Problems.AlreadyRunning(name.ToString()));
        CapsuleRecord capsule = store.EndCommit(store.Get(name.ToString()));
        var maker = new StateMaker(store);
        StateVolume added = maker.Draft(capsule, path, "added by the user");
        using (var work = new WorkDirectory(_layout, "state"))
        {
            string half = work.Place + "/data";
            if (!maker.Seed(capsule, path, half)) throw new CapsuleException(Problems.BadStatePath(path.ToString(), "the capsule has no directory there"));
            maker.Place(capsule with { FurtherVolumes = capsule.FurtherVolumes.Add(added) }, [(added.Name, half)]);
        }
        maker.RemoveSeed(name, path);
        return added;
    }
}
