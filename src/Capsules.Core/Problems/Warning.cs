namespace Capsules.Core.Problems;

/// <summary>Something that does not stop the journey, and that its user should know.</summary>
/// <param name="Code">Stable code, "CAP" and four digits; its page is docs/errors/CODE.md.</param>
/// <param name="What">One line: what will not be as expected.</param>
/// <param name="Fix">What the reader can do about it.</param>
public sealed record Warning(string Code, string What, string? Fix = null)
{
    /// <inheritdoc/>
    public override string ToString() => ProblemText.Of(this, colour: false);
}
