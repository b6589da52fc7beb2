using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Capsules.Linux.Netlink;

/// <summary>The six bytes of an Ethernet address, in one number whose highest byte is the first on the wire.</summary>
public readonly record struct EthernetAddress(ulong Value)
{
    /// <summary>To everybody on the link.</summary>
    public static EthernetAddress Broadcast => new(0xFFFF_FFFF_FFFF);

    /// <summary>As on the wire.</summary>
    public byte[] ToBytes() => [(byte)(Value >> 40), (byte)(Value >> 32), (byte)(Value >> 24), (byte)(Value >> 16), (byte)(Value >> 8), (byte)Value];

    /// <summary>From the wire.</summary>
    public static EthernetAddress From(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        foreach (byte b in bytes[..6]) value = value << 8 | b;
        return new(value);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(':', ToBytes().Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));
}

/// <summary>IFF_* of netdevice(7), as far as they matter here.</summary>
[Flags]
public enum LinkFlags : uint
{
    None = 0, Up = 1, Broadcast = 2, Loopback = 8, PointToPoint = 0x10, Running = 0x40, NoArp = 0x80, Promiscuous = 0x100, LowerUp = 0x10000,
}

/// <summary>A link (interface) as the kernel describes it.</summary>
public sealed record LinkStatus
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>Its number in its namespace.</summary>
    public required int Index { get; init; }
    /// <summary>Its name.</summary>
    public required string Name { get; init; }
    /// <summary>See <see cref="LinkFlags"/>.</summary>
    public LinkFlags Flags { get; init; }
    /// <summary>veth, bridge, macvlan, …; null for hardware.</summary>
    public string? Kind { get; init; }
    /// <summary>Null when it has none, or none of six bytes.</summary>
    public EthernetAddress? Address { get; init; }
    /// <summary>Bytes.</summary>
    public int Mtu { get; init; }
    /// <summary>The bridge or bond that it is part of; 0 for none.</summary>
    public int Master { get; init; }
    /// <summary>The link below it (of a macvlan), or the other end (of a veth), in <see cref="ParentNamespace"/>; 0 for none.</summary>
    public int Parent { get; init; }
    /// <summary>The local id of the namespace where <see cref="Parent"/> is; -1 for this one.</summary>
    public int ParentNamespace { get; init; } = -1;
    /// <summary>A text for people.</summary>
    public string? Alias { get; init; }
    /// <summary>Whether it is administratively up.</summary>
    public bool IsUp => Flags.HasFlag(LinkFlags.Up);
}

/// <summary>An address of a link.</summary>
public sealed record AddressStatus(int Link, IPAddress Address, int PrefixLength, byte Scope, uint Flags)
{
    /// <summary>IFA_F_TEMPORARY of IPv6's privacy addresses (the same bit is IFA_F_SECONDARY for IPv4).</summary>
    public bool IsTemporary => Address.AddressFamily == AddressFamily.InterNetworkV6 && (Flags & 1) != 0;
    /// <summary>Scope "link": fe80::/10 and the like, made by the kernel itself.</summary>
    public bool IsLinkLocal => Scope == 253;
}

/// <summary>A route.</summary>
public sealed record RouteStatus
{
    /// <inheritdoc/>
    public override string ToString() => nameof(RouteStatus);

    /// <summary>Whether it is one of IPv6.</summary>
    public required bool IsIPv6 { get; init; }
    /// <summary>Null is the default.</summary>
    public IPAddress? Destination { get; init; }
    /// <summary>Of the destination.</summary>
    public int PrefixLength { get; init; }
    /// <summary>Null: on the link.</summary>
    public IPAddress? Gateway { get; init; }
    /// <summary>The link; 0 when it has none of its own (multipath, unreachable).</summary>
    public int Link { get; init; }
    /// <summary>Lower is preferred.</summary>
    public int Metric { get; init; }
    /// <summary>RTPROT_* : 2 the kernel itself, 3 boot, 4 static, 9 router advertisement, 16 DHCP.</summary>
    public int Protocol { get; init; }
    /// <summary>RT_TABLE_*: 254 main.</summary>
    public int Table { get; init; } = 254;
    /// <summary>RTN_*: 1 unicast.</summary>
    public int Type { get; init; } = 1;
    /// <summary>The source address that the host takes for it.</summary>
    public IPAddress? Source { get; init; }
    /// <summary>RTNH_F_ONLINK: the gateway is on the link, whatever the addresses say.</summary>
    public bool OnLink { get; init; }
}

/// <summary>An entry of the neighbour table (ARP, NDP).</summary>
public sealed record NeighbourStatus(int Link, IPAddress Address, EthernetAddress? Ethernet, int State);
