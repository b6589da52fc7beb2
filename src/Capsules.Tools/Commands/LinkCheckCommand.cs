using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule link check`: what would go wrong with a link, before it is made.</summary>
public static class LinkCheckCommand
{
    /// <summary>Runs it; the exit code: 4 when the link would be refused.</summary>
    public static int Run(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleName capsule = store.Get(command.Arguments[0]).Name;
        Import import = LinkWords.Import(command.Arguments[1]);
        ImmutableArray<LinkFinding> findings = LinkChecker.Check(new LinkFactsReader(store).Read(capsule, LinkWords.Link(command, import, store.Offered(import)), fork: command.Has("--fork")));
        bool strict = command.Has("--strict");
        output.Data.Write(command.Has("--json") ? Encoding.UTF8.GetString(LinkReport.Json(capsule.ToString(), import.ToString(), findings, strict)) : LinkReport.Text(findings));
        return LinkReport.Refuses(findings, strict) ? throw new CapsuleException(Problems.LinkRefused(capsule.ToString(), import.ToString(), LinkReport.Reasons(findings, strict))) : (int)ExitCode.Done;
    }
}
