using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule stack link`: applications of one machine find each other again.</summary>
public static class StackLinkCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        if (!CapsuleName.TryParse(command.Arguments[0], out CapsuleName stack)) throw new CapsuleException(Problems.BadValue("stack", command.Arguments[0], "a name of lower-case letters, digits and hyphens"));
        CapsuleName[] named = [.. command.Arguments.Skip(1).Select(a => store.Get(a).Name)];
        bool asLinks = command.Has("--links"), only = command.Has("--plan");
        var linker = new StackLinker(store);
        StackLinkPlan plan = only ? linker.Plan(stack, named, asLinks) : linker.Apply(stack, named, asLinks);
        output.Data.Write(command.Has("--json") ? Encoding.UTF8.GetString(StackRelations.Json($"{stack}", plan.Relations, plan.Steps)) : StackRelations.Text(plan.Relations, plan.Steps));
        foreach (Relation relation in plan.Relations)
            switch (relation.Kind)
            {
                case RelationKind.AbstractSocket when asLinks:
                    output.Words.WriteLine($"note: {relation.Subject} of {relation.To} is reached in one stack only: capsule stack link {stack}");
                    break;
                case RelationKind.RunPath when asLinks:
                    output.Words.WriteLine($"note: which of {relation.From} and {relation.To} makes {relation.Subject} is not known: capsule share add OWNER/SHARE --path {GuestPath.Parse(relation.Subject).Parent} --preset client");
                    break;
                case RelationKind.Copies:
                    output.Words.WriteLine($"note: what one of {relation.From} and {relation.To} writes to {relation.Subject} the other does not see: adopt both with --stack, or take the state of one away and link it to the other's");
                    break;
            }
        if (only) output.Words.WriteLine("Nothing was changed.");
        return 0;
    }
}
