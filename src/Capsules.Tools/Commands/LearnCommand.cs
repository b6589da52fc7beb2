using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Learning;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Tools.Commands;

/// <summary>Options of `capsule learn`.</summary>
public sealed record LearnOptions
{
    /// <summary>The capsule's name.</summary>
    public CapsuleName? Name { get; init; }
    /// <summary>The command to watch; empty to attach, or to plan from earlier runs.</summary>
    public ImmutableArray<string> Command { get; init; } = [];
    /// <summary>The tree to run it in.</summary>
    public string? Root { get; init; }
    /// <summary>What to attach to.</summary>
    public string? Attach { get; init; }
    /// <summary>Add this run to earlier ones.</summary>
    public bool Merge { get; init; }
    /// <summary>A file of rules.</summary>
    public string? Rules { get; init; }
    /// <summary>Print the rules and stop.</summary>
    public bool ShowRules { get; init; }
    /// <summary>--env.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>--user.</summary>
    public string? User { get; init; }
    /// <summary>What learn has in common with adopt: --plan, --json, --why, --stack, --state, --leave, --add.</summary>
    public required AdoptOptions Capture { get; init; }
}

/// <summary>`capsule learn`: watches an application while it is used, and makes a capsule of what it met.</summary>
public static class LearnCommand
{
    private const string Usage = "capsule learn NAME -- COMMAND [ARG...], or capsule learn NAME --attach PID|UNIT|CAPSULE";

    /// <summary>Runs it; the command's exit code, once it has been learned.</summary>
    public static int Run(LearnOptions options, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        if (options.ShowRules)
        {
            output.Data.Write(WideningRules.DefaultText + "\n");
            return 0;
        }
        CapsuleName name = options.Name ?? throw new CapsuleException(Problems.WrongUsage("`capsule learn` wants a name for the capsule", Usage));
        bool runs = !options.Command.IsEmpty;
        if (runs && options.Attach is not null) throw new CapsuleException(Problems.WrongUsage("a command is run, or something that runs is attached to", Usage));
        if (!runs && options.Attach is null && !options.Merge) throw new CapsuleException(Problems.WrongUsage("there is nothing to watch", Usage));
        if (options.Attach is not null && options.Root is not null) throw new CapsuleException(Problems.WrongUsage("what runs is on this machine, not in a tree", Usage));
        bool makes = !options.Capture.Plan && options.Capture.Why is null;
        if (makes && FileCalls.TryStat(null, layout.Capsule(name)) is not null) throw new CapsuleException(Problems.NameTaken(name.ToString()));
        bool isBare = AdoptCommand.IsBare(options.Capture);
        WideningRules rules = options.Rules is { } file ? LearnedRuns.Rules(Path.GetFullPath(file)) : WideningRules.Default;

        var logs = new LearnedRuns(layout, name);
        ImmutableArray<string> earlier = logs.Files();
        int exit = 0;
        LearnedSource? attached = options.Attach is { } target ? LearnedSource.Of(target, layout) : null;
        if (attached is not null) Attach(attached, logs, clock, output);
        else if (runs) exit = Watch(options, logs, layout, clock, output);
        if (!options.Merge) LearnedRuns.Forget(earlier);

        ImmutableArray<ObservedRun> seen = logs.Read();
        LearnedPaths learned = LearnedPaths.Merge(seen);
        output.Words.WriteLine($"learned {learned.Paths.Count(p => !p.IsMissing)} paths in {(learned.Runs == 1 ? "one run" : $"{learned.Runs} runs")}; {learned.Paths.Count(p => p.IsMissing)} more were looked for and are not there");
        foreach (string unseen in learned.Unseen) output.Words.WriteLine($"not seen: {unseen}");

        using ScannedSource source = Scanner.Read(attached?.Source ?? (options.Root is { } root ? SourceReference.OfRoot(root) : SourceReference.Live));
        Scanner.CheckArchitecture(source.Facts);
        var view = new SourceView(source.Facts, source.Tree);
        Application application = attached is not null ? attached.Application(view) : Command(options, seen, view, learned);
        CapturePlan plan = CapturePlanner.Plan(view, application, new()
        {
            Name = name,
            Stack = options.Capture.Stack is { } stack ? AdoptCommand.ParseName(stack) : null,
            Found = learned.Found,
            Uncertain = learned.Uncertain,
            Rules = rules,
            Add = AdoptCommand.Paths(options.Capture.Add),
            State = AdoptCommand.Paths(options.Capture.State),
            Leave = AdoptCommand.Paths(options.Capture.Leave),
            Bare = isBare,
        });
        plan = SharedState.Apply(view, [plan])[0];
        if (options.Capture.Why is { } why) return AdoptCommand.Explain([plan], AdoptCommand.Paths([why])[0], source.Tree, output);
        if (!makes)
        {
            output.Data.Write(options.Capture.Json ? Encoding.UTF8.GetString(CapturePlanJson.Write(plan)) : CapturePlanText.Of(plan, output.Size));
            return exit;
        }
        AdoptCommand.Apply(plan, source, layout, stop: false, output with { Data = output.Words }, clock, AdoptCommand.OpenOf(options.Capture, source)); // standard output is the command's
        return exit;
    }

