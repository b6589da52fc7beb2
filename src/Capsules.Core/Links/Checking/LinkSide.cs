using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

/// <summary>What a directory of a capsule lies on.</summary>
public enum PathGround
{
    /// <summary>Nothing is there.</summary>
    Missing,
    /// <summary>A state volume.</summary>
    State,
    /// <summary>/run, which is new when the capsule's stack starts.</summary>
    Run,
    /// <summary>The capsule's software and what was written over it.</summary>
    Software,
    /// <summary>A directory of the host (-v).</summary>
    HostDirectory,
    /// <summary>A file system that is new at each start, or the kernel's.</summary>
    Temporary,
}

/// <summary>An entry at the exported path or below it, in one of the capsules.</summary>
/// <param name="Path">Its place.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Uid">Owner, as the capsule numbers it.</param>
/// <param name="Gid">Group, as the capsule numbers it.</param>
public sealed record LinkEntry(GuestPath Path, EntryKind Kind, int Mode, uint Uid, uint Gid)
{
    /// <summary>SHA-256 of a file that the other capsule has as well; null when nobody compared.</summary>
    public string? Digest { get; init; }
    /// <summary>The beginning of a small file that tells a version.</summary>
    public string? Content { get; init; }
    /// <summary>It has names that are not below the exported path.</summary>
    public bool HasOtherNames { get; init; }

    /// <summary>The last part of its path.</summary>
    public string Name => BytePicture.Of(Path.Name);
    /// <summary>Whether it is a directory.</summary>
    public bool IsDirectory => Kind == EntryKind.Directory;
}

/// <summary>Something that a configuration file names.</summary>
/// <param name="File">The file.</param>
/// <param name="Port">A port of 127.0.0.1, localhost or ::1.</param>
/// <param name="Path">A path.</param>
/// <param name="Abstract">A socket without a file, with its @.</param>
public sealed record Mention(GuestPath File, int? Port = null, GuestPath? Path = null, string? Abstract = null);

/// <summary>A package and its version.</summary>
public sealed record PackageVersion(string Name, string Version);

/// <summary>A program that is offered, as one of the capsules has it.</summary>
/// <param name="Path">Where.</param>
/// <param name="Digest">SHA-256 of it; null when nobody compared.</param>
/// <param name="Package">The package that owns it.</param>
public sealed record ProgramFact(GuestPath Path, string? Digest, string? Package);

/// <summary>A shared library below the exported path.</summary>
/// <param name="Path">Where.</param>
/// <param name="CLibrary">The oldest version of the C library that has all it asks for.</param>
public sealed record LibraryFact(GuestPath Path, Version CLibrary)
{
    /// <summary>Libraries that it needs and that the other capsule, which is to load it, does not have.</summary>
    public ImmutableArray<string> Missing { get; init; } = [];
}

/// <summary>A link that a capsule has already, with the path that it covers.</summary>
public sealed record LinkedPath(CapsuleLink Link, GuestPath? Path)
{
    /// <summary>Whether what the capsule's programs log goes to the owner.</summary>
    public bool TakesLogs { get; init; }
    /// <summary>Whether the shared memory of the capsule's programs is the owner's.</summary>
    public bool SharesMemory { get; init; }
    /// <summary>Ports that it leads to the owner's.</summary>
    public ImmutableArray<LoopbackPort> Ports { get; init; } = [];
}

/// <summary>One capsule waits for another at its start.</summary>
public sealed record Waiting(CapsuleName Capsule, CapsuleName For, WhenDown WhenDown);

/// <summary>What is known of one of the two capsules of a link.</summary>
public sealed record LinkSide
{
    /// <summary>Its name on this host.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>Its stack.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>Its manifest, with what its user set over it.</summary>
    public required CapsuleManifest Manifest { get; init; }
    /// <summary>Whether it runs.</summary>
    public bool IsRunning { get; init; }
    /// <summary>Its state. A volume that both see already is left out.</summary>
    public ImmutableArray<StateVolume> State { get; init; } = [];
    /// <summary>/etc/passwd.</summary>
    public ImmutableArray<UserAccount> Users { get; init; } = [];
    /// <summary>/etc/group.</summary>
    public ImmutableArray<GroupAccount> Groups { get; init; } = [];
    /// <summary>What the exported path lies on.</summary>
    public PathGround Ground { get; init; }
    /// <summary>Where the path really is, when symbolic links lead elsewhere.</summary>
    public GuestPath? LeadsTo { get; init; }
    /// <summary>The path's own entry and those below it, in order; the first many when there are more.</summary>
    public ImmutableArray<LinkEntry> Entries { get; init; } = [];
    /// <summary>Names beside the path, in the directory that holds it.</summary>
    public ImmutableArray<string> Beside { get; init; } = [];
    /// <summary>There is more below the path than <see cref="Entries"/> has.</summary>
    public bool HasMore { get; init; }
    /// <summary>What its configuration names.</summary>
    public ImmutableArray<Mention> Mentions { get; init; } = [];
    /// <summary>Ports of its loopback network on which somebody listens now; of one that runs.</summary>
    public ImmutableArray<LoopbackPort> Listening { get; init; } = [];
    /// <summary>Whether a program of it takes what is logged at /dev/log now; of one that runs.</summary>
    public bool HasLogger { get; init; }
    /// <summary>Whether its network is the host's.</summary>
    public bool HasHostNetwork { get; init; }
    /// <summary>Its packages.</summary>
    public ImmutableArray<PackageVersion> Packages { get; init; } = [];
    /// <summary>The offered programs that it has.</summary>
    public ImmutableArray<ProgramFact> Programs { get; init; } = [];
    /// <summary>Shared libraries below the exported path.</summary>
    public ImmutableArray<LibraryFact> Libraries { get; init; } = [];
    /// <summary>The version of its C library, where that is glibc.</summary>
    public Version? CLibrary { get; init; }
    /// <summary>Links that it has.</summary>
    public ImmutableArray<LinkedPath> Links { get; init; } = [];
    /// <summary>The identity that is in force, or was last.</summary>
    public Identity? Identity { get; init; }
    /// <summary>LANG or LC_ALL of its services.</summary>
    public string? Locale { get; init; }
    /// <summary>Its time zone.</summary>
    public string? TimeZone { get; init; }

