using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Formats.Elf;

/// <summary>What the dynamic loader reads in a 64-bit little-endian ELF file (elf(5)).</summary>
public sealed record ElfFile
{
    /// <summary>e_machine: 62 is x86-64, 183 is arm64.</summary>
    public required int Machine { get; init; }
    /// <summary>e_type: 2 is an executable, 3 a shared object or position-independent executable.</summary>
    public required int Type { get; init; }
    /// <summary>PT_INTERP: the loader; null when it is static or a library.</summary>
    public string? Interpreter { get; init; }
    /// <summary>DT_SONAME.</summary>
    public string? SoName { get; init; }
    /// <summary>DT_NEEDED, in order.</summary>
    public ImmutableArray<string> Needed { get; init; } = [];
    /// <summary>DT_RPATH, split at colons.</summary>
    public ImmutableArray<string> RPath { get; init; } = [];
    /// <summary>DT_RUNPATH, split at colons.</summary>
    public ImmutableArray<string> RunPath { get; init; } = [];

    /// <summary>Whether the bytes begin as an ELF file does.</summary>
    public static bool IsElf(ReadOnlySpan<byte> bytes) => bytes.StartsWith("\x7f"u8) && bytes.Length >= 4 && bytes[1..4].SequenceEqual("ELF"u8);

    /// <summary>The machine of an ELF file of any class and order, as uname(2) calls it; null when the bytes begin otherwise. 20 bytes are enough.</summary>
    public static string? MachineOf(ReadOnlySpan<byte> bytes)
    {
        if (!IsElf(bytes) || bytes.Length < 20) return null;
        int machine = bytes[5] == 2 ? BinaryPrimitives.ReadUInt16BigEndian(bytes[18..]) : BinaryPrimitives.ReadUInt16LittleEndian(bytes[18..]);
        return (machine, Is64: bytes[4] == 2, IsBig: bytes[5] == 2) switch
        {
            (62, true, _) => "x86_64",
            (62, false, _) => "x32",
            (3, _, _) => "i686",
            (183, _, _) => "aarch64",
            (40, _, _) => "armv7l",
            (243, true, _) => "riscv64",
            (22, _, _) => "s390x",
            (21, _, true) => "ppc64",
            (21, _, false) => "ppc64le",
            (258, _, _) => "loongarch64",
            var (number, _, _) => $"machine {number}",
        };
    }

