using System.Collections.Immutable;
using System.Text;
using System.Text.RegularExpressions;

namespace Capsules.Core.Verifying;

/// <summary>What differs from answer to answer of the same server, and so is not compared.</summary>
/// <param name="Name">What stands in its place.</param>
/// <param name="Scope">The protocol that it is about; null for all, the output of commands too.</param>
/// <param name="Pattern">What it looks like.</param>
/// <param name="Why">For people.</param>
public sealed record AnswerRule(string Name, string? Scope, Regex Pattern, string Why);

/// <summary>The rules by which two answers are the same (docs/guide/verify.md shows them).</summary>
public static partial class AnswerRules
{
    /// <summary>Places in a text that are passed over, tried in this order.</summary>
    public static ImmutableArray<AnswerRule> Masks { get; } =
    [
        new("<uuid>", null, Uuid(), "made anew for each request"),
        new("<time>", null, HttpTime(), "a time as HTTP and mail write it"),
        new("<time>", null, IsoTime(), "a date with a time of day, as ISO 8601 writes it"),
        new("<time>", null, CTime(), "a time as ctime(3) and date(1) write it"),
        new("<time>", null, LogTime(), "a time as web servers write it into their logs"),
        new("<epoch>", null, Epoch(), "seconds, milli- or microseconds since 1970, of the years 2017 to 2033"),
        new("<id>", "smtp", QueueId(), "the id under which a message is queued"),
    ];

    /// <summary>Headers of HTTP whose values are not compared.</summary>
    public static ImmutableArray<(string Name, string Why)> Headers { get; } =
    [
        ("date", "when it was answered"), ("expires", "relative to when it was answered"), ("age", "how long a cache has had it"), ("set-cookie", "the value is an id; its name is compared"),
        ("content-length", "the body itself is compared"), ("transfer-encoding", "the body itself is compared"), ("connection", "how the connection goes on"), ("keep-alive", "how the connection goes on"),
        ("x-request-id", "made anew for each request"), ("x-trace-id", "made anew for each request"), ("x-runtime", "how long it took"), ("server-timing", "how long it took"),
    ];

    /// <summary>Commands of Redis whose replies are of the moment: only their kind is compared.</summary>
    public static ImmutableHashSet<string> RedisOfTheMoment { get; } =
        ["info", "time", "lastsave", "client", "hello", "memory", "slowlog", "latency", "role", "randomkey", "srandmember", "hrandfield", "spop", "ttl", "pttl", "object", "debug", "acl", "cluster", "command", "monitor", "scan", "sscan", "hscan", "zscan"];

    /// <summary>Settings that PostgreSQL reports and that need not be the same.</summary>
    public static ImmutableHashSet<string> PostgresOfTheMoment { get; } = ["application_name", "TimeZone", "in_hot_standby"];

    /// <summary>A text with all that differs from time to time passed over.</summary>
    public static string Mask(string text, string? protocol)
    {
        foreach (AnswerRule rule in Masks)
            if (rule.Scope is null || rule.Scope == protocol) text = rule.Pattern.Replace(text, rule.Name);
        return text;
    }

    /// <summary>Whether two contents are the same by the rules.</summary>
    public static bool AreSame(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, string? protocol) =>
        expected.SequenceEqual(actual) || Mask(Encoding.Latin1.GetString(expected), protocol) == Mask(Encoding.Latin1.GetString(actual), protocol);

    /// <summary>Where two texts begin to differ, short enough to be shown.</summary>
    public static string Difference(string expected, string actual, string? protocol)
    {
        const int before = 20, most = 60;
        (expected, actual) = (Mask(expected, protocol), Mask(actual, protocol));
        int at = 0;
        while (at < expected.Length && at < actual.Length && expected[at] == actual[at]) at++;
        int from = Math.Max(0, at - before);
        return $"`{Piece(actual)}` in place of `{Piece(expected)}`";

        string Piece(string text)
        {
            var shown = new StringBuilder();
            foreach (char c in text.AsSpan(Math.Min(from, text.Length), Math.Min(most, text.Length - Math.Min(from, text.Length)))) shown.Append(c is '\n' or '\r' ? ' ' : char.IsControl(c) ? '.' : c);
            return (from > 0 ? "…" : "") + shown + (text.Length > from + most ? "…" : "");
        }
    }

    [GeneratedRegex(@"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")]
    private static partial Regex Uuid();

    [GeneratedRegex(@"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), ?\d{1,2}[ -](Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[ -]\d{2,4} \d{2}:\d{2}:\d{2}( (GMT|UTC|[+-]\d{4}))?( \([A-Z]+\))?")]
    private static partial Regex HttpTime();

    [GeneratedRegex(@"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}([.,]\d+)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?")]
    private static partial Regex IsoTime();

    [GeneratedRegex(@"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} \d{2}:\d{2}:\d{2}( [AP]M)?( [A-Z]{3,4})? \d{4}\b")]
    private static partial Regex CTime();

    [GeneratedRegex(@"\b\d{2}/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d{2}:\d{2}:\d{2}( [+-]\d{4})?")]
    private static partial Regex LogTime();

    [GeneratedRegex(@"\b(1[5-9]\d{8})(\d{3}|\d{6}|\.\d+)?\b")]
    private static partial Regex Epoch();

    [GeneratedRegex(@"\b(queued as |id=)[0-9A-Za-z-]+")]
    private static partial Regex QueueId();
}
