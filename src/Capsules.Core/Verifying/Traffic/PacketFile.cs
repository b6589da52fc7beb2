using System.Buffers.Binary;
using System.Collections.Immutable;
using Capsules.Core.Verifying.Tls;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>A frame of a recording.</summary>
/// <param name="LinkType">What it begins with (LINKTYPE_*, pcap-linktype(7)).</param>
/// <param name="Bytes">What was kept of it.</param>
/// <param name="IsWhole">Nothing was cut off.</param>
public readonly record struct CapturedFrame(int LinkType, ReadOnlyMemory<byte> Bytes, bool IsWhole);

/// <summary>Recordings as tcpdump(8) and its like write them: pcap (pcap-savefile(5)) of either order and resolution, and pcapng.</summary>
/// <param name="Frames">What was recorded.</param>
/// <param name="Keys">Keys of TLS connections that stand in it (pcapng, Decryption Secrets Block).</param>
public sealed record PacketFile(ImmutableArray<CapturedFrame> Frames, KeyLog Keys)
{
    private const uint Micro = 0xA1B2C3D4, Nano = 0xA1B23C4D, SectionHeader = 0x0A0D0D0A, ByteOrderMagic = 0x1A2B3C4D;
    private const int InterfaceDescription = 1, SimplePacket = 3, EnhancedPacket = 6, DecryptionSecrets = 10, TlsKeyLog = 0x544C534B, LargestFrame = 16 << 20;
    private const long MostBytes = 512L << 20;

    /// <summary>Reads all of it. A recording that was cut off, as by the end of its recorder, is read up to there.</summary>
    /// <exception cref="FormatException">It is no such file, too large, or one of its lengths is impossible.</exception>
    public static PacketFile Read(ReadOnlyMemory<byte> file)
    {
        if (file.Length > MostBytes) throw new FormatException($"a recording of more than {MostBytes >> 20} MB");
        if (file.Length < 4) throw new FormatException("a recording begins with four bytes that tell its kind");
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(file.Span);
        if (magic == SectionHeader) return ReadBlocks(file);
        if (magic is Micro or Nano) return ReadRecords(file, isBig: false);
        if (BinaryPrimitives.ReverseEndianness(magic) is Micro or Nano) return ReadRecords(file, isBig: true);
        throw new FormatException("it is neither pcap nor pcapng");
    }

    private static PacketFile ReadRecords(ReadOnlyMemory<byte> file, bool isBig)
    {
        const int fileHeader = 24, recordHeader = 16;
        if (file.Length < fileHeader) throw new FormatException("pcap: the header is cut off");
        int linkType = (int)(Word(file.Span[20..], isBig) & 0x0FFF_FFFF);
        var frames = ImmutableArray.CreateBuilder<CapturedFrame>();
        for (ReadOnlyMemory<byte> rest = file[fileHeader..]; rest.Length >= recordHeader;)
        {
            uint kept = Word(rest.Span[8..], isBig), whole = Word(rest.Span[12..], isBig);
            if (kept > LargestFrame) throw new FormatException($"pcap: a frame of {kept} bytes");
            if (rest.Length < recordHeader + (int)kept) break;
            frames.Add(new(linkType, rest.Slice(recordHeader, (int)kept), kept >= whole));
            rest = rest[(recordHeader + (int)kept)..];
        }
        return new(frames.ToImmutable(), KeyLog.Empty);
    }

    private static PacketFile ReadBlocks(ReadOnlyMemory<byte> file)
    {
        var frames = ImmutableArray.CreateBuilder<CapturedFrame>();
        var links = new List<int>();
        KeyLog keys = KeyLog.Empty;
        bool isBig = false;
        for (ReadOnlyMemory<byte> rest = file; rest.Length >= 12;)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(rest.Span) == SectionHeader)
            {
                uint order = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span[8..]);
                isBig = order != ByteOrderMagic && (BinaryPrimitives.ReverseEndianness(order) == ByteOrderMagic ? true : throw new FormatException("pcapng: a section has no byte order"));
                links.Clear();
            }
            uint type = Word(rest.Span, isBig), length = Word(rest.Span[4..], isBig);
            if (length < 12 || length % 4 != 0 || length > LargestFrame) throw new FormatException($"pcapng: a block of {length} bytes");
            if (rest.Length < length) break;
            ReadOnlyMemory<byte> body = rest[8..((int)length - 4)];
            switch (type)
            {
                case InterfaceDescription when body.Length >= 8:
                    links.Add(isBig ? BinaryPrimitives.ReadUInt16BigEndian(body.Span) : BinaryPrimitives.ReadUInt16LittleEndian(body.Span));
                    break;
                case EnhancedPacket when body.Length >= 20:
                    uint number = Word(body.Span, isBig), kept = Word(body.Span[12..], isBig), whole = Word(body.Span[16..], isBig);
                    if (number >= links.Count || kept > body.Length - 20) throw new FormatException("pcapng: a packet is of no interface, or longer than its block");
                    frames.Add(new(links[(int)number], body.Slice(20, (int)kept), kept >= whole));
                    break;
                case SimplePacket when body.Length >= 4 && links.Count > 0:
                    int size = (int)Math.Min(Word(body.Span, isBig), (uint)(body.Length - 4));
                    frames.Add(new(links[0], body.Slice(4, size), size >= Word(body.Span, isBig)));
                    break;
                case DecryptionSecrets when body.Length >= 8:
                    uint secrets = Word(body.Span[4..], isBig);
                    if (secrets > body.Length - 8) throw new FormatException("pcapng: secrets are longer than their block");
                    if (Word(body.Span, isBig) == TlsKeyLog) keys = keys.With(KeyLog.Parse(body.Slice(8, (int)secrets)));
                    break;
                case InterfaceDescription or EnhancedPacket or SimplePacket: throw new FormatException("pcapng: a block is too short");
            }
            rest = rest[(int)length..];
        }
        return new(frames.ToImmutable(), keys);
    }

    private static uint Word(ReadOnlySpan<byte> bytes, bool isBig) => isBig ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
}
