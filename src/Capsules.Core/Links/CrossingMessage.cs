using System.Buffers.Binary;
using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>How a program of another capsule was called, as its shim says (docs/formats/crossing.md). Nothing in it is believed but what only the caller can decide.</summary>
public sealed record CrossingMessage
{
    /// <summary>argv, as byte pictures.</summary>
    public required ImmutableArray<string> Arguments { get; init; }
    /// <summary>NAME=value, as byte pictures.</summary>
    public ImmutableArray<string> Variables { get; init; } = [];
    /// <summary>Where the caller works; null when it cannot say.</summary>
    public GuestPath? Directory { get; init; }
    /// <summary>The numbers of the descriptors that come along, behind the directory.</summary>
    public ImmutableArray<int> Descriptors { get; init; } = [];
    /// <summary>Whether the first descriptor that comes along is the directory.</summary>
    public bool HasDirectory { get; init; }
    /// <summary>Whether streams 0 and 1 are a terminal.</summary>
    public bool HasTerminal { get; init; }
    /// <summary>Whether stream 2 is one, too.</summary>
    public bool ErrorsToTerminal { get; init; }
    /// <summary>umask(2).</summary>
    public int Umask { get; init; }
    /// <summary>Size of the terminal.</summary>
    public ushort Rows { get; init; }
    /// <inheritdoc cref="Rows"/>
    public ushort Columns { get; init; }
    /// <summary>Signals that the caller ignores; bit 0 is signal 1.</summary>
    public ulong Ignored { get; init; }
    /// <summary>Signals that the caller blocks.</summary>
    public ulong Blocked { get; init; }
    /// <summary>Soft and hard limits, by the numbers of getrlimit(2).</summary>
    public ImmutableArray<(ulong Soft, ulong Hard)> Limits { get; init; } = [];

    /// <summary>How many descriptors come along.</summary>
    public int DescriptorCount => Descriptors.Length + (HasDirectory ? 1 : 0);

    /// <summary>How long the message is of which this is the beginning; null when that is not there yet.</summary>
    /// <exception cref="FormatException">It is no such message, of another version, or too long.</exception>
    public static int? SizeOf(ReadOnlySpan<byte> beginning)
    {
        if (beginning.Length < CrossingFormat.SizeAt + 4) return null;
        if (BinaryPrimitives.ReadUInt64LittleEndian(beginning) != CrossingFormat.Magic) throw new FormatException("it does not begin as a shim's message");
        uint version = Word(beginning, CrossingFormat.VersionAt), size = Word(beginning, CrossingFormat.SizeAt);
        if (version != CrossingFormat.Version) throw new FormatException($"it is of version {version}, and this program reads {CrossingFormat.Version}");
        return size is < CrossingFormat.HeadSize or > CrossingFormat.MostBytes ? throw new FormatException($"it says that it has {size} bytes") : (int)size;
    }

    /// <summary>Reads a whole message.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static CrossingMessage Parse(ReadOnlySpan<byte> bytes)
    {
        if (SizeOf(bytes) != bytes.Length) throw new FormatException("it is cut short");
        uint arguments = Word(bytes, CrossingFormat.ArgumentsAt), variables = Word(bytes, CrossingFormat.VariablesAt), descriptors = Word(bytes, CrossingFormat.DescriptorsAt), flags = Word(bytes, CrossingFormat.FlagsAt);
        if (arguments == 0) throw new FormatException("it has no arguments, not even a name");
        if (descriptors > CrossingFormat.MostDescriptors) throw new FormatException($"it has {descriptors} descriptors");
        if (flags > (CrossingFormat.HasTerminal | CrossingFormat.HasDirectory | CrossingFormat.ErrorsToTerminal)) throw new FormatException("it has flags that nobody knows");
        ReadOnlySpan<byte> rest = bytes[CrossingFormat.HeadSize..];
        if (rest.Length < descriptors * 4) throw new FormatException("its descriptors are cut short");
        var numbers = ReadNumbers(rest, (int)descriptors);
        rest = rest[(int)(descriptors * 4)..];

        ReadOnlySpan<byte> directory = NextText(ref rest);
        if (arguments > rest.Length || variables > rest.Length) throw new FormatException("its texts are cut short");
        ImmutableArray<string> argv = ReadTexts(ref rest, (int)arguments), environment = ReadTexts(ref rest, (int)variables);
        if (rest.Length > 0) throw new FormatException("something stands behind its end");
        var limits = ImmutableArray.CreateBuilder<(ulong, ulong)>(CrossingFormat.Limits);
        for (int i = 0; i < CrossingFormat.Limits; i++) limits.Add((Long(bytes, CrossingFormat.LimitsAt + 16 * i), Long(bytes, CrossingFormat.LimitsAt + 16 * i + 8)));
        return new()
        {
            Arguments = argv,
            Variables = environment,
            Directory = GuestPath.TryParse(directory, out GuestPath path) ? path : null,
            Descriptors = numbers,
            HasDirectory = (flags & CrossingFormat.HasDirectory) != 0,
            HasTerminal = (flags & CrossingFormat.HasTerminal) != 0,
            ErrorsToTerminal = (flags & CrossingFormat.ErrorsToTerminal) != 0,
            Umask = (int)(Word(bytes, CrossingFormat.UmaskAt) & 0x1FF),
            Rows = BinaryPrimitives.ReadUInt16LittleEndian(bytes[CrossingFormat.RowsAt..]),
            Columns = BinaryPrimitives.ReadUInt16LittleEndian(bytes[CrossingFormat.ColumnsAt..]),
            Ignored = Long(bytes, CrossingFormat.IgnoredAt),
            Blocked = Long(bytes, CrossingFormat.BlockedAt),
            Limits = limits.MoveToImmutable(),
        };
    }

    /// <summary>Rising, so that none comes twice.</summary>
    private static ImmutableArray<int> ReadNumbers(ReadOnlySpan<byte> bytes, int count)
    {
        var numbers = ImmutableArray.CreateBuilder<int>(count);
        for (int i = 0; i < count; i++)
        {
            uint number = Word(bytes, 4 * i);
            if (number >= CrossingFormat.DescriptorsBelow || (i > 0 && number <= numbers[i - 1])) throw new FormatException($"{number} cannot be the number of a descriptor");
            numbers.Add((int)number);
        }
        return numbers.MoveToImmutable();
    }

    private static ImmutableArray<string> ReadTexts(ref ReadOnlySpan<byte> rest, int count)
    {
        var texts = ImmutableArray.CreateBuilder<string>(count);
        for (int i = 0; i < count; i++) texts.Add(BytePicture.Of(NextText(ref rest)));
        return texts.MoveToImmutable();
    }

    private static ReadOnlySpan<byte> NextText(ref ReadOnlySpan<byte> rest)
    {
        int end = rest.IndexOf((byte)0);
        if (end < 0) throw new FormatException("a text has no end");
        ReadOnlySpan<byte> text = rest[..end];
        rest = rest[(end + 1)..];
        return text;
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
}
