using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>A capsule that runs, and the ports of others that it uses by its links.</summary>
/// <param name="Name">The capsule.</param>
/// <param name="Stack">Its stack, whose network it has.</param>
/// <param name="Uses">Its links with ports, each with the stack of their owner.</param>
public sealed record ForwardingCapsule(CapsuleName Name, CapsuleName Stack, ImmutableArray<UsedPorts> Uses);

/// <summary>Ports that a link gives.</summary>
/// <param name="Import">The link.</param>
/// <param name="Stack">The owner's stack.</param>
/// <param name="Ports">The ports.</param>
public sealed record UsedPorts(Import Import, CapsuleName Stack, ImmutableArray<LoopbackPort> Ports);

/// <summary>What comes to a port of a capsule's loopback network is led to the same port of another's.</summary>
/// <param name="Capsule">The capsule that uses.</param>
/// <param name="Import">By which link.</param>
/// <param name="Port">The port, the same on both sides.</param>
/// <param name="LedTo">Another owner to whom its network leads this port already; null when it is this one's.</param>
public sealed record Forward(CapsuleName Capsule, Import Import, LoopbackPort Port, CapsuleName? LedTo = null);

/// <summary>Which ports are led where. Pure.</summary>
public static class ForwardPlanner
{
    /// <summary>What is to be led now, in order: one network has one owner for a port, whichever capsule of the stack has the link.</summary>
    public static ImmutableArray<Forward> Plan(IEnumerable<ForwardingCapsule> running)
    {
        var led = new Dictionary<(CapsuleName Stack, LoopbackPort Port), CapsuleName>();
        var plan = ImmutableArray.CreateBuilder<Forward>();
        foreach (ForwardingCapsule capsule in running.OrderBy(c => c.Name))
            foreach (UsedPorts used in capsule.Uses.Where(u => u.Stack != capsule.Stack)) // one network leads to itself
                foreach (LoopbackPort port in used.Ports)
                    if (led.TryAdd((capsule.Stack, port), used.Import.From)) plan.Add(new(capsule.Name, used.Import, port));
                    else if (led[(capsule.Stack, port)] is var other && other != used.Import.From) plan.Add(new(capsule.Name, used.Import, port, other));
        return plan.ToImmutable();
    }
}
