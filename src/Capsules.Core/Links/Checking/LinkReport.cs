using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;

namespace Capsules.Core.Links.Checking;

/// <summary>The findings of a link check, for people and for programs: docs/formats/link-check.md.</summary>
public static class LinkReport
{
    /// <summary>The version of the JSON form that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>Whether the link is refused: by an error, or, when nothing doubtful is wanted, by a warning.</summary>
    public static bool Refuses(ImmutableArray<LinkFinding> findings, bool strict) => findings.Any(f => Refuses(f, strict));

    private static bool Refuses(LinkFinding finding, bool strict) => finding.Level == LinkLevel.Error || strict && finding.Level == LinkLevel.Warning;

    /// <summary>What refuses it, the gravest first.</summary>
    public static (string What, string? Fix)[] Reasons(ImmutableArray<LinkFinding> findings, bool strict) =>
        [.. findings.Where(f => Refuses(f, strict)).OrderByDescending(f => f.Level).Select(f => (f.What, f.Fix))];

    /// <summary>A line for each: how much it weighs, what, and what can be done about it. The cause stands below.</summary>
    public static string Text(ImmutableArray<LinkFinding> findings)
    {
        var text = new StringBuilder();
        int width = Math.Min(100, findings.Where(f => f.Fix is not null).Select(f => f.What.Length).DefaultIfEmpty().Max());
        foreach (LinkFinding finding in findings)
        {
            string line = $"{Word(finding.Level),-4}  {finding.What}";
            text.Append(finding.Fix is { } fix ? $"{line.PadRight(width + 6)}   fix: {fix}" : line).Append('\n');
            if (finding.Level >= LinkLevel.Warning && finding.Cause is { } cause) text.Append($"      cause: {cause}\n");
        }
        return text.ToString();
    }

    /// <summary>For programs.</summary>
    public static byte[] Json(string capsule, string to, ImmutableArray<LinkFinding> findings, bool strict) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.WriteString("capsule", capsule);
        w.WriteString("to", to);
        w.WriteBoolean("refused", Refuses(findings, strict));
        WriteFindings(w, findings);
    });

    /// <summary>The member `findings`.</summary>
    public static void WriteFindings(System.Text.Json.Utf8JsonWriter w, ImmutableArray<LinkFinding> findings) =>
        w.Findings(findings.Select(f => (JsonReading.Dashed(f.Level), JsonReading.Dashed(f.Concern), f.Subject, f.What, f.Cause, f.Fix)));

    /// <summary>As the table shows it.</summary>
    public static string Word(LinkLevel level) => level switch { LinkLevel.Ok => "ok", LinkLevel.Note => "note", LinkLevel.Warning => "warn", _ => "fail" };
}
