using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Finds absolute paths and loopback ports that a text names: the general rule for configuration of every kind.</summary>
public static class PathMentions
{
    private const int Longest = 1024;

    /// <summary>The paths, each once, in the order met. A pattern such as /etc/x/*.conf is its directory. Lines that begin as comments are passed over.</summary>
    public static ImmutableArray<GuestPath> In(ReadOnlySpan<byte> text, bool skipComments = true)
    {
        var found = ImmutableArray.CreateBuilder<GuestPath>();
        var seen = new HashSet<GuestPath>();
        while (text.Length > 0)
        {
            int end = text.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            ReadOnlySpan<byte> trimmed = line.TrimStart(" \t"u8);
            if (skipComments && (trimmed.StartsWith("#"u8) || trimmed.StartsWith(";"u8) || trimmed.StartsWith("//"u8))) continue;
            for (int at = 0; at < line.Length;)
            {
                int slash = line[at..].IndexOf((byte)'/');
                if (slash < 0) break;
                int start = at + slash, stop = start;
                while (stop < line.Length && IsPathByte(line[stop])) stop++;
                at = Math.Max(stop, start + 1);
                if (start > 0 && !CanPrecede(line[start - 1])) continue;
                ReadOnlySpan<byte> token = line[start..stop];
                bool isPattern = stop < line.Length && line[stop] is (byte)'*' or (byte)'?' or (byte)'{' or (byte)'[';
                if (isPattern) token = token[..(token.LastIndexOf((byte)'/') + 1)];
                token = token.TrimEnd(".,:/"u8);
                if (token.Length < 2 || token.Length > Longest || token.StartsWith("//"u8)) continue;
                GuestPath path = GuestPath.Normalize(token);
                if (!path.IsRoot && seen.Add(path)) found.Add(path);
            }
        }
        return found.ToImmutable();
    }

    /// <summary>Whether a line that is no comment speaks of the home of whoever is served: ~/ or %h/ at the beginning of a word.</summary>
    public static bool NamesHomes(ReadOnlySpan<byte> text)
    {
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range].TrimStart(" \t"u8);
            if (line.StartsWith("#"u8) || line.StartsWith(";"u8) || line.StartsWith("//"u8)) continue;
            foreach (byte[] sign in HomeSigns)
                for (int at = 0, found; (found = line[at..].IndexOf(sign)) >= 0; at += found + sign.Length)
                    if (at + found > 0 && CanPrecede(line[at + found - 1])) return true;
        }
        return false;
    }

    private static readonly byte[][] HomeSigns = ["~/"u8.ToArray(), "%h/"u8.ToArray()];

    /// <summary>Ports named after 127.0.0.1, localhost or [::1].</summary>
    public static ImmutableSortedSet<int> LoopbackPorts(ReadOnlySpan<byte> text)
    {
        var ports = ImmutableSortedSet.CreateBuilder<int>();
        foreach (byte[] host in (byte[][])["127.0.0.1:"u8.ToArray(), "localhost:"u8.ToArray(), "[::1]:"u8.ToArray()])
        {
            ReadOnlySpan<byte> rest = text;
            while (rest.IndexOf(host) is >= 0 and int at)
            {
                rest = rest[(at + host.Length)..];
                int port = 0, digits = 0;
                while (digits < rest.Length && digits < 5 && rest[digits] is >= (byte)'0' and <= (byte)'9') port = port * 10 + rest[digits++] - '0';
                if (port is > 0 and < 65536) ports.Add(port);
            }
        }
        return ports.ToImmutable();
    }

    /// <summary>Whether bytes are text: no NUL among the first of them.</summary>
    public static bool IsText(ReadOnlySpan<byte> bytes) => !bytes[..Math.Min(bytes.Length, 4096)].Contains((byte)0);

    private static bool IsPathByte(byte b) =>
        b is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= (byte)'0' and <= (byte)'9' or (byte)'/' or (byte)'.' or (byte)'_' or (byte)'-' or (byte)'+' or (byte)'@' or (byte)'%' or (byte)'~' or >= 0x80;

    private static bool CanPrecede(byte b) => b is (byte)' ' or (byte)'\t' or (byte)'"' or (byte)'\'' or (byte)'=' or (byte)':' or (byte)',' or (byte)'(' or (byte)'[' or (byte)'<' or (byte)'>' or (byte)'|' or (byte)'!' or (byte)'-' or (byte)'`' or (byte)'{';
}
