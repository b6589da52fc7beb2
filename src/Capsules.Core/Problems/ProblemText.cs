using System.Text;

namespace Capsules.Core.Problems;

/// <summary>How problems and warnings are shown to people. The words are the same with and without colour.</summary>
public static class ProblemText
{
    private const string Red = "\e[1;31m", Yellow = "\e[1;33m", Bold = "\e[1m", Plain = "\e[0m";

    /// <summary>A problem: code and what, then cause and fix in lines of their own.</summary>
    public static string Of(Problem problem, bool colour) => Render($"error[{problem.Code}]:", Red, problem.What, problem.Cause, problem.Fix, colour);

    /// <summary>A warning.</summary>
    public static string Of(Warning warning, bool colour) => Render($"warning[{warning.Code}]:", Yellow, warning.What, null, warning.Fix, colour);

    private static string Render(string head, string headColour, string what, string? cause, string? fix, bool colour)
    {
        string In(string paint, string text) => colour ? paint + text + Plain : text;
        var text = new StringBuilder(In(headColour, head)).Append(' ').Append(what);
        if (cause is not null) text.Append("\n  ").Append(In(Bold, "cause:")).Append(' ').Append(cause);
        if (fix is not null) text.Append("\n  ").Append(In(Bold, "fix:")).Append("   ").Append(fix.ReplaceLineEndings("\n         "));
        return text.ToString();
    }
}
