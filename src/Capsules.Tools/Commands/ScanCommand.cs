using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Engine.Scanning;

namespace Capsules.Tools.Commands;

/// <summary>Options of `capsule scan`.</summary>
public sealed record ScanOptions(SourceReference Source, bool Json);

/// <summary>`capsule scan`: the server applications of a machine, with a verdict each.</summary>
public static class ScanCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(ScanOptions options, CommandOutput output)
    {
        using ScannedSource source = Scanner.Read(options.Source);
        ScanReport report = ScanReport.Of(new(source.Facts, source.Tree));
        foreach (string trouble in report.Troubles) output.Words.WriteLine($"warning: {trouble}");
        if (options.Json)
        {
            output.Data.Write(System.Text.Encoding.UTF8.GetString(report.ToJson()));
            return 0;
        }
        output.WriteTable(["SERVICE", "VERSION", "LISTENS", "STATE", "SIZE", "VERDICT"], [.. report.Applications.Select(a => (string[])
        [
            a.Name, a.Version ?? "–", Listens(a),
            a.State.IsEmpty ? "–" : string.Join(' ', a.State.Select(s => s.Path.ToString())),
            output.Size(a.State.Sum(s => s.Size)),
            a.Verdict == Verdict.Pass ? "pass" : $"{(a.Verdict == Verdict.Blocked ? "blocked" : "warning")}: {string.Join(", ", a.Reasons)}",
        ])]);
        if (output.IsTerminal && report.Applications.FirstOrDefault(a => a.Verdict != Verdict.Blocked) is { } first)
            output.Words.WriteLine($"\nnext: capsule adopt {first.Name}{SourceWords(options.Source)} --plan");
        return 0;
    }

    /// <summary>The options that name a source again.</summary>
    internal static string SourceWords(SourceReference source) => source.Kind switch { SourceKind.Root => $" --root {source.Place}", SourceKind.PidNamespace => $" --pid-ns {source.Place}", _ => "" };

    private static string Listens(ScannedApplication application)
    {
        string[] internet = [.. application.Listeners.Where(l => l.Protocol != "unix").Select(l => l.ToString()).Distinct()];
        if (internet.Length > 0) return string.Join(' ', internet);
        string[] unix = [.. application.Listeners.Where(l => l.Path is not null).Select(l => l.ToString()).Distinct()];
        return unix.Length > 0 ? string.Join(' ', unix) : application.IsRunning ? "–" : "(not running)";
    }
}
