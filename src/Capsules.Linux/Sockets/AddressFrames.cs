using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Capsules.Linux.Netlink;

namespace Capsules.Linux.Sockets;

/// <summary>The frames of address conflict detection: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861, RFC 4862).</summary>
internal static class AddressFrames
{
    /// <summary>"Who has <paramref name="target"/>?", asked by somebody who claims nothing yet.</summary>
    public static byte[] Probe(EthernetAddress own, IPAddress target) => target.AddressFamily == AddressFamily.InterNetwork
        ? Arp(own, new byte[4], target.GetAddressBytes())
        : Solicitation(own, target);

    /// <summary>"It is me who has it": a gratuitous ARP request, or an unsolicited neighbour advertisement that overrides.</summary>
    public static byte[] Announcement(EthernetAddress own, IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork
        ? Arp(own, address.GetAddressBytes(), address.GetAddressBytes())
        : Advertisement(own, address);

    /// <summary>Who shows with this frame that the address is taken; null when it does not say so.</summary>
    public static EthernetAddress? HolderIn(ReadOnlySpan<byte> frame, EthernetAddress own, IPAddress target) =>
        (target.AddressFamily == AddressFamily.InterNetwork ? ArpHolder(frame, target) : DiscoveryHolder(frame, target)) is { } holder && holder != own ? holder : null;

    private static byte[] Arp(EthernetAddress own, ReadOnlySpan<byte> sender, ReadOnlySpan<byte> target)
    {
        byte[] frame = new byte[42];
        Ethernet(frame, EthernetAddress.Broadcast, own, PacketSocket.Arp);
        Span<byte> arp = frame.AsSpan(14);
        ReadOnlySpan<byte> start = [0, 1, 8, 0, 6, 4, 0, 1]; // Ethernet, IPv4, their lengths, request
        start.CopyTo(arp);
        own.ToBytes().CopyTo(arp[8..]);
        sender.CopyTo(arp[14..]);
        target.CopyTo(arp[24..]);
        return frame;
    }

    /// <summary>RFC 5227 §2.1.1: any packet whose sender address is the target is a conflict, and so is another's probe for it.</summary>
    private static EthernetAddress? ArpHolder(ReadOnlySpan<byte> frame, IPAddress target)
    {
        if (frame.Length < 42 || frame[12] != 8 || frame[13] != 6) return null;
        ReadOnlySpan<byte> arp = frame[14..], address = target.GetAddressBytes();
        bool isHolder = arp.Slice(14, 4).SequenceEqual(address);
        bool isProbe = arp[7] == 1 && arp.Slice(14, 4).SequenceEqual("\0\0\0\0"u8) && arp.Slice(24, 4).SequenceEqual(address);
        return isHolder || isProbe ? EthernetAddress.From(arp.Slice(8, 6)) : null;
    }

    private static byte[] Solicitation(EthernetAddress own, IPAddress target)
    {
        byte[] address = target.GetAddressBytes();
        byte[] group = [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, address[13], address[14], address[15]]; // solicited-node, RFC 4291 §2.7.1
        return Discovery(own, IPAddress.IPv6Any.GetAddressBytes(), group, 135, 0, address, []);
    }

    private static byte[] Advertisement(EthernetAddress own, IPAddress address)
    {
        byte[] everybody = [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        return Discovery(own, address.GetAddressBytes(), everybody, 136, 0x20, address.GetAddressBytes(), [2, 1, .. own.ToBytes()]); // override; target link-layer address
    }

    private static byte[] Discovery(EthernetAddress own, byte[] from, byte[] to, byte type, byte flags, byte[] target, byte[] option)
    {
        int length = 24 + option.Length;
        byte[] frame = new byte[14 + 40 + length];
        Ethernet(frame, EthernetAddress.From([0x33, 0x33, .. to[12..]]), own, PacketSocket.IPv6);
        Span<byte> ip = frame.AsSpan(14), message = ip[40..];
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)length);
        (ip[6], ip[7]) = (58, 255); // ICMPv6; a hop limit of 255 shows that no router passed it on
        from.CopyTo(ip[8..]);
        to.CopyTo(ip[24..]);
        (message[0], message[4]) = (type, flags);
        target.CopyTo(message[8..]);
        option.CopyTo(message[24..]);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], Checksum(ip.Slice(8, 32), message));
        return frame;
    }

    /// <summary>An advertisement of the target, or another's probe for it (RFC 4862 §5.4.3).</summary>
    private static EthernetAddress? DiscoveryHolder(ReadOnlySpan<byte> frame, IPAddress target)
    {
        if (frame.Length < 78 || frame[12] != 0x86 || frame[13] != 0xDD) return null;
        ReadOnlySpan<byte> ip = frame[14..], message = ip[40..];
        if (ip[6] != 58 || ip[7] != 255 || !message.Slice(8, 16).SequenceEqual(target.GetAddressBytes())) return null;
        bool isProbe = message[0] == 135 && !ip.Slice(8, 16).ContainsAnyExcept((byte)0);
        return message[0] == 136 || isProbe ? EthernetAddress.From(frame.Slice(6, 6)) : null;
    }

    /// <summary>RFC 8200 §8.1: the ones' complement sum over the pseudo-header and the message.</summary>
    private static ushort Checksum(ReadOnlySpan<byte> addresses, ReadOnlySpan<byte> message)
    {
        uint sum = (uint)message.Length + 58;
        for (int i = 0; i < addresses.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(addresses[i..]);
        for (int i = 0; i < message.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(message[i..]);
        while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)~sum;
    }

    private static void Ethernet(Span<byte> frame, EthernetAddress to, EthernetAddress from, int protocol)
    {
        to.ToBytes().CopyTo(frame);
        from.ToBytes().CopyTo(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], (ushort)protocol);
    }
}
