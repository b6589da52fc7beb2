using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Crossings;
using Capsules.Engine.Doors;
using Capsules.Engine.Forwarding;
using Capsules.Engine.Images;
using Capsules.Engine.Journals;
using Capsules.Engine.Opening;
using Capsules.Engine.Realms;
using Capsules.Engine.Store;
using Capsules.Engine.Watching;
using Capsules.Tools.Commands;

// The other program behind the word `capsule`: it knows the verbs that may start slower. `capsule` hands them over by execve.
var output = new CommandOutput(Console.Out, Console.Error, !Console.IsOutputRedirected, Console.IsInputRedirected ? null : question =>
{
    Console.Error.Write(question + " [y/N] ");
    return Console.In.ReadLine()?.Trim() is "y" or "Y" or "yes";
})
{
    ShowsProgress = !Console.IsErrorRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CAPSULE_NO_PROGRESS")) && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb"),
    Width = Console.IsOutputRedirected || Console.WindowWidth <= 0 ? 80 : Console.WindowWidth,
};
return Failures.Guard(args, () =>
{
    if (args.Length == 0 || args[0] is "-h" or "--help") return Print(HelpText.Overview());
    ParsedCommand command = CommandLineParser.Parse(args);
    Colour.Choose(command);
    if (command.Has("--help")) return Print(HelpText.Of(command.Verb));
    Rights.Check(command);
    StoreLayout layout = StorePlaces.Prepared(StoreLayout.Default());
    return CaptureVerbs.Run(command, layout, output, TimeProvider.System) ?? command.Verb.Name switch
    {
        "images" => ImagesCommand.Run(new(command.Has("--quiet"), command.Has("--json")) { Fields = command.Fields }, new CapsuleStore(layout), output),
        "export" => ExportCommand.Run(new(command.Arguments[0], command.Value("--format"), command.Value("--output"), new ExportOptions(command.Has("--with-state"), command.Has("--with-secrets"), Open: command.Has("--open"))),
            new CapsuleStore(layout), output, Console.OpenStandardOutput),
        "sbom" => SbomCommand.Run(command.Arguments[0], command.Value("--format"), command.Value("--output"), new CapsuleStore(layout), output),
        "import" => ImportCommand.Run(command.Arguments[0], command.Value("--name"), command.Value("--source"), new CapsuleStore(layout), output, TimeProvider.System),
        "state add" => StateCommand.Add(command, new CapsuleStore(layout), output),
        "share add" => ShareCommand.Add(command, new CapsuleStore(layout), output),
        "share list" => ShareCommand.List(command, new CapsuleStore(layout), output),
        "share rm" => ShareCommand.Remove(command, new CapsuleStore(layout), output),
        "link add" => LinkCommand.Add(command, new CapsuleStore(layout), output),
        "link swap" => LinkCommand.Swap(command, new CapsuleStore(layout), output),
        "link list" => LinkCommand.List(command, new CapsuleStore(layout), output),
        "link rm" => LinkCommand.Remove(command, new CapsuleStore(layout), output),
        "linker" => LinkCommand.Linker(command, new CapsuleStore(layout), output),
        "identity show" => new IdentityCommand(command, new CapsuleStore(layout), output).Show(),
        "identity list" => new IdentityCommand(command, new CapsuleStore(layout), output).List(),
        "identity set" => new IdentityCommand(command, new CapsuleStore(layout), output).Set(),
        "identity check" => new IdentityCommand(command, new CapsuleStore(layout), output).Check(),
        "stack list" => new IdentityCommand(command, new CapsuleStore(layout), output).ListStacks(),
        "stack set" => new IdentityCommand(command, new CapsuleStore(layout), output).SetStack(),
        "stack link" => StackLinkCommand.Run(command, new CapsuleStore(layout), output),
        "link test" => LinkTestCommand.Run(command, new CapsuleStore(layout), output),
        "prober" => Probe(command),
        "link check" => LinkCheckCommand.Run(command, new CapsuleStore(layout), output),
        "why" => WhyCommand.Run(command.Arguments[0], command.Arguments[1], command.Value("--user"), command.Has("--json"), new CapsuleStore(layout), output),
        "journal add" => JournalCommand.Add(command.Arguments[0], new CapsuleStore(layout), output),
        "journal list" => JournalCommand.List(command, new CapsuleStore(layout), output),
        "journal rm" => JournalCommand.Remove(command.Arguments[0], new CapsuleStore(layout), output),
        "who-wrote" => WhoWroteCommand.Run(command.Arguments[0], command.Arguments[1], command.Has("--json"), new CapsuleStore(layout), output),
        "scribe" => Note(layout),
        "forwarder" => Forward(layout),
        "ports" => Relay(layout),
        "filler" => Fill(layout, command.Arguments[0]),
        "watcher" => Watch(layout, CapsuleName.Parse(command.Arguments[0])),
        "crossings" => Cross(layout, command.Arguments.FirstOrDefault()),
        "explain" => ExplainCommand.Run(command.Arguments[0], output),
        "completion" => Print(Completion.Of(command.Arguments[0])),
        _ => throw new CapsuleException(Problems.UnknownVerb(command.Verb.Name)),
    };
});

int Watch(StoreLayout layout, CapsuleName name)
{
    Watcher.Run(layout, name);
    return 0;
}

int Note(StoreLayout layout)
{
    Scribe.Run(layout);
    return 0;
}

int Forward(StoreLayout layout)
{
    Forwarder.Run(layout);
    return 0;
}

int Relay(StoreLayout layout)
{
    PortRelay.Run(layout);
    return 0;
}

int Cross(StoreLayout layout, string? capsule)
{
    if (capsule is null) CrossingBroker.Run(layout);
    else CrossingDoor.Follow(new CapsuleStore(layout), CapsuleName.Parse(capsule));
    return 0;
}

int Probe(ParsedCommand command)
{
    LinkProber.Run(command.Arguments);
    return 0;
}

int Fill(StoreLayout layout, string name)
{
    Filler.Run(layout, CapsuleName.Parse(name));
    return 0;
}

int Print(string text)
{
    output.Data.Write(text);
    return 0;
}
