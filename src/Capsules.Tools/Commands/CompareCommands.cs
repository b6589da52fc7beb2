using System.Diagnostics;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Comparing;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine;
using Capsules.Engine.Comparing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Tools.Commands;

/// <summary>`capsule prescan`, `postscan` and `compare`.</summary>
public static class CompareCommands
{
    /// <summary>Takes a snapshot and prints its id.</summary>
    public static int Prescan(SourceReference source, StoreLayout layout, CommandOutput output)
    {
        var watch = Stopwatch.StartNew();
        var (id, entries) = new CompareRunner(layout).Prescan(source);
        output.Data.WriteLine(output.IsTerminal ? $"Scan {id}: {entries} entries, {watch.Elapsed.TotalSeconds:0.0} s." : id);
        output.Words.WriteLine($"next: install or change something, then capsule postscan {id} NAME{ScanCommand.SourceWords(source)}");
        return 0;
    }

    /// <summary>Compares with a snapshot.</summary>
    public static int Postscan(string id, CapsuleName name, SourceReference reference, bool plan, bool json, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        CheckName(name, layout, plan || json);
        using ScannedSource source = Scanner.Read(reference);
        Scanner.CheckArchitecture(source.Facts);
        return Tell(new CompareRunner(layout).Postscan(id, source, json && !plan ? null : name), source, plan, json, layout, output, clock);
    }

    /// <summary>Compares two trees.</summary>
    public static int Compare(string before, string after, CapsuleName? name, bool plan, bool json, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        if (name is { } wanted) CheckName(wanted, layout, plan || json);
        var runner = new CompareRunner(layout);
        using var undo = new Rollback();
        using var old = new RootTree(runner.Open(before, undo));
        using ScannedSource source = Scanner.Read(SourceReference.OfRoot(runner.Open(after, undo)));
        Comparison comparison = runner.Compare(old, source, json && !plan ? null : name);
        if (comparison.Plan is { } made && !Directory.Exists(after)) comparison = comparison with { Plan = made with { Source = SourceReference.OfBase(Path.GetFileName(after)) } }; // what it was read from is gone afterwards
        return Tell(comparison, source, plan, json, layout, output, clock);
    }

    private static void CheckName(CapsuleName name, StoreLayout layout, bool onlyLooks)
    {
        if (!onlyLooks && FileCalls.TryStat(null, layout.Capsule(name)) is not null) throw new CapsuleException(Problems.NameTaken(name.ToString()));
    }

    private static int Tell(Comparison comparison, ScannedSource source, bool plan, bool json, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        if (json)
        {
            output.Data.Write(Encoding.UTF8.GetString(plan && comparison.Plan is { } planned ? CapturePlanJson.Write(planned) : ComparisonReport.Json(comparison.Changes)));
            return 0;
        }
        string report = ComparisonReport.Text(comparison.Changes);
        if (plan || comparison.Plan is null)
        {
            output.Data.Write(report);
            if (comparison.Plan is { } shown) output.Data.Write("\n" + CapturePlanText.Of(shown, output.Size));
            return 0;
        }
        output.Words.Write(report);
        AdoptCommand.Apply(comparison.Plan, source, layout, stop: false, output, clock);
        return 0;
    }
}