    /// <summary>A user by name or number.</summary>
    public UserAccount? User(string name) => Users.FirstOrDefault(u => u.Name == name) ?? (uint.TryParse(name, out uint uid) ? Users.FirstOrDefault(u => u.Uid == uid) : null);
    /// <summary>A group by name or number.</summary>
    public GroupAccount? Group(string name) => Groups.FirstOrDefault(g => g.Name == name) ?? (uint.TryParse(name, out uint gid) ? Groups.FirstOrDefault(g => g.Gid == gid) : null);
    /// <summary>A user's name, or its number.</summary>
    public string UserName(uint uid) => Users.FirstOrDefault(u => u.Uid == uid)?.Name ?? $"{uid}";
    /// <summary>A group's name, or its number.</summary>
    public string GroupName(uint gid) => Groups.FirstOrDefault(g => g.Gid == gid)?.Name ?? $"{gid}";
}

/// <summary>Software of another owner that is merged at the same path.</summary>
/// <param name="Import">What.</param>
/// <param name="Wins">Whether it is seen where both have a file.</param>
/// <param name="Differing">Files that both have, that differ, and that the capsule has none of.</param>
public sealed record MergedBeside(Import Import, bool Wins, ImmutableArray<GuestPath> Differing);

/// <summary>A user of a capsule who is one of another's, by a link that was made.</summary>
/// <param name="Capsule">The capsule that uses.</param>
/// <param name="Owner">Whose user it is.</param>
/// <param name="User">Its name in both.</param>
public sealed record UserElsewhere(CapsuleName Capsule, CapsuleName Owner, SharedName User);

/// <summary>What is asked: may this capsule use that of the other?</summary>
public sealed record LinkQuestion
{
    /// <summary>The capsule that uses.</summary>
    public required LinkSide Here { get; init; }
    /// <summary>What is used, as it was written.</summary>
    public required Import Import { get; init; }
    /// <summary>The capsule that owns; null when there is none of that name on this host.</summary>
    public LinkSide? Owner { get; init; }
    /// <summary>What it offers; null when it offers nothing of that name.</summary>
    public Export? Export { get; init; }
    /// <summary>What is asked for; null asks for what is offered.</summary>
    public LinkPreset? Preset { get; init; }
    /// <summary>See <see cref="WhenDown"/>.</summary>
    public WhenDown WhenDown { get; init; }
    /// <summary>See <see cref="CapsuleLink.Merge"/>.</summary>
    public bool Merge { get; init; }
    /// <summary>Others whose software is merged at the same path.</summary>
    public ImmutableArray<MergedBeside> MergedWith { get; init; } = [];
    /// <summary>See <see cref="CapsuleLink.Private"/>.</summary>
    public ImmutableArray<GuestPath> Private { get; init; } = [];
    /// <summary>Whether both number their processes together once the link is made.</summary>
    public bool OneNumbering { get; init; }
    /// <summary>A copy is asked for, which is the capsule's own state, in place of the directory itself.</summary>
    public bool Fork { get; init; }
    /// <summary>Users of the one that are users of the other.</summary>
    public ImmutableArray<SharedName> Users { get; init; } = [];
    /// <summary>Groups of the one that are groups of the other.</summary>
    public ImmutableArray<SharedName> Groups { get; init; } = [];
    /// <summary>Who waits for whom on this host by the links that were made.</summary>
    public ImmutableArray<Waiting> Waiting { get; init; } = [];
    /// <summary>Users of capsules on this host who are others' already.</summary>
    public ImmutableArray<UserElsewhere> Elsewhere { get; init; } = [];
}
