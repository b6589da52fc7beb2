using System.Collections.Immutable;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>Something of ours on the host's network that no running stack has.</summary>
/// <param name="What">For people.</param>
/// <param name="Stack">Whose it was, when it says so.</param>
public sealed record NetworkLeftover(string What, CapsuleName? Stack);

/// <summary>Names what crashes left on the host's network, and clears it.</summary>
/// <param name="layout">Where records are.</param>
/// <param name="isUp">Whether a stack really runs.</param>
public sealed class NetworkDoctor(StoreLayout layout, Func<CapsuleName, bool> isUp)
{
    private const string AliasStart = "capsule:";

    private readonly StackNetwork _network = new(layout, isUp);

    /// <summary>What is left over; changes nothing.</summary>
    public ImmutableArray<NetworkLeftover> Find() => Look(fix: false);

    /// <summary>Clears what is left over; what it was.</summary>
    public ImmutableArray<NetworkLeftover> Fix() => Look(fix: true);

    private ImmutableArray<NetworkLeftover> Look(bool fix)
    {
        using Descriptor held = _network.Records.Lock(); // nobody starts or stops meanwhile
        using RouteSocket route = RouteSocket.Open();
        using NftSocket nft = NftSocket.Open();
        var found = ImmutableArray.CreateBuilder<NetworkLeftover>();

        foreach (CapsuleName stack in _network.Records.Stacks().Where(s => !isUp(s)))
        {
            found.Add(new($"network of stack `{stack}`, which does not run", stack));
            if (fix && _network.Records.Read(stack) is { } plan) _network.Undo(plan, route, nft);
        }
        ImmutableHashSet<string> known = [.. _network.Records.Stacks().Select(s => s.ToString())];

        foreach (LinkStatus link in route.Links())
        {
            if (link.Alias?.StartsWith(AliasStart, StringComparison.Ordinal) != true || known.Contains(link.Alias[AliasStart.Length..])) continue;
            found.Add(new($"link {link.Name}", NameIn(link.Alias[AliasStart.Length..])));
            if (fix) Removing(() => route.Apply(new RouteBatch().DeleteLink(link.Index)));
        }
        var table = new CapsuleTable(nft);
        foreach (string holder in table.Holders().Where(h => !known.Contains(h)))
        {
            found.Add(new($"published ports of `{holder}`", NameIn(holder)));
            if (fix) table.WithdrawAll(holder);
        }
        foreach (var (subject, stack) in _network.Leases().Held().Where(l => !known.Contains(l.Stack.ToString())))
        {
            found.Add(new($"lease of {subject}", stack));
            if (fix) _network.Leases().Release(stack);
        }
        bool anyOnBridge = _network.Records.Stacks().Select(_network.Records.Read).Any(p => p?.Mode.IsOwnBridge == true);
        if (!anyOnBridge) FindShared(route, nft, table, fix, found);
        return found.ToImmutable();
    }

    /// <summary>What belongs to all stacks on the bridge, when there is none.</summary>
    private static void FindShared(RouteSocket route, NftSocket nft, CapsuleTable table, bool fix, ImmutableArray<NetworkLeftover>.Builder found)
    {
        if (table.Exists)
        {
            found.Add(new("nf_tables table inet capsule", null));
            if (fix) table.Remove();
        }
        var admissions = new Admissions(nft);
        foreach (NftChain chain in admissions.Find())
        {
            found.Add(new($"rules in chain {chain.Table} {chain.Name}", null));
            if (fix) admissions.Remove(chain.Family, chain.Table, chain.Name);
        }
        if (route.FindLink(NetworkPlan.OwnBridge) is not { Kind: "bridge" }) return;
        found.Add(new($"bridge {NetworkPlan.OwnBridge}", null));
        if (fix) new NetworkUndo(default, route, nft).RemoveBridge(NetworkPlan.OwnBridge);
    }

    private static CapsuleName? NameIn(string text) => CapsuleName.TryParse(text, out CapsuleName name) ? name : null;

    private static void Removing(Action action)
    {
        try { action(); }
        catch (SyscallException e) when (e.Errno == Errno.ENODEV) { } // the other end was among the leftovers too
    }
}
