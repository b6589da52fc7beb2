using System.Collections.Immutable;
using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;

namespace Capsules.Runtime.HotVerbs;

/// <summary>stack start, stop, rm: what is done with all capsules of a stack.</summary>
internal static class StackVerbs
{
    /// <summary>All members, in the order in which their services come after each other's as far as names tell, else by name.</summary>
    public static int Start(Home home, ParsedCommand command) => RunVerb.Interruptible(interruption =>
    {
        foreach (CapsuleRecord capsule in Members(home, command))
            if (home.Runner.Running(capsule.Name) is null)
            {
                Output.Warn(home.Runner.Start(capsule, interruption: interruption));
                Console.Out.WriteLine(capsule.Name);
            }
    });

    public static int Stop(Home home, ParsedCommand command)
    {
        foreach (CapsuleRecord capsule in Members(home, command).Reverse())
        {
            home.Runner.Stop(capsule.Name, Home.Patience(command), Output.Say);
            Console.Out.WriteLine(capsule.Name);
        }
        return 0;
    }

    public static int Remove(Home home, ParsedCommand command) =>
        LifeVerbs.Remove(home, command with { Arguments = [.. Members(home, command).Select(c => c.Name.ToString())] });

    private static ImmutableArray<CapsuleRecord> Members(Home home, ParsedCommand command)
    {
        CapsuleName name = OptionValues.Parse("name of a stack", command.Arguments[0], CapsuleName.Parse);
        ImmutableArray<CapsuleRecord> members = [.. home.Runner.Members(name)];
        if (members.IsEmpty) throw new CapsuleException(Problems.NoSuchCapsule(name.ToString(), CommandLineParser.Similar(name.ToString(), home.Stacks.List().Select(s => s.Name.ToString()))));
        var manifests = members.ToDictionary(m => m.Name, m => home.Store.Manifest(m.Image));
        bool Comes(CapsuleRecord later, CapsuleRecord earlier) => manifests[later.Name].Services.Any(s => s.After.Any(a => manifests[earlier.Name].Services.Any(e => e.Name == a)));
        return [.. members.OrderBy(m => members.Count(other => Comes(m, other))).ThenBy(m => m.Name)];
    }
}
