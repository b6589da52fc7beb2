using System.Text.RegularExpressions;

namespace Capsules.Core.Verifying;

/// <summary>What a client's command did.</summary>
/// <param name="Status">Its exit status; 128 + signal if one ended it.</param>
/// <param name="Output">What it wrote.</param>
public sealed record CheckResult(int Status, string Output);

/// <summary>Judges what a client's command said of the copy, and, when there is one, of the original.</summary>
public static class CheckComparer
{
    private const int NotFound = 127;

    /// <summary>The finding; null when it is as it should be.</summary>
    public static Finding? Compare(ClientCheck check, CheckResult copy, CheckResult? original)
    {
        Finding Error(string what, string? cause = null, string? fix = null) => new(FindingLevel.Error, FindingKind.Check, check.Name, $"check `{check.Name}`: {what}", cause, fix);
        string Said() => copy.Output.Trim() is { Length: > 0 } said ? said.Length > 400 ? "…" + said[^400..] : said : "it wrote nothing";

        if (copy.Status == NotFound && original?.Status is null or NotFound) return Error("the command is not on this host", Said(), "install the client's programs, or give its whole path");
        if (original is not null && original.Status != copy.Status) return Error($"status {copy.Status} from the capsule, {original.Status} from the original", Said());
        if (original is null && copy.Status != 0) return Error($"status {copy.Status}", Said());
        try
        {
            if (check.Pattern is { } pattern && !pattern.IsMatch(copy.Output)) return Error($"nothing in its output matches `{pattern}`", Said());
        }
        catch (RegexMatchTimeoutException) { return Error($"the pattern `{check.Pattern}` takes too long on its output", fix: "write a simpler one"); }
        if (original is not null && AnswerRules.Mask(original.Output, null) != AnswerRules.Mask(copy.Output, null)) return Error("another output than from the original", AnswerRules.Difference(original.Output, copy.Output, null));
        return null;
    }
}
