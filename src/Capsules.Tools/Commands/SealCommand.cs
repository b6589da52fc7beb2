using Capsules.Core.Model;
using Capsules.Engine.Opening;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule seal`: an open capsule becomes one that needs its source no more.</summary>
public static class SealCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(CapsuleName capsule, CapsuleStore store, CommandOutput output)
    {
        SealResult result;
        using (ProgressLine progress = output.Progress())
        {
            progress.Show($"{"Sealing",10} {capsule}");
            result = new SealRunner(store).Seal(store.Get(capsule.ToString()).Name);
        }
        output.Data.WriteLine(!output.IsTerminal ? $"{capsule}\t{result.Image}" : $"Sealed {capsule}: {result.Files} files, {output.Size(result.Bytes)} of its source are in {result.Image.Short}.");
        return 0;
    }
}
