using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>Turns the links of an identity into steps.</summary>
internal static class NetworkPlanner
{
    private static readonly IPAddress LinkGateway = IPAddress.Parse("fe80::1");

    public static NetworkPlan Plan(IdentityDraft draft, Identity identity)
    {
        var steps = new List<NetworkStep>();
        IdentityRequest request = draft.Request;
        if (request.Mode.Kind is not (NetworkKind.Host or NetworkKind.Stack)) steps.Add(new NetworkStep.GuestUp("lo"));
        if (request.Mode.IsOwnBridge && draft.Pool is { } pool) OnOwnBridge(draft, identity, pool, steps);
        else if (request.Mode.HasLinks) OnTheHostsNetwork(draft, identity, steps);
        return new() { Stack = request.Stack, Mode = request.Mode, Steps = [.. steps] };
    }

    private static void OnOwnBridge(IdentityDraft draft, Identity identity, AddressPool pool, List<NetworkStep> steps)
    {
        const string bridge = NetworkPlan.OwnBridge;
        byte[] gateway = pool.Gateway.Address.GetAddressBytes();
        steps.Add(new NetworkStep.Bridge(bridge, pool.Gateway, MacAddress.FromBytes([0x02, 0xCA, .. gateway])));
        steps.Add(new NetworkStep.Forwarding(identity.Interfaces.Any(i => i.Addresses.Any(a => !a.Address.IsIPv4()))));
        steps.Add(new NetworkStep.Rules(bridge));
        Admit(draft, bridge, steps);
        foreach (var (link, index) in identity.Interfaces.Select((l, i) => (l, i)))
        {
            steps.Add(new NetworkStep.Veth(NetworkPlan.HostLinkName(draft.Request.Stack, index), bridge, link.Name, link.Mac ?? throw new InvalidOperationException("a link without MAC address"), link.Mtu));
            steps.Add(new NetworkStep.GuestUp(link.Name));
            foreach (IPAddress address in link.Addresses.Select(a => a.Address).Where(a => !pool.Holds(a)))
            {
                if (HostLinkTo(draft, address) is { } near) steps.Add(new NetworkStep.Probe(near, address, Inside: false));
                draft.Warnings.Add(Problems.Warnings.KeptBehindNat(address));
            }
            foreach (InterfaceAddress address in link.Addresses) steps.Add(new NetworkStep.GuestAddress(link.Name, address));
            GuestRoutes(link, Gateways(draft, link, pool, index == 0, steps), steps);
        }
        IPAddress? To(PublishedPort port) => identity.Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address).FirstOrDefault(a => a.IsIPv4() == (port.HostAddress?.IsIPv4() ?? true));
        foreach (PublishedPort port in draft.Request.Ports)
        {
            if (port.HostAddress is { } host && host.Equals(IPAddress.IPv6Loopback)) draft.Warnings.Add(Problems.Warnings.LoopbackNotPublished(port.ToString()));
            else if (To(port) is { } to) steps.Add(new NetworkStep.Publish(port, to));
        }
        steps.AddRange(identity.Interfaces.SelectMany(l => l.Addresses.Select(a => new NetworkStep.Announce(l.Name, a.Address))));
    }

    /// <summary>What the bridge and the host need for the kept addresses and gateways of a link; the routes that the link gets.</summary>
    private static ImmutableArray<Route> Gateways(IdentityDraft draft, NetworkInterface link, AddressPool pool, bool first, List<NetworkStep> steps)
    {
        const string bridge = NetworkPlan.OwnBridge;
        ImmutableArray<Route> routes = link.Routes;
        var onBridge = new List<IPAddress>();
        foreach (IPAddress gateway in routes.Select(r => r.Gateway).OfType<IPAddress>().Where(g => !pool.Holds(g)).Distinct())
        {
            // Where the host is on the gateway's own network, that address is the real router's: the host answers in its place on the bridge only.
            if (!gateway.IsLinkLocal() && HostLinkTo(draft, gateway) is not null) steps.Add(new NetworkStep.ProxyArp(bridge));
            else
            {
                steps.Add(new NetworkStep.GatewayAddress(bridge, gateway.IsLinkLocal() ? new(gateway, 64) : gateway.Alone()));
                onBridge.Add(gateway);
            }
        }
        bool Default(bool ipv4) => routes.Any(r => r.Destination is null && r.Gateway is { } via && via.IsIPv4() == ipv4);
        if (first && !Default(ipv4: true) && link.Addresses.Any(a => a.Address.IsIPv4())) routes = routes.Add(new(null, pool.Gateway.Address));
        if (first && !Default(ipv4: false) && link.Addresses.Any(a => !a.Address.IsIPv4()))
        {
            steps.Add(new NetworkStep.GatewayAddress(bridge, new(LinkGateway, 64)));
            routes = routes.Add(new(null, LinkGateway));
        }
        foreach (IPAddress address in link.Addresses.Select(a => a.Address).Where(a => !pool.Holds(a)))
        {
            IPAddress? source = onBridge.FirstOrDefault(g => g.IsIPv4() == address.IsIPv4() && !g.IsLinkLocal()) ?? (address.IsIPv4() ? pool.Gateway.Address : null);
            steps.Add(new NetworkStep.HostRoute(bridge, address, source));
        }
        return routes;
    }

    private static void OnTheHostsNetwork(IdentityDraft draft, Identity identity, List<NetworkStep> steps)
    {
        NetworkMode mode = draft.Request.Mode;
        HostLink? parent = draft.Facts.Links.FirstOrDefault(l => l.Name == mode.Subject);
        if (parent is null)
        {
            draft.Problems.Add(Problems.Problems.NoSuchLink(mode.Subject!, draft.Facts.Links.Select(l => l.Name)));
            return;
        }
        if (mode.Kind == NetworkKind.HostBridge && parent.Kind != "bridge") draft.Problems.Add(Problems.Problems.NotABridge(parent.Name, parent.Kind));
        if (mode.Kind == NetworkKind.Macvlan)
        {
            if (parent.IsWireless) draft.Warnings.Add(Problems.Warnings.MacvlanOnWireless(parent.Name));
            draft.Warnings.Add(Problems.Warnings.HostCannotReachMacvlan(parent.Name));
        }
        foreach (var (link, index) in identity.Interfaces.Select((l, i) => (l, i)))
        {
            MacAddress mac = link.Mac ?? throw new InvalidOperationException("a link without MAC address");
            int? mtu = link.Mtu is int wanted && wanted <= parent.Mtu ? wanted : null;
            steps.Add(mode.Kind == NetworkKind.Macvlan
                ? new NetworkStep.Macvlan(parent.Name, link.Name, mac, mtu)
                : new NetworkStep.Veth(NetworkPlan.HostLinkName(draft.Request.Stack, index), parent.Name, link.Name, mac, mtu));
            steps.Add(new NetworkStep.GuestUp(link.Name));
        }
        foreach (NetworkInterface link in identity.Interfaces) steps.AddRange(link.Addresses.Select(a => new NetworkStep.Probe(link.Name, a.Address, Inside: true)));
        foreach (NetworkInterface link in identity.Interfaces)
        {
            steps.AddRange(link.Addresses.Select(a => new NetworkStep.GuestAddress(link.Name, a)));
            GuestRoutes(link, link.Routes, steps);
        }
        foreach (NetworkInterface link in identity.Interfaces) steps.AddRange(link.Addresses.Select(a => new NetworkStep.Announce(link.Name, a.Address)));
    }

    /// <summary>Routes on the link first: gateways may lie behind them.</summary>
    private static void GuestRoutes(NetworkInterface link, ImmutableArray<Route> routes, List<NetworkStep> steps) =>
        steps.AddRange(routes.OrderBy(r => r.Gateway is null ? 0 : r.Destination is null ? 2 : 1).Select(route =>
            new NetworkStep.GuestRoute(link.Name, route, OnLink: route.Gateway is { } via && via.IsIPv4() && !link.Addresses.Any(a => a.Holds(via)))));

    /// <summary>
    /// Docker and others let nothing pass that they do not know, and an accept in our table cannot overrule a drop in theirs: what is ours is
    /// accepted at the front of the chain that they leave to their users, or of the one that drops. firewalld makes its rules anew at each
    /// reload, so that it has to be told in its own words.
    /// </summary>
    private static void Admit(IdentityDraft draft, string bridge, List<NetworkStep> steps)
    {
        foreach (var table in draft.Facts.ForwardChains.GroupBy(c => (c.Family, c.Table)).OrderBy(g => g.Key))
        {
            if (table.Key.Table == "firewalld") draft.Warnings.Add(Problems.Warnings.FirewallDecides($"{table.Key.Family} firewalld", bridge));
            else if (table.FirstOrDefault(c => c.Chain == "DOCKER-USER") is { } forUsers) steps.Add(new NetworkStep.Admission(table.Key.Family, table.Key.Table, forUsers.Chain, bridge));
            else if (table.FirstOrDefault(c => c.DropsByDefault) is { } dropping) steps.Add(new NetworkStep.Admission(table.Key.Family, table.Key.Table, dropping.Chain, bridge));
        }
    }

    /// <summary>The link, other than our own bridge, on which the host itself is a neighbour of this address.</summary>
    private static string? HostLinkTo(IdentityDraft draft, IPAddress address)
    {
        foreach (HostRoute route in draft.Facts.Routes)
            if (route.Gateway is null && route.Destination is { } subnet && route.Link != NetworkPlan.OwnBridge && subnet.Holds(address)) return route.Link;
        return null;
    }
}
