using System.Globalization;
using Capsules.Core.CommandLine;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>Turns a parsed command line into the options of scan, adopt, apply and misses.</summary>
public static class CaptureVerbs
{
    /// <summary>Runs one of these verbs; null when it is another one.</summary>
    public static int? Run(ParsedCommand command, StoreLayout layout, CommandOutput output, TimeProvider clock) => command.Verb.Name switch
    {
        "scan" => ScanCommand.Run(new(Source(command), command.Has("--json")), output),
        "adopt" => AdoptCommand.Run(Adopt(command), layout, output, clock),
        "learn" => LearnCommand.Run(Learn(command), layout, output, clock),
        "diff" => UncertainCommand.Run(command, layout, output),
        "apply" => ApplyCommand.Run(command.Arguments[0], layout, output, clock),
        "capture export" => CaptureExportCommand.Run(command.Arguments[0], command.Arguments[1], new CapsuleStore(layout), output),
        "misses" => MissesCommand.Run(command.Arguments[0], command.Arguments[1], command.Has("--json"), layout, output),
        _ => null,
    };

    /// <summary>The options of adopt.</summary>
    public static AdoptOptions Adopt(ParsedCommand command) => new()
    {
        Source = Source(command),
        Targets = command.Arguments,
        Name = command.Value("--name"),
        Stack = command.Value("--stack"),
        Plan = command.Has("--plan"),
        Json = command.Has("--json"),
        Why = command.Value("--why"),
        Stop = command.Has("--stop"),
        Yes = command.Has("--yes"),
        HostKeys = HostKeysOf(command),
        State = command.Values("--state"),
        Leave = command.Values("--leave"),
        Add = command.Values("--add"),
    };

    /// <summary>The options of learn.</summary>
    public static LearnOptions Learn(ParsedCommand command) => new()
    {
        Name = command.Arguments.IsEmpty ? null : command.Arguments[0],
        Command = command.Command,
        Root = command.Value("--root") is { } root ? Path.GetFullPath(root) : null,
        Attach = command.Value("--attach"),
        Merge = command.Has("--merge"),
        Rules = command.Value("--rules"),
        ShowRules = command.Has("--show-rules"),
        Environment = command.Values("--env"),
        User = command.Value("--user"),
        Capture = Adopt(command),
    };

    /// <summary>The last word wins, as with other options.</summary>
    private static HostKeys HostKeysOf(ParsedCommand command)
    {
        HostKeys decision = HostKeys.Kept;
        foreach (var (name, value) in command.Options)
            if (name is "--keep" or "--fresh")
                decision = value != "host-keys" ? throw new CapsuleException(Problems.BadValue("part that is decided while adopting", value, "host-keys; the parts of an identity are decided by `capsule run` and `capsule identity set`"))
                    : name == "--keep" ? HostKeys.Kept : HostKeys.Fresh;
        return decision;
    }

    private static SourceReference Source(ParsedCommand command)
    {
        string? root = command.Value("--root"), pid = command.Value("--pid-ns");
        if (root is not null && pid is not null) throw new CapsuleException(Problems.WrongUsage("--root and --pid-ns are two sources", command.Verb.Usage));
        if (root is not null) return SourceReference.OfRoot(Path.GetFullPath(root));
        if (pid is null) return SourceReference.Live;
        return int.TryParse(pid, NumberStyles.None, null, out int number) && number > 0
            ? SourceReference.OfPidNamespace(number)
            : throw new CapsuleException(Problems.WrongUsage($"`{pid}` is not the id of a process", command.Verb.Usage));
    }
}
