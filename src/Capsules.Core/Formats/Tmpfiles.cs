using System.Collections.Immutable;

namespace Capsules.Core.Formats;

/// <summary>A line of tmpfiles.d(5).</summary>
/// <param name="Type">The first letter: d, D, f, L, …</param>
/// <param name="Path">The place, with specifiers as written.</param>
/// <param name="Mode">Permissions; null for the default.</param>
/// <param name="User">Owner; root when null.</param>
/// <param name="Group">Group; root when null.</param>
/// <param name="Argument">Content or target.</param>
public sealed record TmpfilesLine(char Type, string Path, int? Mode, string? User, string? Group, string? Argument)
{
    /// <summary>Reads a file of them; what is no such line is left out.</summary>
    public static ImmutableArray<TmpfilesLine> Parse(ReadOnlyMemory<byte> bytes)
    {
        var lines = ImmutableArray.CreateBuilder<TmpfilesLine>();
        foreach (string text in ByteLines.TextOf(bytes))
        {
            string[] words = ByteLines.Words(text);
            if (words.Length < 2 || words[0].StartsWith('#') || !char.IsAsciiLetter(words[0][0]) || !words[1].Trim('"').StartsWith('/')) continue;
            int? mode = null;
            if (words.Length > 2 && words[2].TrimStart('~', ':') is { Length: > 0 and <= 5 } octal && octal.All(c => c is >= '0' and <= '7')) mode = Convert.ToInt32(octal, 8);
            lines.Add(new(words[0][0], words[1].Trim('"'), mode, Field(words, 3), Field(words, 4), words.Length > 6 ? string.Join(' ', words[6..]) : null));
        }
        return lines.ToImmutable();

        static string? Field(string[] words, int index) => words.Length > index && words[index] != "-" ? words[index].TrimStart(':') : null;
    }
}
