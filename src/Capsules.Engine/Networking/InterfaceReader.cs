using System.Collections.Immutable;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Netlink;

namespace Capsules.Engine.Networking;

/// <summary>Reads the links of a source server, for its identity.</summary>
public static class InterfaceReader
{
    private const int KernelMade = 2, Unicast = 1, UsualMtu = 1500;

    /// <summary>Bridges and pair ends that hosts make for containers and machines; they are not what a server is known by.</summary>
    private static readonly ImmutableArray<string> ForGuests = [NetworkPlan.OwnBridge, "docker", "br-", "virbr", "podman", "cni", "veth", "cap-", "cap="];

    /// <summary>
    /// The links that have addresses of more than link scope, first the one with the default route. IPv6 privacy addresses, which change by
    /// themselves, are left out.
    /// </summary>
    /// <param name="networkNamespace">The source's; the caller's own when null.</param>
    public static ImmutableArray<NetworkInterface> Read(Descriptor? networkNamespace)
    {
        using RouteSocket route = RouteSocket.Open(networkNamespace);
        var addresses = route.Addresses();
        var routes = route.Routes().Where(r => r.Type == Unicast && r.Protocol != KernelMade && r.Destination is not { IsIPv6Multicast: true } && r.Destination is not { IsIPv6LinkLocal: true }).ToList();
        var found = new List<(NetworkInterface Interface, int Order)>();
        foreach (LinkStatus link in route.Links())
        {
            if (link.Flags.HasFlag(LinkFlags.Loopback) || (link.Kind is "bridge" or "veth" && IsForGuests(link.Name))) continue;
            ImmutableArray<InterfaceAddress> own = [.. addresses.Where(a => a.Link == link.Index && !a.IsLinkLocal && !a.Address.IsLinkLocal() && !a.IsTemporary).Select(a => new InterfaceAddress(a.Address, a.PrefixLength))];
            if (own.IsEmpty) continue;
            var through = routes.Where(r => r.Link == link.Index).ToList();
            bool isDefault = through.Any(r => r.Destination is null && !r.IsIPv6);
            found.Add((new()
            {
                Name = link.Name,
                Mac = link.Address is { } mac ? new MacAddress(mac.Value) : null,
                Addresses = own,
                Routes = [.. through.Select(r => new Route(r.Destination is { } to ? new InterfaceAddress(to, r.PrefixLength) : null, r.Gateway, r.Metric == 0 ? null : r.Metric))],
                Mtu = link.Mtu == UsualMtu ? null : link.Mtu,
            }, isDefault ? int.MinValue + (through.Where(r => r.Destination is null).Select(r => r.Metric).DefaultIfEmpty(0).Min()) : link.Index));
        }
        return [.. found.OrderBy(f => f.Order).Select(f => f.Interface)];
    }

    private static bool IsForGuests(string name) => ForGuests.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));
}
