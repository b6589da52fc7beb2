using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Terminals;

namespace Capsules.Runtime.HotVerbs;

/// <summary>capsule run: starts a capsule with what the user sets over its manifest, or runs one command in a new capsule of its kind.</summary>
internal static class RunVerb
{
    public static int Run(Home home, ParsedCommand command)
    {
        if (command.Has("--watch") && !command.Command.IsEmpty) throw new CapsuleException(Problems.WrongUsage("--watch is for services; a command alone is watched by `capsule learn`", command.Verb.Usage));
        bool further = command.Has("--rm") || command.Value("--name") is not null || !command.Command.IsEmpty;
        CapsuleRecord named = home.Capsule(command);
        CapsuleRecord capsule = Changed(further ? Further(home, named, command) : named, command);
        if (!further && home.Runner.Running(capsule.Name) is not null) throw new CapsuleException(Problems.AlreadyRunning(capsule.Name.ToString()));
        Changed(new StackRecord { Name = capsule.Stack, IdBase = 0 }, command, further); // all words are right before anything is made
        Identity source = home.Store.Manifest(capsule.Image).Identity;
        StackRecord ChangedStack(StackRecord stack) => Changed(further && stack.Identity is null ? stack with { Fresh = [.. Enum.GetValues<IdentityMember>()] } : stack, command, further);
        if (command.Has("--plan")) return ShowPlan(home, capsule, ChangedStack(home.Stacks.FindOrDraft(capsule.Stack, source)));

        if (further) new CapsuleImages(home.Store).Create(capsule, home.Store.Manifest(capsule.Image));
        else home.Store.Save(capsule);
        home.Stacks.Ensure(capsule.Stack, source, ChangedStack);
        if (!command.Command.IsEmpty) return RunCommand(home, capsule, command);

        return Interruptible(interruption =>
        {
            var watch = Stopwatch.StartNew();
            Output.Warn(home.Runner.Start(capsule, interruption: interruption, watch: command.Has("--watch")));
            Announce(home, capsule, watch.Elapsed);
        });
    }

    /// <summary>A start that Ctrl-C and its like end: the exit code is then a shell's, 128 and the signal.</summary>
    internal static int Interruptible(Action<Interruption> start)
    {
        using var interruption = new Interruption();
        try { start(interruption); }
        catch (CapsuleException e) when (interruption.Signal != 0)
        {
            Output.Say(e.Problem.ToString());
            return 128 + interruption.Signal;
        }
        return 0;
    }

    /// <summary>capsule start.</summary>
    public static int Start(Home home, ParsedCommand command) => Interruptible(interruption =>
    {
        foreach (string name in command.Arguments)
        {
            CapsuleRecord capsule = home.Store.Get(name);
            if (command.Has("--plan"))
            {
                ShowPlan(home, capsule, home.Stacks.FindOrDraft(capsule.Stack, home.Store.Manifest(capsule.Image).Identity));
                continue;
            }
            if (home.Runner.Running(capsule.Name) is not null) continue; // as systemctl: what runs is started
            var watch = Stopwatch.StartNew();
            Output.Warn(home.Runner.Start(capsule, interruption: interruption, watch: command.Has("--watch")));
            Announce(home, capsule, watch.Elapsed);
        }
    });

    private static void Announce(Home home, CapsuleRecord capsule, TimeSpan time)
    {
        Identity? identity = home.Stacks.Find(capsule.Stack)?.Identity;
        string address = identity?.Interfaces.SelectMany(i => i.Addresses).Select(a => $" at {a.Address}").FirstOrDefault() ?? "";
        string host = identity?.HostName is { } name ? $" ({(identity.Domain is { } domain && !name.Contains('.', StringComparison.Ordinal) ? $"{name}.{domain}" : name)})" : "";
        Output.Say($"Running {capsule.Name}{address}{host}, ready in {time.TotalSeconds:0.0} s.");
        Console.Out.WriteLine(capsule.Name);
    }

