using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Capsules.Linux.Netlink;

public sealed partial class RouteBatch
{
    // IFA_* (include/uapi/linux/if_addr.h) and RTA_* (include/uapi/linux/rtnetlink.h)
    private const int AddressAddress = 1, AddressLocal = 2, AddressBroadcast = 4, AddressFlags = 8;
    private const int RouteDestination = 1, RouteLink = 4, RouteGateway = 5, RouteMetric = 6, RouteSource = 7;

    /// <summary>
    /// An address of a link. <paramref name="probed"/> leaves IPv6's duplicate address detection out (IFA_F_NODAD): it takes a second, and
    /// whoever allocates the addresses, or probed before, knows already.
    /// </summary>
    public RouteBatch AddAddress(int link, IPAddress address, int prefixLength, bool probed = true)
    {
        const uint noDetection = 2;
        BeginAddress(NewAddress, NetlinkFlags.Acknowledge | NetlinkFlags.Create | NetlinkFlags.Exclusive, link, address, prefixLength);
        byte[] bytes = address.GetAddressBytes();
        if (address.AddressFamily == AddressFamily.InterNetwork && prefixLength < 31)
        {
            uint hosts = uint.MaxValue >> prefixLength;
            Span<byte> broadcast = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(broadcast, BinaryPrimitives.ReadUInt32BigEndian(bytes) | hosts);
            Messages.Attribute(AddressBroadcast, broadcast);
        }
        if (address.AddressFamily == AddressFamily.InterNetworkV6 && probed) Messages.Number(AddressFlags, noDetection);
        Messages.End();
        return this;
    }

    /// <summary>Takes an address away.</summary>
    public RouteBatch RemoveAddress(int link, IPAddress address, int prefixLength)
    {
        BeginAddress(DeleteAddress, NetlinkFlags.Acknowledge, link, address, prefixLength);
        Messages.End();
        return this;
    }

    /// <summary>A route, marked as static (ip-route(8)).</summary>
    public RouteBatch AddRoute(RouteStatus route) => Route(NewRoute, Make, route);

    /// <summary>Takes a route away.</summary>
    public RouteBatch RemoveRoute(RouteStatus route) => Route(DeleteRoute, NetlinkFlags.Acknowledge, route);

    private void BeginAddress(int type, NetlinkFlags flags, int link, IPAddress address, int prefixLength)
    {
        Messages.Begin(type, flags, $"address {address}/{prefixLength}");
        Span<byte> header = Messages.Header(8); // struct ifaddrmsg: family, prefix length, flags, scope, link
        header[0] = Family(address);
        header[1] = (byte)prefixLength;
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link);
        byte[] bytes = address.GetAddressBytes();
        Messages.Attribute(AddressLocal, bytes);
        Messages.Attribute(AddressAddress, bytes);
    }

    private RouteBatch Route(int type, NetlinkFlags flags, RouteStatus route)
    {
        const byte universe = 0, linkScope = 253, onLink = 4;
        Messages.Begin(type, flags, $"route {(route.Destination is { } d ? $"{d}/{route.PrefixLength}" : "default")}{(route.Gateway is { } via ? $" via {via}" : "")}");
        Span<byte> header = Messages.Header(12); // struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags 4
        header[0] = route.IsIPv6 ? (byte)10 : (byte)2;
        header[1] = (byte)route.PrefixLength;
        header[4] = (byte)route.Table;
        header[5] = (byte)(route.Protocol == 0 ? 4 : route.Protocol);
        header[6] = route.Gateway is null && !route.IsIPv6 && route.Type == 1 ? linkScope : universe;
        header[7] = (byte)route.Type;
        if (route.OnLink) header[8] = onLink;
        if (route.Destination is { } destination) Messages.Attribute(RouteDestination, destination.GetAddressBytes());
        if (route.Gateway is { } gateway) Messages.Attribute(RouteGateway, gateway.GetAddressBytes());
        if (route.Link != 0) Messages.Number(RouteLink, (uint)route.Link);
        if (route.Source is { } source) Messages.Attribute(RouteSource, source.GetAddressBytes());
        if (route.Metric != 0) Messages.Number(RouteMetric, (uint)route.Metric);
        Messages.End();
        return this;
    }
}
