namespace Capsules.Core.Verifying;

/// <summary>How much a finding weighs.</summary>
public enum FindingLevel
{
    /// <summary>It could not be compared, or differs in what may be meant so.</summary>
    Warning,
    /// <summary>The capsule does not behave like its source.</summary>
    Error,
}

/// <summary>What a finding is about.</summary>
public enum FindingKind
{
    /// <summary>A path that was looked up, is not there, and was at the source.</summary>
    Missing,
    /// <summary>A service that did not come up, or ended.</summary>
    Service,
    /// <summary>A service that had to be started again.</summary>
    Restart,
    /// <summary>A socket that is listened on.</summary>
    Listener,
    /// <summary>The user that a service runs as.</summary>
    User,
    /// <summary>A limit of a process or of the capsule.</summary>
    Limit,
    /// <summary>A client's command.</summary>
    Check,
    /// <summary>An answer to recorded traffic.</summary>
    Answer,
    /// <summary>The certificate that a server shows, or the protocol that it agrees on beneath TLS.</summary>
    Certificate,
    /// <summary>What was not compared.</summary>
    NotCompared,
}

/// <summary>One difference between a capsule and its source.</summary>
/// <param name="Level">How much it weighs.</param>
/// <param name="Kind">What it is about.</param>
/// <param name="Subject">The path, service, port, limit or check.</param>
/// <param name="What">The difference, in one line.</param>
/// <param name="Cause">Why, as far as known.</param>
/// <param name="Fix">What the reader can do about it.</param>
public sealed record Finding(FindingLevel Level, FindingKind Kind, string Subject, string What, string? Cause = null, string? Fix = null);
