using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Opening;

/// <summary>Where the contents of an open capsule come from: `open/source.json` (docs/formats/open.md).</summary>
/// <param name="Source">The source; its tree is the authority.</param>
/// <param name="Captured">When its names were read.</param>
/// <param name="Files">How many files it showed.</param>
/// <param name="Bytes">How many bytes these have.</param>
public sealed record OpenSource(SourceReference Source, DateTimeOffset Captured, long Files, long Bytes)
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("source", Source.ToString());
        w.Time("captured", Captured);
        w.WriteNumber("files", Files);
        w.WriteNumber("bytes", Bytes);
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static OpenSource FromJson(ReadOnlyMemory<byte> bytes)
    {
        var e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new(SourceReference.Parse(e.RequiredText("source")), e.RequiredTime("captured"), e.Integer("files") ?? 0, e.Integer("bytes") ?? 0);
    }
}
