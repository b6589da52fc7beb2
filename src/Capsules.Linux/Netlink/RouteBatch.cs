using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Capsules.Linux.Netlink;

/// <summary>What is to be changed at a link; what is null stays.</summary>
public sealed record LinkChange
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>Up or down.</summary>
    public bool? Up { get; init; }
    /// <summary>A new name; the link must be down on older kernels.</summary>
    public string? Name { get; init; }
    /// <summary>A new Ethernet address.</summary>
    public EthernetAddress? Address { get; init; }
    /// <summary>Bytes.</summary>
    public int? Mtu { get; init; }
    /// <summary>The bridge to be part of; 0 for none.</summary>
    public int? Master { get; init; }
    /// <summary>A text for people.</summary>
    public string? Alias { get; init; }
    /// <summary>Moved into this network namespace.</summary>
    public Descriptor? Namespace { get; init; }
}

/// <summary>A new veth pair: the near end here, the far end in another namespace.</summary>
public sealed record VethPair
{
    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>The near end's name.</summary>
    public required string Name { get; init; }
    /// <summary>The bridge that the near end is part of; null for none.</summary>
    public int? Master { get; init; }
    /// <summary>The near end's Ethernet address; the kernel's choice when null.</summary>
    public EthernetAddress? Address { get; init; }
    /// <summary>The far end's name.</summary>
    public required string PeerName { get; init; }
    /// <summary>The far end's Ethernet address; the kernel's choice when null.</summary>
    public EthernetAddress? PeerAddress { get; init; }
    /// <summary>Where the far end is made; here when null.</summary>
    public Descriptor? PeerNamespace { get; init; }
    /// <summary>Of both ends, in bytes.</summary>
    public int? Mtu { get; init; }
    /// <summary>Whether the near end is up from the start; the far end cannot be, since it is made before it has a peer (ENOTCONN, drivers/net/veth.c).</summary>
    public bool Up { get; init; } = true;
}

/// <summary>How macvlans of one parent see each other (include/uapi/linux/if_link.h).</summary>
public enum MacvlanMode
{
    /// <summary>Not at all.</summary>
    Private = 1,
    /// <summary>Through an outer switch.</summary>
    Vepa = 2,
    /// <summary>Directly.</summary>
    Bridge = 4,
}

/// <summary>A new macvlan on a link of this namespace.</summary>
public sealed record Macvlan
{
    /// <summary>Its name where it is made.</summary>
    public required string Name { get; init; }
    /// <summary>The link below it.</summary>
    public required int Parent { get; init; }
    /// <summary>See <see cref="MacvlanMode"/>.</summary>
    public MacvlanMode Mode { get; init; } = MacvlanMode.Bridge;
    /// <summary>The kernel's choice when null.</summary>
    public EthernetAddress? Address { get; init; }
    /// <summary>Bytes.</summary>
    public int? Mtu { get; init; }
    /// <summary>Where it is made; here when null.</summary>
    public Descriptor? Namespace { get; init; }
}

/// <summary>
/// Changes for <see cref="RouteSocket.Apply"/>, sent in one datagram. The kernel does them in order; one that fails does not hold back the
/// later ones, so what follows each other must not hurt when done alone.
/// </summary>
public sealed partial class RouteBatch
{
    private const int NewLink = 16, DeleteLinkType = 17, SetLink = 19, NewAddress = 20, DeleteAddress = 21, NewRoute = 24, DeleteRoute = 25;
    private const NetlinkFlags Make = NetlinkFlags.Acknowledge | NetlinkFlags.Create | NetlinkFlags.Exclusive;

    // IFLA_* (include/uapi/linux/if_link.h)
    private const int Address = 1, Name = 3, Mtu = 4, Parent = 5, Master = 10, LinkInfo = 18, Alias = 20, NamespaceDescriptor = 28, InfoKind = 1, InfoData = 2;

    internal NetlinkBatch Messages { get; } = new();

    /// <summary>Whether nothing is in it.</summary>
    public bool IsEmpty => Messages.Subjects.Count == 0;

    /// <summary>A veth pair, named, enslaved, and with its far end in the other namespace, all at once (veth(4)).</summary>
    public RouteBatch CreateVeth(VethPair pair)
    {
        Messages.Begin(NewLink, Make, $"veth {pair.Name}");
        LinkHeader(0, pair.Up);
        Messages.Text(Name, pair.Name);
        if (pair.Address is { } own) Messages.Attribute(Address, own.ToBytes());
        if (pair.Mtu is int mtu) Messages.Number(Mtu, (uint)mtu);
        if (pair.Master is int master) Messages.Number(Master, (uint)master);
        Messages.OpenNest(LinkInfo);
        Messages.Text(InfoKind, "veth");
        Messages.OpenNest(InfoData);
        Messages.OpenNest(1); // VETH_INFO_PEER: a link header and attributes, as of a message of its own
        LinkHeader(0, null);
        Messages.Text(Name, pair.PeerName);
        if (pair.PeerAddress is { } far) Messages.Attribute(Address, far.ToBytes());
        if (pair.Mtu is int farMtu) Messages.Number(Mtu, (uint)farMtu);
        if (pair.PeerNamespace is { } space) Messages.Number(NamespaceDescriptor, (uint)space.Number);
        Messages.CloseNest();
        Messages.CloseNest();
        Messages.CloseNest();
        Messages.End();
        return this;
    }

