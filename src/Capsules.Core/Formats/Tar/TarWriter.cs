using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Capsules.Core.Facts;

namespace Capsules.Core.Formats.Tar;

/// <summary>A member of a tar archive.</summary>
public sealed record TarEntry
{
    /// <summary>Its name without a leading slash; a directory's without a trailing one; "." is the root.</summary>
    public required ImmutableArray<byte> Name { get; init; }
    /// <summary>What it is.</summary>
    public required EntryKind Kind { get; init; }
    /// <summary>Permission bits.</summary>
    public int Mode { get; init; }
    /// <summary>Owner.</summary>
    public uint Uid { get; init; }
    /// <summary>Group.</summary>
    public uint Gid { get; init; }
    /// <summary>Bytes of content that follow; 0 for everything but regular files.</summary>
    public long Size { get; init; }
    /// <summary>Modification time, seconds since the epoch.</summary>
    public long Seconds { get; init; }
    /// <summary>Fraction of the modification time.</summary>
    public uint Nanoseconds { get; init; }
    /// <summary>Of a symbolic link: where it points. Of a hard link: the member that it is another name of, which came before.</summary>
    public ImmutableArray<byte> Target { get; init; } = [];
    /// <summary>Another name of an earlier member; its content does not follow.</summary>
    public bool IsHardLink { get; init; }
    /// <summary>Of a device.</summary>
    public uint Major { get; init; }
    /// <summary>Of a device.</summary>
    public uint Minor { get; init; }
    /// <summary>Extended attributes, in the order of names.</summary>
    public ImmutableArray<(string Name, ImmutableArray<byte> Value)> Attributes { get; init; } = [];
}

/// <summary>
/// Writes tar archives so that equal trees give equal bytes: ustar headers, a PAX header (pax(1)) only where ustar cannot say it, its records
/// in the order of names, no user or group names, nothing of this host. The content of a regular file is written after its header.
/// </summary>
public sealed class TarWriter(Stream to) : IDisposable
{
    private const int Block = 512;
    private const long LargestOctal11 = 0x1_FFFF_FFFF, LargestOctal7 = 0x1F_FFFF;

    private long _left; // content bytes still to come for the open member
    private int _padding;

    /// <summary>Writes a member's header; a regular file's <see cref="TarEntry.Size"/> bytes must follow by <see cref="Content"/>.</summary>
    public void Add(TarEntry entry)
    {
        if (_left != 0) throw new InvalidOperationException($"{_left} bytes of the member before are missing");
        byte[] name = [.. entry.Name, .. entry.Kind == EntryKind.Directory && !entry.IsHardLink ? "/"u8 : []];
        byte[] target = [.. entry.Target];
        long size = entry.Kind == EntryKind.Regular && !entry.IsHardLink ? entry.Size : 0;
        var records = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        if (name.Length > 100) records["path"] = name;
        if (target.Length > 100) records["linkpath"] = target;
        if (size > LargestOctal11) records["size"] = Number(size);
        if (entry.Uid > LargestOctal7) records["uid"] = Number(entry.Uid);
        if (entry.Gid > LargestOctal7) records["gid"] = Number(entry.Gid);
        if (entry.Nanoseconds != 0 || entry.Seconds is < 0 or > LargestOctal11) records["mtime"] = Encoding.ASCII.GetBytes(Time(entry.Seconds, entry.Nanoseconds));
        if (!entry.IsHardLink)
            foreach (var (attribute, value) in entry.Attributes) records["SCHILY.xattr." + attribute] = [.. value];
        if (records.Count > 0)
        {
            byte[] pax = Records(records);
            Header("PaxHeaders/x"u8.ToArray(), [], (byte)'x', 0x1A4, 0, 0, pax.Length, 0, 0, 0);
            to.Write(pax);
            Pad(pax.Length);
        }
        byte type = entry.IsHardLink ? (byte)'1' : entry.Kind switch
        {
            EntryKind.Directory => (byte)'5',
            EntryKind.SymbolicLink => (byte)'2',
            EntryKind.CharacterDevice => (byte)'3',
            EntryKind.BlockDevice => (byte)'4',
            EntryKind.Fifo => (byte)'6',
            EntryKind.Regular => (byte)'0',
            _ => throw new ArgumentException($"a {entry.Kind} cannot be in a tar archive", nameof(entry)),
        };
        Header(name, target, type, entry.Mode, entry.Uid, entry.Gid, size, entry.Seconds is < 0 or > LargestOctal11 ? 0 : entry.Seconds, entry.Major, entry.Minor);
        (_left, _padding) = (size, (int)((Block - size % Block) % Block));
    }

