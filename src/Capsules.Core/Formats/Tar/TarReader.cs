using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Capsules.Core.Formats.Tar;

/// <summary>Reads an archive from front to back: ustar, pax headers, GNU's long names. Nothing of it is believed: lengths, numbers and checksums are checked.</summary>
/// <param name="stream">The archive, not compressed.</param>
public sealed class TarReader(Stream stream)
{
    private const int BlockSize = 512, LongestHeader = 1 << 20;

    internal const string HollowSize = "CAPSULES.size";

    private readonly byte[] _block = new byte[BlockSize];
    private long _left, _padding;

    /// <summary>How many bytes of the archive were read.</summary>
    public long Position { get; private set; }

    /// <summary>The next entry; null at the end. What was not read of the last one's content is skipped.</summary>
    /// <exception cref="FormatException">It is no such archive, or cut off.</exception>
    public TarMember? Next()
    {
        Skip(_left + _padding);
        (_left, _padding) = (0, 0);
        var extended = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
        ReadOnlyMemory<byte>? longName = null, longTarget = null;
        while (true)
        {
            if (!ReadBlock() || IsZero(_block)) return null;
            CheckSum();
            long size = Number(124, 12, "size");
            switch ((char)_block[156])
            {
                case 'x': ReadExtended(ReadHeader(size), extended); continue;
                case 'g': ReadHeader(size); continue; // global records: git and others put comments there
                case 'L': longName = WithoutNul(ReadHeader(size)); continue;
                case 'K': longTarget = WithoutNul(ReadHeader(size)); continue;
            }
            return Finish(size, extended, longName, longTarget);
        }
    }

    /// <summary>Reads content of the entry; 0 at its end.</summary>
    /// <exception cref="FormatException">The archive is cut off.</exception>
    public int Read(Span<byte> to)
    {
        if (_left == 0 || to.Length == 0) return 0;
        int count = stream.Read(to[..(int)Math.Min(to.Length, _left)]);
        if (count == 0) throw CutOff();
        (_left, Position) = (_left - count, Position + count);
        return count;
    }

    private TarMember Finish(long size, Dictionary<string, ReadOnlyMemory<byte>> extended, ReadOnlyMemory<byte>? longName, ReadOnlyMemory<byte>? longTarget)
    {
        char type = (char)_block[156];
        if (extended.Keys.Any(k => k.StartsWith("GNU.sparse.", StringComparison.Ordinal)) || type == 'S') throw new FormatException("sparse entries are not used in container layers");
        ReadOnlyMemory<byte> name = longName ?? ShortName();
        if (extended.TryGetValue("path", out var path)) name = path;
        bool slash = name.Length > 1 && name.Span[^1] == '/';
        TarMemberKind kind = type switch
        {
            '\0' or '0' or '7' => slash ? TarMemberKind.Directory : TarMemberKind.File, // before POSIX, the slash alone told
            >= '1' and <= '6' => (TarMemberKind)type,
            _ => throw new FormatException($"an entry of the unknown type '{type}'"),
        };
        while (name.Length > 1 && name.Span[^1] == '/') name = name[..^1];
        if (extended.TryGetValue("size", out var wideSize)) size = Decimal(wideSize, "size");
        if (size < 0) throw new FormatException("an entry with a negative size");
        if (kind != TarMemberKind.File) size = kind is TarMemberKind.HardLink ? size : 0;
        (_left, _padding) = (size, -size & BlockSize - 1);
        long? hollow = extended.TryGetValue(HollowSize, out var length) ? Decimal(length, HollowSize) : null;
        if (hollow is not null && (hollow < 0 || kind != TarMemberKind.File || size != 0)) throw new FormatException("an entry of which it is said that it has no content, and that is none such");
        (long seconds, uint nanoseconds) = extended.TryGetValue("mtime", out var modified) ? Time(modified) : (Number(136, 12, "mtime"), 0);
        return new()
        {
            Name = name,
            Kind = kind,
            Mode = (int)Number(100, 8, "mode") & 0xFFF,
            Uid = Id(108, "uid"),
            Gid = Id(116, "gid"),
            Size = size,
            Modified = seconds,
            Nanoseconds = nanoseconds,
            HollowSize = hollow,
            LinkTarget = extended.TryGetValue("linkpath", out var target) ? target : longTarget ?? Field(157, 100),
            DeviceMajor = kind is TarMemberKind.CharacterDevice or TarMemberKind.BlockDevice ? (uint)Number(329, 8, "device") : 0,
            DeviceMinor = kind is TarMemberKind.CharacterDevice or TarMemberKind.BlockDevice ? (uint)Number(337, 8, "device") : 0,
            Attributes = [.. extended.Where(e => e.Key.StartsWith("SCHILY.xattr.", StringComparison.Ordinal)).Select(e => (e.Key["SCHILY.xattr.".Length..], e.Value)).OrderBy(a => a.Item1, StringComparer.Ordinal)],
        };

        uint Id(int offset, string what) =>
            (extended.TryGetValue(what, out var wide) ? Decimal(wide, what) : Number(offset, 8, what)) is >= 0 and <= uint.MaxValue and var id ? (uint)id : throw new FormatException($"an entry whose {what} is out of range");
    }

    private ReadOnlyMemory<byte> ShortName()
    {
        ReadOnlyMemory<byte> name = Field(0, 100);
        bool isUstar = _block.AsSpan(257, 6).SequenceEqual("ustar\0"u8); // GNU's own magic has other fields where the prefix would be
        ReadOnlyMemory<byte> prefix = isUstar ? Field(345, 155) : default;
        return prefix.Length == 0 ? name : (byte[])[.. prefix.Span, (byte)'/', .. name.Span];
    }

