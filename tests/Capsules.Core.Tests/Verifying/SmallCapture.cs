using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Capsules.Core.Tests.Verifying;

/// <summary>Writes recordings, frame by frame.</summary>
internal sealed class SmallCapture
{
    private readonly List<byte[]> _frames = [];

    public static readonly IPEndPoint Client = IPEndPoint.Parse("10.0.0.9:40000"), Server = IPEndPoint.Parse("10.0.0.1:80");

    /// <summary>A frame of Ethernet with IPv4 and TCP.</summary>
    public SmallCapture Tcp(IPEndPoint from, IPEndPoint to, uint sequence, string payload = "", int flags = 0x18)
    {
        byte[] data = Encoding.Latin1.GetBytes(payload), frame = new byte[14 + 20 + 20 + data.Length];
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), 0x0800);
        Span<byte> ip = frame.AsSpan(14), tcp = frame.AsSpan(34);
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(40 + data.Length));
        ip[9] = 6;
        from.Address.GetAddressBytes().CopyTo(ip[12..]);
        to.Address.GetAddressBytes().CopyTo(ip[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, (ushort)from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], (ushort)to.Port);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], sequence);
        tcp[12] = 0x50;
        tcp[13] = (byte)flags;
        data.CopyTo(tcp[20..]);
        _frames.Add(frame);
        return this;
    }

    public SmallCapture Open(uint client = 1000, uint server = 5000) => Tcp(Client, Server, client, flags: 2).Tcp(Server, Client, server, flags: 0x12);
    public SmallCapture Ask(uint sequence, string text) => Tcp(Client, Server, sequence, text);
    public SmallCapture Answer(uint sequence, string text) => Tcp(Server, Client, sequence, text);

    /// <summary>As pcap, of either order.</summary>
    public byte[] ToPcap(bool big = false)
    {
        var file = new MemoryStream();
        void Word(uint value) => file.Write(big ? [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value] : BitConverter.GetBytes(value));
        Word(0xA1B2C3D4);
        file.Write(big ? [0, 2, 0, 4] : [2, 0, 4, 0]);
        Word(0);
        Word(0);
        Word(65535);
        Word(1);
        foreach (byte[] frame in _frames)
        {
            Word(0);
            Word(0);
            Word((uint)frame.Length);
            Word((uint)frame.Length);
            file.Write(frame);
        }
        return file.ToArray();
    }

    /// <summary>As pcapng, with a key log in it when one is given.</summary>
    public byte[] ToPcapng(byte[]? keys = null)
    {
        var file = new MemoryStream();
        void Block(uint type, byte[] body)
        {
            byte[] padded = [.. body, .. new byte[-body.Length & 3]];
            file.Write([.. BitConverter.GetBytes(type), .. BitConverter.GetBytes(padded.Length + 12), .. padded, .. BitConverter.GetBytes(padded.Length + 12)]);
        }
        Block(0x0A0D0D0A, [.. BitConverter.GetBytes(0x1A2B3C4D), 1, 0, 0, 0, .. BitConverter.GetBytes(-1L)]);
        Block(1, [1, 0, 0, 0, .. BitConverter.GetBytes(65535)]);
        if (keys is not null) Block(10, [.. "KSLT"u8, .. BitConverter.GetBytes(keys.Length), .. keys]);
        foreach (byte[] frame in _frames) Block(6, [.. new byte[12], .. BitConverter.GetBytes(frame.Length), .. BitConverter.GetBytes(frame.Length), .. frame]);
        return file.ToArray();
    }
}
