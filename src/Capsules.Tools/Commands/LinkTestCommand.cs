using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule link test`: whether a link makes two capsules that run as one machine, tried and not assumed.</summary>
public static class LinkTestCommand
{
    /// <summary>Runs it; the exit code: 5 when something is not as it should be.</summary>
    public static int Run(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleName capsule = store.Get(command.Arguments[0]).Name;
        Import import = LinkWords.Import(command.Arguments[1]);
        ImmutableArray<LinkProof> proofs = new LinkTester(store).Test(capsule, import);
        output.Data.Write(command.Has("--json") ? Encoding.UTF8.GetString(LinkProofs.Json($"{capsule}", $"{import}", proofs)) : LinkProofs.Text(proofs));
        return proofs.FirstOrDefault(p => p.Result == LinkResult.Failed) is { } failed ? throw new CapsuleException(Problems.LinkTestFailed($"{capsule}", $"{import}", $"{failed.Name}: {failed.What}")) : 0;
    }
}
