using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Linking;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule link check`: what would go wrong with a link, before it is made.</summary>
public static class LinkCheckCommand
{
    /// <summary>Runs it; the exit code: 4 when the link would be refused.</summary>
    public static int Run(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleName capsule = store.Get(command.Arguments[0]).Name;
        var wish = new LinkWish(capsule, Word("OWNER/EXPORT", command.Arguments[1], Import.Parse), Choice<LinkPreset>(command, "--preset"), [.. command.Values("--as").Select(v => Word("HERE=THERE", v, SharedName.Parse))], Choice<WhenDown>(command, "--when-down") ?? WhenDown.Require);
        ImmutableArray<LinkFinding> findings = LinkChecker.Check(new LinkFactsReader(store).Read(wish));
        bool strict = command.Has("--strict");
        output.Data.Write(command.Has("--json") ? Encoding.UTF8.GetString(LinkReport.Json(capsule.ToString(), wish.To.ToString(), findings, strict)) : LinkReport.Text(findings));
        return LinkReport.Refuses(findings, strict) ? throw new CapsuleException(Problems.LinkRefused(capsule.ToString(), wish.To.ToString(), LinkReport.Reasons(findings, strict))) : (int)ExitCode.Done;
    }

    private static T Word<T>(string what, string word, Func<string, T> parse)
    {
        try { return parse(word); }
        catch (FormatException e) { throw new CapsuleException(Problems.WrongUsage(FactText.Of(e), $"capsule link check CAPSULE OWNER/EXPORT ({what})"), e); }
    }

    private static T? Choice<T>(ParsedCommand command, string option) where T : struct, Enum
    {
        if (command.Value(option) is not { } word) return null;
        foreach (T value in Enum.GetValues<T>())
            if (JsonReading.Dashed(value) == word) return value;
        throw new CapsuleException(Problems.BadValue(option[2..], word, $"it can be {string.Join(", ", Enum.GetValues<T>().Select(JsonReading.Dashed))}"));
    }
}
