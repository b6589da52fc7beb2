using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux.Processes;

namespace Capsules.Runtime.HotVerbs;

/// <summary>stop, restart, reload, kill, wait, rm: what happens to capsules that are there.</summary>
internal static class LifeVerbs
{
    public static int Stop(Home home, ParsedCommand command) => Each(home, command, capsule =>
    {
        home.Runner.Stop(capsule.Name, Home.Patience(command), Output.Say);
        Console.Out.WriteLine(capsule.Name);
    });

    public static int Restart(Home home, ParsedCommand command) => RunVerb.Interruptible(interruption => Each(home, command, capsule =>
    {
        bool watch = home.Runner.Running(capsule.Name)?.Watch is not null; // it goes on as it was
        home.Runner.Stop(capsule.Name, Home.Patience(command), Output.Say, startsAgain: true);
        Output.Warn(home.Runner.Start(capsule, interruption: interruption, watch: watch));
        Console.Out.WriteLine(capsule.Name);
    }));

    public static int Reload(Home home, ParsedCommand command)
    {
        home.Runner.Reload(home.Capsule(command).Name);
        return 0;
    }

    public static int Kill(Home home, ParsedCommand command)
    {
        string name = command.Value("--signal") ?? "KILL";
        int signal = Signals.Parse(name) ?? throw new CapsuleException(Problems.BadValue("signal", name, "a name such as TERM, or a number from 1 to 64"));
        return Each(home, command, capsule => home.Runner.Kill(capsule.Name, signal));
    }

    /// <summary>Waits without asking the keeper: the process that matters is PID 1.</summary>
    public static int Wait(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        WaitForEnd(home, capsule.Name);
        Console.Out.WriteLine(LastRun.Find(home.Layout, capsule.Name)?.ExitCode ?? 0);
        return 0;
    }

    /// <summary>Returns when the capsule has stopped and what was made for it is taken away.</summary>
    public static void WaitForEnd(Home home, CapsuleName name)
    {
        while (RunRecord.Find(home.Layout, name) is { } run)
        {
            using var process = ProcessCalls.TryOpenPidFd(run.Init);
            if (process is null || !run.IsAlive) Thread.Sleep(50); // the keeper is at it
            else Linux.Files.FileCalls.WaitReadable(process, 1000);
        }
        if (home.Store.Find(name) is not null) home.Store.Lock(name, wait: true)?.Dispose(); // whoever clears it away holds this until it is done
    }

    public static int Remove(Home home, ParsedCommand command)
    {
        CapsuleRecord[] capsules = [.. command.Arguments.Select(home.Store.Get)];
        if (command.Has("--volumes") && !Confirmed(command, $"Remove {string.Join(", ", capsules.Select(c => c.Name))} with all data?"))
            throw new CapsuleException(Problems.NotConfirmed($"remove the state of {string.Join(", ", capsules.Select(c => c.Name))}"));
        foreach (CapsuleRecord capsule in capsules)
            if (home.Store.Names().Except(capsules.Select(c => c.Name)).Where(n => home.Store.TryFind(n)?.SharedVolumes.Any(s => s.Owner == capsule.Name) == true).Select(n => n.ToString()).ToArray() is { Length: > 0 } others)
                throw new CapsuleException(Problems.VolumeIsShared(capsule.Name.ToString(), string.Join(", ", others)));
        foreach (CapsuleRecord capsule in capsules)
            if (capsule.LinkedBy.Except(capsules.Select(c => c.Name)).Where(n => home.Store.TryFind(n)?.Links.Any(l => l.Import.From == capsule.Name) == true).Select(n => n.ToString()).ToArray() is { Length: > 0 } users)
                throw new CapsuleException(Problems.StillLinked(capsule.Name.ToString(), string.Join(", ", users)));
        foreach (CapsuleRecord capsule in capsules.OrderByDescending(c => c.SharedVolumes.Length)) // who only sees a volume goes before its owner
        {
            if (home.Runner.Running(capsule.Name) is not null)
            {
                if (!command.Has("--force")) throw new CapsuleException(Problems.AlreadyRunning(capsule.Name.ToString()));
                home.Runner.Stop(capsule.Name, TimeSpan.FromSeconds(10));
            }
            if (home.Store.Find(capsule.Name) is null) // made for one run: its end has removed it
            {
                Console.Out.WriteLine(capsule.Name);
                continue;
            }
            using (home.Store.Lock(capsule.Name, wait: true))
            {
                home.Runner.Discard(capsule.Name);
                if (!command.Has("--volumes") && home.Store.HasVolumes(capsule.Name)) Output.Say($"The state of {capsule.Name} stays in {home.Layout.Kept}/{capsule.Name}.");
                home.Store.Remove(capsule, command.Has("--volumes"));
            }
            home.Runner.RemoveStackOfNobody(capsule.Stack);
            Console.Out.WriteLine(capsule.Name);
        }
        return 0;
    }

    /// <summary>Asks once, on a terminal; --yes answers.</summary>
    public static bool Confirmed(ParsedCommand command, string question)
    {
        if (command.Has("--yes")) return true;
        if (Console.IsInputRedirected || Console.IsErrorRedirected) return false;
        Console.Error.Write(question + " [y/N] ");
        return Console.In.ReadLine()?.Trim() is "y" or "Y" or "yes";
    }

    private static int Each(Home home, ParsedCommand command, Action<CapsuleRecord> work)
    {
        CapsuleRecord[] capsules = [.. command.Arguments.Select(home.Store.Get)]; // all names are right before anything happens
        foreach (CapsuleRecord capsule in capsules) work(capsule);
        return 0;
    }
}