    private ReadOnlyMemory<byte> Field(int offset, int length) => WithoutNul(_block.AsSpan(offset, length).ToArray());

    private static ReadOnlyMemory<byte> WithoutNul(byte[] bytes)
    {
        int end = bytes.AsSpan().IndexOf((byte)0);
        return end < 0 ? bytes : bytes.AsMemory(0, end);
    }

    /// <summary>Octal digits, or with the highest bit set a big-endian number (GNU).</summary>
    private long Number(int offset, int length, string what)
    {
        ReadOnlySpan<byte> field = _block.AsSpan(offset, length);
        if ((field[0] & 0x80) != 0)
        {
            long value = (sbyte)(field[0] << 1) >> 1; // bit 6 is the sign
            foreach (byte b in field[1..])
            {
                if (value is > long.MaxValue >> 8 or < long.MinValue >> 8) throw new FormatException($"an entry whose {what} is out of range");
                value = value << 8 | b;
            }
            return value;
        }
        field = field.Trim(" \0"u8);
        long octal = 0;
        foreach (byte digit in field)
        {
            if (digit is < (byte)'0' or > (byte)'7') throw new FormatException($"an entry whose {what} is no number");
            octal = octal << 3 | (uint)(digit - '0');
        }
        return octal;
    }

    private static long Decimal(ReadOnlyMemory<byte> text, string what)
    {
        string digits = Encoding.ASCII.GetString(text.Span);
        int point = digits.IndexOf('.', StringComparison.Ordinal); // parts of seconds
        return long.TryParse(point < 0 ? digits : digits[..point], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? value : throw new FormatException($"an entry whose {what} is no number");
    }

    /// <summary>Seconds with their fraction; before 1970 both count from the same side, as <see cref="TarWriter"/> writes it.</summary>
    private static (long Seconds, uint Nanoseconds) Time(ReadOnlyMemory<byte> text)
    {
        const uint second = 1_000_000_000;
        long seconds = Decimal(text, "mtime");
        int point = text.Span.IndexOf((byte)'.');
        if (point < 0) return (seconds, 0);
        ReadOnlySpan<byte> digits = text.Span[(point + 1)..];
        uint fraction = 0;
        for (int i = 0; i < 9; i++) fraction = fraction * 10 + (i >= digits.Length ? 0 : digits[i] is >= (byte)'0' and <= (byte)'9' and var digit ? digit - (uint)'0' : throw new FormatException("an entry whose mtime is no number"));
        return fraction == 0 || text.Span[0] != '-' ? (seconds, fraction) : (seconds - 1, second - fraction);
    }

    /// <summary>Records of a pax header: "LENGTH KEY=VALUE\n", the length in decimal and of the whole record.</summary>
    private static void ReadExtended(byte[] header, Dictionary<string, ReadOnlyMemory<byte>> extended)
    {
        for (int at = 0; at < header.Length;)
        {
            int space = header.AsSpan(at).IndexOf((byte)' ');
            if (space <= 0 || !int.TryParse(header.AsSpan(at, space), NumberStyles.None, CultureInfo.InvariantCulture, out int length) || length < space + 3 || length > header.Length - at || header[at + length - 1] != '\n')
                throw new FormatException("a broken pax header");
            ReadOnlySpan<byte> record = header.AsSpan(at + space + 1, length - space - 2);
            int equals = record.IndexOf((byte)'=');
            if (equals <= 0) throw new FormatException("a broken pax header");
            string key = Encoding.UTF8.GetString(record[..equals]);
            if (key is "path" or "linkpath" && record[(equals + 1)..].Contains((byte)0)) throw new FormatException("a name with a NUL byte");
            extended[key] = record[(equals + 1)..].ToArray();
            at += length;
        }
    }

    private byte[] ReadHeader(long size)
    {
        if (size is < 0 or > LongestHeader) throw new FormatException("a header that is too long");
        byte[] content = new byte[size];
        Fill(content);
        Skip(-size & BlockSize - 1);
        return content;
    }

    private void CheckSum()
    {
        int sum = 8 * ' ';
        for (int i = 0; i < BlockSize; i++)
            if (i is < 148 or >= 156) sum += _block[i];
        if (Number(148, 8, "checksum") != sum) throw new FormatException("not a tar archive: a header's checksum is wrong");
    }

    private bool ReadBlock()
    {
        int count = stream.ReadAtLeast(_block, BlockSize, throwOnEndOfStream: false);
        Position += count;
        return count == BlockSize || (count == 0 ? false : throw CutOff());
    }

    private void Fill(Span<byte> to)
    {
        int count = stream.ReadAtLeast(to, to.Length, throwOnEndOfStream: false);
        Position += count;
        if (count < to.Length) throw CutOff();
    }

    private void Skip(long count)
    {
        if (count == 0) return;
        if (stream.CanSeek)
        {
            if (stream.Length - stream.Position < count) throw CutOff();
            stream.Seek(count, SeekOrigin.Current);
            Position += count;
            return;
        }
        byte[] away = new byte[Math.Min(count, 64 * 1024)];
        for (; count > 0; count -= Math.Min(count, away.Length)) Fill(away.AsSpan(0, (int)Math.Min(count, away.Length)));
    }

    private static bool IsZero(ReadOnlySpan<byte> block) => !block.ContainsAnyExcept((byte)0);

    private static FormatException CutOff() => new("the archive is cut off");
}
