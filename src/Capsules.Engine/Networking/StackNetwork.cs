using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>
/// The networks of stacks on this host: <see cref="Claim"/> decides and holds an identity, <see cref="Apply"/> makes its network,
/// <see cref="Release"/> takes away exactly what was made, also after a crash. Works in the network namespace of the calling thread.
/// </summary>
/// <param name="layout">Where records are.</param>
/// <param name="isUp">Whether a stack that has a record really runs; a lease of one that does not is no obstacle. By default what has a record runs.</param>
public sealed class StackNetwork(StoreLayout layout, Func<CapsuleName, bool>? isUp = null)
{
    private readonly NetworkRecords _records = new(layout);

    /// <summary>How long a probe waits on a real link, unless told otherwise.</summary>
    public static TimeSpan DefaultProbeTime => TimeSpan.FromMilliseconds(250);

    /// <summary>The plan, without any effect.</summary>
    public IdentityPlan Plan(IdentityRequest request)
    {
        using RouteSocket route = RouteSocket.Open();
        using NftSocket nft = NftSocket.Open();
        return PlanWith(request, route, nft);
    }

    /// <summary>Plans, and holds the identity: no other stack gets its addresses until <see cref="Release"/>, which the rollback does.</summary>
    /// <exception cref="CapsuleException">The first of the plan's problems; nothing is held.</exception>
    public IdentityPlan Claim(IdentityRequest request, Rollback rollback)
    {
        using Descriptor held = _records.Lock();
        using RouteSocket route = RouteSocket.Open();
        using NftSocket nft = NftSocket.Open();
        if (_records.Read(request.Stack) is { } left) Undo(left, route, nft); // of a life that ended without goodbye
        IdentityPlan plan = PlanWith(request, route, nft);
        if (plan.Problems is [var problem, ..]) throw new CapsuleException(problem);
        _records.Write(plan.Network);
        rollback.Add(() => Release(request.Stack));
        Leases().Take(request.Stack, plan.LeaseSubjects);
        Leases().Reserve(request.Stack, plan.Allocated);
        if (plan.Pool is { } pool) HostNetworkReader.WritePool(layout, pool);
        return plan;
    }

    /// <summary>Makes the network of a claimed plan in the stack's network namespace. What fails is undone by <see cref="Release"/>, as the claim's rollback does.</summary>
    /// <exception cref="CapsuleException">Somebody else has an address or a port, or the kernel refuses a step.</exception>
    public void Apply(NetworkPlan plan, Descriptor networkNamespace, TimeSpan? probeTime = null)
    {
        TimeSpan time = probeTime ?? DefaultProbeTime;
        using RouteSocket route = RouteSocket.Open();
        ProbeFromHost(route, plan.Steps.OfType<NetworkStep.Probe>().Where(p => !p.Inside).Select(p => (p.Link, p.Address)), time);
        using NftSocket nft = NftSocket.Open();
        using Descriptor? held = plan.Steps.Any(s => s.IsShared) ? _records.Lock() : null;
        using var apply = new NetworkApply(plan.Stack, networkNamespace, route, nft, time);
        apply.Run(plan.Steps);
        if (Realms.Realm.IsThis) Realms.PortDoor.Open(layout, plan);
    }

    /// <summary>Asks the host's links whether somebody else has the plan's addresses, without claiming anything.</summary>
    /// <exception cref="CapsuleException">Somebody answered.</exception>
    public static void Check(NetworkPlan plan, TimeSpan? probeTime = null)
    {
        using RouteSocket route = RouteSocket.Open();
        string? Below(string guestLink) => plan.Steps.Select(s => s switch
        {
            NetworkStep.Macvlan m when m.GuestName == guestLink => m.Parent,
            NetworkStep.Veth v when v.GuestName == guestLink => v.BridgeName,
            _ => null,
        }).FirstOrDefault(l => l is not null);
        ProbeFromHost(route, plan.Steps.OfType<NetworkStep.Probe>().Select(p => (p.Inside ? Below(p.Link) ?? p.Link : p.Link, p.Address)), probeTime ?? DefaultProbeTime);
    }

    /// <summary>Takes away what was made for a stack, and gives its identity free. Nothing happens when there is nothing.</summary>
    public void Release(CapsuleName stack)
    {
        using Descriptor held = _records.Lock();
        if (_records.Read(stack) is not { } plan)
        {
            Leases().Release(stack);
            return;
        }
        using RouteSocket route = RouteSocket.Open();
        using NftSocket nft = NftSocket.Open();
        Undo(plan, route, nft);
    }

    /// <summary>The stack is removed for good: addresses of the pool that were its own are free.</summary>
    public void Forget(CapsuleName stack)
    {
        using Descriptor held = _records.Lock();
        Leases().Forget(stack);
    }

    /// <summary>The network of a stack that is up; null when it has none.</summary>
    public NetworkPlan? Find(CapsuleName stack) => _records.Read(stack);

    internal NetworkRecords Records => _records;
    internal Leases Leases() => new(layout, stack => _records.Has(stack) && (isUp?.Invoke(stack) ?? true));
    internal bool IsUp(CapsuleName stack) => isUp?.Invoke(stack) ?? true;

    internal void Undo(NetworkPlan plan, RouteSocket route, NftSocket nft)
    {
        Func<NetworkStep, bool> stays;
        try
        {
            ImmutableHashSet<NetworkStep> shared = [.. _records.Others(plan.Stack).SelectMany(p => p.Steps).Where(s => s.IsShared)];
            stays = shared.Contains;
        }
        catch (CapsuleException) { stays = s => s.IsShared; } // a record that cannot be read may need all of it
        new NetworkUndo(plan.Stack, route, nft).Run(plan.Steps.Where(s => !stays(s)));
        Leases().Release(plan.Stack);
        _records.Remove(plan.Stack);
        if (Realms.Realm.IsThis) Realms.PortDoor.Close(layout, plan);
    }

    private static void ProbeFromHost(RouteSocket route, IEnumerable<(string Link, IPAddress Address)> probes, TimeSpan time)
    {
        if (Realms.Realm.IsThis) return; // in a realm no other machine is a neighbour, and pasta answers for every address
        using var guard = new AddressGuard(time);
        foreach (var (name, address) in probes)
            if (route.FindLink(name) is { Address: not null } link) guard.Ask(null, link, address);
        guard.Check();
    }

    private IdentityPlan PlanWith(IdentityRequest request, RouteSocket route, NftSocket nft)
    {
        HostNetworkFacts facts = HostNetworkReader.Read(layout, request.Mode.Kind == NetworkKind.None ? null : (route, nft), Leases().Read(), [.. _records.Stacks().Where(IsUp)]);
        return IdentityPlanner.Plan(request, facts, Randomness.Get(IdentityPlanner.RandomLength));
    }
}
