using System.Collections.Immutable;
using System.Text.Json;

namespace Capsules.Core.Json;

/// <summary>Some members of an output, as `--json=name,state` asks for.</summary>
public static class JsonFields
{
    /// <summary>The fields of an object, or of each object of an array, in the order asked for; what an object does not have is null.</summary>
    /// <param name="json">The whole output.</param>
    /// <param name="fields">The fields; none for all.</param>
    /// <param name="inside">The member that holds the objects, when the output is one object around them.</param>
    public static byte[] Select(byte[] json, ImmutableArray<string> fields, string? inside = null)
    {
        if (fields.IsEmpty) return json;
        JsonElement root = JsonElement.Parse(json);
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, JsonWriting.Options))
            if (inside is null) Write(writer, root, fields);
            else
            {
                writer.WriteStartObject();
                foreach (JsonProperty member in root.EnumerateObject())
                {
                    writer.WritePropertyName(member.Name);
                    if (member.Name == inside) Write(writer, member.Value, fields);
                    else member.Value.WriteTo(writer);
                }
                writer.WriteEndObject();
            }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    private static void Write(Utf8JsonWriter writer, JsonElement value, ImmutableArray<string> fields)
    {
        if (value.ValueKind == JsonValueKind.Array)
        {
            writer.WriteStartArray();
            foreach (JsonElement item in value.EnumerateArray()) Write(writer, item, fields);
            writer.WriteEndArray();
            return;
        }
        writer.WriteStartObject();
        foreach (string field in fields)
        {
            writer.WritePropertyName(field);
            if (value.TryGetProperty(field, out JsonElement member)) member.WriteTo(writer);
            else writer.WriteNullValue();
        }
        writer.WriteEndObject();
    }
}
