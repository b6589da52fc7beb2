using System.Collections.Immutable;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>What an export takes along.</summary>
/// <param name="WithState">The state volumes' content, as a layer from which an engine seeds its volumes.</param>
/// <param name="WithSecrets">The secret files.</param>
/// <param name="Compress">gzip of layers.</param>
/// <param name="Open">What it shows of its source; the image without it is as any other.</param>
public sealed record ExportOptions(bool WithState = false, bool WithSecrets = false, bool Compress = true, bool Open = false);

/// <summary>Writes a capsule as an OCI archive (image-layout.md in a tar), which any engine loads and runs.</summary>
/// <param name="layout">The store.</param>
/// <param name="shared">Volumes of the capsule that are another's.</param>
public sealed class OciExporter(StoreLayout layout, IReadOnlyList<SharedVolume>? shared = null)
{
    private string PlaceOf(CapsuleName capsule, CapsuleName volume) =>
        shared?.FirstOrDefault(s => s.Name == volume) is { } other ? layout.Volume(other.Owner, other.Volume) : layout.Volume(capsule, volume);

    /// <summary>Exports the image of a manifest; with a capsule also its state and secrets, when asked for. The digest of the image's manifest.</summary>
    /// <param name="manifest">What is exported.</param>
    /// <param name="capsule">Whose state and secrets; null for the image alone.</param>
    /// <param name="reference">The name that engines give it, such as "bill:latest".</param>
    /// <param name="options">See <see cref="ExportOptions"/>.</param>
    /// <param name="output">Where the archive goes.</param>
    /// <param name="open">Writes what an open capsule shows of its source, which is no layer; null for none.</param>
    /// <exception cref="CapsuleException">A layer is missing, or the services need a shell that is not there.</exception>
    public Digest Export(CapsuleManifest manifest, CapsuleName? capsule, string reference, ExportOptions options, Stream output, Action<TarWriter>? open = null)
    {
        foreach (Digest layer in manifest.Layers)
            if (FileCalls.TryStat(null, layout.Layer(layer)) is not { IsDirectory: true }) throw new CapsuleException(Problems.LayerMissing(layer.ToString()));
        if (ServiceScript.IsNeeded(manifest) && !HasShell(manifest)) throw new CapsuleException(Problems.ShellNeeded(manifest.Name.ToString()));

        SmallFiles.MakeDirectories(layout.Temporary);
        string work = $"{layout.Temporary}/export.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}";
        SmallFiles.MakeDirectories(work, 0x1C0);
        try
        {
            var layers = new List<Layer>();
            foreach (Digest layer in manifest.Layers) layers.Add(Write(work, layers.Count, options, tar => new LayerPacker(tar).Pack(layout.Layer(layer))));
            layers.Add(Write(work, layers.Count, options, tar => Additions(tar, manifest, capsule)));
            if (options.WithSecrets && capsule is { } owner && System.IO.Directory.Exists(layout.Secrets(owner)))
                layers.Add(Write(work, layers.Count, options, tar => new LayerPacker(tar).Pack(layout.Secrets(owner))));
            if (options.WithState && capsule is { } holder)
                foreach (StateVolume volume in manifest.Volumes.Where(v => v.Kind == VolumeKind.Directory && System.IO.Directory.Exists(PlaceOf(holder, v.Name))))
                    layers.Add(Write(work, layers.Count, options, tar => new LayerPacker(tar).Pack(PlaceOf(holder, volume.Name), volume.Path.ToString())));
            Layer? shown = open is null ? null : Write(work, layers.Count, options, open);
            return WriteArchive(manifest, reference, layers, shown is null ? null : shown with { Blob = shown.Blob with { MediaType = options.Compress ? MediaTypes.OpenTreeGzip : MediaTypes.OpenTree } }, output);
        }
        finally { SmallFiles.RemoveTree(work); }
    }

    private sealed record Layer(string File, Digest DiffId, BlobDescriptor Blob);

    private static Layer Write(string work, int number, ExportOptions options, Action<TarWriter> write)
    {
        string path = $"{work}/{number}";
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        using var blob = new HashingStream(file, leaveOpen: true);
        Digest diffId;
        using (Stream packed = options.Compress ? new GZipStream(blob, CompressionLevel.Fastest, leaveOpen: true) : new HashingStream(blob, leaveOpen: true))
        using (var plain = new HashingStream(packed, leaveOpen: true))
        {
            var tar = new TarWriter(plain);
            write(tar);
            tar.End();
            diffId = plain.Digest();
        }
        return new(path, diffId, new(options.Compress ? MediaTypes.LayerGzip : MediaTypes.Layer, blob.Digest(), blob.Count));
    }

    /// <summary>What other engines do not make by themselves: the script, directories made at each start, and the places of volumes with their owners.</summary>
    private void Additions(TarWriter tar, CapsuleManifest manifest, CapsuleName? capsule)
    {
        if (ServiceScript.IsNeeded(manifest))
        {
            tar.Add(Directory(".capsule", 0x1ED, 0, 0));
            tar.Add(new() { Name = Encoding.UTF8.GetBytes(ServiceScript.Path[1..]), Kind = TarMemberKind.File, Mode = 0x1ED }, ServiceScript.Write(manifest));
        }
        var accounts = new Accounts(this, manifest);
        foreach (RuntimeDirectory directory in manifest.Services.SelectMany(s => s.RuntimeDirectories).DistinctBy(d => d.Path).OrderBy(d => d.Path))
            tar.Add(Directory(directory.Path, directory.Mode, accounts.Uid(directory.User), accounts.Gid(directory.Group)));
        foreach (StateVolume volume in manifest.Volumes.Where(v => v.Kind == VolumeKind.Directory && !v.Path.IsRoot).OrderBy(v => v.Path))
        {
            FileStatus? status = capsule is { } owner ? FileCalls.TryStat(null, PlaceOf(owner, volume.Name)) : null;
            tar.Add(Directory(volume.Path, status?.Mode ?? 0x1ED, status?.Uid ?? 0, status?.Gid ?? 0));
        }
    }

