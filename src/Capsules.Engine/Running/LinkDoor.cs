using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>
/// The way to what is done for links when a capsule starts or stops: by `capsule-tools linker`, so that a capsule without links pays nothing for them.
/// Problems and warnings come back as lines.
/// </summary>
internal static class LinkDoor
{
    private static readonly TimeSpan Most = TimeSpan.FromMilliseconds(int.MaxValue); // services say themselves how long they may take

    /// <summary>Before the stack of a capsule with links comes up: owners are started as its links say, shared users get their numbers.</summary>
    public static ImmutableArray<Warning> Prepare(StoreLayout layout, CapsuleName name) => Run(layout, "prepare", name);

    /// <summary>Before the launch of a capsule whose stack has one PID 1 for all: that it is there, and that it has a place on its board.</summary>
    public static ImmutableArray<Warning> Seat(StoreLayout layout, CapsuleName name) => Run(layout, "seat", name);

    /// <summary>When a capsule with links or a journal has its root, before its services.</summary>
    public static ImmutableArray<Warning> Attach(StoreLayout layout, CapsuleName name) => Run(layout, "attach", name);

    /// <summary>When an owner has come up: running capsules that wait for it get their links.</summary>
    public static ImmutableArray<Warning> Offer(StoreLayout layout, CapsuleName name) => Run(layout, "offer", name);

    /// <summary>Before an owner stops: those that cannot be without it stop first.</summary>
    public static void Withdraw(StoreLayout layout, CapsuleName name, bool startsAgain) => Run(layout, startsAgain ? "restart" : "withdraw", name);

    /// <summary>When an owner has ended by itself: those that cannot be without it stop. Nobody waits for that; a guard sees that it is done.</summary>
    public static void Lose(StoreLayout layout, CapsuleName name) => Programs.StartGuarded(Programs.Tools, ["linker", "lose", name.ToString()], null, layout.Run + "/keeper.log");

    private static ImmutableArray<Warning> Run(StoreLayout layout, string what, CapsuleName name)
    {
        var (status, said) = ToolRun.Run(Programs.Tools, ["linker", what, name.ToString()], [.. Programs.Environment, Starting(what == "prepare" ? name : null)], Most);
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        foreach (string line in said.Split('\n'))
            switch (line.Split('\t'))
            {
                case [LinkLines.ProblemWord, var text, var cause, var fix, var exit, var code]: throw new CapsuleException(new(code, (ExitCode)int.Parse(exit), text, Given(cause), Given(fix)));
                case [LinkLines.WarningWord, var text, var fix, var code]: warnings.Add(new(code, text, Given(fix))); break;
            }
        if (status != 0) throw new CapsuleException(Problems.LinkStepFailed(what, name.ToString(), said.Length == 0 ? $"exit {status}" : said));
        return warnings.ToImmutable();
    }

    /// <summary>The capsules whose start waits for this one, by name, as a variable: whoever needs one of them does not wait for it in turn.</summary>
    internal static string Starting(CapsuleName? further) => $"{StartingVariable}={Environment.GetEnvironmentVariable(StartingVariable)},{further}";

    internal const string StartingVariable = "CAPSULE_STARTING";

    private static string? Given(string text) => text.Length == 0 ? null : text;
}

/// <summary>Problems and warnings as lines between our two programs; what may be empty is never last.</summary>
public static class LinkLines
{
    internal const string ProblemWord = "problem", WarningWord = "warning";

    /// <summary>A problem as a line.</summary>
    public static string Of(Problem problem) => string.Join('\t', ProblemWord, Flat(problem.What), Flat(problem.Cause), Flat(problem.Fix), (int)problem.Exit, problem.Code);

    /// <summary>A warning as a line.</summary>
    public static string Of(Warning warning) => string.Join('\t', WarningWord, Flat(warning.What), Flat(warning.Fix), warning.Code);

    private static string Flat(string? text) => (text ?? "").Replace('\t', ' ').Replace('\n', ' ');
}
