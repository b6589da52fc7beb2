namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A link that would break something.</summary>
    /// <param name="capsule">The capsule that uses.</param>
    /// <param name="to">What it is to use.</param>
    /// <param name="reasons">What stands against it, the gravest first, each with its fix.</param>
    public static Problem LinkRefused(string capsule, string to, IReadOnlyList<(string What, string? Fix)> reasons) =>
        new("CAP4150", ExitCode.Conflict, $"{capsule} cannot use {to} so", reasons[0].What + (reasons.Count > 1 ? $"; and {reasons.Count - 1} more" : ""), reasons[0].Fix ?? $"`capsule link check {capsule} {to}` lists everything");

    /// <summary>A test of a link that could not be done.</summary>
    public static Problem LinkTestBroke(string capsule, string why) =>
        new("CAP4151", ExitCode.Failed, $"what was to try the link in {capsule} ended", why, "try it again; when it ends again, `capsule link list` and `capsule doctor`");

    /// <summary>A link that is not what it should be.</summary>
    public static Problem LinkTestFailed(string capsule, string to, string what) =>
        new("CAP4152", ExitCode.VerificationFailed, $"{capsule} and {to} are not as on one machine", what, $"`capsule restart {capsule}` brings users and mounts as the links say; `capsule link check {capsule} {to}` tells more");
}
