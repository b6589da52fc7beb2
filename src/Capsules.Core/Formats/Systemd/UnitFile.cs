using System.Collections.Immutable;

namespace Capsules.Core.Formats.Systemd;

/// <summary>One assignment of a unit file, such as [Service] ExecStart=….</summary>
public sealed record UnitSetting(string Section, string Key, string Value);

/// <summary>The assignments of a unit with its drop-ins, in the order in which systemd applies them (systemd.syntax(7), systemd.unit(5)).</summary>
public sealed record UnitFile(ImmutableArray<UnitSetting> Settings)
{
    /// <summary>Reads one file. Lines that are neither section, assignment nor comment are left out, as systemd does with a warning.</summary>
    public static UnitFile Parse(ReadOnlyMemory<byte> bytes)
    {
        var settings = ImmutableArray.CreateBuilder<UnitSetting>();
        string section = "", pending = "";
        bool continued = false;
        foreach (string line in ByteLines.TextOf(bytes))
        {
            string text = line.TrimEnd();
            if (continued && text.TrimStart() is ['#' or ';', ..]) continue; // comments between continued lines are skipped
            pending = continued ? pending + " " + text.TrimStart() : text.TrimStart();
            continued = pending.EndsWith('\\');
            if (continued)
            {
                pending = pending[..^1].TrimEnd();
                continue;
            }
            Take(pending);
        }
        if (continued) Take(pending);
        return new(settings.ToImmutable());

        void Take(string text)
        {
            if (text.Length == 0 || text[0] is '#' or ';') return;
            if (text[0] == '[' && text[^1] == ']')
            {
                section = text[1..^1];
                return;
            }
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0) settings.Add(new(section, text[..equals].Trim(), text[(equals + 1)..].Trim()));
        }
    }

    /// <summary>This file with a drop-in applied after it.</summary>
    public UnitFile With(UnitFile dropIn) => new(Settings.AddRange(dropIn.Settings));

    /// <summary>The value that counts for a setting that has one value: the last; null when absent or emptied.</summary>
    public string? Last(string section, string key)
    {
        string? value = null;
        foreach (UnitSetting setting in Settings)
            if (setting.Section == section && setting.Key == key) value = setting.Value.Length == 0 ? null : setting.Value;
        return value;
    }

    /// <summary>All values of a setting that may be given several times; an empty one drops those before it.</summary>
    public ImmutableArray<string> All(string section, string key)
    {
        var values = ImmutableArray.CreateBuilder<string>();
        foreach (UnitSetting setting in Settings)
        {
            if (setting.Section != section || setting.Key != key) continue;
            if (setting.Value.Length == 0) values.Clear();
            else values.Add(setting.Value);
        }
        return values.ToImmutable();
    }

    /// <summary>The words of all values of a list setting, such as After=.</summary>
    public ImmutableArray<string> Words(string section, string key) => [.. All(section, key).SelectMany(v => UnitText.Words(v))];

    /// <summary>A truth value.</summary>
    public bool? Flag(string section, string key) => Last(section, key)?.ToLowerInvariant() switch
    {
        "1" or "yes" or "y" or "true" or "t" or "on" => true,
        "0" or "no" or "n" or "false" or "f" or "off" => false,
        _ => null,
    };

    /// <summary>Every value with its specifiers resolved.</summary>
    public UnitFile Resolve(UnitName name) => new([.. Settings.Select(s => s with { Value = name.Resolve(s.Value) })]);
}
