using Capsules.Core.Capture.Misses;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule misses`: lists what a capture did not foresee, and explains a path that is not in a capsule.</summary>
public static class MissesCommand
{
    /// <summary>Lists what was met so far; the exit code. None is no failure.</summary>
    public static int List(string capsule, bool json, StoreLayout layout, CommandOutput output)
    {
        CapsuleRecord record = new CapsuleStore(layout).Get(capsule);
        MissRecord[] misses;
        try { misses = File.Exists(layout.Misses(record.Name)) ? [.. MissRecord.ReadAll(File.ReadAllBytes(layout.Misses(record.Name)))] : []; }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(layout.Misses(record.Name), FactText.Of(e)), e); }
        if (json) output.Data.Write(System.Text.Encoding.UTF8.GetString(JsonWriting.List(misses, (w, m) => m.Write(w))));
        else
            output.WriteTable(["TIME", "WHAT", "PROGRAM", "SIZE", "PATH", "REASON"], [.. misses.Select(m => (string[])
            [
                m.Time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture), JsonReading.Dashed(m.What), m.Program ?? "-",
                m.Size is { } size ? output.Size(size) : "-", m.Path.ToString(), m.Reason ?? "-",
            ])]);
        return 0;
    }

    /// <summary>Runs it; the exit code: 0 when the path is explained, 3 when the source does not have it either.</summary>
    public static int Run(string capsule, string path, bool json, StoreLayout layout, CommandOutput output)
    {
        CapsuleRecord record = new CapsuleStore(layout).Get(capsule);
        GuestPath place;
        try { place = GuestPath.Normalize(BytePicture.FromPicture(path)); }
        catch (FormatException e) { throw new CapsuleException(Problems.WrongUsage(FactText.Of(e), "capsule misses CAPSULE PATH"), e); }
        Miss miss = MissExplainer.Explain(record, layout, place);
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
