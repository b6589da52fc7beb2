using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Formats;

/// <summary>The first line of a script, "#!program argument" (execve(2)).</summary>
/// <param name="Program">What runs it, as the line names it; of "#!/usr/bin/env x" it is x.</param>
/// <param name="Through">/usr/bin/env, when the line goes through it.</param>
public sealed record ScriptLine(string Program, string? Through)
{
    /// <summary>Reads the beginning of a file; null when it is no script.</summary>
    public static ScriptLine? Of(ReadOnlySpan<byte> content)
    {
        if (!content.StartsWith("#!"u8)) return null;
        ReadOnlySpan<byte> line = content[2..];
        int end = line.IndexOf((byte)'\n');
        string[] words = ByteLines.Words(Encoding.UTF8.GetString(end < 0 ? line : line[..end]));
        if (words.Length == 0) return null;
        string? wanted = words[0].EndsWith("/env", StringComparison.Ordinal) ? words.Skip(1).FirstOrDefault(w => !w.StartsWith('-') && !w.Contains('=', StringComparison.Ordinal)) : null;
        return wanted is null ? new(words[0], null) : new(wanted, words[0]);
    }
}
