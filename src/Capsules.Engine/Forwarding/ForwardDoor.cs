using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Crossings;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;

namespace Capsules.Engine.Forwarding;

/// <summary>How a port of a running capsule is that is led to another's.</summary>
/// <param name="Import">By which link.</param>
/// <param name="Port">The port.</param>
/// <param name="IsOpen">Whether it is listened on for the owner.</param>
/// <param name="Problem">Why it cannot be; null when only nobody of the owner listens.</param>
public sealed record ForwardState(Import Import, LoopbackPort Port, bool IsOpen, string? Problem);

/// <summary>The way to the one process that leads ports of capsules to those of others, the forwarder (docs/adr/0034), and what it is to lead.</summary>
internal static class ForwardDoor
{
    /// <summary>When this returns, the ports of a running capsule are led as its links want it now; those that cannot be.</summary>
    public static ImmutableArray<ForwardState> Follow(CapsuleStore store, CapsuleRecord capsule)
    {
        StoreLayout layout = store.Layout;
        UsedExport[] wanted = [.. new LinkFacts(store).UsedBy(capsule.Name).Where(u => !u.Ports.IsEmpty)];
        if (wanted.Length == 0 && !SmallFiles.IsLocked(LockFile(layout))) return [];
        bool answered = Bell(layout).Ask(Asked(layout));
        if (wanted.Length == 0) return [];
        if (answered) return [.. Of(layout, capsule.Name).Where(f => f.Problem is not null)];
        return [.. wanted.SelectMany(u => u.Ports.Select(p => new ForwardState(u.Link.Import, p, false, $"nobody answers; {layout.Run}/forwards.log may tell why")))];
    }

    /// <summary>How the ports of a running capsule are.</summary>
    public static IEnumerable<ForwardState> Of(StoreLayout layout, CapsuleName capsule)
    {
        if (!SmallFiles.IsLocked(LockFile(layout)) || SmallFiles.TryRead(Mark(layout, capsule)) is not { } said) yield break;
        foreach (string line in Encoding.UTF8.GetString(said).Split('\n'))
            if (line.Split('\t') is [var import, var port, var open, var problem])
                yield return new(Import.Parse(import), LoopbackPort.Parse(port)[0], open.Length > 0, problem.Length == 0 ? null : problem);
    }

    /// <summary>Writes down how they are.</summary>
    public static void Write(StoreLayout layout, CapsuleName capsule, IEnumerable<ForwardState> states) =>
        SmallFiles.Write(Mark(layout, capsule), Encoding.UTF8.GetBytes(string.Concat(states.Select(s => $"{s.Import}\t{s.Port}\t{(s.IsOpen ? "open" : "")}\t{s.Problem}\n"))), durable: false);

    private static Doorbell Bell(StoreLayout layout) => new(Fifo(layout), LockFile(layout), () => Programs.StartGuarded(Programs.Tools, ["forwarder"], null, layout.Run + "/forwards.log"));

    /// <summary>Where one knocks.</summary>
    public static string Fifo(StoreLayout layout) => layout.Run + "/forwarder";

    /// <summary>Held by the one forwarder.</summary>
    public static string LockFile(StoreLayout layout) => layout.Run + "/forwarder.lock";

    /// <summary>Who waits until the forwarder has looked.</summary>
    public static string Asked(StoreLayout layout) => layout.Run + "/forwards-asked";

    /// <summary>How the ports of running capsules are, a file for each.</summary>
    public static string Marks(StoreLayout layout) => layout.Run + "/forwards";

    /// <summary>How those of one are.</summary>
    public static string Mark(StoreLayout layout, CapsuleName capsule) => $"{Marks(layout)}/{capsule}";

    /// <summary>What is to be led now.</summary>
    public static ImmutableArray<Forward> Plan(CapsuleStore store, IEnumerable<CapsuleName> running)
    {
        var links = new LinkFacts(store);
        var stacks = new StackRunner(store.Layout);
        CapsuleName StackOf(CapsuleName capsule) => store.TryFind(capsule)?.Stack ?? capsule;
        return ForwardPlanner.Plan(running.Select(name => (Name: name, Stack: StackOf(name))).Where(c => !HasHostNetwork(stacks, c.Stack)).Select(c =>
            new ForwardingCapsule(c.Name, c.Stack, [.. links.UsedBy(c.Name).Where(u => !u.Ports.IsEmpty && !HasHostNetwork(stacks, StackOf(u.Owner))).Select(u => new UsedPorts(u.Link.Import, StackOf(u.Owner), u.Ports))])));
    }

    /// <summary>Whether a stack's network is the host's: its loopback is nobody's own.</summary>
    public static bool HasHostNetwork(StackRunner stacks, CapsuleName stack) => stacks.Find(stack) is { Network.Kind: NetworkKind.Host };
}
