namespace Capsules.Core.Problems;

/// <summary>What went wrong, in the words of whoever uses the product.</summary>
/// <param name="Code">Stable code, "CAP" and four digits; its page is docs/errors/CODE.md.</param>
/// <param name="Exit">The exit code of a command that ends with it.</param>
/// <param name="What">One line: what could not be done, and on what.</param>
/// <param name="Cause">One line: why, as far as known.</param>
/// <param name="Fix">What the reader can do about it.</param>
public sealed record Problem(string Code, ExitCode Exit, string What, string? Cause = null, string? Fix = null)
{
    /// <inheritdoc/>
    public override string ToString() => ProblemText.Of(this, colour: false);
}

/// <summary>Exit codes of every command (CLI grammar, rule 7); run and exec have podman's 125 to 127 beside them.</summary>
public enum ExitCode
{
    /// <summary>Done.</summary>
    Done = 0,
    /// <summary>Failed.</summary>
    Failed = 1,
    /// <summary>Wrong usage, unknown verb, or not confirmed.</summary>
    Usage = 2,
    /// <summary>Not found.</summary>
    NotFound = 3,
    /// <summary>A name or link is taken.</summary>
    Conflict = 4,
    /// <summary>Verification failed.</summary>
    VerificationFailed = 5,
    /// <summary>Not permitted.</summary>
    NotPermitted = 6,
    /// <summary>The identity or address is held elsewhere.</summary>
    HeldElsewhere = 7,
}

/// <summary>Stops a journey. Made where the meaning is known; the fact that caused it is the inner exception.</summary>
public sealed class CapsuleException(Problem problem, Exception? inner = null) : Exception(problem.What, inner)
{
    /// <summary>What to tell the user.</summary>
    public Problem Problem { get; } = problem;
}