    private static int Watch(LearnOptions options, LearnedRuns logs, StoreLayout layout, TimeProvider clock, CommandOutput output)
    {
        using RootTree tree = new(options.Root ?? "/");
        string program = FindProgram(options, tree);
        using LearnLog writer = logs.Begin(clock, "seccomp notification and fanotify", Learned(options));
        int exit = WatchedCommand.Run(new()
        {
            Command = options.Command,
            Program = program,
            Environment = Variables(options),
            WorkingDirectory = options.Root is null ? null : "/",
            User = options.User is { } user ? UserResolver.Resolve(user, null, [], Lines(tree, "/etc/passwd"), Lines(tree, "/etc/group")) : null,
            Tree = options.Root is null ? null : new(options.Root, RuntimeDirectories(options.Root)),
            Say = text => output.Words.WriteLine(text),
        }, writer, layout);
        writer.End(exit);
        if (writer.Failure is { } failure) throw new CapsuleException(Problems.StoreFull(layout.State, failure.Message), failure);
        return exit;
    }

    private static void Attach(LearnedSource attached, LearnedRuns logs, TimeProvider clock, CommandOutput output)
    {
        using LearnLog writer = logs.Begin(clock, "fanotify and /proc", null);
        output.Words.WriteLine($"watching process {attached.Pid}; use the application now, then interrupt (Ctrl-C)");
        AttachedWatch.Run(attached.Pid, writer);
        writer.End(0);
    }

    /// <summary>The application of a command: this run's, or that of the last of earlier runs.</summary>
    private static Application Command(LearnOptions options, ImmutableArray<ObservedRun> seen, SourceView view, LearnedPaths learned)
    {
        LearnedCommand command = !options.Command.IsEmpty ? Learned(options)
            : seen.LastOrDefault(r => r.Command is not null)?.Command ?? throw new CapsuleException(Problems.WrongUsage("the earlier runs were attached to something that ran: name it again with --attach", Usage));
        string program = FindProgram(options with { Command = command.Command }, view.Resolver.Tree);
        return LearnedApplication.Of(view, GuestPath.Normalize(BytePicture.FromPicture(program)), command, learned);
    }

    private static LearnedCommand Learned(LearnOptions options) => new(options.Command,
        options.Root is null && GuestPath.TryParse(Encoding.UTF8.GetBytes(Environment.CurrentDirectory), out GuestPath here) ? here : GuestPath.Root, options.Environment, options.User);

    /// <summary>As a shell would find it: by its path, or in the directories of PATH.</summary>
    private static string FindProgram(LearnOptions options, ISourceTree tree)
    {
        string name = options.Command[0];
        string here = options.Root is null ? Environment.CurrentDirectory : "/";
        var resolver = new TreeResolver(tree);
        string[] candidates = name.Contains('/') ? [name.StartsWith('/') ? name : $"{here}/{name}"]
            : [.. (Variables(options).LastOrDefault(v => v.StartsWith("PATH=", StringComparison.Ordinal))?[5..] ?? "").Split(':').Select(d => $"{(d.StartsWith('/') ? d : $"{here}/{d}")}/{name}")];
        return candidates.FirstOrDefault(c => resolver.Resolve(GuestPath.Normalize(Encoding.UTF8.GetBytes(c))) is { Entry: { IsRegular: true } entry } && (entry.Mode & 0x49) != 0)
            ?? throw new CapsuleException(Problems.NoSuchCommand(name, options.Root ?? "this machine"));
    }

