using System.Text.Json;

namespace Capsules.Core.Json;

/// <summary>Writing of JSON members; what is null, empty or default is left out, so that equal inputs give equal bytes.</summary>
public static class JsonWriting
{
    /// <summary>The options of every file of ours: two spaces, one newline at the end of lines, nothing escaped but what JSON demands.</summary>
    public static JsonWriterOptions Options => new() { Indented = true, NewLine = "\n", Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Runs <paramref name="write"/> inside an object and returns its bytes, with a newline at the end.</summary>
    public static byte[] Document(Action<Utf8JsonWriter> write, bool indented = true)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Options with { Indented = indented }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>A list of objects, with a newline at the end.</summary>
    public static byte[] List<T>(IEnumerable<T> values, Action<Utf8JsonWriter, T> write)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Options))
        {
            writer.WriteStartArray();
            foreach (T value in values)
            {
                writer.WriteStartObject();
                write(writer, value);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(this System.Buffers.ArrayBufferWriter<byte> buffer, ReadOnlySpan<byte> bytes) => System.Buffers.BuffersExtensions.Write(buffer, bytes);

    /// <summary>A text member, unless it is null.</summary>
    public static void Text(this Utf8JsonWriter writer, string name, string? value)
    {
        if (value is not null) writer.WriteString(name, value);
    }

    /// <summary>A moment, as RFC 3339 writes it, in UTC and to the millisecond.</summary>
    public static void Time(this Utf8JsonWriter writer, string name, DateTimeOffset value) =>
        writer.WriteString(name, value.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>A number, unless it is null.</summary>
    public static void Integer(this Utf8JsonWriter writer, string name, long? value)
    {
        if (value is long number) writer.WriteNumber(name, number);
    }

    /// <summary>An array of texts, unless it is empty.</summary>
    public static void Texts(this Utf8JsonWriter writer, string name, IReadOnlyCollection<string> values)
    {
        if (values.Count == 0) return;
        writer.WriteStartArray(name);
        foreach (string value in values) writer.WriteStringValue(value);
        writer.WriteEndArray();
    }

    /// <summary>An array of objects, unless it is empty.</summary>
    public static void Objects<T>(this Utf8JsonWriter writer, string name, IReadOnlyCollection<T> values, Action<T> write)
    {
        if (values.Count == 0) return;
        writer.WriteStartArray(name);
        foreach (T value in values)
        {
            writer.WriteStartObject();
            write(value);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    /// <summary>The findings of a check, also when there are none.</summary>
    public static void Findings(this Utf8JsonWriter writer, IEnumerable<(string Level, string Kind, string Subject, string What, string? Cause, string? Fix)> findings)
    {
        writer.WriteStartArray("findings");
        foreach (var (level, kind, subject, what, cause, fix) in findings)
        {
            writer.WriteStartObject();
            writer.WriteString("level", level);
            writer.WriteString("kind", kind);
            writer.WriteString("subject", subject);
            writer.WriteString("what", what);
            writer.Text("cause", cause);
            writer.Text("fix", fix);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    /// <summary>An array of arrays of texts, unless it is empty.</summary>
    public static void Commands(this Utf8JsonWriter writer, string name, IReadOnlyCollection<System.Collections.Immutable.ImmutableArray<string>> commands)
    {
        if (commands.Count == 0) return;
        writer.WriteStartArray(name);
        foreach (var command in commands)
        {
            writer.WriteStartArray();
            foreach (string word in command) writer.WriteStringValue(word);
            writer.WriteEndArray();
        }
        writer.WriteEndArray();
    }
}
