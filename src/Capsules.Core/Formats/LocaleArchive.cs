using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Formats;

/// <summary>Reader of glibc's /usr/lib/locale/locale-archive (glibc, locale/locarchive.h): which locales are in it.</summary>
public static class LocaleArchive
{
    private const uint Magic = 0xde020109;
    private const int StringOffset = 20, StringUsed = 24, HeaderLength = 56;

    /// <summary>The names, such as de_DE.utf8.</summary>
    /// <exception cref="FormatException">It is no archive, or leads outside of itself.</exception>
    public static ImmutableArray<string> Names(ReadOnlySpan<byte> archive)
    {
        if (archive.Length < HeaderLength || BinaryPrimitives.ReadUInt32LittleEndian(archive) != Magic) throw new FormatException("locale-archive: not in glibc's format");
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(archive[StringOffset..]), used = BinaryPrimitives.ReadUInt32LittleEndian(archive[StringUsed..]);
        if (offset > archive.Length || used > archive.Length - offset) throw new FormatException("locale-archive: the names lead outside");
        return [.. Encoding.UTF8.GetString(archive.Slice((int)offset, (int)used)).Split('\0', StringSplitOptions.RemoveEmptyEntries)];
    }
}
