using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>The image specification's documents as JSON; members that it does not know are read over, as it demands.</summary>
public static class ImageJson
{
    /// <summary>image-layout.md: the file oci-layout.</summary>
    public static ReadOnlySpan<byte> LayoutFile => """{"imageLayoutVersion":"1.0.0"}"""u8;

    /// <summary>The bytes of an index.</summary>
    public static byte[] Write(ImageIndex index) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", 2);
        w.Text("mediaType", MediaTypes.Index);
        w.WriteStartArray("manifests");
        foreach (BlobDescriptor descriptor in index.Manifests) Write(w, descriptor);
        w.WriteEndArray();
    }, indented: false);

    /// <summary>The bytes of a manifest.</summary>
    public static byte[] Write(ImageManifest manifest) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", 2);
        w.Text("mediaType", MediaTypes.Manifest);
        w.WritePropertyName("config");
        Write(w, manifest.Config);
        w.WriteStartArray("layers");
        foreach (BlobDescriptor layer in manifest.Layers) Write(w, layer);
        w.WriteEndArray();
    }, indented: false);

    /// <summary>The bytes of a configuration. It has no time of making: equal contents give equal digests.</summary>
    public static byte[] Write(ImageConfig config) => JsonWriting.Document(w =>
    {
        w.Text("architecture", config.Architecture);
        w.Text("os", config.Os);
        w.WriteStartObject("config");
        w.Text("User", config.User);
        Set(w, "ExposedPorts", config.ExposedPorts);
        w.Texts("Env", config.Env);
        w.Texts("Entrypoint", config.Entrypoint);
        w.Texts("Cmd", config.Cmd);
        Set(w, "Volumes", config.Volumes);
        w.Text("WorkingDir", config.WorkingDir);
        w.Text("StopSignal", config.StopSignal);
        if (!config.Labels.IsEmpty)
        {
            w.WriteStartObject("Labels");
            foreach (var (name, value) in config.Labels) w.WriteString(name, value);
            w.WriteEndObject();
        }
        w.WriteEndObject();
        w.WriteStartObject("rootfs");
        w.Text("type", "layers");
        w.WriteStartArray("diff_ids");
        foreach (Digest layer in config.DiffIds) w.WriteStringValue(layer.ToString());
        w.WriteEndArray();
        w.WriteEndObject();
    }, indented: false);

    /// <summary>Reads an index.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static ImageIndex ReadIndex(ReadOnlyMemory<byte> bytes)
    {
        JsonElement document = ManifestJson.Parse(bytes);
        return new([.. document.Items("manifests").Select(ReadDescriptor)]);
    }

    /// <summary>Reads a manifest.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static ImageManifest ReadManifest(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        return new(ReadDescriptor(e.Member("config") ?? throw new FormatException("`config` is missing")), [.. e.Items("layers").Select(ReadDescriptor)]);
    }

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static ImageConfig ReadConfig(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        JsonElement rootfs = e.Member("rootfs") ?? throw new FormatException("`rootfs` is missing");
        var image = new ImageConfig { Architecture = e.RequiredText("architecture"), Os = e.RequiredText("os"), DiffIds = [.. rootfs.Texts("diff_ids").Select(Digest.Parse)] };
        if (e.Member("config") is not { } c) return image;
        return image with
        {
            User = c.Text("User") is { Length: > 0 } user ? user : null,
            ExposedPorts = [.. c.Members("ExposedPorts").Select(m => m.Name)],
            Env = c.Texts("Env"),
            Entrypoint = c.Texts("Entrypoint"),
            Cmd = c.Texts("Cmd"),
            Volumes = [.. c.Members("Volumes").Select(m => m.Name)],
            WorkingDir = c.Text("WorkingDir") is { Length: > 0 } directory ? directory : null,
            StopSignal = c.Text("StopSignal") is { Length: > 0 } signal ? signal : null,
            Labels = c.Members("Labels").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "Labels"), StringComparer.Ordinal),
        };
    }

    /// <summary>Reads manifest.json of a docker-archive: the paths of the configuration and the layers.</summary>
    /// <exception cref="FormatException">It is none, or holds several images.</exception>
    public static (string Config, ImmutableArray<string> Layers, ImmutableArray<string> Tags) ReadDockerArchive(ReadOnlyMemory<byte> bytes)
    {
        JsonElement document = ManifestJson.Parse(bytes);
        if (document.ValueKind != JsonValueKind.Array) throw new FormatException("manifest.json must be an array");
        JsonElement[] images = [.. document.EnumerateArray()];
        if (images is not [var image]) throw new FormatException($"the archive holds {images.Length} images; one is expected");
        return (image.RequiredText("Config"), image.Texts("Layers"), image.Texts("RepoTags"));
    }

    private static void Set(Utf8JsonWriter w, string name, ImmutableArray<string> members)
    {
        if (members.IsEmpty) return;
        w.WriteStartObject(name);
        foreach (string member in members.Distinct().Order(StringComparer.Ordinal))
        {
            w.WriteStartObject(member);
            w.WriteEndObject();
        }
        w.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter w, BlobDescriptor descriptor)
    {
        w.WriteStartObject();
        w.Text("mediaType", descriptor.MediaType);
        w.Text("digest", descriptor.Digest.ToString());
        w.WriteNumber("size", descriptor.Size);
        if (descriptor.Platform is var (os, architecture))
        {
            w.WriteStartObject("platform");
            w.Text("architecture", architecture);
            w.Text("os", os);
            w.WriteEndObject();
        }
        if (!descriptor.Annotations.IsEmpty)
        {
            w.WriteStartObject("annotations");
            foreach (var (name, value) in descriptor.Annotations) w.WriteString(name, value);
            w.WriteEndObject();
        }
        w.WriteEndObject();
    }

    private static BlobDescriptor ReadDescriptor(JsonElement e)
    {
        long size = e.Integer("size") ?? throw new FormatException("`size` is missing");
        return new(e.Text("mediaType") ?? "", Digest.Parse(e.RequiredText("digest")), size >= 0 ? size : throw new FormatException("`size` is negative"))
        {
            Platform = e.Member("platform") is { } p ? (p.RequiredText("os"), p.RequiredText("architecture")) : null,
            Annotations = e.Members("annotations").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "annotations"), StringComparer.Ordinal),
        };
    }
}