    /// <summary>What the command is given: on this machine what we have, in a tree what a service has; and --env.</summary>
    private static ImmutableArray<string> Variables(LearnOptions options)
    {
        var variables = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (options.Root is not null) (variables["PATH"], variables["HOME"]) = ("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/root");
        else
            foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables()) variables[(string)variable.Key] = (string?)variable.Value ?? "";
        foreach (string word in options.Environment)
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1) throw new CapsuleException(Problems.WrongUsage($"`{word}` is not NAME=VALUE", Usage));
            variables[word[..equals]] = word[(equals + 1)..];
        }
        return [.. variables.Select(v => $"{v.Key}={v.Value}")];
    }

    /// <summary>Directories that a booted machine would have made below /run: of tmpfiles.d, and RuntimeDirectory= of units.</summary>
    private static ImmutableArray<(GuestPath Path, int Mode, uint Uid, uint Gid)> RuntimeDirectories(string root)
    {
        using ScannedSource source = Scanner.Read(SourceReference.OfRoot(root));
        HostFacts facts = source.Facts;
        var found = new SortedDictionary<GuestPath, (int Mode, uint Uid, uint Gid)>();
        uint Uid(string? name) => facts.Users.FirstOrDefault(u => u.Name == name)?.Uid ?? 0;
        uint Gid(string? name) => facts.Groups.FirstOrDefault(g => g.Name == name)?.Gid ?? 0;
        GuestPath run = GuestPath.Parse("/run");
        void Add(GuestPath path, int mode, string? user, string? group)
        {
            if (path.IsWithin(GuestPath.Parse("/var/run"))) path = run.Combine(path.RelativeTo(GuestPath.Parse("/var/run")).ToArray());
            if (path.IsWithin(run) && path != run) found.TryAdd(path, (mode, Uid(user), Gid(group ?? user)));
        }
        foreach (TmpfilesLine line in facts.Tmpfiles)
            if (line.Type is 'd' or 'D' && line.Path.StartsWith('/')) Add(GuestPath.Normalize(Encoding.UTF8.GetBytes(line.Path)), line.Mode ?? 0x1ED, line.User, line.Group);
        foreach (UnitFact unit in facts.Units)
            foreach (string name in unit.File.Words("Service", "RuntimeDirectory")) Add(run.Combine(name.Split(':')[0]), 0x1ED, unit.File.Last("Service", "User"), unit.File.Last("Service", "Group"));
        return [.. found.Select(f => (f.Key, f.Value.Mode, f.Value.Uid, f.Value.Gid))];
    }

    private static IEnumerable<string> Lines(RootTree tree, string path) => tree.Read(GuestPath.Parse(path)) is { } text ? ByteLines.TextOf(text) : [];
}

/// <summary>What `--attach` names: a process of this machine, or one in a capsule, and where its files are.</summary>
internal sealed record LearnedSource(SourceReference Source, int Pid, string Word)
{
    /// <summary>Understands a pid, a running capsule, or the name of a unit or application that runs.</summary>
    public static LearnedSource Of(string target, StoreLayout layout)
    {
        if (int.TryParse(target, NumberStyles.None, null, out int pid))
            return Linux.Processes.ProcessTable.TryRead(pid) is { IsDead: false } ? Of(SourceReference.Live, $"pid:{pid}") : throw new CapsuleException(Problems.NoSuchProcess(target, "no process of this host has that number"));
        if (CapsuleName.TryParse(target, out CapsuleName name) && new CapsuleRunner(new(layout)).Running(name) is { } running)
        {
            SourceReference source = SourceReference.OfPidNamespace(running.Init);
            using ScannedSource inside = Scanner.Read(source);
            var view = new SourceView(inside.Facts, inside.Tree);
            ProcessFact first = view.Facts.Processes.FirstOrDefault(p => p.ParentPid == running.Init) ?? throw new CapsuleException(Problems.NoSuchProcess(target, "none of its services runs"));
            return new(source, first.Pid, $"pid:{first.Pid}");
        }
        return Of(SourceReference.Live, target);
    }

    private static LearnedSource Of(SourceReference source, string word)
    {
        using ScannedSource scanned = Scanner.Read(source);
        var view = new SourceView(scanned.Facts, scanned.Tree);
        Application found = TargetWords.Resolve(view, word);
        return new(source, found.Main?.Pid ?? throw new CapsuleException(Problems.NoSuchProcess(word, "it does not run")), word);
    }

    /// <summary>The application, after it was watched; when it has ended meanwhile, what its unit or program says.</summary>
    public Application Application(SourceView view) => TargetWords.Resolve(view, view.Facts.Processes.Any(p => p.Pid == Pid) || !Word.StartsWith("pid:", StringComparison.Ordinal) ? Word
        : throw new CapsuleException(Problems.NoSuchProcess(Word[4..], "it has ended; its log is kept: attach to the next one with --merge")));
}
