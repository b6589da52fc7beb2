using Capsules.Core.Capture;
using Capsules.Core.Model;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule commit`: what was written outside the state becomes part of the image.</summary>
public static class CommitCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(CapsuleName capsule, CapsuleName? other, CapsuleStore store, CommandOutput output, TimeProvider clock)
    {
        CommitResult result;
        using (ProgressLine progress = output.Progress())
        {
            progress.Show($"{"Committing",10} {capsule}");
            result = new CommitRunner(store).Commit(store.Get(capsule.ToString()).Name, other, clock);
        }
        foreach (LeftOutPath left in result.LeftOut) output.Words.WriteLine($"note: {left.Path} is not in the image: {left.Why}");
        foreach (GuestPath secret in result.Secrets) output.Words.WriteLine($"note: {secret} is a secret: {result.Name} has it, its image has not");
        output.Data.WriteLine(!output.IsTerminal ? $"{result.Name}\t{result.Image}" : result.Changes == 0 ? $"{capsule} has no changes; {result.Name} is of {result.Image.Short}." : $"Committed {result.Changes} paths of {capsule}: {result.Name} is of {result.Image.Short}.");
        return 0;
    }
}
