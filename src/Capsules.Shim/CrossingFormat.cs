namespace Capsules.Core.Links;

// The one file that the shim (no runtime) and the head (managed) both compile: where things are in what a shim says first, and the words that
// it and the broker exchange afterwards. docs/formats/crossing.md.

/// <summary>What a shim says first: a head of fixed size, the numbers of its descriptors, then texts, each with its NUL: directory, arguments, variables.</summary>
public static class CrossingFormat
{
    /// <summary>Where the socket is in a capsule that uses programs of others.</summary>
    public const string Socket = "/run/capsule/crossing/socket";

    /// <summary>"CROSSING", least byte first.</summary>
    public const ulong Magic = 0x474E4953534F5243;
    /// <summary>The version of the format.</summary>
    public const uint Version = 1;
    /// <summary>The most that a message may hold, head and all: what execve(2) takes by default.</summary>
    public const int MostBytes = 2 << 20;
    /// <summary>The most descriptors that go along, beside the directory.</summary>
    public const int MostDescriptors = 64;
    /// <summary>Descriptors from this number on stay behind.</summary>
    public const int DescriptorsBelow = 256;
    /// <summary>The kinds of limits (getrlimit(2)).</summary>
    public const int Limits = 16;

    // The head. All numbers are little-endian.
    public const int MagicAt = 0, VersionAt = 8, SizeAt = 12, ArgumentsAt = 16, VariablesAt = 20, DescriptorsAt = 24, FlagsAt = 28, UmaskAt = 32, RowsAt = 36, ColumnsAt = 38, IgnoredAt = 40, BlockedAt = 48, LimitsAt = 56,
        HeadSize = LimitsAt + Limits * 16;

    /// <summary>Streams 0 and 1 are terminals.</summary>
    public const uint HasTerminal = 1;
    /// <summary>The first descriptor that comes along is the working directory (O_PATH).</summary>
    public const uint HasDirectory = 2;
    /// <summary>Stream 2 is a terminal, too.</summary>
    public const uint ErrorsToTerminal = 4;

    // What follows is words of eight bytes: a kind, and a value.
    public const int WordSize = 8;
    /// <summary>To the broker: a signal came; <see cref="ToGroup"/> when the terminal sent it to all in the foreground.</summary>
    public const uint Signal = 1;
    public const uint ToGroup = 0x100;

    /// <summary>To the shim: the program has ended, with this status of wait(2).</summary>
    public const uint Ended = 16;
    /// <summary>To the shim: the program was stopped by this signal.</summary>
    public const uint Stopped = 17;
    /// <summary>To the shim: so many bytes of text follow, for its stream 2.</summary>
    public const uint Text = 18;
    /// <summary>To the shim: end with this exit status.</summary>
    public const uint Refused = 19;
    /// <summary>To the shim: the master of the program's terminal comes along.</summary>
    public const uint Terminal = 20;
}