    /// <summary>The capsule holds only the command, and stops with it; the keeper does the same when we are killed.</summary>
    private static int RunCommand(Home home, CapsuleRecord capsule, ParsedCommand command)
    {
        try
        {
            if (Interruptible(interruption => Output.Warn(home.Runner.Start(capsule, services: false, interruption))) is not 0 and int code) return code;
            var (pid, terminal) = home.Runner.Exec(capsule.Name, ExecVerb.Request(command));
            if (!command.Has("--detach")) return OciVerbs.Foreground.Wait(pid, terminal);
            terminal?.Dispose();
            Console.Out.WriteLine(capsule.Name);
            return 0;
        }
        finally
        {
            if (!command.Has("--detach"))
            {
                home.Runner.Stop(capsule.Name, TimeSpan.FromSeconds(10));
                if (capsule.RemoveWhenStopped && home.Store.Find(capsule.Name) is not null) home.Runner.RemoveWhole(capsule); // it never came to run
            }
        }
    }

    private static int ShowPlan(Home home, CapsuleRecord capsule, StackRecord stack)
    {
        var (identity, launch) = home.Runner.Plan(capsule, stack);
        var text = new StringBuilder("identity\n");
        foreach (IdentityDecision decision in identity.Decisions) text.Append($"  {JsonWords(decision.Member),-11} {decision.Value,-40} {decision.Reason}\n");
        text.Append("network\n").Append(identity.Network).Append(launch);
        Console.Out.Write(text);
        foreach (Problem problem in identity.Problems) Output.Say(problem.ToString());
        Output.Warn(identity.Warnings);
        return identity.Problems.IsEmpty ? 0 : (int)identity.Problems[0].Exit;
    }

    private static string JsonWords(IdentityMember member) => Core.Json.JsonReading.Dashed(member);

    private static CapsuleRecord Further(Home home, CapsuleRecord image, ParsedCommand command)
    {
        string name = command.Value("--name") ?? $"{image.Name}-{Convert.ToHexStringLower(Randomness.Get(3))}";
        CapsuleName own = OptionValues.Parse("name of a capsule", name, CapsuleName.Parse);
        if (home.Store.Find(own) is not null) throw new CapsuleException(Problems.NameTaken(name));
        NetworkMode mode = Mode(command);
        return new()
        {
            Name = own,
            Image = image.Image,
            Stack = mode.Kind == NetworkKind.Stack ? CapsuleName.Parse(mode.Subject!) : own,
            Created = DateTimeOffset.UtcNow,
            Source = image.Source,
            RemoveWhenStopped = command.Has("--rm"),
        };
    }

    private static CapsuleRecord Changed(CapsuleRecord capsule, ParsedCommand command) => capsule with
    {
        Stack = Mode(command) is { Kind: NetworkKind.Stack, Subject: { } stack } ? CapsuleName.Parse(stack) : capsule.Stack,
        Environment = command.Values("--env") is { IsEmpty: false } variables ? [.. variables.Select(Picture)] : capsule.Environment,
        HostDirectories = command.Values("--volume") is { IsEmpty: false } volumes ? [.. volumes.Select(v => OptionValues.Parse("directory to show", v, ParseVolume))] : capsule.HostDirectories,
        Limits = new()
        {
            Memory = command.Value("--memory") is { } memory ? OptionValues.Memory("--memory", memory) : capsule.Limits.Memory,
            Cpus = command.Value("--cpus") is { } cpus ? OptionValues.Processors("--cpus", cpus) : capsule.Limits.Cpus,
            Pids = command.Value("--pids-limit") is { } pids ? OptionValues.Processes("--pids-limit", pids) : capsule.Limits.Pids,
            IoWeight = capsule.Limits.IoWeight,
        },
        Restart = command.Value("--restart") is { } restart ? OptionValues.Parse("restart policy", restart, ParseRestart) : capsule.Restart,
        ReadOnly = command.Has("--read-only") || capsule.ReadOnly,
        ClockOffsets = Offsets(capsule.ClockOffsets, command),
    };

    /// <summary>Both are 0: the host's clocks, and no namespace for them.</summary>
    private static ClockOffsets? Offsets(ClockOffsets? kept, ParsedCommand command)
    {
        long Of(string option, long before) => command.Value(option) is { } text ? OptionValues.Offset(option, text) : before;
        var offsets = new ClockOffsets(new(Of("--monotonic-offset", kept?.Monotonic.Seconds ?? 0)), new(Of("--boot-offset", kept?.Boot.Seconds ?? 0)));
        return offsets == new ClockOffsets(default, default) ? null : offsets;
    }

