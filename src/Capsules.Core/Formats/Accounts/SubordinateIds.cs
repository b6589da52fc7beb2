using System.Collections.Immutable;
using System.Globalization;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Accounts;

/// <summary>A range of subuid(5) or subgid(5) that a user may map in his user namespaces.</summary>
public readonly record struct SubordinateRange(uint First, uint Count);

/// <summary>Readers of subuid(5) and subgid(5), and the map that their ranges give.</summary>
public static class SubordinateIds
{
    /// <summary>The ranges of a user, by his name or his number, in the order of the file; broken lines are left out, as newuidmap(1) does.</summary>
    public static ImmutableArray<SubordinateRange> Of(ReadOnlyMemory<byte> file, string? name, uint uid)
    {
        var ranges = ImmutableArray.CreateBuilder<SubordinateRange>();
        string number = uid.ToString(CultureInfo.InvariantCulture);
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(file))
        {
            string[] fields = BytePicture.Of(line.Span).Split(':');
            if (fields.Length != 3 || (fields[0] != name && fields[0] != number)) continue;
            if (uint.TryParse(fields[1], out uint first) && uint.TryParse(fields[2], out uint count) && count > 0 && first <= uint.MaxValue - count) ranges.Add(new(first, count));
        }
        return ranges.ToImmutable();
    }

    /// <summary>Words for newuidmap(1): root inside is the user, the ids from 1 on are his ranges.</summary>
    public static ImmutableArray<string> MapWords(uint self, IEnumerable<SubordinateRange> ranges)
    {
        var words = ImmutableArray.CreateBuilder<string>();
        void Add(uint inside, uint outside, uint count) => words.AddRange($"{inside}", $"{outside}", $"{count}");
        Add(0, self, 1);
        uint next = 1;
        foreach (SubordinateRange range in ranges)
        {
            uint count = Math.Min(range.Count, uint.MaxValue - next);
            if (count == 0) break;
            Add(next, range.First, count);
            next += count;
        }
        return words.ToImmutable();
    }
}