    /// <summary>A bridge that forwards at once (no spanning tree, no listening time) and floods multicast, so that neighbour discovery needs no learning. It is up.</summary>
    public RouteBatch CreateBridge(string name, EthernetAddress? address, int? mtu = null)
    {
        const int forwardDelay = 1, spanningTree = 5, multicastSnooping = 23; // IFLA_BR_*
        Messages.Begin(NewLink, Make, $"bridge {name}");
        LinkHeader(0, true);
        Messages.Text(Name, name);
        if (address is { } own) Messages.Attribute(Address, own.ToBytes()); // else it changes with its ports
        if (mtu is int bytes) Messages.Number(Mtu, (uint)bytes);
        Messages.OpenNest(LinkInfo);
        Messages.Text(InfoKind, "bridge");
        Messages.OpenNest(InfoData);
        Messages.Number(forwardDelay, 0);
        Messages.Number(spanningTree, 0);
        Messages.Byte(multicastSnooping, 0);
        Messages.CloseNest();
        Messages.CloseNest();
        Messages.End();
        return this;
    }

    /// <summary>A macvlan: another Ethernet address on the parent's link. It is made down.</summary>
    public RouteBatch CreateMacvlan(Macvlan link)
    {
        Messages.Begin(NewLink, Make, $"macvlan {link.Name}");
        LinkHeader(0, null);
        Messages.Text(Name, link.Name);
        if (link.Address is { } own) Messages.Attribute(Address, own.ToBytes());
        if (link.Mtu is int mtu) Messages.Number(Mtu, (uint)mtu);
        Messages.Number(Parent, (uint)link.Parent);
        if (link.Namespace is { } space) Messages.Number(NamespaceDescriptor, (uint)space.Number);
        Messages.OpenNest(LinkInfo);
        Messages.Text(InfoKind, "macvlan");
        Messages.OpenNest(InfoData);
        Messages.Number(1, (uint)link.Mode); // IFLA_MACVLAN_MODE
        Messages.CloseNest();
        Messages.CloseNest();
        Messages.End();
        return this;
    }

    /// <summary>Changes the link of this number.</summary>
    public RouteBatch ChangeLink(int index, LinkChange change)
    {
        BeginLink(SetLink, index, null, change.Up);
        if (change.Name is { } name) Messages.Text(Name, name);
        return EndChange(change);
    }

    /// <summary>Changes the link of this name, which may be made by the same batch; it cannot be renamed so.</summary>
    public RouteBatch ChangeLink(string name, LinkChange change)
    {
        if (change.Name is not null) throw new ArgumentException("a link that is found by its name is renamed by its number", nameof(change));
        BeginLink(SetLink, 0, name, change.Up);
        Messages.Text(Name, name);
        return EndChange(change);
    }

    /// <summary>Deletes a link; of a veth pair both ends.</summary>
    public RouteBatch DeleteLink(int index)
    {
        BeginLink(DeleteLinkType, index, null, null);
        Messages.End();
        return this;
    }

    private void BeginLink(int type, int index, string? name, bool? up)
    {
        Messages.Begin(type, NetlinkFlags.Acknowledge, $"link {name ?? $"{index}"}");
        LinkHeader(index, up);
    }

    private RouteBatch EndChange(LinkChange change)
    {
        if (change.Address is { } address) Messages.Attribute(Address, address.ToBytes());
        if (change.Mtu is int mtu) Messages.Number(Mtu, (uint)mtu);
        if (change.Master is int master) Messages.Number(Master, (uint)master);
        if (change.Alias is { } alias) Messages.Attribute(Alias, System.Text.Encoding.UTF8.GetBytes(alias));
        if (change.Namespace is { } space) Messages.Number(NamespaceDescriptor, (uint)space.Number);
        Messages.End();
        return this;
    }

    /// <summary>struct ifinfomsg: family 1, padding 1, type 2, index 4, flags 4, which of the flags to change 4 (rtnetlink(7)).</summary>
    private void LinkHeader(int index, bool? up)
    {
        Span<byte> header = Messages.Header(16);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], index);
        if (up is not bool wanted) return;
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], wanted ? (uint)LinkFlags.Up : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], (uint)LinkFlags.Up);
    }

    private static byte Family(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork ? (byte)2 : (byte)10; // AF_INET, AF_INET6
}
