using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>Decides which links, MAC addresses, addresses and routes a stack has, and finds who holds them already.</summary>
internal static class InterfacePlanner
{
    public static ImmutableArray<NetworkInterface> Plan(IdentityDraft draft)
    {
        if (!draft.Request.Mode.HasLinks) return [];
        if (draft.Request.Mode.IsOwnBridge)
        {
            draft.Pool = PoolOf(draft);
            if (draft.Pool is null)
            {
                draft.Problems.Add(Problems.Problems.NoFreeSubnet());
                return [];
            }
        }
        ImmutableArray<NetworkInterface> interfaces = WithMacs(draft, WithAddresses(draft));
        foreach (NetworkInterface link in interfaces) CheckHolders(draft, link);
        return interfaces;
    }

    /// <summary>The subnet of our own bridge: the one that it has, else the one that it had, else a free one.</summary>
    private static AddressPool? PoolOf(IdentityDraft draft)
    {
        foreach (HostAddress address in draft.Facts.Addresses)
            if (address.Link == NetworkPlan.OwnBridge && address.Address.Address.IsIPv4() && address.Address.PrefixLength < 31) return new(address.Address);
        return AddressPool.Choose(
        [
            .. draft.Facts.Addresses.Select(a => a.Address),
            .. draft.Facts.Routes.Select(r => r.Destination).OfType<InterfaceAddress>(),
            .. draft.Request.Source.Interfaces.SelectMany(i => i.Addresses),
        ], draft.Facts.LastPool);
    }

    private static ImmutableArray<NetworkInterface> WithAddresses(IdentityDraft draft)
    {
        IdentityRequest request = draft.Request;
        ImmutableArray<NetworkInterface> sources = [.. request.Source.Interfaces.Select(i => i with { Addresses = [.. i.Addresses.Where(a => !a.Address.IsLinkLocal())] }).Where(i => i.Addresses.Length > 0)];
        string name = request.Source.Interfaces is [var named, ..] && NetworkPlanJson.IsLinkName(named.Name) ? named.Name : "eth0";
        int? mtu = request.Mode.IsOwnBridge ? null : request.Source.Interfaces.FirstOrDefault()?.Mtu;
        var first = new NetworkInterface { Name = name, Mtu = mtu };

        if (request.Addresses.Length > 0)
        {
            ImmutableArray<InterfaceAddress> asked = [.. request.Addresses.Select(a => new InterfaceAddress(a.Address, a.PrefixLength ?? PrefixFor(draft, a.Address) ?? Missing(draft, a.Address)))];
            foreach (InterfaceAddress address in asked)
                if (!IsUsable(address)) draft.Problems.Add(Problems.Problems.AddressNotUsable(address.Address));
            draft.Decide(IdentityMember.Address, string.Join(", ", asked), false, "as asked for");
            return [first with { Addresses = asked, Routes = RoutesFor(draft, asked) }];
        }
        if (sources.Length > 0 && draft.Keeps(IdentityMember.Address) && request.Mode.Kind != NetworkKind.Nat)
        {
            foreach (InterfaceAddress address in sources.SelectMany(s => s.Addresses))
                if (!IsUsable(address)) draft.Problems.Add(Problems.Problems.AddressNotUsable(address.Address));
            draft.Decide(IdentityMember.Address, string.Join(", ", sources.SelectMany(s => s.Addresses)), true, "kept");
            return [.. sources.Select(s => s with { Mtu = request.Mode.IsOwnBridge ? null : s.Mtu })];
        }
        if (draft.Pool is not { } pool)
        {
            draft.Problems.Add(Problems.Problems.AddressNeeded(request.Mode.ToString()));
            return [first];
        }
        if (sources.Length > 1) draft.Warnings.Add(Problems.Warnings.LinksLeftOut(string.Join(", ", sources.Skip(1).Select(s => s.Name))));
        return [first with { Addresses = Allocate(draft, pool, sources.Length > 0), Routes = [new(null, pool.Gateway.Address)] }];
    }

