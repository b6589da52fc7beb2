using Capsules.Core.CommandLine;
using Capsules.Core.Problems;

namespace Capsules.Runtime;

/// <summary>From a verb to its code.</summary>
internal static class Verbs
{
    public static int Run(ParsedCommand command) => command.Verb.Name switch
    {
        "help" => ShowHelp(command),
        "version" => ShowVersion(),
        _ => throw new CapsuleException(Problems.UnknownVerb(command.Verb.Name)),
    };

    private static int ShowHelp(ParsedCommand command)
    {
        if (command.Arguments.IsEmpty) return Help.Overview();
        return CommandLineParser.FindVerb(command.Arguments.AsSpan()) is var (verb, _) ? Help.Of(verb) : throw new CapsuleException(Problems.UnknownVerb(string.Join(' ', command.Arguments)));
    }

    private static int ShowVersion()
    {
        Console.Out.WriteLine($"capsule {typeof(Verbs).Assembly.GetName().Version?.ToString(3)}\nspec: 1.2.0");
        return 0;
    }
}
