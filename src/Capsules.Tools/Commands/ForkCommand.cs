using System.Text;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule link add --fork`, and `link rm` of what came of it.</summary>
internal static class ForkCommand
{
    /// <summary>Makes a copy, or shows what would be done.</summary>
    public static void Make(ParsedCommand command, CapsuleStore store, CommandOutput output, CapsuleName capsule, CapsuleLink link)
    {
        var forks = new ForkRunner(store, TimeProvider.System);
        if (command.Has("--plan"))
        {
            var (steps, findings) = forks.Plan(capsule, link);
            LinkWords.WritePlan(command, output, capsule, link.Import, steps, findings);
            return;
        }
        ForkMade made = forks.Make(capsule, link);
        output.Words.WriteLine($"{made.Fork.Path} of {capsule} is a {made.Fork}: state of its own, the volume {made.Fork.Volume}{(made.Held.Who.IsEmpty ? "" : $"; {string.Join(" and ", made.Held.Who)} held still for {made.Held.Length.TotalSeconds:0.###} s")}.");
        foreach (Warning warning in made.Warnings) output.Words.WriteLine(warning.ToString());
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => Write(w, made.Fork))));
        else output.Data.WriteLine(made.Fork.Volume);
    }

    /// <summary>Takes the label away, or the copy, or shows what would be done.</summary>
    public static void Remove(ParsedCommand command, CapsuleStore store, CommandOutput output, CapsuleName capsule, StateFork fork)
    {
        bool volumes = command.Has("--volumes");
        var forks = new ForkRunner(store, TimeProvider.System);
        if (command.Has("--plan"))
        {
            LinkWords.WritePlan(command, output, capsule, fork.Of, forks.PlanRemove(capsule, fork, volumes), []);
            return;
        }
        if (volumes && !command.Has("--yes") && output.Ask?.Invoke($"Remove {fork.Path} of {capsule} with all data?") != true) throw new CapsuleException(Problems.NotConfirmed($"removing {fork.Path} of {capsule} with its data"));
        forks.Remove(capsule, fork, volumes);
        output.Words.WriteLine(volumes ? $"{fork.Path} of {capsule} is removed." : $"{fork.Path} of {capsule} stays its state, the volume {fork.Volume}, and is no longer labelled as a copy.");
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => Write(w, fork))));
    }

    /// <summary>The members of a copy in a list of links.</summary>
    public static void Write(Utf8JsonWriter w, StateFork fork)
    {
        w.Text("to", $"{fork.Of}");
        w.Text("path", $"{fork.Path}");
        w.Text("state", "fork");
        w.Text("volume", $"{fork.Volume}");
        w.Time("time", fork.Time);
    }
}
