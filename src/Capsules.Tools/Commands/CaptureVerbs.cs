using System.Collections.Immutable;
using System.Globalization;
using Capsules.Core.CommandLine;
using Capsules.Core.Facts;
using Capsules.Core.Installing;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Installing;
using Capsules.Engine.Store;
using Capsules.Linux.Terminals;

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
        "install" => InstallCommand.Run(Install(command, clock), layout, output),
        "prescan" => CompareCommands.Prescan(Source(command), layout, output),
        "postscan" => CompareCommands.Postscan(command.Arguments[0], Name(command.Arguments[1]), Source(command), command.Has("--plan"), command.Has("--json"), layout, output, clock),
        "compare" => CompareCommands.Compare(command.Arguments[0], command.Arguments[1], command.Arguments.Length > 2 ? Name(command.Arguments[2]) : null, command.Has("--plan"), command.Has("--json"), layout, output, clock),
        "capture export" => CaptureExportCommand.Run(command.Arguments[0], command.Arguments[1], new CapsuleStore(layout), output),
        "commit" => CommitCommand.Run(Name(command.Arguments[0]), command.Value("--as") is { } other ? Name(other) : null, new CapsuleStore(layout), output, clock),
        "seal" => SealCommand.Run(Name(command.Arguments[0]), new CapsuleStore(layout), output),
        "verify" => VerifyCommand.Run(command, layout, output, clock),
        "misses" when command.Arguments.Length == 1 => MissesCommand.List(command.Arguments[0], command.Has("--json"), layout, output),
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
        Open = command.Has("--open"),
        Bare = command.Has("--bare"),
        Yes = command.Has("--yes"),
        HostKeys = HostKeysOf(command),
        State = command.Values("--state"),
        Leave = command.Values("--leave"),
        Add = command.Values("--add"),
    };

    /// <summary>The options of learn.</summary>
    public static LearnOptions Learn(ParsedCommand command) => new()
    {
        Name = command.Arguments.IsEmpty ? null : Name(command.Arguments[0]),
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

    /// <summary>The options of install: of the command line, or of a recipe.</summary>
    public static InstallOptions Install(ParsedCommand command, TimeProvider clock)
    {
        CapsuleName name = Name(command.Arguments[0]);
        ImmutableArray<string> environment = command.Values("--env");
        if (environment.FirstOrDefault(e => e.IndexOf('=', StringComparison.Ordinal) <= 0) is { } bad) throw new CapsuleException(Problems.BadValue("variable", bad, "write NAME=VALUE"));
        if (command.Value("--recipe") is not { } file)
        {
            if (command.Command.IsEmpty) throw new CapsuleException(Problems.WrongUsage("`capsule install` wants a command or a recipe", command.Verb.Usage));
            string? from = command.Value("--from") ?? (command.Command[0].StartsWith("./", StringComparison.Ordinal) ? "." : null);
            if (from is not null && !Directory.Exists(from)) throw new CapsuleException(Problems.BadValue("directory", from, "give one that is there"));
            return new()
            {
                Name = name,
                Recipe = new() { Base = command.Value("--base") ?? Recipe.DefaultBase, From = from is null ? null : Path.GetFullPath(from), Environment = environment, Commands = [command.Command] },
                Terminal = PseudoTerminal.IsTerminal(0) && PseudoTerminal.IsTerminal(1),
                Clock = clock,
            };
        }
        if (!command.Command.IsEmpty || command.Value("--base") is not null || command.Value("--from") is not null) throw new CapsuleException(Problems.WrongUsage("a recipe says by itself what is run, on what and from where", command.Verb.Usage));
        string place = Path.GetFullPath(file);
        try
        {
            Recipe recipe = Recipe.Parse(File.ReadAllBytes(place));
            return new() { Name = name, Recipe = recipe with { Environment = [.. recipe.Environment, .. environment] }, RecipeDirectory = Path.GetDirectoryName(place)!, RecipeFile = place, Clock = clock };
        }
        catch (Exception e) when (e is FormatException or IOException or UnauthorizedAccessException) { throw new CapsuleException(Problems.BadFile(place, FactText.Of(e)), e); }
    }

    private static CapsuleName Name(string text) => CapsuleName.TryParse(text, out CapsuleName parsed) ? parsed
        : throw new CapsuleException(Problems.BadValue("name of a capsule", text, "1 to 63 of a-z 0-9 - . _, first a letter or digit"));

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
