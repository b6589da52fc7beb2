using System.Text;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;

namespace Capsules.Runtime.HotVerbs;

/// <summary>What verbs print: tables for people, tabs for pipes, JSON for programs. Words go to standard error.</summary>
internal static class Output
{
    /// <summary>Whether standard output is a terminal.</summary>
    public static bool IsTerminal => !Console.IsOutputRedirected;

    /// <summary>Rows under headings: aligned on a terminal, tab-separated and without headings in a pipe.</summary>
    public static void Table(string[] headings, IReadOnlyList<string[]> rows) =>
        Console.Out.Write(TextTable.Of(headings, rows, IsTerminal));

    /// <summary>An array of objects, with the fields that the command asks for.</summary>
    public static void JsonArray<T>(ParsedCommand command, IEnumerable<T> values, Action<Utf8JsonWriter, T> write) => Write(command, JsonWriting.List(values, write));

    /// <summary>One object, with the fields that the command asks for.</summary>
    public static void JsonObject(ParsedCommand command, Action<Utf8JsonWriter> write) => Write(command, JsonWriting.Document(write));

    private static void Write(ParsedCommand command, byte[] json) => Console.Out.Write(Encoding.UTF8.GetString(JsonFields.Select(json, command.Fields)));

    /// <summary>A remark for people.</summary>
    public static void Say(string words) => Console.Error.WriteLine(words);

    /// <summary>What will not be as expected.</summary>
    public static void Warn(IEnumerable<Warning> warnings)
    {
        foreach (Warning warning in warnings) Console.Error.WriteLine(ProblemText.Of(warning, Colour.OfErrors));
    }

    /// <summary>"12 s ago" for people.</summary>
    public static string Ago(DateTimeOffset time)
    {
        TimeSpan span = DateTimeOffset.UtcNow - time;
        return span switch
        {
            { TotalSeconds: < 90 } => $"{span.TotalSeconds:0} s ago",
            { TotalMinutes: < 90 } => $"{span.TotalMinutes:0} min ago",
            { TotalHours: < 48 } => $"{span.TotalHours:0} h ago",
            _ => $"{span.TotalDays:0} days ago",
        };
    }

    /// <summary>"188 MB" for people, bytes in a pipe.</summary>
    public static string Size(long? bytes) => bytes switch
    {
        null => "-",
        _ when !IsTerminal => $"{bytes}",
        < 1_000_000 => $"{bytes / 1000.0:0} kB",
        < 1_000_000_000 => $"{bytes / 1e6:0} MB",
        _ => $"{bytes / 1e9:0.0} GB",
    };
}
