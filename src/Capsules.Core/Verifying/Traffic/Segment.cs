using System.Buffers.Binary;
using System.Net;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>A TCP segment of a recording, or a UDP packet, of which only the ends are told.</summary>
/// <param name="From">Its sender.</param>
/// <param name="To">Its receiver.</param>
public readonly record struct Segment(IPEndPoint From, IPEndPoint To)
{
    /// <summary>It is UDP.</summary>
    public bool IsUdp { get; init; }
    /// <summary>SYN without ACK: the client's first.</summary>
    public bool Opens { get; init; }
    /// <summary>SYN.</summary>
    public bool IsSyn { get; init; }
    /// <summary>RST.</summary>
    public bool IsReset { get; init; }
    /// <summary>Sequence number of the first byte.</summary>
    public uint Sequence { get; init; }
    /// <summary>What it carries.</summary>
    public ReadOnlyMemory<byte> Payload { get; init; }
    /// <summary>Nothing of the payload was cut off.</summary>
    public bool IsWhole { get; init; }

    /// <summary>Takes a frame apart; null when it is of another kind, a fragment, or broken.</summary>
    public static Segment? Of(CapturedFrame frame)
    {
        ReadOnlyMemory<byte> bytes = frame.Bytes;
        ReadOnlySpan<byte> b = bytes.Span;
        const int ipv4 = 0x0800, ipv6 = 0x86DD, vlan = 0x8100, serviceVlan = 0x88A8;
        int kind, header;
        switch (frame.LinkType)
        {
            case 0 or 108 when b.Length >= 4: (kind, header) = (0, 4); break; // NULL, LOOP: a family in some order; the packet tells its own
            case 1 when b.Length >= 14:
                (kind, header) = (Short(b, 12), 14);
                while (kind is vlan or serviceVlan && b.Length >= header + 4) (kind, header) = (Short(b, header + 2), header + 4);
                break;
            case 12 or 14 or 101 or 228 or 229: (kind, header) = (0, 0); break; // RAW, IPV4, IPV6
            case 113 when b.Length >= 16: (kind, header) = (Short(b, 14), 16); break; // LINUX_SLL
            case 276 when b.Length >= 20: (kind, header) = (Short(b, 0), 20); break; // LINUX_SLL2
            default: return null;
        }
        if (kind is not (0 or ipv4 or ipv6) || b.Length <= header) return null;
        return (b[header] >> 4) switch { 4 => Ip4(bytes[header..], frame.IsWhole), 6 => Ip6(bytes[header..], frame.IsWhole), _ => null };
    }

    private static Segment? Ip4(ReadOnlyMemory<byte> packet, bool isWhole)
    {
        ReadOnlySpan<byte> b = packet.Span;
        if (b.Length < 20) return null;
        int header = (b[0] & 15) * 4, length = Short(b, 2);
        if (header < 20 || b.Length < header || (Short(b, 6) & 0x3FFF) != 0) return null; // a fragment
        if (length == 0) length = b.Length; // the network card was to cut it (TSO)
        if (length < header) return null;
        if (length < b.Length) packet = packet[..length]; // padding of the frame
        return Transport(b[9], new(b[12..16]), new(b[16..20]), packet[header..], isWhole && length <= b.Length);
    }

    private static Segment? Ip6(ReadOnlyMemory<byte> packet, bool isWhole)
    {
        ReadOnlySpan<byte> b = packet.Span;
        if (b.Length < 40) return null;
        int length = Short(b, 4), next = b[6], at = 40;
        if (length > 0 && 40 + length < b.Length) packet = packet[..(40 + length)];
        isWhole &= 40 + length <= b.Length;
        while (next is 0 or 43 or 60) // hop-by-hop, routing, destination options
        {
            if (packet.Length < at + 8) return null;
            next = b[at];
            at += 8 + b[at + 1] * 8;
        }
        return packet.Length < at ? null : Transport(next, new(b[8..24]), new(b[24..40]), packet[at..], isWhole);
    }

    private static Segment? Transport(int protocol, IPAddress from, IPAddress to, ReadOnlyMemory<byte> bytes, bool isWhole)
    {
        const int tcp = 6, udp = 17, syn = 2, reset = 4, acknowledges = 16;
        ReadOnlySpan<byte> b = bytes.Span;
        if (protocol == udp && b.Length >= 8) return new(new(from, Short(b, 0)), new(to, Short(b, 2))) { IsUdp = true, IsWhole = isWhole };
        if (protocol != tcp || b.Length < 20) return null;
        int header = (b[12] >> 4) * 4, flags = b[13];
        if (header < 20 || b.Length < header) return null;
        return new(new(from, Short(b, 0)), new(to, Short(b, 2)))
        {
            Sequence = BinaryPrimitives.ReadUInt32BigEndian(b[4..]),
            IsSyn = (flags & syn) != 0,
            Opens = (flags & (syn | acknowledges)) == syn,
            IsReset = (flags & reset) != 0,
            Payload = bytes[header..],
            IsWhole = isWhole,
        };
    }

    private static int Short(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16BigEndian(bytes[at..]);
}
