using System.Buffers.Binary;
using System.Text;

namespace Capsules.Linux.Netlink;

/// <summary>One message of an answer.</summary>
/// <param name="Type">nlmsg_type.</param>
/// <param name="Flags">nlmsg_flags.</param>
/// <param name="Sequence">nlmsg_seq.</param>
/// <param name="Body">What follows the header.</param>
internal readonly record struct NetlinkMessage(int Type, int Flags, uint Sequence, ReadOnlyMemory<byte> Body)
{
    public const int Error = 2, Done = 3;

    /// <summary>The messages of one datagram. The kernel's own lengths are checked all the same: what is cut off ends the walk.</summary>
    public static IEnumerable<NetlinkMessage> Split(ReadOnlyMemory<byte> datagram)
    {
        while (datagram.Length >= 16)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(datagram.Span);
            if (length < 16 || length > datagram.Length) yield break;
            var header = datagram.Span;
            yield return new(BinaryPrimitives.ReadUInt16LittleEndian(header[4..]), BinaryPrimitives.ReadUInt16LittleEndian(header[6..]), BinaryPrimitives.ReadUInt32LittleEndian(header[8..]), datagram[16..length]);
            datagram = datagram[Math.Min((length + 3) & ~3, datagram.Length)..];
        }
    }
}

/// <summary>One attribute of a message.</summary>
internal readonly record struct NetlinkAttribute(int Type, ReadOnlyMemory<byte> Value)
{
    /// <summary>The attributes in <paramref name="bytes"/>.</summary>
    public static IEnumerable<NetlinkAttribute> Split(ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length >= 4)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span);
            if (length < 4 || length > bytes.Length) yield break;
            yield return new(BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span[2..]) & 0x3FFF, bytes[4..length]);
            bytes = bytes[Math.Min((length + 3) & ~3, bytes.Length)..];
        }
    }

    /// <summary>Attributes inside this one.</summary>
    public IEnumerable<NetlinkAttribute> Nested => Split(Value);

    /// <summary>A text, without the NUL.</summary>
    public string Text => Encoding.UTF8.GetString(Value.Span.TrimEnd((byte)0));

    /// <summary>32 bits in the machine's order.</summary>
    public int Number => Value.Length >= 4 ? BinaryPrimitives.ReadInt32LittleEndian(Value.Span) : 0;

    /// <summary>32 bits in the network's order.</summary>
    public uint NetworkNumber => Value.Length >= 4 ? BinaryPrimitives.ReadUInt32BigEndian(Value.Span) : 0;

    /// <summary>64 bits in the network's order.</summary>
    public ulong NetworkLong => Value.Length >= 8 ? BinaryPrimitives.ReadUInt64BigEndian(Value.Span) : 0;
}
