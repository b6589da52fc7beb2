using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Formats;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Learning;

/// <summary>What a rule makes of a path that was met.</summary>
public enum Widening
{
    /// <summary>Nothing: it is not taken.</summary>
    Leave,
    /// <summary>Itself: a file, or a directory without what is in it.</summary>
    Itself,
    /// <summary>Itself with everything below it.</summary>
    Tree,
    /// <summary>The directory that holds it, with everything below that.</summary>
    Directory,
    /// <summary>The directory directly below the one that the rule names, with everything below it.</summary>
    Child,
    /// <summary>The package that owns it, with what that depends on.</summary>
    Package,
    /// <summary>The whole directory of data that it belongs to, as state.</summary>
    State,
}

/// <summary>One rule: when all of its conditions hold, its steps are taken.</summary>
/// <param name="Name">Shows up in reasons.</param>
/// <param name="Steps">What is done.</param>
/// <param name="GoesOn">Further rules are tried after it.</param>
public sealed record WideningRule(string Name, ImmutableArray<Widening> Steps, bool GoesOn)
{
    /// <summary>Owned by a package, or not; null when it does not matter.</summary>
    public bool? IsOwned { get; init; }
    /// <summary>A directory, or not.</summary>
    public bool? IsDirectory { get; init; }
    /// <summary>Written while it was watched, or not.</summary>
    public bool? IsWritten { get; init; }
    /// <summary>At least one of these was done with it; none when it does not matter.</summary>
    public Uses Any { get; init; }
    /// <summary>Nothing else than these was done with it; none when it does not matter.</summary>
    public Uses Only { get; init; }
    /// <summary>It is one of these or lies below one; empty when it does not matter.</summary>
    public ImmutableArray<GuestPath> Within { get; init; } = [];
    /// <summary>It lies in none of these.</summary>
    public ImmutableArray<GuestPath> Outside { get; init; } = [];
    /// <summary>Its last name is one of these patterns, in which * stands for anything; empty when it does not matter.</summary>
    public ImmutableArray<string> Names { get; init; } = [];

    /// <summary>The directory of <see cref="Within"/> that a path lies in.</summary>
    public GuestPath? Holder(GuestPath path) => Within.Where(path.IsWithin).Select(p => (GuestPath?)p).FirstOrDefault();

    /// <summary>Whether the rule is for a path.</summary>
    public bool Holds(GuestPath path, Uses uses, bool isOwned, bool isDirectory, bool isWritten) =>
        (IsOwned ?? isOwned) == isOwned && (IsDirectory ?? isDirectory) == isDirectory && (IsWritten ?? isWritten) == isWritten &&
        (Any == Uses.None || (uses & Any) != 0) && (Only == Uses.None || uses != Uses.None && (uses & ~Only) == 0) &&
        (Within.IsEmpty || Within.Any(path.IsWithin)) && !Outside.Any(path.IsWithin) && (Names.IsEmpty || Names.Any(n => Matches(n, Encoding.UTF8.GetString(path.Name))));

    private static bool Matches(string pattern, string name)
    {
        string[] parts = pattern.Split('*');
        if (parts.Length == 1) return name == pattern;
        if (!name.StartsWith(parts[0], StringComparison.Ordinal) || !name.EndsWith(parts[^1], StringComparison.Ordinal) || name.Length < parts[0].Length + parts[^1].Length) return false;
        int at = parts[0].Length, end = name.Length - parts[^1].Length;
        foreach (string part in parts[1..^1])
        {
            int found = name.IndexOf(part, at, end - at, StringComparison.Ordinal);
            if (found < 0) return false;
            at = found + part.Length;
        }
        return true;
    }
}

/// <summary>
/// From files to directories and packages: a table that the user can read and edit (`capsule learn --show-rules`, --rules FILE; docs/guide/learn.md). Each line is a
/// name, conditions, an arrow and what is done; the first rule whose conditions hold decides, unless "go-on" ends it.
/// </summary>
public sealed record WideningRules(ImmutableArray<WideningRule> Rules)
{
    /// <summary>The table that holds when the user gives none.</summary>
    public const string DefaultText = """
        # capsule rules 1
        # NAME           CONDITIONS                                         -> WHAT IS DONE
        # Conditions: owned, unowned (by a package); file, directory; written, unwritten; any of / only: look, read-link, enter, list, open, write, execute,
        #   load, hold, connect, bind; within DIR,DIR; outside DIR,DIR; name PATTERN,PATTERN.
        # What is done: leave, itself, tree, directory, child (of the within directory), package, state; go-on: the rules below are tried, too.
        # The first rule that fits decides.

        made-at-start    within /run,/proc,/sys,/dev,/tmp,/var/tmp,/var/run,/var/lock                               -> leave
        machine-data     within /var/lib/dpkg,/var/lib/apt,/var/cache/apt,/var/cache/ldconfig,/var/lib/systemd,/var/log/journal,/boot,/lost+found  -> leave
        looked-at        only look,read-link,enter,connect                  -> itself
        package          owned unwritten                                    -> package
        package-written  owned written                                      -> package go-on
        data             within /var/lib,/var/cache,/var/log,/var/spool,/var/opt,/var/mail,/var/local,/var/games,/home,/root  -> state
        site             within /srv,/var/www                               -> state
        written          written outside /usr,/etc                          -> state
        application      within /opt                                        -> child
        modules          file name *.py,*.pyc,*.pm,*.rb,*.php,*.js,*.mjs,*.lua,*.tcl outside /etc                   -> directory
        listed           directory any list                                 -> tree
        folder           unowned directory                                  -> tree
        rest                                                                -> itself
        """;

