using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Tools.Commands;

/// <summary>`capsule apply`: carries out a plan that was saved by `adopt --plan --json`, exactly.</summary>
public static class ApplyCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(string file, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        if (FileCalls.TryStatFollowing(null, file) is { IsDirectory: true }) file = Path.Join(file, CaptureExport.PlanFile);
        ImmutableArray<CapturePlan> plans;
        try { plans = CapturePlanJson.ReadAll(FileCalls.ReadAll(file, 1 << 30)); }
        catch (SyscallException e) { throw new CapsuleException(Problems.BadFile(file, e.Message), e); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(file, FactText.Of(e)), e); }
        if (plans.FirstOrDefault(p => !p.Source.CanBeReadAgain) is { } once) throw new CapsuleException(Problems.PlanCannotBeRepeated(once.Source.ToString()));
        foreach (CapturePlan plan in plans) CaptureRunner.CheckName(plan, layout);
        using ScannedSource source = Scanner.Read(plans[0].Source);
        Scanner.CheckArchitecture(source.Facts);
        foreach (CapturePlan plan in plans) AdoptCommand.Apply(plan, source, layout, stop: false, output, clock);
        return 0;
    }
}
