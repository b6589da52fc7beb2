using System.Diagnostics;
using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Processes;
using Capsules.Runtime;
using Capsules.Runtime.OciVerbs;

// Words in, an exit code out. The verb's door is in the table: ours are here, the others are capsule-tools's.
string[] words = Words.WithOciInFront(args);
try
{
    if (words.Length == 0 || words[0] is "-h" or "--help") return Help.Overview();
    if (words[0] == "--version") words = ["version"];
    if (CommandLineParser.FindVerb(words) is { Verb.Door: Door.Tools }) return Tools.Become(words);
    ParsedCommand command = CommandLineParser.Parse(words);
    if (command.Has("--help")) return Help.Of(command.Verb);
    return command.Verb.Group == "oci" && !command.Verb.Hidden ? OciDoor.Run(command) : Verbs.Run(command);
}
catch (CapsuleException e)
{
    return Failures.Tell(words, e.Problem);
}
catch (SyscallException e)
{
    return Failures.Tell(words, Problems.KernelRefused($"carry out `{words[0]}`", e.Message));
}
catch (Exception e) when (e is InvalidOperationException or UnreachableException or NullReferenceException or FormatException)
{
    Console.Error.WriteLine($"this is an error of capsule itself, please report it: {e}");
    return 125;
}
