using System.Collections.Immutable;

namespace Capsules.Core.CommandLine;

/// <summary>One option of a verb.</summary>
/// <param name="Name">The long form, with its dashes.</param>
/// <param name="Value">What its value is called in help; null for a flag.</param>
/// <param name="Help">One line.</param>
/// <param name="Short">The short form's letter.</param>
/// <param name="Repeats">May be given several times.</param>
public sealed record Option(string Name, string? Value, string Help, char? Short = null, bool Repeats = false)
{
    /// <summary>
    /// Fields that may be chosen with commas between: a flag that can have a value, attached by "=", or as the next word where the verb itself
    /// takes no words.
    /// </summary>
    public ImmutableArray<string> Fields { get; init; } = [];

    /// <summary>The value as help shows it behind the name.</summary>
    public string ValueText => !Fields.IsEmpty ? "[=FIELD,...]" : Value is null ? "" : " " + Value;
}

/// <summary>Which program knows a verb.</summary>
public enum Door
{
    /// <summary>The static one, `capsule`: started often, must be fast.</summary>
    Runtime,
    /// <summary>The dynamic one, `capsule-tools`: everything else.</summary>
    Tools,
}

/// <summary>One verb, or a noun with its verb ("identity show").</summary>
/// <param name="Name">The words.</param>
/// <param name="Group">The heading it stands under in help.</param>
/// <param name="Arguments">The positional words, as usage shows them.</param>
/// <param name="Summary">One line.</param>
/// <param name="Door">Which program knows it.</param>
/// <param name="Least">The least number of positional words.</param>
/// <param name="Most">The largest number of positional words.</param>
public sealed record Verb(string Name, string Group, string Arguments, string Summary, Door Door, int Least, int Most)
{
    /// <inheritdoc/>
    public override string ToString() => nameof(Verb);

    /// <summary>Its options, beside those that every verb has.</summary>
    public ImmutableArray<Option> Options { get; init; } = [];
    /// <summary>
    /// After this many positional words the next word that is no option begins the application's command, and everything behind it belongs to
    /// the application, options too; null when no command is taken. A "--" before it is dropped.
    /// </summary>
    public int? CommandAfter { get; init; }
    /// <summary>Not shown in help: for programs, not people.</summary>
    public bool Hidden { get; init; }

    /// <summary>The usage line.</summary>
    public string Usage => $"capsule {Name}{(Options.IsEmpty ? "" : " [options]")}{(Arguments.Length == 0 ? "" : " " + Arguments)}";
}
