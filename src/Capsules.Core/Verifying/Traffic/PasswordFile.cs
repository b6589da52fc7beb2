using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>Passwords of PostgreSQL's users in the form of ~/.pgpass: HOST:PORT:DATABASE:USER:PASSWORD, `*` for any, `\` before `:` and `\`; the first line that fits counts.</summary>
public sealed class PasswordFile
{
    private readonly ImmutableArray<ImmutableArray<string>> _lines;

    private PasswordFile(ImmutableArray<ImmutableArray<string>> lines) => _lines = lines;

    /// <summary>Reads one.</summary>
    /// <exception cref="FormatException">A line has not five fields.</exception>
    public static PasswordFile Parse(ReadOnlyMemory<byte> file)
    {
        var lines = ImmutableArray.CreateBuilder<ImmutableArray<string>>();
        int number = 0;
        foreach (string text in Encoding.UTF8.GetString(file.Span).Split('\n'))
        {
            number++;
            string line = text.TrimEnd('\r');
            if (line.Length == 0 || line[0] == '#') continue;
            ImmutableArray<string> fields = Fields(line);
            if (fields.Length != 5) throw new FormatException($"line {number} has {fields.Length} fields, and HOST:PORT:DATABASE:USER:PASSWORD are five");
            lines.Add(fields);
        }
        return new(lines.ToImmutable());
    }

    /// <summary>The password of a user, for a server that goes by any of the names; null when no line fits.</summary>
    public string? Find(IEnumerable<string> hosts, int port, string database, string user)
    {
        string[] names = [.. hosts];
        foreach (ImmutableArray<string> line in _lines)
            if ((line[0] == "*" || names.Contains(line[0], StringComparer.OrdinalIgnoreCase)) && Fits(line[1], port.ToString(CultureInfo.InvariantCulture)) && Fits(line[2], database) && Fits(line[3], user)) return line[4];
        return null;
    }

    private static bool Fits(string field, string value) => field == "*" || field == value;

    private static ImmutableArray<string> Fields(string line)
    {
        var fields = ImmutableArray.CreateBuilder<string>();
        var field = new StringBuilder();
        for (int i = 0; i < line.Length; i++)
        {
            if (line[i] == '\\' && i + 1 < line.Length) field.Append(line[++i]);
            else if (line[i] == ':' && fields.Count < 4)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else field.Append(line[i]);
        }
        fields.Add(field.ToString());
        return fields.ToImmutable();
    }
}
