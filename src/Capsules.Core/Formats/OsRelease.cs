using System.Collections.Immutable;

namespace Capsules.Core.Formats;

/// <summary>os-release(5) and other files of shell assignments: NAME=value, with quotes and comments.</summary>
public static class OsRelease
{
    /// <summary>The assignments; of several for one name the last counts.</summary>
    public static ImmutableSortedDictionary<string, string> Parse(ReadOnlyMemory<byte> bytes)
    {
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string line in ByteLines.TextOf(bytes))
        {
            string text = line.Trim();
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || text[0] == '#') continue;
            string value = text[(equals + 1)..];
            if (value.Length >= 2 && value[0] is '"' or '\'' && value[^1] == value[0]) value = value[1..^1];
            values[text[..equals]] = value.Replace("\\\"", "\"", StringComparison.Ordinal).Replace("\\$", "$", StringComparison.Ordinal).Replace("\\\\", "\\", StringComparison.Ordinal);
        }
        return values.ToImmutable();
    }
}