    private static Digest WriteArchive(CapsuleManifest manifest, string reference, List<Layer> layers, Layer? open, Stream output)
    {
        byte[] config = ImageJson.Write(CapsuleImage.ConfigOf(manifest, [.. layers.Select(l => l.DiffId)], manifest.Layers.Length));
        var image = new ImageManifest(new(MediaTypes.Config, DigestOf(config), config.Length), [.. layers.Select(l => l.Blob)]);
        byte[] imageBytes = ImageJson.Write(image);
        BlobDescriptor entry = new(MediaTypes.Manifest, DigestOf(imageBytes), imageBytes.Length)
        {
            Platform = ("linux", CapsuleImage.ArchitectureOf(manifest.Source?.Architecture ?? "x86_64")),
            Annotations = ImmutableSortedDictionary<string, string>.Empty.Add("org.opencontainers.image.ref.name", reference),
        };
        if (open is not null) entry = entry with { Annotations = OpenTreeBlob.Annotate(entry.Annotations, open.Blob) };
        var tar = new TarWriter(output);
        tar.Add(FileEntry("oci-layout"), ImageJson.LayoutFile);
        tar.Add(FileEntry("index.json"), ImageJson.Write(new ImageIndex([entry])));
        tar.Add(Directory("blobs", 0x1ED, 0, 0));
        tar.Add(Directory("blobs/sha256", 0x1ED, 0, 0));
        tar.Add(FileEntry("blobs/sha256/" + image.Config.Digest.Hex), config);
        tar.Add(FileEntry("blobs/sha256/" + entry.Digest.Hex), imageBytes);
        byte[] buffer = new byte[128 * 1024];
        foreach (Layer layer in layers.Append(open).OfType<Layer>().DistinctBy(l => l.Blob.Digest))
        {
            tar.Add(FileEntry("blobs/sha256/" + layer.Blob.Digest.Hex) with { Size = layer.Blob.Size });
            using var file = new FileStream(layer.File, FileMode.Open, FileAccess.Read);
            while (file.Read(buffer) is > 0 and var count) tar.Write(buffer.AsSpan(0, count));
        }
        tar.End();
        return entry.Digest;
    }

    private bool HasShell(CapsuleManifest manifest) => manifest.Layers.Any(layer => Find(layer, "bin/sh") is not null || Find(layer, "usr/bin/sh") is not null);

    /// <summary>A file of a layer, found as if the layer were the root.</summary>
    private Descriptor? Find(Digest layer, string path)
    {
        using Descriptor root = FileCalls.Open(layout.Layer(layer), OpenFlags.ReadOnly | OpenFlags.Directory);
        return FileCalls.TryOpenResolved(root, path, OpenFlags.PathOnly | OpenFlags.NoFollow, ResolveFlags.InRoot).Descriptor;
    }

    private static Digest DigestOf(byte[] bytes) => Digest.FromSha256(SHA256.HashData(bytes));

    private static TarMember FileEntry(string name) => new() { Name = Encoding.UTF8.GetBytes(name), Kind = TarMemberKind.File, Mode = 0x1A4 };

    private static TarMember Directory(string name, int mode, uint uid, uint gid) => new() { Name = Encoding.UTF8.GetBytes(name), Kind = TarMemberKind.Directory, Mode = mode, Uid = uid, Gid = gid };

    private static TarMember Directory(GuestPath path, int mode, uint uid, uint gid) => new() { Name = path.Bytes[1..].ToArray(), Kind = TarMemberKind.Directory, Mode = mode, Uid = uid, Gid = gid };

    /// <summary>Users and groups of the capsule, from the uppermost layer that has the files.</summary>
    private sealed class Accounts(OciExporter exporter, CapsuleManifest manifest)
    {
        private readonly Lazy<string[]> _users = new(() => exporter.LinesOf(manifest, "etc/passwd")), _groups = new(() => exporter.LinesOf(manifest, "etc/group"));

        public uint Uid(string name) => Id(_users.Value, name);

        public uint Gid(string name) => Id(_groups.Value, name);

        private static uint Id(string[] lines, string name) =>
            uint.TryParse(name, out uint number) ? number : lines.Select(l => l.Split(':')).Where(f => f.Length > 2 && f[0] == name && uint.TryParse(f[2], out _)).Select(f => uint.Parse(f[2])).FirstOrDefault();
    }

    private string[] LinesOf(CapsuleManifest manifest, string path)
    {
        foreach (Digest layer in manifest.Layers.Reverse())
        {
            using Descriptor root = FileCalls.Open(layout.Layer(layer), OpenFlags.ReadOnly | OpenFlags.Directory);
            using Descriptor? file = FileCalls.TryOpenResolved(root, path, OpenFlags.ReadOnly, ResolveFlags.InRoot).Descriptor;
            if (file is not null) return Encoding.UTF8.GetString(FileCalls.ReadToEnd(file, path)).Split('\n');
        }
        return [];
    }
}
