using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Capsules.Core.Formats;

namespace Capsules.Core.Verifying;

/// <summary>A client's command that says whether a capsule answers.</summary>
/// <param name="Name">What it is called in findings.</param>
/// <param name="Command">For /bin/sh.</param>
/// <param name="Pattern">What its output must hold; null when success is enough.</param>
public sealed record ClientCheck(string Name, string Command, Regex? Pattern);

/// <summary>Checks, one a line (docs/formats/checks.md): a name, a colon, a command and, behind " => ", a pattern.</summary>
public static class ChecksFile
{
    private const string Arrow = " => ";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5); // a pattern of the user's may be a slow one

    /// <summary>Reads a file.</summary>
    /// <exception cref="FormatException">A line has no name, no command, or a pattern that is none.</exception>
    public static ImmutableArray<ClientCheck> Parse(ReadOnlyMemory<byte> file)
    {
        var checks = ImmutableArray.CreateBuilder<ClientCheck>();
        int number = 0;
        foreach (string line in ByteLines.TextOf(file))
        {
            number++;
            if (line.TrimStart() is "" or ['#', ..]) continue;
            int colon = line.IndexOf(": ", StringComparison.Ordinal), arrow = line.LastIndexOf(Arrow, StringComparison.Ordinal);
            if (colon <= 0 || line[..colon].Trim() is not { Length: > 0 } name) throw new FormatException($"line {number}: a name and a colon are missing (NAME: COMMAND => PATTERN)");
            string command = (arrow > colon ? line[(colon + 2)..arrow] : line[(colon + 2)..]).Trim();
            if (command.Length == 0) throw new FormatException($"line {number}: the command of `{name}` is missing");
            if (checks.Any(c => c.Name == name)) throw new FormatException($"line {number}: there is another check `{name}`");
            try { checks.Add(new(name, command, arrow > colon ? new Regex(line[(arrow + Arrow.Length)..].Trim(), RegexOptions.Multiline | RegexOptions.CultureInvariant, s_patience) : null)); }
            catch (ArgumentException e) { throw new FormatException($"line {number}: the pattern of `{name}` is none: {e.Message}", e); }
        }
        return checks.ToImmutable();
    }
}
