using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;

namespace Capsules.Core.Comparing;

/// <summary>A comparison, for people and for programs.</summary>
public static class ComparisonReport
{
    /// <summary>How many changes each rule has sorted.</summary>
    public static string Text(ImmutableArray<SortedChange> sorted)
    {
        var text = new StringBuilder();
        foreach (ChangeVerdict verdict in Enum.GetValues<ChangeVerdict>())
            foreach (var rule in sorted.Where(s => s.Verdict == verdict).GroupBy(s => s.Rule).OrderByDescending(g => g.Count()).ThenBy(g => g.Key, StringComparer.Ordinal))
                text.Append($"  {JsonReading.Dashed(verdict),-8} {rule.Count(),7}  {rule.Key}\n");
        return text.ToString();
    }

    /// <summary>Every change.</summary>
    public static byte[] Json(ImmutableArray<SortedChange> sorted) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", 1);
        w.Objects("changes", sorted, s =>
        {
            w.Text("path", s.Change.Path.ToString());
            w.Text("change", JsonReading.Dashed(s.Change.Kind));
            w.Text("verdict", JsonReading.Dashed(s.Verdict));
            w.Text("rule", s.Rule);
            w.Text("why", s.Why);
        });
    });
}
