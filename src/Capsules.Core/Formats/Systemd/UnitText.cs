using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Capsules.Core.Formats.Systemd;

/// <summary>A command of ExecStart= and its relatives (systemd.service(5), "Command lines").</summary>
/// <param name="Arguments">argv; the first is what is executed unless <see cref="Program"/> says otherwise.</param>
public sealed record UnitCommand(ImmutableArray<string> Arguments)
{
    /// <summary>With "@": what is executed, while argv[0] is another name.</summary>
    public string? Program { get; init; }
    /// <summary>With "-": a failure is none.</summary>
    public bool IgnoresFailure { get; init; }
    /// <summary>With "+", "!" or "!!": with full privileges, whatever User= says.</summary>
    public bool IsPrivileged { get; init; }
    /// <summary>With ":": variables are not replaced.</summary>
    public bool IsLiteral { get; init; }
    /// <summary>What is executed.</summary>
    public string Executable => Program ?? Arguments[0];

    /// <summary>argv with ${NAME} and $NAME replaced: the first inside of words, the second as words of its own, split at spaces.</summary>
    public ImmutableArray<string> Expand(IReadOnlyDictionary<string, string> environment)
    {
        if (IsLiteral) return Arguments;
        var words = ImmutableArray.CreateBuilder<string>();
        foreach (string word in Arguments)
        {
            if (word.Length > 1 && word[0] == '$' && word[1] != '{' && word[1] != '$' && word.AsSpan(1).IndexOfAnyExcept(NameCharacters) < 0)
                words.AddRange(UnitText.Words(environment.GetValueOrDefault(word[1..], "")));
            else words.Add(ReplaceBraces(word, environment));
        }
        return words.ToImmutable();
    }

    private static readonly System.Buffers.SearchValues<char> NameCharacters = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    private static string ReplaceBraces(string word, IReadOnlyDictionary<string, string> environment)
    {
        if (!word.Contains('$', StringComparison.Ordinal)) return word;
        var text = new StringBuilder();
        for (int i = 0; i < word.Length; i++)
        {
            if (word[i] == '$' && i + 1 < word.Length && word[i + 1] == '$') text.Append(word[i++]);
            else if (word[i] == '$' && i + 1 < word.Length && word[i + 1] == '{' && word.IndexOf('}', i) is > 0 and int end)
            {
                text.Append(environment.GetValueOrDefault(word[(i + 2)..end], ""));
                i = end;
            }
            else text.Append(word[i]);
        }
        return text.ToString();
    }
}

/// <summary>Words, commands, environment and times as unit files write them.</summary>
public static class UnitText
{
    /// <summary>Splits at spaces, with quotes and C escapes (systemd.syntax(7), "Quoting"). A quote that is not closed ends with the text.</summary>
    public static ImmutableArray<string> Words(string text)
    {
        var words = ImmutableArray.CreateBuilder<string>();
        var word = new List<byte>();
        bool inside = false;
        char quote = '\0';
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (quote == '\0' && c is ' ' or '\t' or '\n')
            {
                if (inside) words.Add(Finish());
                continue;
            }
            inside = true;
            if (c == quote && quote != '\0') quote = '\0';
            else if (quote == '\0' && c is '"' or '\'' && word.Count == 0) quote = c;
            else if (c == '\\' && i + 1 < text.Length) i += Escape(text, i + 1, word);
            else Append(word, char.IsHighSurrogate(c) && i + 1 < text.Length ? text.Substring(i++, 2) : c.ToString());
        }
        if (inside) words.Add(Finish());
        return words.ToImmutable();

