using Capsules.Core.CommandLine;

namespace Capsules.Engine.Doors;

/// <summary>Whether words to people are coloured: --color, else NO_COLOR, else whether standard error is a terminal.</summary>
public static class Colour
{
    private static string s_choice = "auto";

    /// <summary>Takes the choice of the command line.</summary>
    public static void Choose(ParsedCommand command) => s_choice = command.Value("--color") ?? "auto";

    /// <summary>Whether errors and warnings are coloured.</summary>
    public static bool OfErrors => s_choice switch
    {
        "always" => true,
        "never" => false,
        _ => string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && !Console.IsErrorRedirected,
    };
}
