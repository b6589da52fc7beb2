using Capsules.Core.Capture;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule capture export`: writes the plan of a capsule as a directory; `capsule apply DIR` carries it out again.</summary>
public static class CaptureExportCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(string capsule, string directory, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord record = store.Get(capsule);
        CapturePlan plan = CaptureExport.Write(record, store.Layout, directory);
        output.Words.WriteLine($"Wrote {plan.Paths.Length} paths and {plan.Volumes.Length} volumes of {record.Name} to {directory}.");
        if (plan.Source.CanBeReadAgain) output.Words.WriteLine($"again: capsule apply {directory}");
        return 0;
    }
}