        string Finish()
        {
            string result = Model.BytePicture.Of([.. word]);
            word.Clear();
            inside = false;
            return result;
        }
    }

    /// <summary>The commands of one ExecStart= value (several only for oneshot, separated by " ; ").</summary>
    public static ImmutableArray<UnitCommand> Commands(string value)
    {
        var commands = ImmutableArray.CreateBuilder<UnitCommand>();
        var words = new List<string>();
        foreach (string word in Words(value))
        {
            if (word == ";") Flush();
            else words.Add(word);
        }
        Flush();
        return commands.ToImmutable();

        void Flush()
        {
            if (words.Count == 0) return;
            string first = words[0];
            bool other = false, ignores = false, privileged = false, literal = false;
            int skip = 0;
            while (skip < first.Length && first[skip] is '-' or '@' or '+' or '!' or ':' or '|')
            {
                char prefix = first[skip++];
                other |= prefix == '@';
                ignores |= prefix == '-';
                privileged |= prefix is '+' or '!';
                literal |= prefix == ':';
            }
            first = first[skip..];
            if (first.Length > 0)
            {
                words[0] = first;
                string? program = other && words.Count > 1 ? first : null;
                if (program is not null) words.RemoveAt(0);
                commands.Add(new([.. words]) { Program = program, IgnoresFailure = ignores, IsPrivileged = privileged, IsLiteral = literal });
            }
            words.Clear();
        }
    }

    /// <summary>A file of EnvironmentFile= or /etc/default: NAME=value lines with shell-like quotes, comments and continuations.</summary>
    public static ImmutableArray<(string Name, string Value)> EnvironmentFile(ReadOnlyMemory<byte> bytes)
    {
        var values = ImmutableArray.CreateBuilder<(string, string)>();
        string pending = "";
        foreach (string line in ByteLines.TextOf(bytes))
        {
            string text = pending + line;
            if (text.EndsWith('\\'))
            {
                pending = text[..^1];
                continue;
            }
            pending = "";
            text = text.Trim();
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || text[0] is '#' or ';') continue;
            string name = text[..equals].Trim();
            if (name.StartsWith("export ", StringComparison.Ordinal)) name = name[7..].Trim();
            if (name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_')) values.Add((name, Unquote(text[(equals + 1)..].Trim())));
        }
        return values.ToImmutable();
    }

    /// <summary>A time span in milliseconds: "90", "5min 20s", "infinity" (0, which waits for ever); null when it is none.</summary>
    public static long? Milliseconds(string text)
    {
        text = text.Trim();
        if (text == "infinity") return 0;
        double total = 0;
        bool any = false;
        int i = 0;
        while (i < text.Length)
        {
            if (text[i] == ' ')
            {
                i++;
                continue;
            }
            int start = i;
            while (i < text.Length && (char.IsAsciiDigit(text[i]) || text[i] == '.')) i++;
            if (!double.TryParse(text.AsSpan(start, i - start), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)) return null;
            while (i < text.Length && text[i] == ' ') i++;
            start = i;
            while (i < text.Length && char.IsLetter(text[i])) i++;
            double? unit = text[start..i] switch
            {
                "" or "s" or "sec" or "second" or "seconds" => 1000,
                "ms" or "msec" => 1,
                "us" or "usec" or "µs" => 0.001,
                "m" or "min" or "minute" or "minutes" => 60_000,
                "h" or "hr" or "hour" or "hours" => 3_600_000,
                "d" or "day" or "days" => 86_400_000,
                "w" or "week" or "weeks" => 604_800_000,
                _ => null,
            };
            if (unit is not double factor) return null;
            total += number * factor;
            any = true;
        }
        return any && total < long.MaxValue / 2 ? (long)total : null;
    }

    /// <summary>A size or number with K, M, G, T (of 1024), or "infinity" (<see cref="ulong.MaxValue"/>); null when it is none.</summary>
    public static ulong? Size(string text)
    {
        text = text.Trim();
        if (text == "infinity") return ulong.MaxValue;
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => 0 };
        string digits = shift > 0 ? text[..^1] : text;
        return ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) && value <= ulong.MaxValue >> shift ? value << shift : null;
    }

    private static string Unquote(string text)
    {
        if (text.Length >= 2 && text[0] == '\'' && text.IndexOf('\'', 1) is > 0 and int single) return text[1..single];
        if (text.Length >= 2 && text[0] == '"')
        {
            var value = new StringBuilder();
            for (int i = 1; i < text.Length && text[i] != '"'; i++)
                value.Append(text[i] == '\\' && i + 1 < text.Length ? text[++i] : text[i]);
            return value.ToString();
        }
        int comment = text.IndexOf(" #", StringComparison.Ordinal);
        return comment < 0 ? text : text[..comment].TrimEnd();
    }

    private static void Append(List<byte> word, string text) => word.AddRange(Encoding.UTF8.GetBytes(text));

    /// <summary>Takes the escape whose letter is at <paramref name="at"/>; how many characters that was.</summary>
    private static int Escape(string text, int at, List<byte> word)
    {
        char c = text[at];
        switch (c)
        {
            case 'n': word.Add((byte)'\n'); return 1;
            case 't': word.Add((byte)'\t'); return 1;
            case 'r': word.Add((byte)'\r'); return 1;
            case 'a': word.Add(7); return 1;
            case 'b': word.Add(8); return 1;
            case 'f': word.Add(12); return 1;
            case 'v': word.Add(11); return 1;
            case 's': word.Add((byte)' '); return 1;
            case 'x' when at + 2 < text.Length && byte.TryParse(text.AsSpan(at + 1, 2), NumberStyles.AllowHexSpecifier, null, out byte value):
                word.Add(value);
                return 3;
            case '\\' or '"' or '\'' or ';' or ' ':
                Append(word, c.ToString());
                return 1;
            default: // an escape that is none keeps its backslash
                word.Add((byte)'\\');
                Append(word, char.IsHighSurrogate(c) && at + 1 < text.Length ? text.Substring(at, 2) : c.ToString());
                return char.IsHighSurrogate(c) && at + 1 < text.Length ? 2 : 1;
        }
    }
}