    /// <summary><see cref="DefaultText"/>, read.</summary>
    public static WideningRules Default { get; } = Parse(Encoding.UTF8.GetBytes(DefaultText));

    /// <summary>Reads a table.</summary>
    /// <exception cref="FormatException">A line is no rule; the message names it.</exception>
    public static WideningRules Parse(ReadOnlyMemory<byte> text)
    {
        var rules = ImmutableArray.CreateBuilder<WideningRule>();
        int number = 0;
        foreach (string line in ByteLines.TextOf(text))
        {
            number++;
            if (number == 1 && ByteLines.Words(line) is not ["#", "capsule", "rules", "1"]) throw new FormatException("line 1: the first line of a table of rules is `# capsule rules 1`");
            string[] words = ByteLines.Words(line);
            if (words.Length == 0 || words[0][0] == '#') continue;
            try { rules.Add(Rule(words)); }
            catch (FormatException e) { throw new FormatException($"line {number}: {e.Message}", e); }
        }
        if (number == 0) throw new FormatException("line 1: the first line of a table of rules is `# capsule rules 1`");
        return new(rules.ToImmutable());
    }

    private static WideningRule Rule(string[] words)
    {
        int arrow = Array.IndexOf(words, "->");
        if (arrow < 1 || arrow == words.Length - 1) throw new FormatException("a rule is NAME CONDITIONS -> WHAT");
        if (!CapsuleName.TryParse(words[0], out _)) throw new FormatException($"`{words[0]}` is not a name");
        string[] done = words[(arrow + 1)..];
        bool goesOn = done[^1] == "go-on";
        ImmutableArray<Widening> steps = [.. (goesOn ? done[..^1] : done).Select(Step)];
        if (steps.IsEmpty) throw new FormatException("a rule does something before it goes on");
        var rule = new WideningRule(words[0], steps, goesOn);
        for (int i = 1; i < arrow; i++)
            rule = words[i] switch
            {
                "owned" => rule with { IsOwned = true },
                "unowned" => rule with { IsOwned = false },
                "directory" => rule with { IsDirectory = true },
                "file" => rule with { IsDirectory = false },
                "written" => rule with { IsWritten = true },
                "unwritten" => rule with { IsWritten = false },
                "any" => rule with { Any = UsesOf(Value(ref i)) },
                "only" => rule with { Only = UsesOf(Value(ref i)) },
                "within" => rule with { Within = Paths(Value(ref i)) },
                "outside" => rule with { Outside = Paths(Value(ref i)) },
                "name" => rule with { Names = [.. Value(ref i).Split(',')] },
                _ => throw new FormatException($"`{words[i]}` is no condition"),
            };
        if (rule.Steps.Contains(Widening.Child) && rule.Within.IsEmpty) throw new FormatException("`child` needs `within`");
        return rule;

        string Value(ref int at) => ++at < arrow ? words[at] : throw new FormatException($"`{words[at - 1]}` wants something behind it");
    }

    private static Widening Step(string word) => Enum.GetValues<Widening>().Where(w => Json.JsonReading.Dashed(w) == word).Select(w => (Widening?)w).FirstOrDefault() ?? throw new FormatException($"`{word}` is nothing that can be done");

    private static ImmutableArray<GuestPath> Paths(string text) => [.. text.Split(',').Select(GuestPath.Parse)];

    private static Uses UsesOf(string text)
    {
        Uses all = Uses.None;
        foreach (string word in text.Split(','))
            all |= Enum.GetValues<Uses>().Where(u => u != Uses.None && Json.JsonReading.Dashed(u) == word).Select(u => (Uses?)u).FirstOrDefault() ?? throw new FormatException($"`{word}` is nothing that a program does with a path");
        return all;
    }
}
