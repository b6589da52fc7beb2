using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;

namespace Capsules.Engine.Images;

/// <summary>An archive with one image: an OCI layout, or what `docker save` writes. Only its own files are read, by where they lie in it.</summary>
internal sealed class ImageArchive
{
    private const int LongestDocument = 16 << 20, MostFiles = 100_000;

    private readonly FileStream _file;
    private readonly string _path;
    private readonly Dictionary<string, (long Offset, long Size)> _parts = new(StringComparer.Ordinal);

    private ImageArchive(FileStream file, string path) => (_file, _path) = (file, path);

    /// <summary>The image's configuration.</summary>
    public ImageConfig Config { get; private set; } = null!;
    /// <summary>The name that the archive gives it, if any.</summary>
    public string? Reference { get; private set; }
    /// <summary>The layers' files, lowest first, with the digests that the image gives them, where it does.</summary>
    public ImmutableArray<(string Part, Digest? Digest, string MediaType)> Layers { get; private set; } = [];

    /// <summary>The file with what an open capsule shows of its source, and its digest and type; null when the archive has none.</summary>
    public (string Part, Digest Digest, string MediaType)? Open { get; private set; }

    /// <summary>Reads what the archive says about itself.</summary>
    /// <exception cref="CapsuleException">It is no image, is damaged, or is for another machine.</exception>
    public static ImageArchive Read(FileStream file, string path, string architecture)
    {
        var archive = new ImageArchive(file, path);
        try
        {
            archive.FindParts();
            if (archive._parts.ContainsKey("index.json")) archive.ReadLayout(architecture);
            else if (archive._parts.ContainsKey("manifest.json")) archive.ReadDockerArchive();
            else throw new FormatException("it has neither index.json nor manifest.json");
            if (archive.Config.DiffIds.Length != archive.Layers.Length) throw new FormatException($"its configuration speaks of {archive.Config.DiffIds.Length} layers, and it has {archive.Layers.Length}");
        }
        catch (FormatException e) { throw new CapsuleException(Problems.NotAnImage(path, FactText.Of(e)), e); }
        if (archive.Config.Os != "linux" || archive.Config.Architecture != architecture)
            throw new CapsuleException(Problems.OtherArchitecture($"linux/{architecture}", $"{archive.Config.Os}/{archive.Config.Architecture}"));
        return archive;
    }

    /// <summary>The bytes of a part as they lie in the archive.</summary>
    public Stream OpenPart(string part)
    {
        var (offset, size) = _parts[part];
        _file.Position = offset;
        return new PartStream(ReadOnlyMemory<byte>.Empty, _file, size);
    }

    private void FindParts()
    {
        _file.Position = 0;
        var tar = new TarReader(_file);
        var links = new List<(string Name, string Target)>();
        while (tar.Next() is { } entry)
        {
            if (_parts.Count > MostFiles) throw new FormatException("it has too many files");
            string name = NameOf(entry.Name.Span);
            if (entry.Kind == TarMemberKind.File) _parts[name] = (tar.Position, entry.Size);
            else if (entry.Kind is TarMemberKind.SymbolicLink or TarMemberKind.HardLink) links.Add((name, entry.Kind == TarMemberKind.HardLink ? NameOf(entry.LinkTarget.Span) : Beside(name, NameOf(entry.LinkTarget.Span))));
        }
        foreach (var (name, target) in links) // docker save writes equal layers as links to the first
            if (_parts.TryGetValue(target, out var part)) _parts.TryAdd(name, part);
    }

    private void ReadLayout(string architecture)
    {
        ImageIndex index = ImageJson.ReadIndex(Document("index.json"));
        BlobDescriptor entry = Choose(index, architecture);
        for (int depth = 0; entry.MediaType is MediaTypes.Index or MediaTypes.DockerIndex; depth++)
        {
            if (depth == 4) throw new FormatException("its indexes lead nowhere");
            Reference ??= entry.Annotations.GetValueOrDefault("org.opencontainers.image.ref.name");
            entry = Choose(ImageJson.ReadIndex(Blob(entry)), architecture);
        }
        Reference ??= entry.Annotations.GetValueOrDefault("org.opencontainers.image.ref.name");
        if (OpenTreeBlob.Find(entry.Annotations) is var (digest, type)) Open = (Require(BlobPath(digest)), digest, type);
        ImageManifest manifest = ImageJson.ReadManifest(Blob(entry));
        Config = ImageJson.ReadConfig(Blob(manifest.Config));
        Layers = [.. manifest.Layers.Select(l => (Require(BlobPath(l.Digest)), (Digest?)l.Digest, l.MediaType))];
    }

    private void ReadDockerArchive()
    {
        var (config, layers, tags) = ImageJson.ReadDockerArchive(Document("manifest.json"));
        Config = ImageJson.ReadConfig(Document(config));
        Reference = tags.FirstOrDefault();
        Layers = [.. layers.Select(l => (Require(l), (Digest?)null, MediaTypes.Layer))];
    }

    private static BlobDescriptor Choose(ImageIndex index, string architecture) =>
        index.Manifests.FirstOrDefault(m => m.Platform is ("linux", var offered) && offered == architecture)
        ?? index.Manifests.FirstOrDefault(m => m.Platform is null)
        ?? index.Manifests.FirstOrDefault() ?? throw new FormatException("its index is empty");

    private byte[] Blob(BlobDescriptor descriptor)
    {
        byte[] bytes = Document(BlobPath(descriptor.Digest));
        Digest found = Digest.FromSha256(SHA256.HashData(bytes));
        return found == descriptor.Digest ? bytes : throw new CapsuleException(Problems.DigestMismatch(BlobPath(descriptor.Digest), descriptor.Digest.ToString(), found.ToString()));
    }

    private byte[] Document(string name)
    {
        var (offset, size) = _parts[Require(name)];
        if (size > LongestDocument) throw new FormatException($"{name} is too large");
        byte[] bytes = new byte[size];
        _file.Position = offset;
        _file.ReadExactly(bytes);
        return bytes;
    }

    private string Require(string name) => _parts.ContainsKey(name) ? name : throw new FormatException($"{name} is not in it");

    private static string BlobPath(Digest digest) => "blobs/sha256/" + digest.Hex;

    private static string NameOf(ReadOnlySpan<byte> name) => Encoding.UTF8.GetString(name.StartsWith("./"u8) ? name[2..] : name);

    /// <summary>A link's target, seen from the link.</summary>
    private static string Beside(string name, string target) =>
        GuestPath.Parse("/" + name).Parent.Combine(target).ToString()[1..];
}