    private static ImmutableArray<InterfaceAddress> Allocate(IdentityDraft draft, AddressPool pool, bool sourceHasOne)
    {
        var others = draft.Facts.Leases.Where(l => l.Stack != draft.Request.Stack).Select(l => IPAddress.TryParse(l.Subject, out var a) ? a : null).OfType<IPAddress>().ToHashSet();
        others.UnionWith(draft.Facts.Addresses.Select(a => a.Address.Address));
        IPAddress? mine = draft.Facts.Leases.Where(l => l.Stack == draft.Request.Stack).Select(l => IPAddress.TryParse(l.Subject, out var a) ? a : null)
            .Concat(draft.Request.Before?.Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address) ?? [])
            .FirstOrDefault(a => a is not null && a.IsIPv4() && pool.Holds(a) && !others.Contains(a));
        IPAddress? address = mine ?? pool.Allocate(others);
        if (address is null)
        {
            draft.Problems.Add(Problems.Problems.PoolExhausted(pool.Gateway));
            return [];
        }
        draft.Allocated.Add(address);
        var whole = new InterfaceAddress(address, pool.Gateway.PrefixLength);
        draft.Decide(IdentityMember.Address, whole.ToString(), false, draft.Request.Mode.Kind == NetworkKind.Nat && draft.Keeps(IdentityMember.Address) && sourceHasOne ? "`nat` has addresses of its own" : draft.WhyFresh(IdentityMember.Address, sourceHasOne));
        return [whole];
    }

    private static ImmutableArray<NetworkInterface> WithMacs(IdentityDraft draft, ImmutableArray<NetworkInterface> interfaces)
    {
        var macs = interfaces.Select((link, index) =>
        {
            MacAddress? source = draft.Request.Source.Interfaces.FirstOrDefault(s => s.Name == link.Name)?.Mac;
            MacAddress? before = draft.Request.Before?.Interfaces.FirstOrDefault(s => s.Name == link.Name)?.Mac;
            MacAddress mac = index == 0 && draft.Request.Mac is { } asked ? asked : draft.Choose(IdentityMember.Mac, source, before, () => MacAddress.Fresh(draft.Random(6)));
            bool kept = mac == source;
            draft.Decide(IdentityMember.Mac, mac.ToString(), kept, draft.Request.Mac is not null && index == 0 ? "as asked for" : kept ? "kept" : draft.WhyFresh(IdentityMember.Mac, source is not null));
            return link with { Mac = mac };
        });
        return [.. macs];
    }

    private static void CheckHolders(IdentityDraft draft, NetworkInterface link)
    {
        foreach (IPAddress address in link.Addresses.Select(a => a.Address))
        {
            if (draft.Facts.Addresses.FirstOrDefault(a => a.Address.Address.Equals(address)) is { } own) draft.Problems.Add(Problems.Problems.AddressHeldByHost(address, own.Link));
            if (HolderOf(draft, address.ToString()) is { } stack) draft.Problems.Add(Problems.Problems.AddressHeldByStack(address, stack));
        }
        if (link.Mac is not { } mac) return;
        if (HolderOf(draft, mac.ToString()) is { } other) draft.Problems.Add(Problems.Problems.MacHeldByStack(mac, other));
        // On our own bridge the host's cards are on another link: there the same MAC does not meet itself.
        if (draft.Facts.Links.FirstOrDefault(l => l.Mac == mac && (!draft.Request.Mode.IsOwnBridge || l.Name == NetworkPlan.OwnBridge)) is { } holder)
            draft.Problems.Add(Problems.Problems.MacHeldByHost(mac, holder.Name));
    }

    private static CapsuleName? HolderOf(IdentityDraft draft, string subject)
    {
        foreach (IdentityLease lease in draft.Facts.Leases)
            if (lease.IsLive && lease.Stack != draft.Request.Stack && lease.Subject == subject) return lease.Stack;
        return null;
    }

    private static int? PrefixFor(IdentityDraft draft, IPAddress address)
    {
        if (draft.Pool is { } pool && pool.Holds(address)) return pool.Gateway.PrefixLength;
        foreach (InterfaceAddress known in draft.Request.Source.Interfaces.SelectMany(i => i.Addresses).Concat(draft.Facts.Addresses.Select(a => a.Address)))
            if (known.Holds(address) && known.PrefixLength < (address.IsIPv4() ? 32 : 128)) return known.PrefixLength;
        return null;
    }

    private static int Missing(IdentityDraft draft, IPAddress address)
    {
        draft.Problems.Add(Problems.Problems.PrefixNeeded(address));
        return address.IsIPv4() ? 32 : 128;
    }

    /// <summary>Routes for addresses that were asked for: our own gateway, else those of the source or of the host whose gateway lies in the same subnet.</summary>
    private static ImmutableArray<Route> RoutesFor(IdentityDraft draft, ImmutableArray<InterfaceAddress> addresses)
    {
        if (draft.Pool is { } pool && addresses.Any(a => pool.Holds(a.Address))) return [new(null, pool.Gateway.Address)];
        ImmutableArray<Route> source = [.. draft.Request.Source.Interfaces.SelectMany(i => i.Routes).Where(r => r.Gateway is null || addresses.Any(a => a.Holds(r.Gateway)))];
        if (source.Any(r => r.Destination is null) || draft.Request.Mode.IsOwnBridge) return source;
        return [.. source, .. draft.Facts.Routes.Where(r => r.Destination is null && r.Gateway is { } via && addresses.Any(a => a.Holds(via))).Take(1).Select(r => new Route(null, r.Gateway))];
    }

    private static bool IsUsable(InterfaceAddress address)
    {
        IPAddress a = address.Address;
        if (IPAddress.IsLoopback(a) || a.Equals(IPAddress.Any) || a.Equals(IPAddress.IPv6Any) || a.IsIPv6Multicast) return false;
        if (!a.IsIPv4()) return true;
        uint number = a.ToNumber(), hosts = address.PrefixLength >= 31 ? 0 : uint.MaxValue >> address.PrefixLength;
        return number >> 28 is not (0xE or 0xF) && number >> 24 != 0 && (hosts == 0 || ((number & hosts) != 0 && (number & hosts) != hosts));
    }
}
