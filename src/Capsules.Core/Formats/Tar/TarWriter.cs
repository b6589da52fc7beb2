using System.Globalization;
using System.Text;

namespace Capsules.Core.Formats.Tar;

/// <summary>
/// Writes archives: of images and their layers, and of trees that are named by their digest. ustar, with pax headers for what does not fit. Equal entries give equal bytes: nothing is
/// taken from clock, host or user. Each entry is followed by exactly its content.
/// </summary>
/// <param name="stream">Where to.</param>
public sealed class TarWriter(Stream stream)
{
    private const int BlockSize = 512;
    private static readonly byte[] Zeros = new byte[2 * BlockSize];

    private long _left;
    private int _padding;

    /// <summary>Writes the head of an entry; <see cref="Write"/> its content.</summary>
    public void Add(TarMember entry)
    {
        Complete();
        byte[] records = ExtendedOf(entry);
        if (records.Length > 0)
        {
            stream.Write(Head("pax"u8, 'x', 0x1A4, 0, 0, records.Length, 0, [], 0, 0));
            stream.Write(records);
            Pad(records.Length);
        }
        ReadOnlySpan<byte> name = entry.Kind == TarMemberKind.Directory && entry.Name.Span is not [.., (byte)'/'] ? [.. entry.Name.Span, (byte)'/'] : entry.Name.Span;
        stream.Write(Head(name, (char)entry.Kind, entry.Mode, entry.Uid, entry.Gid, entry.Size, entry.Modified, entry.LinkTarget.Span, entry.DeviceMajor, entry.DeviceMinor));
        (_left, _padding) = (entry.Size, (int)(-entry.Size & BlockSize - 1));
    }

    /// <summary>Content of the entry.</summary>
    public void Write(ReadOnlySpan<byte> content)
    {
        if (content.Length > _left) throw new InvalidOperationException("more content than the entry's size");
        stream.Write(content);
        _left -= content.Length;
    }

    /// <summary>An entry with its content.</summary>
    public void Add(TarMember entry, ReadOnlySpan<byte> content)
    {
        Add(entry with { Size = content.Length });
        Write(content);
    }

    /// <summary>Ends the archive.</summary>
    public void End()
    {
        Complete();
        stream.Write(Zeros);
    }

    private void Complete()
    {
        if (_left != 0) throw new InvalidOperationException("less content than the entry's size");
        stream.Write(Zeros.AsSpan(0, _padding));
        _padding = 0;
    }

    private void Pad(int length) => stream.Write(Zeros.AsSpan(0, -length & BlockSize - 1));

    private static byte[] ExtendedOf(TarMember entry)
    {
        var records = new List<byte>();
        int slash = entry.Kind == TarMemberKind.Directory ? 1 : 0;
        if (entry.Name.Length + slash > 100 && SplitAt(entry.Name.Span, slash) < 0) Record("path", entry.Kind == TarMemberKind.Directory ? [.. entry.Name.Span, (byte)'/'] : entry.Name.Span);
        if (entry.LinkTarget.Length > 100) Record("linkpath", entry.LinkTarget.Span);
        if (entry.Size > 0x1_FFFF_FFFF) Record("size", Ascii(entry.Size));
        if (entry.Uid > 0x1F_FFFF) Record("uid", Ascii(entry.Uid));
        if (entry.Gid > 0x1F_FFFF) Record("gid", Ascii(entry.Gid));
        if (entry.Nanoseconds != 0 || entry.Modified is < 0 or > 0x1_FFFF_FFFF) Record("mtime", Encoding.ASCII.GetBytes(Time(entry.Modified, entry.Nanoseconds)));
        if (entry.HollowSize is { } hollow) Record(TarReader.HollowSize, Ascii(hollow));
        foreach (var (name, value) in entry.Attributes) Record("SCHILY.xattr." + name, value.Span);
        return [.. records];

        void Record(string key, ReadOnlySpan<byte> value)
        {
            byte[] keyBytes = Encoding.UTF8.GetBytes(key);
            int rest = 1 + keyBytes.Length + 1 + value.Length + 1, length = rest + 1;
            while (length != rest + Ascii(length).Length) length = rest + Ascii(length).Length; // the length counts its own digits
            records.AddRange([.. Ascii(length), (byte)' ', .. keyBytes, (byte)'=', .. value, (byte)'\n']);
        }
    }

    private static byte[] Ascii(long number) => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    /// <summary>Seconds with their fraction. Before 1970 both count from the same side: -1 s and 250 ms is written as -0.75.</summary>
    private static string Time(long seconds, uint nanoseconds)
    {
        if (nanoseconds == 0) return seconds.ToString(CultureInfo.InvariantCulture);
        (long whole, long fraction, string sign) = seconds < 0 ? (-(seconds + 1), 1_000_000_000L - nanoseconds, "-") : (seconds, (long)nanoseconds, "");
        return $"{sign}{whole}.{fraction:D9}".TrimEnd('0');
    }

    /// <summary>Where a long name is divided into ustar's prefix and name; -1 when it cannot be.</summary>
    private static int SplitAt(ReadOnlySpan<byte> name, int slash)
    {
        for (int i = Math.Min(155, name.Length - 1); i > 0; i--)
            if (name[i] == '/' && name.Length + slash - i - 1 is <= 100 and > 0) return i;
        return -1;
    }

    private static byte[] Head(ReadOnlySpan<byte> name, char type, int mode, uint uid, uint gid, long size, long modified, ReadOnlySpan<byte> target, uint major, uint minor)
    {
        byte[] block = new byte[BlockSize];
        ReadOnlySpan<byte> prefix = [];
        if (name.Length > 100)
        {
            int split = SplitAt(name[^1] == '/' ? name[..^1] : name, name[^1] == '/' ? 1 : 0);
            if (split > 0)
            {
                prefix = name[..split];
                name = name[(split + 1)..];
            }
            else name = name[..100]; // the pax header has it whole
        }
        name.CopyTo(block);
        Octal(100, 8, mode);
        Octal(108, 8, uid > 0x1F_FFFF ? 0 : uid);
        Octal(116, 8, gid > 0x1F_FFFF ? 0 : gid);
        Octal(124, 12, size > 0x1_FFFF_FFFF ? 0 : size);
        Octal(136, 12, modified is < 0 or > 0x1_FFFF_FFFF ? 0 : modified);
        block[156] = (byte)type;
        target[..Math.Min(100, target.Length)].CopyTo(block.AsSpan(157));
        "ustar\000"u8.CopyTo(block.AsSpan(257));
        if (type is '3' or '4')
        {
            Octal(329, 8, major);
            Octal(337, 8, minor);
        }
        prefix.CopyTo(block.AsSpan(345));
        block.AsSpan(148, 8).Fill((byte)' ');
        int sum = 0;
        foreach (byte b in block) sum += b;
        Octal(148, 7, sum);
        return block;

        void Octal(int offset, int length, long value)
        {
            for (int i = offset + length - 2; i >= offset; i--, value >>= 3) block[i] = (byte)('0' + (value & 7));
            block[offset + length - 1] = 0;
        }
    }
}
