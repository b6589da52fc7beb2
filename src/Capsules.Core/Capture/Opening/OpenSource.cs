using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Opening;

/// <summary>Where the contents of an open capsule come from: `open/source.json` (docs/formats/open.md).</summary>
/// <param name="Source">The source; its tree is the authority.</param>
/// <param name="Captured">When its names were read.</param>
/// <param name="Files">How many files it showed.</param>
/// <param name="Bytes">How many bytes these have.</param>
/// <param name="Process">Whose root it is, when it is a process's: as long as that one lives.</param>
public sealed record OpenSource(SourceReference Source, DateTimeOffset Captured, long Files, long Bytes, SourceProcess? Process = null)
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
        if (Process is not { } process) return;
        w.WriteStartObject("process");
        w.WriteNumber("start", process.Start);
        w.Text("boot", process.Boot);
        w.WriteEndObject();
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static OpenSource FromJson(ReadOnlyMemory<byte> bytes)
    {
        var e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new(SourceReference.Parse(e.RequiredText("source")), e.RequiredTime("captured"), e.Integer("files") ?? 0, e.Integer("bytes") ?? 0,
            e.TryGetProperty("process", out var process) ? new((ulong)(process.Integer("start") ?? 0), process.RequiredText("boot")) : null);
    }
}

/// <summary>Which of all processes that ever had a number is meant.</summary>
/// <param name="Start">When it started, in ticks since the boot: field 22 of /proc/PID/stat, proc(5).</param>
/// <param name="Boot">Which boot that was: /proc/sys/kernel/random/boot_id.</param>
public sealed record SourceProcess(ulong Start, string Boot);
