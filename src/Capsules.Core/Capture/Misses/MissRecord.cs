using System.Globalization;
using System.Text.Json;
using Capsules.Core.Formats;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Misses;

/// <summary>What became of a path that the capture did not foresee.</summary>
public enum MissKind
{
    /// <summary>An open capsule took its content from the source.</summary>
    Filled,
    /// <summary>An open capsule could not: whoever opened it got an error.</summary>
    Failed,
    /// <summary>A watched capsule does not have it, and the source had.</summary>
    Missing,
}

/// <summary>A path that the capture did not foresee, as `capsules/NAME/misses.jsonl` holds it (docs/formats/misses.md): one JSON object a line.</summary>
/// <param name="Time">When.</param>
/// <param name="What">What became of it.</param>
/// <param name="Path">The path, as the capsule sees it.</param>
/// <param name="Program">The program that wanted it; null when it had ended before anybody looked.</param>
public sealed record MissRecord(DateTimeOffset Time, MissKind What, GuestPath Path, string? Program)
{
    /// <summary>The service that the program belongs to, when it is known.</summary>
    public string? Service { get; init; }
    /// <summary>Bytes at the source.</summary>
    public long? Size { get; init; }
    /// <summary>Why it failed, or which folder it was taken with.</summary>
    public string? Reason { get; init; }

    /// <summary>Its line, with the newline.</summary>
    public byte[] ToLine() => JsonWriting.Document(Write, indented: false);

    /// <summary>Its members.</summary>
    public void Write(Utf8JsonWriter w)
    {
        w.Time("time", Time);
        w.Text("what", JsonReading.Dashed(What));
        w.Text("path", Path.ToString());
        w.Text("program", Program);
        w.Text("service", Service);
        w.Integer("size", Size);
        w.Text("reason", Reason);
    }

    /// <summary>Reads a whole file. A last line that was cut off by the end of its writer is left out.</summary>
    /// <exception cref="FormatException">Another line is none of ours.</exception>
    public static IEnumerable<MissRecord> ReadAll(ReadOnlyMemory<byte> file) => ByteLines.Of(file[..(file.Span.LastIndexOf((byte)'\n') + 1)]).Select(ReadLine);

    private static MissRecord ReadLine(ReadOnlyMemory<byte> line)
    {
        JsonElement e = ManifestJson.Parse(line);
        return new(e.RequiredTime("time"), e.Choice<MissKind>("what") ?? throw new FormatException("`what` is missing"), GuestPath.Parse(e.RequiredText("path")), e.Text("program"))
        {
            Service = e.Text("service"),
            Size = e.Integer("size"),
            Reason = e.Text("reason"),
        };
    }
}
