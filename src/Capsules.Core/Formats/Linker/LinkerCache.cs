using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Formats.Linker;

/// <summary>One library of /etc/ld.so.cache.</summary>
/// <param name="Name">The name that is looked for, such as libc.so.6.</param>
/// <param name="Path">Where it is.</param>
/// <param name="Flags">Kind of the library: 0x0303 is x86-64, 0x0a03 arm64.</param>
/// <param name="IsVariant">For processors with certain features only (glibc-hwcaps).</param>
public sealed record LinkerCacheEntry(string Name, string Path, int Flags, bool IsVariant);

/// <summary>Readers of what ld.so(8) looks libraries up in: the cache in glibc's new format, and ld.so.conf.</summary>
public static class LinkerCache
{
    private const int HeaderLength = 48, EntryLength = 24;
    private const ulong Extension = 1UL << 62;

    /// <summary>The entries, in the cache's order: the loader takes the first that fits.</summary>
    /// <exception cref="FormatException">It is no cache in the new format, or leads outside of itself.</exception>
    public static ImmutableArray<LinkerCacheEntry> Parse(ReadOnlySpan<byte> bytes)
    {
        int start = bytes.IndexOf("glibc-ld.so.cache1.1"u8);
        if (start < 0) throw new FormatException("ld.so.cache: not in glibc's format 1.1");
        ReadOnlySpan<byte> cache = bytes[start..];
        if (cache.Length < HeaderLength) throw new FormatException("ld.so.cache: the header is cut off");
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(cache[20..]);
        if (count > (uint)(cache.Length - HeaderLength) / EntryLength) throw new FormatException("ld.so.cache: more entries than bytes");
        var entries = ImmutableArray.CreateBuilder<LinkerCacheEntry>((int)count);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = cache.Slice(HeaderLength + i * EntryLength, EntryLength);
            ulong capabilities = BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]);
            entries.Add(new(Text(cache, BinaryPrimitives.ReadUInt32LittleEndian(entry[4..])), Text(cache, BinaryPrimitives.ReadUInt32LittleEndian(entry[8..])),
                BinaryPrimitives.ReadInt32LittleEndian(entry), (capabilities & Extension) != 0));
        }
        return entries.ToImmutable();
    }

    /// <summary>ld.so.conf: directories, and the patterns of "include" lines.</summary>
    public static (ImmutableArray<string> Directories, ImmutableArray<string> Includes) ParseConfiguration(ReadOnlyMemory<byte> bytes)
    {
        var directories = ImmutableArray.CreateBuilder<string>();
        var includes = ImmutableArray.CreateBuilder<string>();
        foreach (string line in ByteLines.TextOf(bytes))
        {
            string text = line.Split('#')[0].Trim();
            if (text.Length == 0 || text.StartsWith("hwcap", StringComparison.Ordinal)) continue;
            string[] words = ByteLines.Words(text.Replace(':', ' ').Replace(',', ' '));
            if (words.Length > 1 && words[0] == "include") includes.AddRange(words[1..]);
            else directories.AddRange(words.Where(w => w.StartsWith('/')));
        }
        return (directories.ToImmutable(), includes.ToImmutable());
    }

    private static string Text(ReadOnlySpan<byte> cache, uint offset)
    {
        if (offset >= (uint)cache.Length) throw new FormatException("ld.so.cache: a name leads outside of the file");
        ReadOnlySpan<byte> rest = cache[(int)offset..];
        int end = rest.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]);
    }
}
