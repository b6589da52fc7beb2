using System.Text;

namespace Capsules.Core.CommandLine;

/// <summary>Rows under headings, for people or for programs.</summary>
public static class TextTable
{
    /// <summary>Aligned and with headings for people; tab-separated and without for programs.</summary>
    public static string Of(string[] headings, IReadOnlyList<string[]> rows, bool forPeople)
    {
        var text = new StringBuilder();
        if (!forPeople)
        {
            foreach (string[] row in rows) text.AppendJoin('\t', row).Append('\n');
            return text.ToString();
        }
        int[] widths = [.. headings.Select((h, column) => rows.Select(r => r[column].Length).Append(h.Length).Max())];
        foreach (string[] row in rows.Prepend(headings))
        {
            var line = new StringBuilder();
            for (int i = 0; i < row.Length; i++) line.Append(row[i].PadRight(widths[i] + 2));
            text.Append(line.ToString().TrimEnd()).Append('\n');
        }
        return text.ToString();
    }
}
