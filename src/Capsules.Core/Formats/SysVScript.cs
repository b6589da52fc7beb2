using System.Collections.Immutable;

namespace Capsules.Core.Formats;

/// <summary>The LSB header of a SysV init script, and what its body tells without being run.</summary>
/// <param name="Provides">Names that it starts.</param>
/// <param name="RequiredStart">What must be up before, without the system's own ($network, $remote_fs …).</param>
/// <param name="DefaultStart">Run levels.</param>
/// <param name="Description">One line.</param>
/// <param name="Daemon">The program in a DAEMON= line.</param>
/// <param name="PidFile">The file in a PIDFILE= line.</param>
public sealed record SysVScript(ImmutableArray<string> Provides, ImmutableArray<string> RequiredStart, ImmutableArray<string> DefaultStart, string Description, string? Daemon, string? PidFile)
{
    /// <summary>Reads a script; one without a header has empty members.</summary>
    public static SysVScript Parse(ReadOnlyMemory<byte> bytes)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        string? daemon = null, pidFile = null;
        bool inside = false;
        foreach (string line in ByteLines.TextOf(bytes))
        {
            if (line.StartsWith("### BEGIN INIT INFO", StringComparison.Ordinal)) inside = true;
            else if (line.StartsWith("### END INIT INFO", StringComparison.Ordinal)) inside = false;
            else if (inside && line.StartsWith('#') && line.IndexOf(':', StringComparison.Ordinal) is > 0 and int colon) fields[line[1..colon].Trim()] = line[(colon + 1)..].Trim();
            else if (line.StartsWith("DAEMON=", StringComparison.Ordinal)) daemon ??= Value(line);
            else if (line.StartsWith("PIDFILE=", StringComparison.Ordinal)) pidFile ??= Value(line);
        }
        return new(Words("Provides"), [.. Words("Required-Start").Where(w => !w.StartsWith('$'))], Words("Default-Start"), fields.GetValueOrDefault("Short-Description", ""), daemon, pidFile);

        ImmutableArray<string> Words(string name) => [.. ByteLines.Words(fields.GetValueOrDefault(name, ""))];

        static string? Value(string line)
        {
            string value = line[(line.IndexOf('=', StringComparison.Ordinal) + 1)..].Trim().Trim('"', '\'');
            return value.StartsWith('/') && !value.Contains('$', StringComparison.Ordinal) ? value : null;
        }
    }
}
