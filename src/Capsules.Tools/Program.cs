using System.Collections.Immutable;
using Capsules.Core.CommandLine;
using Capsules.Core.Facts;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Tools.Commands;

// The other program behind the word `capsule`: it knows the verbs that may start slower. `capsule` hands them over by execve.
var output = new CommandOutput(Console.Out, Console.Error, !Console.IsOutputRedirected, Console.IsInputRedirected ? null : question =>
{
    Console.Error.Write(question + " [y/N] ");
    return Console.In.ReadLine()?.Trim() is "y" or "Y" or "yes";
});
try
{
    ParsedCommand command = CommandLineParser.Parse(args);
    if (command.Has("--help"))
    {
        output.Data.Write(HelpText.Of(command.Verb));
        return 0;
    }
    StoreLayout layout = StoreLayout.Default();
    SourceReference Source() => command.Value("--root") is { } root ? SourceReference.OfRoot(Path.GetFullPath(root))
        : command.Value("--pid-ns") is not { } pid ? SourceReference.Live
        : int.TryParse(pid, out int number) ? SourceReference.OfPidNamespace(number) : throw new CapsuleException(Problems.BadValue("process", pid, "a pid"));
    return command.Verb.Name switch
    {
        "scan" => ScanCommand.Run(new(Source(), command.Has("--json")), output),
        "adopt" => AdoptCommand.Run(new()
        {
            Source = Source(), Targets = command.Arguments, Name = command.Value("--name"), Stack = command.Value("--stack"), Plan = command.Has("--plan"), Json = command.Has("--json"),
            Why = command.Value("--why"), Stop = command.Has("--stop"), Yes = command.Has("--yes"), State = command.Values("--state"), Leave = command.Values("--leave"), Add = command.Values("--add"),
        }, layout, output, TimeProvider.System),
        "apply" => ApplyCommand.Run(command.Arguments[0], layout, output, TimeProvider.System),
        "misses" => MissesCommand.Run(command.Arguments[0], command.Arguments[1], command.Has("--json"), layout, output),
        "completion" => Print(HelpText.BashCompletion()),
        _ => throw new CapsuleException(Problems.UnknownVerb(command.Verb.Name)),
    };
}
catch (CapsuleException e)
{
    output.Words.WriteLine(e.Problem.ToString());
    return (int)e.Problem.Exit;
}
catch (SyscallException e)
{
    Problem problem = Problems.KernelRefused($"carry out `{args[0]}`", e.Message);
    output.Words.WriteLine(problem.ToString());
    return (int)problem.Exit;
}

int Print(string text)
{
    output.Data.Write(text);
    return 0;
}
