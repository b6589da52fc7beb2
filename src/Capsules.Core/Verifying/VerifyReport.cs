using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Verifying;

/// <summary>Whether a capsule behaves like its source.</summary>
public enum Verdict
{
    /// <summary>No difference was found.</summary>
    Verified,
    /// <summary>Nothing contradicts it, and something could not be compared.</summary>
    VerifiedWithWarnings,
    /// <summary>It does not.</summary>
    NotVerified,
}

/// <summary>What `capsule verify` found: docs/formats/verify.md.</summary>
public sealed record VerifyReport
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The capsule.</summary>
    public required CapsuleName Capsule { get; init; }
    /// <summary>Its image.</summary>
    public required Digest Image { get; init; }
    /// <summary>What it was compared with: the source's record, or a living original.</summary>
    public required string Against { get; init; }
    /// <summary>What was found, errors first.</summary>
    public ImmutableArray<Finding> Findings { get; init; } = [];
    /// <summary>How much of what was compared.</summary>
    public ImmutableArray<(string What, int Count)> Compared { get; init; } = [];

    /// <summary>The verdict.</summary>
    public Verdict Verdict => Findings.Any(f => f.Level == FindingLevel.Error) ? Verdict.NotVerified : Findings.IsEmpty ? Verdict.Verified : Verdict.VerifiedWithWarnings;

    /// <summary>For programs.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.WriteString("capsule", Capsule.ToString());
        w.WriteString("image", Image.ToString());
        w.WriteString("verdict", JsonReading.Dashed(Verdict));
        w.WriteString("against", Against);
        w.WriteStartObject("compared");
        foreach (var (what, count) in Compared) w.WriteNumber(what, count);
        w.WriteEndObject();
        w.Findings(Findings.Select(f => (JsonReading.Dashed(f.Level), JsonReading.Dashed(f.Kind), f.Subject, f.What, f.Cause, f.Fix)));
    });

    /// <summary>For people: each finding with its cause and fix, the verdict last.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (Finding finding in Findings)
        {
            text.Append($"{JsonReading.Dashed(finding.Level)}: {finding.What}\n");
            if (finding.Cause is { } cause) text.Append($"  cause: {cause.ReplaceLineEndings("\n         ")}\n");
            if (finding.Fix is { } fix) text.Append($"  fix:   {fix}\n");
        }
        string verdict = Verdict switch { Verdict.Verified => "verified", Verdict.VerifiedWithWarnings => "verified with warnings", _ => "not verified" };
        return text.Append($"{Capsule}: {verdict} ({string.Join(", ", Compared.Select(c => $"{c.Count} {c.What}"))}; against {Against})\n").ToString();
    }
}
