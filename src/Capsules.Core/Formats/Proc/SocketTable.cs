using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Proc;

/// <summary>A line of /proc/net/{tcp,tcp6,udp,udp6}.</summary>
/// <param name="Local">The local end.</param>
/// <param name="Remote">The other end; port 0 when there is none.</param>
/// <param name="State">10 listens, 1 is connected, 7 is an unconnected UDP socket.</param>
/// <param name="Uid">The owner.</param>
/// <param name="Inode">The socket's number, as /proc/PID/fd shows it.</param>
public sealed record InternetSocket(IPEndPoint Local, IPEndPoint Remote, int State, uint Uid, ulong Inode);

/// <summary>A line of /proc/net/unix.</summary>
/// <param name="Type">1 is a stream, 2 datagrams, 5 packets in sequence.</param>
/// <param name="IsListening">Whether it takes connections.</param>
/// <param name="Inode">The socket's number.</param>
/// <param name="Path">Its bound path as bytes; an abstract name begins with '@'.</param>
public sealed record UnixSocket(int Type, bool IsListening, ulong Inode, ImmutableArray<byte> Path);

/// <summary>Readers of the kernel's socket tables (proc(5)).</summary>
public static class SocketTable
{
    /// <summary>tcp, tcp6, udp or udp6.</summary>
    /// <exception cref="FormatException">A line is not as the kernel writes it.</exception>
    public static ImmutableArray<InternetSocket> Internet(ReadOnlyMemory<byte> bytes)
    {
        var sockets = ImmutableArray.CreateBuilder<InternetSocket>();
        foreach (string line in ByteLines.TextOf(bytes).Skip(1))
        {
            string[] words = ByteLines.Words(line);
            if (words.Length == 0) continue;
            if (words.Length < 10) throw new FormatException("socket table: a line is too short");
            sockets.Add(new(EndPoint(words[1]), EndPoint(words[2]), (int)ByteLines.Hexadecimal(words[3], "socket state"),
                (uint)ByteLines.Number(words[7], "socket owner"), (ulong)ByteLines.Number(words[9], "socket inode")));
        }
        return sockets.ToImmutable();
    }

    /// <summary>unix.</summary>
    /// <exception cref="FormatException">A line is not as the kernel writes it.</exception>
    public static ImmutableArray<UnixSocket> Unix(ReadOnlyMemory<byte> bytes)
    {
        var sockets = ImmutableArray.CreateBuilder<UnixSocket>();
        bool first = true;
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            if (first || line.Length == 0)
            {
                first = false;
                continue;
            }
            // Num RefCount Protocol Flags Type St Inode [Path]
            var fields = new string[7];
            ReadOnlySpan<byte> rest = line.Span;
            for (int i = 0; i < 7; i++)
            {
                rest = rest.TrimStart((byte)' ');
                int end = rest.IndexOf((byte)' ');
                fields[i] = System.Text.Encoding.ASCII.GetString(end < 0 ? rest : rest[..end]);
                rest = end < 0 ? default : rest[end..];
            }
            if (fields[6].Length == 0) throw new FormatException("unix sockets: a line is too short");
            const ulong acceptsConnections = 0x10000;
            sockets.Add(new((int)ByteLines.Hexadecimal(fields[4], "socket type"), (ByteLines.Hexadecimal(fields[3], "socket flags") & acceptsConnections) != 0,
                (ulong)ByteLines.Number(fields[6], "socket inode"), [.. rest.Length > 0 ? rest[1..] : rest]));
        }
        return sockets.ToImmutable();
    }

    /// <summary>"0100007F:0050": each 32-bit word of the address in the order of the machine (little-endian), the port in hexadecimal.</summary>
    private static IPEndPoint EndPoint(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon is not (8 or 32)) throw new FormatException($"socket table: `{text}` is not an address");
        Span<byte> address = stackalloc byte[colon / 2];
        for (int i = 0; i < address.Length; i += 4)
        {
            uint word = (uint)ByteLines.Hexadecimal(text.Substring(i * 2, 8), "address");
            address[i] = (byte)word;
            address[i + 1] = (byte)(word >> 8);
            address[i + 2] = (byte)(word >> 16);
            address[i + 3] = (byte)(word >> 24);
        }
        ulong port = ByteLines.Hexadecimal(text[(colon + 1)..], "port");
        if (port > 65535) throw new FormatException($"socket table: `{text}` has no such port");
        var ip = new IPAddress(address);
        return new(ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip, (int)port);
    }
}