    private static StackRecord Changed(StackRecord stack, ParsedCommand command, bool further)
    {
        NetworkMode mode = Mode(command);
        var keep = command.Values("--keep").SelectMany(k => OptionValues.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        var fresh = command.Values("--fresh").SelectMany(k => OptionValues.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        return stack with
        {
            Network = command.Value("--network") is null || mode.Kind == NetworkKind.Stack ? stack.Network : mode,
            Keep = stack.Keep.Union(keep).Except(fresh),
            Fresh = stack.Fresh.Union(fresh).Except(keep),
            Addresses = command.Value("--ip") is { } ip ? OptionValues.Parse("address", ip, t => { AddressOption.Parse(t); return ImmutableArray.Create(t); }) : stack.Addresses,
            Mac = command.Value("--mac-address") is { } mac ? OptionValues.Parse("MAC address", mac, MacAddress.Parse) : stack.Mac,
            HostName = command.Value("--hostname") ?? stack.HostName,
            Ports = command.Values("--publish") is { IsEmpty: false } ports ? [.. ports.SelectMany(p => OptionValues.Parse("port", p, t => PublishedPort.Parse(t)))] : stack.Ports,
        };
    }

    private static NetworkMode Mode(ParsedCommand command) => command.Value("--network") is { } mode ? OptionValues.Parse("network", mode, NetworkMode.Parse) : default;

    private static HostDirectory ParseVolume(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length is < 2 or > 3 || (parts.Length == 3 && parts[2] is not ("ro" or "rw"))) throw new FormatException("write DIR:PATH or DIR:PATH:ro");
        GuestPath target = GuestPath.Normalize(BytePicture.FromPicture(parts[1]));
        if (target.IsRoot || target.IsWithin(GuestPath.Parse("/proc")) || target.IsWithin(GuestPath.Parse("/sys"))) throw new FormatException("a directory below /, and not in /proc or /sys, which are the kernel's");
        return new(Path.GetFullPath(parts[0]), target, parts is [_, _, "ro"]);
    }

    private static RestartPolicy ParseRestart(string text) => text switch
    {
        "no" => RestartPolicy.No,
        "on-failure" => RestartPolicy.OnFailure,
        "always" or "unless-stopped" => RestartPolicy.Always,
        _ => throw new FormatException("no, on-failure or always"),
    };

    internal static string Picture(string text) => BytePicture.Of(Encoding.UTF8.GetBytes(text));
}

/// <summary>capsule exec.</summary>
internal static class ExecVerb
{
    public static int Run(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        if (command.Command.IsEmpty) throw new CapsuleException(Problems.WrongUsage("`capsule exec` wants a command", command.Verb.Usage));
        var (pid, terminal) = home.Runner.Exec(capsule.Name, Request(command));
        if (!command.Has("--detach")) return OciVerbs.Foreground.Wait(pid, terminal);
        terminal?.Dispose();
        return 0;
    }

    internal static ExecRequest Request(ParsedCommand command)
    {
        bool terminal = command.Has("--tty");
        if (terminal && !command.Has("--detach") && !PseudoTerminal.IsTerminal(0)) throw new CapsuleException(Problems.WrongUsage("--tty needs a terminal as standard input", command.Verb.Usage));
        return new([.. command.Command.Select(RunVerb.Picture)])
        {
            User = command.Value("--user"),
            Environment = [.. terminal && Environment.GetEnvironmentVariable("TERM") is { } term ? ["TERM=" + term] : ImmutableArray<string>.Empty, .. command.Values("--env").Select(e => RunVerb.Picture(e.Contains('=', StringComparison.Ordinal) ? e : $"{e}={Environment.GetEnvironmentVariable(e)}"))],
            WorkingDirectory = command.Value("--workdir") is { } directory ? OptionValues.Parse("directory", directory, t => GuestPath.Normalize(BytePicture.FromPicture(t))) : GuestPath.Root,
            Terminal = terminal,
            Interactive = command.Has("--interactive"),
            Detach = command.Has("--detach"),
        };
    }
}
