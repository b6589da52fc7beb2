using System.Collections.Immutable;
using System.Globalization;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;
using Capsules.Engine.Watching;

namespace Capsules.Tools.Commands;

/// <summary>`capsule misses`: lists what a capsule did not have when it was wanted, or explains a path that is not in it.</summary>
public static class MissesCommand
{
    /// <summary>Lists; the exit code.</summary>
    public static int List(string capsule, bool json, StoreLayout layout, CommandOutput output)
    {
        CapsuleRecord record = new CapsuleStore(layout).Get(capsule);
        ImmutableArray<MissRecord> misses = MissLog.Read(layout, record.Name);
        using var explainer = new MissExplainer(record, layout);
        string? Fix(MissRecord miss) => miss.What == MissKind.Missing ? explainer.Explain(miss.Path).Fix : null;
        if (json)
        {
            output.Data.Write(System.Text.Encoding.UTF8.GetString(JsonWriting.List(misses, (w, miss) =>
            {
                miss.Write(w);
                w.Text("fix", Fix(miss));
            })));
            return 0;
        }
        output.WriteTable(["TIME", "WHAT", "PATH", "PROGRAM", "SERVICE", "SIZE", "REASON"], [.. misses.Select(m => new[]
        {
            m.Time.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture), JsonReading.Dashed(m.What), m.Path.ToString(), m.Program ?? "-", m.Service ?? "-", m.Size is long size ? output.Size(size) : "-", m.Reason ?? "-",
        })]);
        foreach (string fix in misses.Select(Fix).OfType<string>().Distinct(StringComparer.Ordinal)) output.Words.WriteLine($"fix: {fix}");
        return 0;
    }

    /// <summary>Explains; the exit code: 0 when the path is explained, 3 when the source does not have it either.</summary>
    public static int Run(string capsule, string path, bool json, StoreLayout layout, CommandOutput output)
    {
        CapsuleRecord record = new CapsuleStore(layout).Get(capsule);
        GuestPath place = PathWords.Asked(path, "capsule misses CAPSULE PATH");
        using var explainer = new MissExplainer(record, layout);
        Miss miss = explainer.Explain(place);
        if (json)
            output.Data.Write(System.Text.Encoding.UTF8.GetString(JsonWriting.Document(w =>
            {
                w.Text("path", miss.Path.ToString());
                w.WriteBoolean("present", miss.IsThere);
                if (miss.AtSource is bool has) w.WriteBoolean("atSource", has);
                w.Text("why", miss.Why);
                w.Text("package", miss.Owner);
                w.Text("fix", miss.Fix);
            })));
        else
        {
            output.Data.WriteLine($"{miss.Path} {(miss.IsThere ? "is there" : miss.AtSource switch { true => "was left out", false => "never was there", null => "is not there" })}: {miss.Why}");
            if (miss.Fix is { } fix) output.Words.WriteLine($"fix: {fix}");
        }
        return miss.IsThere || miss.AtSource != false ? (int)ExitCode.Done : (int)ExitCode.NotFound;
    }
}
