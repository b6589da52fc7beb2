namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A link that would break something.</summary>
    /// <param name="capsule">The capsule that uses.</param>
    /// <param name="to">What it is to use.</param>
    /// <param name="reasons">What stands against it, the gravest first, each with its fix.</param>
    public static Problem LinkRefused(string capsule, string to, IReadOnlyList<(string What, string? Fix)> reasons) =>
        new("CAP4150", ExitCode.Conflict, $"{capsule} cannot use {to} so", reasons[0].What + (reasons.Count > 1 ? $"; and {reasons.Count - 1} more" : ""), reasons[0].Fix ?? $"`capsule link check {capsule} {to}` lists everything");
}
