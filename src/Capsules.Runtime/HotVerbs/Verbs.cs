using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Runtime.HotVerbs;

namespace Capsules.Runtime;

/// <summary>From a verb to its code.</summary>
internal static class Verbs
{
    public static int Run(ParsedCommand command)
    {
        switch (command.Verb.Name)
        {
            case "help": return ShowHelp(command);
            case "version": return ShowVersion(command);
            case "keeper":
                Keeper.Run(StorePlaces.Prepared(StoreLayout.Default()));
                return 0;
        }
        Home home = Home.Open();
        return command.Verb.Name switch
        {
            "run" => RunVerb.Run(home, command),
            "start" => RunVerb.Start(home, command),
            "exec" => ExecVerb.Run(home, command),
            "stop" => LifeVerbs.Stop(home, command),
            "restart" => LifeVerbs.Restart(home, command),
            "reload" => LifeVerbs.Reload(home, command),
            "kill" => LifeVerbs.Kill(home, command),
            "wait" => LifeVerbs.Wait(home, command),
            "rm" => LifeVerbs.Remove(home, command),
            "ps" => LookVerbs.Ps(home, command),
            "status" => LookVerbs.Status(home, command),
            "inspect" => LookVerbs.Inspect(home, command),
            "diff" => LookVerbs.Diff(home, command),
            "logs" => LogsVerb.Run(home, command),
            "stack start" => StackVerbs.Start(home, command),
            "stack stop" => StackVerbs.Stop(home, command),
            "stack rm" => StackVerbs.Remove(home, command),
            "doctor" => DoctorVerb.Run(home, command),
            _ => throw new CapsuleException(Problems.UnknownVerb(command.Verb.Name)),
        };
    }

    private static int ShowHelp(ParsedCommand command)
    {
        if (command.Arguments.IsEmpty) return Help.Overview();
        return CommandLineParser.FindVerb(command.Arguments.AsSpan()) is var (verb, _) ? Help.Of(verb) : throw new CapsuleException(Problems.UnknownVerb(string.Join(' ', command.Arguments)));
    }

    private static int ShowVersion(ParsedCommand command)
    {
        string version = typeof(Verbs).Assembly.GetName().Version?.ToString(3) ?? "0";
        if (command.Has("--json")) Output.JsonObject(command, w => w.WriteString("version", version));
        else Console.Out.WriteLine($"capsule {version}\nspec: 1.2.0");
        return 0;
    }
}
