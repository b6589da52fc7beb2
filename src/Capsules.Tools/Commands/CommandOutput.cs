using Capsules.Core.CommandLine;

namespace Capsules.Tools.Commands;

/// <summary>Where a command speaks: data to one side, words to the other.</summary>
/// <param name="Data">Standard output.</param>
/// <param name="Words">Standard error.</param>
/// <param name="IsTerminal">Data goes to a person: sizes are rounded and columns aligned.</param>
/// <param name="Ask">Asks a question and gives the answer; null when there is nobody to ask.</param>
public sealed record CommandOutput(TextWriter Data, TextWriter Words, bool IsTerminal, Func<string, bool>? Ask = null)
{
    /// <summary>Words go to a person who sees progress.</summary>
    public bool ShowsProgress { get; init; }
    /// <summary>Columns of the terminal.</summary>
    public int Width { get; init; } = 80;

    /// <summary>The line of long work; dispose of it at the end.</summary>
    public ProgressLine Progress() => new(Words, ShowsProgress, Width);

    /// <summary>A table: aligned for people, tab-separated without a heading for programs.</summary>
    public void WriteTable(string[] headings, IReadOnlyList<string[]> rows) => Data.Write(TextTable.Of(headings, rows, IsTerminal));

    /// <summary>A size for people, or exact for programs.</summary>
    public string Size(long bytes) => !IsTerminal ? bytes.ToString() : bytes switch
    {
        < 1000 => $"{bytes} B",
        < 1_000_000 => $"{bytes / 1000.0:0.#} kB",
        < 1_000_000_000 => $"{bytes / 1_000_000.0:0.#} MB",
        _ => $"{bytes / 1_000_000_000.0:0.##} GB",
    };
}
