using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>The addresses of our own bridge: an IPv4 subnet, whose first address is the bridge's own and the stacks' gateway.</summary>
public sealed record AddressPool(InterfaceAddress Gateway)
{
    private const int PrefixLength = 16;

    /// <summary>
    /// Subnets in the order in which they are tried: 10.144/16 and up lie apart from what others take by default (podman 10.88 and 10.89,
    /// Kubernetes 10.96/12, 10.42 to 10.44 and 10.244, Docker 172.17 and up, libvirt 192.168.122); then 172.28 to 172.31, then the rest of 10/8.
    /// </summary>
    public static ImmutableArray<AddressPool> Candidates { get; } =
    [
        .. Enumerable.Range(144, 96).Concat(Enumerable.Range(48, 40)).Select(second => Of(10, second)),
        .. Enumerable.Range(28, 4).Select(second => Of(172, second)),
    ];

    /// <summary>The first subnet that touches nothing of <paramref name="taken"/> (subnets that the host's addresses and routes know); the preferred one first. Null when there is none.</summary>
    public static AddressPool? Choose(IEnumerable<InterfaceAddress> taken, AddressPool? preferred = null)
    {
        var subnets = taken.Where(t => t.Address.IsIPv4() && t.PrefixLength > 0).ToList();
        IEnumerable<AddressPool> order = preferred is null ? Candidates : Candidates.Prepend(preferred);
        return order.FirstOrDefault(pool => !subnets.Any(t => t.Overlaps(pool.Gateway)));
    }

    /// <summary>Whether the address is one of this subnet.</summary>
    public bool Holds(IPAddress address) => Gateway.Holds(address);

    /// <summary>The lowest free address; null when all are taken. The gateway, the subnet's own and the broadcast address are never given out.</summary>
    public IPAddress? Allocate(IReadOnlySet<IPAddress> taken)
    {
        uint gateway = Gateway.Address.ToNumber(), mask = uint.MaxValue << 32 - Gateway.PrefixLength, last = gateway | ~mask;
        for (uint number = (gateway & mask) + 1; number < last; number++)
            if (number != gateway && Subnets.FromNumber(number) is var address && !taken.Contains(address)) return address;
        return null;
    }

    private static AddressPool Of(int first, int second) => new(new InterfaceAddress(new([(byte)first, (byte)second, 0, 1]), PrefixLength));
}
