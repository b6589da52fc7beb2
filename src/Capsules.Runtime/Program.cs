using Capsules.Core.CommandLine;
using Capsules.Engine.Doors;
using Capsules.Runtime;
using Capsules.Runtime.OciVerbs;

// Words in, an exit code out. The verb's door is in the table: ours are here, the others are capsule-tools's.
string[] words = Words.WithOciInFront(args);
return Failures.Guard(words, () =>
{
    if (words.Length == 0 || words[0] is "-h" or "--help") return Help.Overview();
    if (words[0] == "--version") words = ["version"];
    if (CommandLineParser.FindVerb(words) is { Verb: var verb } && (verb.Door == Door.Tools || verb.Name == "diff" && words.Contains("--uncertain"))) return Tools.Become(words);
    ParsedCommand command = CommandLineParser.Parse(words);
    Colour.Choose(command);
    if (command.Has("--help")) return Help.Of(command.Verb);
    Rights.Check(command);
    return command.Verb.Group == "oci" && !command.Verb.Hidden ? OciDoor.Run(command) : Verbs.Run(command);
});
