using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;

namespace Capsules.Linux.Netlink;

/// <summary>rtnetlink(7) in one network namespace: links, addresses, routes and neighbours.</summary>
public sealed class RouteSocket : IDisposable
{
    private const int NewLink = 16, GetLink = 18, GetAddress = 22, GetRoute = 26, GetNeighbour = 30;

    private readonly NetlinkSocket _socket;

    private RouteSocket(NetlinkSocket socket) => _socket = socket;

    /// <summary>A socket for the given namespace, or for the calling thread's. It stays with that namespace.</summary>
    public static RouteSocket Open(Descriptor? networkNamespace = null) => new(NetlinkSocket.Open(NetlinkSocket.Route, networkNamespace));

    /// <summary>Does what the batch says, in order.</summary>
    /// <exception cref="SyscallException">The first change that the kernel refused; later ones were done all the same.</exception>
    public void Apply(RouteBatch batch)
    {
        if (!batch.IsEmpty) _socket.Execute(batch.Messages);
    }

    /// <summary>All links.</summary>
    public ImmutableArray<LinkStatus> Links() => [.. Dump(GetLink, 16).Select(ReadLink)];

    /// <summary>The link of this name, or null.</summary>
    public LinkStatus? FindLink(string name)
    {
        const int ifName = 3;
        var batch = new NetlinkBatch();
        batch.Begin(GetLink, NetlinkFlags.Request, $"link {name}");
        batch.Header(16);
        batch.Text(ifName, name);
        batch.End();
        try { return _socket.Request(batch) is [var answer, ..] && answer.Type == NewLink ? ReadLink(answer) : null; }
        catch (SyscallException e) when (e.Errno == Errno.ENODEV) { return null; }
    }

    /// <summary>All addresses.</summary>
    public ImmutableArray<AddressStatus> Addresses() => [.. Dump(GetAddress, 8).Select(ReadAddress).OfType<AddressStatus>()];

    /// <summary>All routes of the main table.</summary>
    public ImmutableArray<RouteStatus> Routes() => [.. Dump(GetRoute, 12).Select(ReadRoute).Where(r => r.Table == 254)];

    /// <summary>The neighbour tables.</summary>
    public ImmutableArray<NeighbourStatus> Neighbours() => [.. Dump(GetNeighbour, 12).Select(ReadNeighbour).OfType<NeighbourStatus>()];

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private List<NetlinkMessage> Dump(int type, int headerSize)
    {
        var batch = new NetlinkBatch();
        batch.Begin(type, NetlinkFlags.Dump, "dump");
        batch.Header(headerSize);
        batch.End();
        return _socket.Request(batch);
    }

    private static LinkStatus ReadLink(NetlinkMessage message)
    {
        const int address = 1, name = 3, mtu = 4, parent = 5, master = 10, linkInfo = 18, alias = 20, parentNamespace = 37, infoKind = 1; // IFLA_*
        ReadOnlySpan<byte> header = message.Body.Span;
        var link = new LinkStatus { Index = BinaryPrimitives.ReadInt32LittleEndian(header[4..]), Name = "", Flags = (LinkFlags)BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) };
        foreach (NetlinkAttribute a in NetlinkAttribute.Split(message.Body[16..]))
            link = a.Type switch
            {
                address when a.Value.Length == 6 => link with { Address = EthernetAddress.From(a.Value.Span) },
                name => link with { Name = a.Text },
                mtu => link with { Mtu = a.Number },
                parent => link with { Parent = a.Number },
                master => link with { Master = a.Number },
                alias => link with { Alias = a.Text },
                parentNamespace => link with { ParentNamespace = a.Number },
                linkInfo => link with { Kind = Nested(a, infoKind)?.Text },
                _ => link,
            };
        return link;
    }

    private static NetlinkAttribute? Nested(NetlinkAttribute outer, int type)
    {
        foreach (NetlinkAttribute inner in outer.Nested)
            if (inner.Type == type) return inner;
        return null;
    }

    private static AddressStatus? ReadAddress(NetlinkMessage message)
    {
        const int peer = 1, local = 2, wideFlags = 8;
        ReadOnlySpan<byte> header = message.Body.Span;
        if (header[0] is not (2 or 10)) return null;
        var (prefix, scope, link, flags) = (header[1], header[3], BinaryPrimitives.ReadInt32LittleEndian(header[4..]), (uint)header[2]);
        IPAddress? own = null, other = null;
        foreach (NetlinkAttribute a in NetlinkAttribute.Split(message.Body[8..]))
        {
            if (a.Type == local) own = new(a.Value.Span);
            if (a.Type == peer) other = new(a.Value.Span);
            if (a.Type == wideFlags) flags = (uint)a.Number;
        }
        return (own ?? other) is { } found ? new(link, found, prefix, scope, flags) : null; // IPv6 gives only the one; IPv4 of a point-to-point link both
    }

    private static RouteStatus ReadRoute(NetlinkMessage message)
    {
        const int destination = 1, link = 4, gateway = 5, metric = 6, source = 7, wideTable = 15; // RTA_*
        ReadOnlySpan<byte> header = message.Body.Span;
        var route = new RouteStatus
        {
            IsIPv6 = header[0] == 10,
            PrefixLength = header[1],
            Table = header[4],
            Protocol = header[5],
            Type = header[7],
            OnLink = (header[8] & 4) != 0,
        };
        foreach (NetlinkAttribute a in NetlinkAttribute.Split(message.Body[12..]))
            route = a.Type switch
            {
                destination => route with { Destination = new(a.Value.Span) },
                link => route with { Link = a.Number },
                gateway => route with { Gateway = new(a.Value.Span) },
                metric => route with { Metric = a.Number },
                source => route with { Source = new(a.Value.Span) },
                wideTable => route with { Table = a.Number },
                _ => route,
            };
        return route;
    }

    private static NeighbourStatus? ReadNeighbour(NetlinkMessage message)
    {
        const int destination = 1, ethernet = 2; // NDA_*
        ReadOnlySpan<byte> header = message.Body.Span; // struct ndmsg: family, padding 3, link 4, state 2, flags, type
        if (header[0] is not (2 or 10)) return null;
        var (link, state) = (BinaryPrimitives.ReadInt32LittleEndian(header[4..]), (int)BinaryPrimitives.ReadUInt16LittleEndian(header[8..]));
        IPAddress? address = null;
        EthernetAddress? hardware = null;
        foreach (NetlinkAttribute a in NetlinkAttribute.Split(message.Body[12..]))
        {
            if (a.Type == destination) address = new(a.Value.Span);
            if (a.Type == ethernet && a.Value.Length == 6) hardware = EthernetAddress.From(a.Value.Span);
        }
        return address is null ? null : new(link, address, hardware, state);
    }
}