    /// <summary>Reads an ELF file.</summary>
    /// <exception cref="FormatException">It is none, of another class or order, or its tables lead outside of it.</exception>
    public static ElfFile Parse(ReadOnlySpan<byte> bytes)
    {
        if (!IsElf(bytes)) throw new FormatException("not an ELF file");
        if (bytes.Length < 64) throw new FormatException("ELF: the header is cut off");
        if (bytes[4] != 2 || bytes[5] != 1) throw new FormatException("ELF: only 64-bit little-endian files are read");
        int type = BinaryPrimitives.ReadUInt16LittleEndian(bytes[16..]), machine = BinaryPrimitives.ReadUInt16LittleEndian(bytes[18..]);
        ulong headers = BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(bytes[54..]), count = BinaryPrimitives.ReadUInt16LittleEndian(bytes[56..]);
        if (count > 0 && size < 56) throw new FormatException("ELF: program headers are too small");

        string? interpreter = null;
        ReadOnlySpan<byte> dynamic = default;
        var loads = new List<(ulong Address, ulong Offset, ulong Length)>();
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = Slice(bytes, headers + (ulong)(i * size), 56);
            uint kind = BinaryPrimitives.ReadUInt32LittleEndian(header);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), address = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]), length = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            if (kind == 1) loads.Add((address, offset, length));
            else if (kind == 2) dynamic = Slice(bytes, offset, length);
            else if (kind == 3) interpreter = Text(Slice(bytes, offset, length), 0);
        }

        var needed = new List<ulong>();
        ulong? soName = null, rPath = null, runPath = null, strings = null, stringsLength = null;
        for (int at = 0; at + 16 <= dynamic.Length; at += 16)
        {
            ulong tag = BinaryPrimitives.ReadUInt64LittleEndian(dynamic[at..]), value = BinaryPrimitives.ReadUInt64LittleEndian(dynamic[(at + 8)..]);
            if (tag == 0) break;
            switch (tag)
            {
                case 1: needed.Add(value); break;
                case 5: strings = value; break;
                case 10: stringsLength = value; break;
                case 14: soName = value; break;
                case 15: rPath = value; break;
                case 29: runPath = value; break;
                default: break;
            }
        }
        ReadOnlySpan<byte> table = default;
        if (strings is ulong start)
        {
            ulong? fileOffset = null;
            foreach (var load in loads)
                if (start >= load.Address && start - load.Address < load.Length) fileOffset = load.Offset + (start - load.Address);
            table = Slice(bytes, fileOffset ?? throw new FormatException("ELF: the string table is in no segment"), stringsLength ?? 0);
        }
        var names = ImmutableArray.CreateBuilder<string>(needed.Count);
        foreach (ulong name in needed) names.Add(Text(table, name));
        return new()
        {
            Machine = machine,
            Type = type,
            Interpreter = interpreter,
            Needed = names.ToImmutable(),
            SoName = soName is ulong n ? Text(table, n) : null,
            RPath = rPath is ulong r ? Paths(Text(table, r)) : [],
            RunPath = runPath is ulong p ? Paths(Text(table, p)) : [],
        };
    }

    /// <summary>Names of shared objects that stand in the file as text ("libfoo.so.1"): what it may dlopen(3).</summary>
    public static ImmutableArray<string> SharedObjectNames(ReadOnlySpan<byte> bytes)
    {
        var found = new SortedSet<string>(StringComparer.Ordinal);
        int at = 0;
        while (at < bytes.Length)
        {
            int hit = bytes[at..].IndexOf(".so"u8);
            if (hit < 0) break;
            int start = at + hit, end = at + hit + 3;
            while (start > 0 && IsNameByte(bytes[start - 1])) start--;
            while (end < bytes.Length && IsNameByte(bytes[end])) end++;
            ReadOnlySpan<byte> name = bytes[start..end];
            bool terminated = end < bytes.Length && bytes[end] == 0;
            if (terminated && name.Length is > 4 and < 200 && !name.Contains((byte)'%') && (name[0] == '/' || name.StartsWith("lib"u8))) found.Add(Encoding.ASCII.GetString(name));
            at = end;
        }
        return [.. found];
    }

    /// <summary>Paths that stand in the file as a text of their own and begin like this ("/usr/lib/cups").</summary>
    public static ImmutableArray<string> PathsBelow(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> beginning)
    {
        var found = new SortedSet<string>(StringComparer.Ordinal);
        for (int at = 0, hit; (hit = bytes[at..].IndexOf(beginning)) >= 0; at += hit + beginning.Length)
        {
            int start = at + hit, end = start;
            while (end < bytes.Length && IsNameByte(bytes[end])) end++;
            if (start > 0 && bytes[start - 1] == 0 && end < bytes.Length && bytes[end] == 0 && end - start < 200) found.Add(Encoding.ASCII.GetString(bytes[start..end]));
        }
        return [.. found];
    }

    private static bool IsNameByte(byte b) => b is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= (byte)'0' and <= (byte)'9' or (byte)'.' or (byte)'_' or (byte)'-' or (byte)'+' or (byte)'/';

    private static ImmutableArray<string> Paths(string text) => [.. text.Split(':', StringSplitOptions.RemoveEmptyEntries)];

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> bytes, ulong offset, ulong length) =>
        offset <= (ulong)bytes.Length && length <= (ulong)bytes.Length - offset ? bytes.Slice((int)offset, (int)length) : throw new FormatException("ELF: a table leads outside of the file");

    private static string Text(ReadOnlySpan<byte> table, ulong offset)
    {
        if (offset >= (ulong)table.Length) throw new FormatException("ELF: a name leads outside of its table");
        ReadOnlySpan<byte> rest = table[(int)offset..];
        int end = rest.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]);
    }
}