    /// <summary>Writes content of the member whose header was last.</summary>
    public void Content(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _left) throw new InvalidOperationException("more content than the header says");
        to.Write(bytes);
        _left -= bytes.Length;
        if (_left == 0) Zeros(_padding);
        if (_left == 0) _padding = 0;
    }

    /// <summary>Ends the archive: two empty blocks.</summary>
    public void Dispose()
    {
        if (_left == 0) Zeros(2 * Block);
    }

    private void Header(byte[] name, byte[] target, byte type, int mode, uint uid, uint gid, long size, long seconds, uint major, uint minor)
    {
        Span<byte> header = stackalloc byte[Block];
        header.Clear();
        name.AsSpan(0, Math.Min(name.Length, 100)).CopyTo(header);
        Octal(header.Slice(100, 8), mode);
        Octal(header.Slice(108, 8), uid > LargestOctal7 ? 0 : uid);
        Octal(header.Slice(116, 8), gid > LargestOctal7 ? 0 : gid);
        Octal(header.Slice(124, 12), size > LargestOctal11 ? 0 : size);
        Octal(header.Slice(136, 12), seconds);
        header.Slice(148, 8).Fill((byte)' ');
        header[156] = type;
        target.AsSpan(0, Math.Min(target.Length, 100)).CopyTo(header[157..]);
        "ustar\0"u8.CopyTo(header[257..]);
        "00"u8.CopyTo(header[263..]);
        if (type is (byte)'3' or (byte)'4')
        {
            Octal(header.Slice(329, 8), major);
            Octal(header.Slice(337, 8), minor);
        }
        int sum = 0;
        foreach (byte b in header) sum += b;
        Octal(header.Slice(148, 7), sum);
        to.Write(header);
    }

    /// <summary>Octal digits, filled with zeros, and a NUL.</summary>
    private static void Octal(Span<byte> field, long value)
    {
        field[^1] = 0;
        for (int i = field.Length - 2; i >= 0; i--)
        {
            field[i] = (byte)('0' + (value & 7));
            value >>= 3;
        }
    }

    /// <summary>"LENGTH NAME=VALUE\n", where the length counts itself.</summary>
    private static byte[] Records(SortedDictionary<string, byte[]> records)
    {
        var bytes = new List<byte>();
        foreach (var (name, value) in records)
        {
            int rest = Encoding.UTF8.GetByteCount(name) + value.Length + 3, length = rest + 1;
            while (length != rest + Digits(length)) length = rest + Digits(length);
            bytes.AddRange(Encoding.UTF8.GetBytes(length.ToString(CultureInfo.InvariantCulture)));
            bytes.Add((byte)' ');
            bytes.AddRange(Encoding.UTF8.GetBytes(name));
            bytes.Add((byte)'=');
            bytes.AddRange(value);
            bytes.Add((byte)'\n');
        }
        return [.. bytes];
    }

    private static int Digits(int number) => number.ToString(CultureInfo.InvariantCulture).Length;

    private static byte[] Number(long number) => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    private static string Time(long seconds, uint nanoseconds)
    {
        if (nanoseconds == 0) return seconds.ToString(CultureInfo.InvariantCulture);
        // -1.25 s is written as -0.75 would be read: seconds and a fraction that both count from the same side.
        (long whole, long fraction, string sign) = seconds < 0 ? (-(seconds + 1), 1_000_000_000L - nanoseconds, "-") : (seconds, (long)nanoseconds, "");
        return $"{sign}{whole}.{fraction:D9}".TrimEnd('0');
    }

    private void Pad(long size) => Zeros((int)((Block - size % Block) % Block));

    private void Zeros(int count)
    {
        Span<byte> zeros = stackalloc byte[2 * Block];
        zeros.Clear();
        to.Write(zeros[..count]);
    }
}
