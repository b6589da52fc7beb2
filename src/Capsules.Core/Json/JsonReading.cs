using System.Collections.Immutable;
using System.Text.Json;

namespace Capsules.Core.Json;

/// <summary>
/// Reading of JSON members with errors that name the place. The document model alone is used, no serializer: it starts fast and needs no
/// reflection. A member that is absent, or null, is null here; one of another kind is a <see cref="FormatException"/>.
/// </summary>
public static class JsonReading
{
    /// <summary>The member, or null when it is absent or null.</summary>
    public static JsonElement? Member(this JsonElement element, string name)
    {
        if (element.ValueKind != JsonValueKind.Object) throw new FormatException($"an object was expected where `{name}` is looked for");
        return element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A text member.</summary>
    public static string? Text(this JsonElement element, string name) => Member(element, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => AsText(value, name),
        _ => throw new FormatException($"`{name}` must be a string"),
    };

    /// <summary>A text member that must be there.</summary>
    public static string RequiredText(this JsonElement element, string name) => Text(element, name) ?? throw new FormatException($"`{name}` is missing");

    /// <summary>A whole number.</summary>
    public static long? Integer(this JsonElement element, string name) => Member(element, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetInt64(out long number) => number,
        _ => throw new FormatException($"`{name}` must be a whole number"),
    };

    /// <summary>A whole number that fits an int.</summary>
    public static int? SmallInteger(this JsonElement element, string name) => Integer(element, name) is long number
        ? number is >= int.MinValue and <= int.MaxValue ? (int)number : throw new FormatException($"`{name}` is out of range")
        : null;

    /// <summary>A whole number of 64 bits without sign.</summary>
    public static ulong? Unsigned(this JsonElement element, string name) => Member(element, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetUInt64(out ulong number) => number,
        _ => throw new FormatException($"`{name}` must be a whole number, not negative"),
    };

    /// <summary>A number.</summary>
    public static double? Number(this JsonElement element, string name) => Member(element, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value => value.GetDouble(),
        _ => throw new FormatException($"`{name}` must be a number"),
    };

    /// <summary>True or false.</summary>
    public static bool? Flag(this JsonElement element, string name) => Member(element, name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw new FormatException($"`{name}` must be true or false"),
    };

    /// <summary>A point in time that must be there, as RFC 3339 writes it.</summary>
    public static DateTimeOffset RequiredTime(this JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.String } value && value.TryGetDateTimeOffset(out DateTimeOffset time) ? time : throw new FormatException($"`{name}` must be a time such as 2026-01-31T12:00:00Z");

    /// <summary>The elements of an array; none when the member is absent.</summary>
    public static IEnumerable<JsonElement> Items(this JsonElement element, string name) => Member(element, name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } value => value.EnumerateArray(),
        _ => throw new FormatException($"`{name}` must be an array"),
    };

    /// <summary>The texts of an array.</summary>
    public static ImmutableArray<string> Texts(this JsonElement element, string name) => [.. Items(element, name).Select(item => AsText(item, name))];

    /// <summary>The members of an object; none when it is absent.</summary>
    public static IEnumerable<JsonProperty> Members(this JsonElement element, string name) => Member(element, name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Object } value => value.EnumerateObject(),
        _ => throw new FormatException($"`{name}` must be an object"),
    };

    /// <summary>An element of an array as text.</summary>
    public static string AsText(JsonElement item, string name)
    {
        if (item.ValueKind != JsonValueKind.String) throw new FormatException($"`{name}` must hold strings");
        try { return item.GetString()!; }
        catch (InvalidOperationException e) { throw new FormatException($"`{name}` is no text: half of a surrogate pair", e); }
    }

    /// <summary>One of an enum's names, written as the format writes them: lower case, with dashes.</summary>
    public static T? Choice<T>(this JsonElement element, string name) where T : struct, Enum
    {
        if (Text(element, name) is not string text) return null;
        foreach (T value in Enum.GetValues<T>())
            if (Dashed(value) == text) return value;
        throw new FormatException($"`{name}` is `{text}`; it can be {string.Join(", ", Enum.GetValues<T>().Select(Dashed))}");
    }

    /// <summary>OnFailure → on-failure.</summary>
    public static string Dashed<T>(T value) where T : struct, Enum =>
        string.Concat(value.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? $"-{char.ToLowerInvariant(c)}" : $"{char.ToLowerInvariant(c)}"));
}
