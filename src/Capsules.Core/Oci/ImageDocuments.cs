using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>Media types of the image specification, and Docker's for the same things.</summary>
public static class MediaTypes
{
    /// <summary>An index.</summary>
    public const string Index = "application/vnd.oci.image.index.v1+json";
    /// <summary>A manifest.</summary>
    public const string Manifest = "application/vnd.oci.image.manifest.v1+json";
    /// <summary>A configuration.</summary>
    public const string Config = "application/vnd.oci.image.config.v1+json";
    /// <summary>A layer, not compressed.</summary>
    public const string Layer = "application/vnd.oci.image.layer.v1.tar";
    /// <summary>A layer, compressed by gzip.</summary>
    public const string LayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// <summary>What an open capsule shows of its source (docs/formats/open.md), compressed by gzip.</summary>
    public const string OpenTreeGzip = "application/vnd.capsules.open.v1.tar+gzip";
    /// <summary>The same, not compressed.</summary>
    public const string OpenTree = "application/vnd.capsules.open.v1.tar";
    /// <summary>Docker's index.</summary>
    public const string DockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// <summary>Points to a blob (image-spec, descriptor.md).</summary>
public sealed record BlobDescriptor(string MediaType, Digest Digest, long Size)
{
    /// <summary>os and architecture, where an index offers several.</summary>
    public (string Os, string Architecture)? Platform { get; init; }
    /// <summary>Annotations.</summary>
    public ImmutableSortedDictionary<string, string> Annotations { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>
/// Names the blob with what an open capsule shows of its source, by annotations of the image's entry in index.json: no manifest names it, so an engine
/// that does not know of it loads the image alone.
/// </summary>
public static class OpenTreeBlob
{
    private const string DigestKey = "org.capsules.open.digest", TypeKey = "org.capsules.open.mediaType";

    /// <summary>The annotations.</summary>
    public static ImmutableSortedDictionary<string, string> Annotate(ImmutableSortedDictionary<string, string> annotations, BlobDescriptor blob) =>
        annotations.SetItem(DigestKey, blob.Digest.ToString()).SetItem(TypeKey, blob.MediaType);

    /// <summary>The blob that annotations name; null when they name none.</summary>
    /// <exception cref="FormatException">It is of a later version, or its digest is none.</exception>
    public static (Digest Digest, string MediaType)? Find(ImmutableSortedDictionary<string, string> annotations)
    {
        if (!annotations.TryGetValue(DigestKey, out string? digest)) return null;
        string type = annotations.GetValueOrDefault(TypeKey, "");
        return type is MediaTypes.OpenTree or MediaTypes.OpenTreeGzip ? (Digest.Parse(digest), type) : throw new FormatException($"its open tree is of the type `{type}`, which is not known here");
    }
}

/// <summary>Several images behind one name, or the entry of a layout (image-index.md).</summary>
public sealed record ImageIndex(ImmutableArray<BlobDescriptor> Manifests);

/// <summary>One image: its configuration and its layers, lowest first (image-manifest.md).</summary>
public sealed record ImageManifest(BlobDescriptor Config, ImmutableArray<BlobDescriptor> Layers);

/// <summary>How an image is to be run (config.md).</summary>
public sealed record ImageConfig
{
    /// <summary>The label in which our own manifest travels.</summary>
    public const string ManifestLabel = "org.capsules.manifest";

    /// <summary>As Go names it, such as amd64.</summary>
    public required string Architecture { get; init; }
    /// <summary>linux.</summary>
    public string Os { get; init; } = "linux";
    /// <summary>User, or user:group.</summary>
    public string? User { get; init; }
    /// <summary>Such as "80/tcp".</summary>
    public ImmutableArray<string> ExposedPorts { get; init; } = [];
    /// <summary>NAME=value.</summary>
    public ImmutableArray<string> Env { get; init; } = [];
    /// <summary>First words of the command.</summary>
    public ImmutableArray<string> Entrypoint { get; init; } = [];
    /// <summary>Further words, or the whole command.</summary>
    public ImmutableArray<string> Cmd { get; init; } = [];
    /// <summary>Paths with data that outlives the container.</summary>
    public ImmutableArray<string> Volumes { get; init; } = [];
    /// <summary>Where the command starts.</summary>
    public string? WorkingDir { get; init; }
    /// <summary>Such as SIGQUIT, or a number.</summary>
    public string? StopSignal { get; init; }
    /// <summary>Labels.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>The digests of the layers' uncompressed tars, lowest first.</summary>
    public ImmutableArray<Digest> DiffIds { get; init; } = [];
}
