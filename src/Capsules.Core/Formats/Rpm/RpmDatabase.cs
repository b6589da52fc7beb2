using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Rpm;

/// <summary>Reads rpm's database (rpmdb.sqlite): table Packages, each row a header blob (rpm's format of tags, without the magic of a file).</summary>
public static class RpmDatabase
{
    private const uint Name = 1000, Version = 1001, Release = 1002, Summary = 1004, Architecture = 1022, FileDigests = 1035, FileFlags = 1037, SourceRpm = 1044, ProvideName = 1047, RequireName = 1049, DirIndexes = 1116, BaseNames = 1117, DirNames = 1118;
    private const int ConfigFlag = 1, GhostFlag = 64;

    /// <summary>The installed packages, in the terms that the rest knows: needs and provisions by name, paths, configuration with digests.</summary>
    /// <exception cref="FormatException">The database or a header is damaged.</exception>
    public static ImmutableArray<PackageFact> Parse(ReadOnlyMemory<byte> database) =>
        [.. SqliteTable.Rows(database, "Packages").Where(row => row.Length >= 2).Select(row => Header(row[1])).Where(p => p.Name != "gpg-pubkey").OrderBy(p => p.Name, StringComparer.Ordinal)];

    /// <summary>One header.</summary>
    /// <exception cref="FormatException">It is damaged.</exception>
    public static PackageFact Header(ReadOnlyMemory<byte> blob)
    {
        if (blob.Length < 8) throw new FormatException("rpm header: cut off");
        uint count = BinaryPrimitives.ReadUInt32BigEndian(blob.Span), length = BinaryPrimitives.ReadUInt32BigEndian(blob.Span[4..]);
        if (count > (uint)(blob.Length - 8) / 16 || length > blob.Length - 8 - count * 16) throw new FormatException("rpm header: longer than its bytes");
        var entries = new Dictionary<uint, (uint Type, int Offset, int Count)>();
        ReadOnlyMemory<byte> data = blob.Slice(8 + (int)count * 16, (int)length);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = blob.Span.Slice(8 + i * 16, 16);
            uint offset = BinaryPrimitives.ReadUInt32BigEndian(entry[8..]), items = BinaryPrimitives.ReadUInt32BigEndian(entry[12..]);
            if (offset > length || items > length + 1) throw new FormatException("rpm header: an entry leads outside");
            entries[BinaryPrimitives.ReadUInt32BigEndian(entry)] = (BinaryPrimitives.ReadUInt32BigEndian(entry[4..]), (int)offset, (int)items);
        }

        string name = Text(Name) is { Length: > 0 } given ? given : throw new FormatException("rpm header: a package without a name");
        byte[][] bases = Strings(BaseNames), directories = Strings(DirNames), digests = Strings(FileDigests);
        int[] indexes = Numbers(DirIndexes), flags = Numbers(FileFlags);
        var files = ImmutableArray.CreateBuilder<GuestPath>();
        var configuration = ImmutableArray.CreateBuilder<DpkgConffile>();
        for (int i = 0; i < bases.Length && i < indexes.Length; i++)
        {
            if (indexes[i] < 0 || indexes[i] >= directories.Length) throw new FormatException("rpm header: a file in no directory");
            byte[] path = [.. directories[indexes[i]], .. bases[i]];
            if (path.Length == 0 || path[0] != '/') continue;
            GuestPath place = GuestPath.Normalize(path);
            int flag = i < flags.Length ? flags[i] : 0;
            if (place.IsRoot) continue;
            if ((flag & GhostFlag) == 0) files.Add(place);
            if ((flag & ConfigFlag) != 0) configuration.Add(new(place, i < digests.Length ? Encoding.ASCII.GetString(digests[i]) : "", (flag & GhostFlag) != 0));
        }
        string source = Text(SourceRpm);
        for (int cut = 0; cut < 2 && source.LastIndexOf('-') is > 0 and int dash; cut++) source = source[..dash];
        return new(new()
        {
            Name = name,
            Version = $"{Text(Version)}-{Text(Release)}",
            Architecture = Text(Architecture),
            Source = source.Length > 0 ? source : name,
            State = "installed",
            Description = Text(Summary),
            Depends = [.. Strings(RequireName).Select(r => Encoding.UTF8.GetString(r)).Where(r => !r.StartsWith("rpmlib(", StringComparison.Ordinal) && !r.StartsWith('(')).Distinct().Select(r => ImmutableArray.Create(r))],
            Provides = [.. Strings(ProvideName).Select(p => Encoding.UTF8.GetString(p)).Where(p => p != name).Distinct()],
            Conffiles = configuration.ToImmutable(),
        }, files.ToImmutable());

        string Text(uint tag) => Strings(tag) is [var first, ..] ? Encoding.UTF8.GetString(first) : "";

        byte[][] Strings(uint tag)
        {
            if (!entries.TryGetValue(tag, out var entry) || entry.Type is not (6 or 8 or 9)) return [];
            var strings = new List<byte[]>();
            ReadOnlySpan<byte> rest = data.Span[entry.Offset..];
            for (int i = 0; i < entry.Count; i++)
            {
                int end = rest.IndexOf((byte)0);
                if (end < 0) throw new FormatException("rpm header: a text without an end");
                strings.Add(rest[..end].ToArray());
                rest = rest[(end + 1)..];
            }
            return [.. strings];
        }

        int[] Numbers(uint tag)
        {
            if (!entries.TryGetValue(tag, out var entry) || entry.Type != 4) return [];
            if (entry.Count > (data.Length - entry.Offset) / 4) throw new FormatException("rpm header: numbers lead outside");
            int[] numbers = new int[entry.Count];
            for (int i = 0; i < numbers.Length; i++) numbers[i] = BinaryPrimitives.ReadInt32BigEndian(data.Span[(entry.Offset + i * 4)..]);
            return numbers;
        }
    }
}
