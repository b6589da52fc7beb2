using System.Collections.Immutable;
using Capsules.Core.Launch;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>What a link gives, each more than the one before; the preset of an export is the most that a link to it may ask for.</summary>
public enum LinkPreset
{
    /// <summary>The owner's directory is seen and cannot be written: the same files, with their changes and events.</summary>
    Reader,
    /// <summary>The same, for sockets in it; the owner's programs see their peer as one of their own users.</summary>
    Client,
    /// <summary>The owner's directory is written as if it were one's own, and its programs may be run.</summary>
    Partner,
    /// <summary>Both run as if they were installed on one machine.</summary>
    SameMachine,
}

/// <summary>What a capsule offers to others. No other capsule reaches more of it, and none without a link that the host's administrator made.</summary>
public sealed record Export
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>Unique in the capsule.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>The most that a link may ask for.</summary>
    public required LinkPreset Preset { get; init; }
    /// <summary>The directory that others see, at the same path; or /dev/log, to which they log, or /dev/shm.</summary>
    public GuestPath? Path { get; init; }
    /// <summary>Whether what programs of others log (syslog(3)) goes to whoever takes it here: <see cref="SystemLogPlace"/>.</summary>
    public bool TakesLogs => Path == SystemLogPlace.Path;
    /// <summary>Whether it is the shared memory of programs, /dev/shm, which each stack has of its own.</summary>
    public bool SharesMemory => Path == CapsuleSpecs.SharedMemory;
    /// <summary>The directory; null also where the path is /dev/log or /dev/shm.</summary>
    public GuestPath? Directory => TakesLogs || SharesMemory ? null : Path;
    /// <summary>Programs that others may run; they run here, with this capsule's files, configuration and limits.</summary>
    public ImmutableArray<GuestPath> Programs { get; init; } = [];
    /// <summary>Ports of its loopback network that others reach at the same port of theirs, each a word as <see cref="LoopbackPort"/> reads it.</summary>
    public ImmutableArray<string> Ports { get; init; } = [];
    /// <summary>Patterns that each argument of a program must match one of (a shell's, * and ?); none lets all pass.</summary>
    public ImmutableArray<string> Arguments { get; init; } = [];
    /// <summary>The user of this capsule as whom its programs run for a caller who is none of its users; null refuses such callers.</summary>
    public string? RunAs { get; init; }
    /// <summary>Variables of the caller that its programs get beside LANG, LC_*, TZ and TERM.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Users of this capsule that a user of the other may be, by name.</summary>
    public ImmutableArray<string> Users { get; init; } = [];
    /// <summary>Groups of this capsule that a group of the other may be, by name. The main group of a shared user comes with it.</summary>
    public ImmutableArray<string> Groups { get; init; } = [];
}

/// <summary>What a capsule's image says that it uses of others; the host's administrator makes links of it.</summary>
/// <param name="From">The other capsule.</param>
/// <param name="Export">What it offers.</param>
public sealed record Import(CapsuleName From, CapsuleName Export)
{
    /// <summary>As on the command line: db/socket.</summary>
    public override string ToString() => $"{From}/{Export}";

    /// <summary>Reads the word of a command line.</summary>
    /// <exception cref="FormatException">It has another form.</exception>
    public static Import Parse(string word) => word.Split('/') is [var owner, var export] ? new(CapsuleName.Parse(owner), CapsuleName.Parse(export)) : throw new FormatException($"'{word}' is not CAPSULE/EXPORT");
}

/// <summary>What happens when a capsule starts and the owner of what it uses does not run.</summary>
public enum WhenDown
{
    /// <summary>The owner is started first; the start fails when it does not come up, and what uses it is stopped with it.</summary>
    Require,
    /// <summary>The owner is started first; when that fails, the start goes on without the link, which comes when its owner does.</summary>
    Want,
    /// <summary>As required, and started again when its owner was.</summary>
    Bind,
    /// <summary>The start waits for the owner to be started by somebody else, for a limited time.</summary>
    Wait,
    /// <summary>The start goes on; the link comes when its owner does.</summary>
    Degrade,
}

/// <summary>A link that was made: a capsule uses what another offers.</summary>
public sealed record CapsuleLink
{
    /// <summary>Of a link for which nobody gave one.</summary>
    public const int StandardPriority = 50;
    /// <summary>The highest number that may be given.</summary>
    public const int MostPriority = 99;

    /// <inheritdoc/>
    public override string ToString() => $"{Import}";

    /// <summary>What is used.</summary>
    public required Import Import { get; init; }
    /// <summary>What was asked for, at most what the export allows.</summary>
    public required LinkPreset Preset { get; init; }
    /// <summary>See <see cref="WhenDown"/>.</summary>
    public WhenDown WhenDown { get; init; }
    /// <summary>Longest time to wait for the owner, in milliseconds (<see cref="WhenDown.Wait"/>).</summary>
    public long WaitMilliseconds { get; init; } = 30_000;
    /// <summary>Whether the owner's software is seen among the capsule's own files at the path, which win, instead of in their place.</summary>
    public bool Merge { get; init; }
    /// <summary>Of several owners whose software is merged at one path, whose is seen: the lower number wins, of equal ones the link that was made first.</summary>
    public int Priority { get; init; } = StandardPriority;
    /// <summary>Directories below the linked one that are state of the capsule's own: they lie over the owner's, which neither sees nor has what is written there.</summary>
    public ImmutableArray<GuestPath> Private { get; init; } = [];
    /// <summary>Users of the capsule that are users of the owner.</summary>
    public ImmutableArray<SharedName> Users { get; init; } = [];
    /// <summary>Groups of the capsule that are groups of the owner.</summary>
    public ImmutableArray<SharedName> Groups { get; init; } = [];

    /// <summary>As it will be: when no users are named, with those that are offered and that the capsule has by the same name.</summary>
    public CapsuleLink WithUsers(Export export, Func<string, bool> hasUser) =>
        Users.IsEmpty && Preset != LinkPreset.Reader ? this with { Users = [.. export.Users.Where(hasUser).Select(u => new SharedName(u, u))] } : this;

    /// <summary>As it will be in the place of another: what was the capsule's own below that one stays so.</summary>
    public CapsuleLink WithPrivateOf(CapsuleLink? before) => before is null || before.Private.IsEmpty ? this : this with { Private = [.. Private.Union(before.Private)] };

    /// <summary>Links of a capsule in the order in which they were made, with who wins first where several are merged at one path.</summary>
    public static IEnumerable<CapsuleLink> ByPriority(IEnumerable<CapsuleLink> links) => links.OrderBy(l => l.Priority); // a stable order

    /// <summary>Whether the owner's directory can be written through it.</summary>
    public bool IsWritable => Preset >= LinkPreset.Partner;
}

/// <summary>A user or group of a capsule that is one of another's, under its own name and number in each.</summary>
/// <param name="Here">The name, or number, in the capsule that uses.</param>
/// <param name="There">The name, or number, in the owner.</param>
public sealed record SharedName(string Here, string There)
{
    /// <summary>As on the command line: www-data=shop-app.</summary>
    public override string ToString() => $"{Here}={There}";

    /// <summary>Reads HERE=THERE; one name stands for both.</summary>
    /// <exception cref="FormatException">A name is missing.</exception>
    public static SharedName Parse(string word) => word.Split('=') switch
    {
        [{ Length: > 0 } same] => new(same, same),
        [{ Length: > 0 } here, { Length: > 0 } there] => new(here, there),
        _ => throw new FormatException($"'{word}' is not HERE=THERE"),
    };
}
