using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

/// <summary>What a configuration file says of others: ports of this machine, and paths.</summary>
public static class LinkMentions
{
    private static readonly byte[][] LoopbackNames = ["127.0.0.1"u8.ToArray(), "localhost"u8.ToArray(), "::1"u8.ToArray()];

    /// <summary>The mentions of a text, each once. Lines that are comments say nothing.</summary>
    /// <param name="file">Where it stands.</param>
    /// <param name="text">The text.</param>
    /// <param name="abstracts">Names of sockets without a file that are looked for.</param>
    public static ImmutableArray<Mention> In(GuestPath file, ReadOnlySpan<byte> text, params ImmutableArray<string> abstracts)
    {
        var found = new HashSet<Mention>();
        byte[]? commentEnd = null;
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range].Trim(" \t\r"u8);
            if (commentEnd is null && line.StartsWith("/*"u8)) commentEnd = "*/"u8.ToArray();
            if (commentEnd is null && line.StartsWith("<!--"u8)) commentEnd = "-->"u8.ToArray();
            if (commentEnd is not null)
            {
                if (line.IndexOf(commentEnd) >= 0) commentEnd = null;
                continue;
            }
            if (line.IsEmpty || line[0] is (byte)'#' or (byte)';' || line.StartsWith("//"u8)) continue;
            foreach (int port in Ports(line)) found.Add(new(file, Port: port));
            foreach (string name in abstracts)
                if (line.IndexOf(System.Text.Encoding.UTF8.GetBytes(name)) >= 0) found.Add(new(file, Abstract: name));
            foreach (GuestPath path in PathMentions.In(line)) found.Add(new(file, Path: path.IsWithin(OldRun) ? Run.Combine(path.RelativeTo(OldRun)) : path));
        }
        return [.. found];
    }

    // /var/run is a link to /run (FHS 3.0), and many a configuration is older than that.
    private static readonly GuestPath OldRun = GuestPath.Parse("/var/run"), Run = GuestPath.Parse("/run");

    /// <summary>The ports after 127.0.0.1, localhost or ::1, in the ways that servers write them: ":25", "]:25", " 25", and before, "25@localhost".</summary>
    private static SortedSet<int> Ports(ReadOnlySpan<byte> line)
    {
        var ports = new SortedSet<int>();
        foreach (byte[] name in LoopbackNames)
            for (int at = 0, next; (next = line[at..].IndexOf(name)) >= 0; at += next + name.Length)
            {
                int start = at + next, end = start + name.Length;
                if (start > 0 && (char.IsAsciiLetterOrDigit((char)line[start - 1]) || line[start - 1] is (byte)'.' or (byte)'-')) continue;
                if (start > 1 && line[start - 1] == '@' && Backwards(line[..(start - 1)]) is { } before) ports.Add(before);
                ReadOnlySpan<byte> rest = line[end..];
                if (rest.StartsWith("]"u8)) rest = rest[1..];
                if (rest.StartsWith("\""u8) || rest.StartsWith("'"u8)) continue;
                if (rest.Length > 1 && rest[0] is (byte)':' or (byte)' ' && Number(rest[1..]) is { } after) ports.Add(after);
            }
        return ports;
    }

    private static int? Number(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOfAnyExceptInRange((byte)'0', (byte)'9');
        if (end < 0) end = text.Length;
        if (end < text.Length && (char.IsAsciiLetter((char)text[end]) || text[end] == '.' && end + 1 < text.Length && char.IsAsciiDigit((char)text[end + 1]))) return null; // 10s, 10.0.0.1
        return end is > 0 and < 6 && int.Parse(text[..end]) is > 0 and < 65536 and int port ? port : null;
    }

    private static int? Backwards(ReadOnlySpan<byte> text)
    {
        int start = text.LastIndexOfAnyExceptInRange((byte)'0', (byte)'9') + 1;
        return start < text.Length && text.Length - start < 6 && int.Parse(text[start..]) is > 0 and < 65536 and int port ? port : null;
    }
}
