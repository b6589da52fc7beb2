using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;

namespace Capsules.Engine.Links;

public sealed partial class LinkRunner
{
    /// <summary>What a running capsule's programs log goes to the owner; why not yet, when it does not run.</summary>
    private string? LeadLogs(CapsuleRecord capsule, CapsuleLink link, CapsuleRecord owner)
    {
        RunRecord? run = _runner.Running(owner.Name);
        try { new SystemLogs(_layout, capsule.Name).Lead(run?.Init); }
        catch (SyscallException e) { throw new CapsuleException(Problems.CannotShow($"{link.Import}", $"{SystemLogPlace.Path}", e.Message), e); }
        return run is null ? $"{owner.Name} does not run" : null;
    }

    /// <summary>What a running capsule's programs log goes where its record says.</summary>
    private void FollowLogs(CapsuleRecord capsule)
    {
        if (capsule.Links.FirstOrDefault(l => store.Offered(l.Import)?.TakesLogs == true) is { } link) Attach(capsule, link);
        else new SystemLogs(_layout, capsule.Name).Keep();
    }

    /// <summary>The shared memory of a running capsule's programs is the owner's; why not yet, when there is none.</summary>
    private string? UseMemory(CapsuleRecord capsule, CapsuleLink link, CapsuleRecord owner)
    {
        if (capsule.Stack == owner.Stack) return null;
        if (!_runner.Stacks.IsUp(owner.Stack)) return $"{owner.Name} does not run"; // what was shared before is kept for when it does
        try { new MemoryOfOthers(_runner, capsule).Use(owner.Stack); }
        catch (SyscallException e) { throw new CapsuleException(Problems.CannotShow($"{link.Import}", $"{CapsuleSpecs.SharedMemory}", e.Message), e); }
        return null;
    }

    /// <summary>The shared memory of a running capsule's programs is whose its record says.</summary>
    private void FollowMemory(CapsuleRecord capsule)
    {
        if (capsule.Links.FirstOrDefault(l => store.Offered(l.Import)?.SharesMemory == true) is { } link) Attach(capsule, link);
        else new MemoryOfOthers(_runner, capsule).Leave();
    }

    /// <summary>Before an owner ends, of a running capsule that goes on without it.</summary>
    private void LetLogsGo(CapsuleRecord capsule, CapsuleName owner)
    {
        if (!capsule.Links.Any(l => l.Import.From == owner && store.Offered(l.Import)?.TakesLogs == true) || store.Lock(capsule.Name, wait: false) is not { } held) return;
        using (held) new SystemLogs(_layout, capsule.Name).LetGo();
    }
}
