namespace Capsules.Core.Links.Checking;

/// <summary>How much a finding weighs.</summary>
public enum LinkLevel
{
    /// <summary>It was looked at, and is as one expects.</summary>
    Ok,
    /// <summary>It works, and is worth knowing.</summary>
    Note,
    /// <summary>Something will not be as if both were on one machine.</summary>
    Warning,
    /// <summary>The link would break something, or cannot be made.</summary>
    Error,
}

/// <summary>What a finding of a link is about; the words of the JSON form.</summary>
public enum LinkConcern
{
    /// <summary>The two capsules, and whether one of them is here at all.</summary>
    Owner,
    /// <summary>What is offered, and whether it is that much.</summary>
    Offer,
    /// <summary>A path that no link may cover.</summary>
    ForbiddenPath,
    /// <summary>The path is not there.</summary>
    MissingPath,
    /// <summary>A symbolic link on the path.</summary>
    SymbolicLink,
    /// <summary>A file in place of a directory.</summary>
    SingleFile,
    /// <summary>A directory that is to be written and is no state.</summary>
    NotState,
    /// <summary>Two capsules that each hold a directory for their own.</summary>
    TwoOwners,
    /// <summary>Directories below the linked one that are the capsule's own.</summary>
    Private,
    /// <summary>Files that the link would hide.</summary>
    HiddenFiles,
    /// <summary>A link below or above another.</summary>
    NestedLink,
    /// <summary>Renames that would leave the directory.</summary>
    Rename,
    /// <summary>Files with further names outside the directory.</summary>
    HardLinks,
    /// <summary>A user that both are to share.</summary>
    SharedUser,
    /// <summary>A group that both are to share.</summary>
    SharedGroup,
    /// <summary>Users of the same name or number that are not shared.</summary>
    Accounts,
    /// <summary>Files whose owner is not shared.</summary>
    ForeignFiles,
    /// <summary>The files of a database.</summary>
    Database,
    /// <summary>The version of a database's files.</summary>
    FormatVersion,
    /// <summary>A file with a process number.</summary>
    PidFile,
    /// <summary>A socket.</summary>
    Socket,
    /// <summary>A message bus (D-Bus).</summary>
    Bus,
    /// <summary>Shared memory of programs.</summary>
    Memory,
    /// <summary>Logs and their rotation.</summary>
    Logs,
    /// <summary>Language, character set or time zone.</summary>
    Locale,
    /// <summary>A program of the owner's that is to be run.</summary>
    Program,
    /// <summary>Libraries that need a newer system, or others that are not there.</summary>
    Libraries,
    /// <summary>Software that is seen among the capsule's own.</summary>
    Merge,
    /// <summary>A copy that the capsule gets for its own.</summary>
    Fork,
    /// <summary>Configuration that names the other over a network that they do not share.</summary>
    Loopback,
    /// <summary>A port that both listen on.</summary>
    Port,
    /// <summary>Addresses and names of the two as machines.</summary>
    Identity,
    /// <summary>Capsules that wait for each other.</summary>
    Cycle,
}

/// <summary>One thing that is to be known before a link is made.</summary>
/// <param name="Level">How much it weighs.</param>
/// <param name="Concern">What it is about.</param>
/// <param name="Subject">The path, user, port or program.</param>
/// <param name="What">One line.</param>
/// <param name="Cause">Why, as far as known.</param>
/// <param name="Fix">What the reader can do about it.</param>
public sealed record LinkFinding(LinkLevel Level, LinkConcern Concern, string Subject, string What, string? Cause = null, string? Fix = null);
