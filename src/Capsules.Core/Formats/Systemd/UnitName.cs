using System.Globalization;
using System.Text;

namespace Capsules.Core.Formats.Systemd;

/// <summary>A unit's name, "prefix.type" or "prefix@instance.type" (systemd.unit(5)).</summary>
/// <param name="Prefix">What stands before "@", or before the type.</param>
/// <param name="Instance">What stands after "@"; empty for the template itself; null for an ordinary unit.</param>
/// <param name="Type">service, socket, timer, …</param>
public sealed record UnitName(string Prefix, string? Instance, string Type)
{
    /// <summary>Reads a name.</summary>
    /// <exception cref="FormatException">It has no type.</exception>
    public static UnitName Parse(string text)
    {
        int dot = text.LastIndexOf('.');
        if (dot <= 0 || dot == text.Length - 1) throw new FormatException($"`{text}` is not a unit's name");
        string name = text[..dot];
        int at = name.IndexOf('@', StringComparison.Ordinal);
        return at < 0 ? new(name, null, text[(dot + 1)..]) : new(name[..at], name[(at + 1)..], text[(dot + 1)..]);
    }

    /// <summary>Whether it is a template, which runs only as an instance.</summary>
    public bool IsTemplate => Instance is "";

    /// <summary>The name of the template that this instance is made of.</summary>
    public string Template => $"{Prefix}@.{Type}";

    /// <summary>The name without the type.</summary>
    public string Bare => Instance is null ? Prefix : $"{Prefix}@{Instance}";

    /// <inheritdoc/>
    public override string ToString() => $"{Bare}.{Type}";

    /// <summary>Replaces the specifiers that do not depend on the running system; others, such as %u, stay as they are.</summary>
    public string Resolve(string value)
    {
        if (!value.Contains('%', StringComparison.Ordinal)) return value;
        var text = new StringBuilder(value.Length);
        for (int i = 0; i < value.Length; i++)
        {
            if (value[i] != '%' || i + 1 == value.Length)
            {
                text.Append(value[i]);
                continue;
            }
            text.Append(value[++i] switch
            {
                '%' => "%",
                'i' => Instance ?? "",
                'I' => Unescape(Instance ?? ""),
                'n' => ToString(),
                'N' => Bare,
                'p' => Prefix,
                'P' => Unescape(Prefix),
                'j' => Prefix[(Prefix.LastIndexOf('-') + 1)..],
                'J' => Unescape(Prefix[(Prefix.LastIndexOf('-') + 1)..]),
                'f' => "/" + Unescape(Instance is { Length: > 0 } ? Instance : Prefix).TrimStart('/'),
                't' => "/run",
                'S' => "/var/lib",
                'C' => "/var/cache",
                'L' => "/var/log",
                'E' => "/etc",
                'T' => "/tmp",
                'V' => "/var/tmp",
                'h' => "/root",
                char other => $"%{other}",
            });
        }
        return text.ToString();
    }

    /// <summary>systemd-escape(1) backwards: "-" is "/", "\xNN" a byte.</summary>
    public static string Unescape(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '-') bytes.Add((byte)'/');
            else if (text[i] == '\\' && i + 3 < text.Length && text[i + 1] == 'x' && byte.TryParse(text.AsSpan(i + 2, 2), NumberStyles.AllowHexSpecifier, null, out byte value))
            {
                bytes.Add(value);
                i += 3;
            }
            else bytes.AddRange(Encoding.UTF8.GetBytes(text[i].ToString()));
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }
}
