using System.Collections.Immutable;
using Capsules.Core.Problems;

namespace Capsules.Core.CommandLine;

/// <summary>A command line, understood.</summary>
public sealed record ParsedCommand(Verb Verb, ImmutableArray<string> Arguments, ImmutableArray<string> Command, ImmutableArray<(string Name, string Value)> Options)
{
    /// <summary>Whether a flag was given.</summary>
    public bool Has(string option) => Options.Any(o => o.Name == option);

    /// <summary>The last value given for an option.</summary>
    public string? Value(string option) => Options.LastOrDefault(o => o.Name == option).Value;

    /// <summary>The fields chosen for --json; none for all.</summary>
    public ImmutableArray<string> Fields => Value("--json") is { Length: > 0 } text ? [.. text.Split(',')] : [];

    /// <summary>Every value given for an option.</summary>
    public ImmutableArray<string> Values(string option)
    {
        var values = ImmutableArray.CreateBuilder<string>();
        foreach (var (name, value) in Options) // a query over pairs would be resolved at run time, at every start
            if (name == option) values.Add(value);
        return values.ToImmutable();
    }
}

/// <summary>Reads command lines by <see cref="VerbTable"/>: --name value, --name=value, -n value, -nvalue, flags together (-it), "--" ends options.</summary>
public static class CommandLineParser
{
    /// <summary>The verb that the first one or two words name, and how many words that took; null when there is none.</summary>
    public static (Verb Verb, int Words)? FindVerb(ReadOnlySpan<string> words)
    {
        foreach (int count in (ReadOnlySpan<int>)[2, 1])
        {
            if (words.Length < count) continue;
            string name = count == 2 ? words[0] + " " + words[1] : words[0];
            foreach (Verb verb in VerbTable.Verbs)
                if (verb.Name == name) return (verb, count);
        }
        return null;
    }

    /// <summary>Understands a command line.</summary>
    /// <exception cref="CapsuleException">The verb is unknown, an option is not the verb's, or words are missing or too many.</exception>
    public static ParsedCommand Parse(ReadOnlySpan<string> words)
    {
        if (FindVerb(words) is not (Verb verb, int taken)) throw new CapsuleException(UnknownVerb(words));
        var arguments = ImmutableArray.CreateBuilder<string>();
        var options = ImmutableArray.CreateBuilder<(string, string)>();
        ImmutableArray<string> command = [];

        for (int i = taken; i < words.Length; i++)
        {
            string word = words[i];
            if (word == "--" || (verb.CommandAfter == arguments.Count && (word.Length < 2 || word[0] != '-')))
            {
                ReadOnlySpan<string> rest = words[(word == "--" ? i + 1 : i)..];
                if (verb.CommandAfter is int after)
                {
                    while (arguments.Count < after && rest.Length > 0)
                    {
                        arguments.Add(rest[0]);
                        rest = rest[1..];
                    }
                    command = [.. rest];
                }
                else arguments.AddRange(rest);
                break;
            }
            if (word.StartsWith("--", StringComparison.Ordinal)) i += Long(verb, word, i + 1 < words.Length ? words[i + 1] : null, options);
            else if (word.Length > 1 && word[0] == '-') i += Short(verb, word, i + 1 < words.Length ? words[i + 1] : null, options);
            else arguments.Add(word);
        }

        var parsed = new ParsedCommand(verb, arguments.ToImmutable(), command, options.ToImmutable());
        if (parsed.Value("--color") is { } colour && colour is not ("auto" or "always" or "never")) throw Wrong(verb, $"`{colour}` is no colour choice: auto, always or never");
        if (parsed.Has("--help")) return parsed;
        if (parsed.Arguments.Length < verb.Least) throw Wrong(verb, $"`capsule {verb.Name}` wants {verb.Arguments}");
        if (parsed.Arguments.Length > verb.Most) throw Wrong(verb, $"`{parsed.Arguments[verb.Most]}` is one word too many for `capsule {verb.Name}`");
        return parsed;
    }

    /// <summary>The verb nearest to a word, if any is near.</summary>
    public static string? Similar(string word, IEnumerable<string> candidates)
    {
        (int Distance, string? Name) best = (Math.Max(2, word.Length / 3) + 1, null);
        foreach (string candidate in candidates)
        {
            int distance = Distance(word, candidate);
            if (distance < best.Distance) best = (distance, candidate);
        }
        return best.Name;
    }

    private static int Long(Verb verb, string word, string? next, ImmutableArray<(string, string)>.Builder options)
    {
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? word : word[..equals];
        Option option = Find(verb, o => o.Name == name) ?? throw UnknownOption(verb, name);
        if (!option.Fields.IsEmpty)
        {
            bool follows = equals < 0 && verb.Most == 0 && next is { Length: > 0 } && next[0] != '-';
            string chosen = equals >= 0 ? word[(equals + 1)..] : follows ? next! : "";
            foreach (string field in equals >= 0 || follows ? chosen.Split(',') : [])
                if (!option.Fields.Contains(field)) throw Wrong(verb, $"`{field}` is no field of `capsule {verb.Name} {name}`: {string.Join(", ", option.Fields)}");
            options.Add((option.Name, chosen));
            return follows ? 1 : 0;
        }
        if (option.Value is null)
        {
            if (equals >= 0) throw Wrong(verb, $"{name} takes no value");
            options.Add((option.Name, ""));
            return 0;
        }
        if (equals >= 0)
        {
            options.Add((option.Name, word[(equals + 1)..]));
            return 0;
        }
        options.Add((option.Name, next ?? throw Wrong(verb, $"{name} wants {option.Value}")));
        return 1;
    }

    private static int Short(Verb verb, string word, string? next, ImmutableArray<(string, string)>.Builder options)
    {
        for (int i = 1; i < word.Length; i++)
        {
            char letter = word[i];
            Option option = Find(verb, o => o.Short == letter) ?? throw UnknownOption(verb, "-" + letter);
            if (option.Value is null)
            {
                options.Add((option.Name, ""));
                continue;
            }
            if (i + 1 < word.Length)
            {
                options.Add((option.Name, word[(i + 1)..]));
                return 0;
            }
            options.Add((option.Name, next ?? throw Wrong(verb, $"-{letter} wants {option.Value}")));
            return 1;
        }
        return 0;
    }

    private static Option? Find(Verb verb, Func<Option, bool> matches) => verb.Options.FirstOrDefault(matches) ?? VerbTable.Common.FirstOrDefault(matches);

    private static CapsuleException UnknownOption(Verb verb, string name) =>
        Wrong(verb, $"`capsule {verb.Name}` has no option {name}" + (Similar(name, verb.Options.Select(o => o.Name)) is { } similar ? $"; did you mean {similar}?" : ""));

    private static CapsuleException Wrong(Verb verb, string what) => new(Problems.Problems.WrongUsage(what, verb.Usage));

    private static Problem UnknownVerb(ReadOnlySpan<string> words)
    {
        string word = words.Length == 0 ? "" : words[0];
        string[] nouns = [.. VerbTable.Verbs.Where(v => v.Name.StartsWith(word + " ", StringComparison.Ordinal)).Select(v => v.Name)];
        if (nouns.Length > 0) return Problems.Problems.UnknownVerb(string.Join(' ', words[..Math.Min(2, words.Length)].ToArray()), string.Join(", ", nouns));
        return Problems.Problems.UnknownVerb(word, Similar(word, VerbTable.Verbs.Where(v => !v.Hidden).Select(v => v.Name)));
    }

    /// <summary>Levenshtein's distance.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int next = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = row[j];
                row[j] = next;
            }
        }
        return row[b.Length];
    }
}
