using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Opening;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>Options of `capsule adopt`.</summary>
public sealed record AdoptOptions
{
    /// <summary>Where from.</summary>
    public required SourceReference Source { get; init; }
    /// <summary>What: names, or unit: pid: port: package: path: words.</summary>
    public required ImmutableArray<string> Targets { get; init; }
    /// <summary>The capsule's name, when there is one target.</summary>
    public string? Name { get; init; }
    /// <summary>The stack's name.</summary>
    public string? Stack { get; init; }
    /// <summary>Show the plan and stop.</summary>
    public bool Plan { get; init; }
    /// <summary>The plan as JSON.</summary>
    public bool Json { get; init; }
    /// <summary>Explain this path and stop.</summary>
    public string? Why { get; init; }
    /// <summary>Stop the processes for the copy of the state.</summary>
    public bool Stop { get; init; }
    /// <summary>Leave it open to its source.</summary>
    public bool Open { get; init; }
    /// <summary>Of packages take only what was seen in use.</summary>
    public bool Bare { get; init; }
    /// <summary>Do not ask.</summary>
    public bool Yes { get; init; }
    /// <summary>--keep host-keys, --fresh host-keys.</summary>
    public HostKeys HostKeys { get; init; }
    /// <summary>--state.</summary>
    public ImmutableArray<string> State { get; init; } = [];
    /// <summary>--leave.</summary>
    public ImmutableArray<string> Leave { get; init; } = [];
    /// <summary>--add.</summary>
    public ImmutableArray<string> Add { get; init; } = [];
}

/// <summary>`capsule adopt`: makes capsules of applications that exist.</summary>
public static class AdoptCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(AdoptOptions options, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        using ScannedSource source = Scanner.Read(options.Source);
        Scanner.CheckArchitecture(source.Facts);
        var view = new SourceView(source.Facts, source.Tree);
        if (options.Name is not null && options.Targets.Length > 1) throw new CapsuleException(Problems.WrongUsage("--name names one capsule, and there are several applications", "capsule adopt APPLICATION --name NAME"));
        var found = ImmutableArray.CreateBuilder<CapturePlan>();
        foreach (string target in options.Targets)
            found.Add(CapturePlanner.Plan(view, TargetWords.Resolve(view, target), new()
            {
                Name = options.Name is { } name ? ParseName(name) : null,
                Stack = options.Stack is { } stack ? ParseName(stack) : null,
                Add = Paths(options.Add),
                State = Paths(options.State),
                Leave = Paths(options.Leave),
                Bare = IsBare(options),
                HostKeys = options.HostKeys,
            }));

        ImmutableArray<CapturePlan> plans = SharedState.Apply(view, found.ToImmutable());
        if (options.Why is { } why) return Explain(plans, Paths([why])[0], source.Tree, output);
        if (options.Plan && options.Json)
        {
            output.Data.Write(Encoding.UTF8.GetString(CapturePlanJson.Write(plans)));
            return 0;
        }
        if (options.Plan)
        {
            foreach (CapturePlan plan in plans) output.Data.Write(CapturePlanText.Of(plan, output.Size));
            output.Words.WriteLine($"\nNothing has been changed. Explain a line:  capsule adopt {string.Join(' ', options.Targets)}{ScanCommand.SourceWords(options.Source)} --why PATH");
            return 0;
        }
        if (options.Stop && !options.Yes && plans.Any(p => p.Processes.Length > 0) && output.Ask?.Invoke($"Stop {string.Join(", ", plans.Select(p => p.Application))} at the source for the copy of the state?") != true)
            throw new CapsuleException(Problems.NotConfirmed("stopping the application at its source"));
        foreach (CapturePlan plan in plans) CaptureRunner.CheckName(plan, layout);
        foreach (CapturePlan plan in plans) Apply(plan, source, layout, options.Stop, output, clock, OpenOf(options, source));
        return 0;
    }

    /// <summary>Whether --bare was said, which wants --open.</summary>
    internal static bool IsBare(AdoptOptions options) => options is { Bare: true, Open: false }
        ? throw new CapsuleException(Problems.WrongUsage("--bare leaves out what a capsule needs, which only an open one gets later", "capsule adopt APPLICATION --open --bare")) : options.Bare;

    /// <summary>What --open asks for; null without it.</summary>
    /// <exception cref="CapsuleException">The source will not be there later.</exception>
    internal static OpenRequest? OpenOf(AdoptOptions options, ScannedSource source) => options.Open ? OpenRequest.Of(source, Paths(options.Leave)) : null;

    /// <summary>Carries out one plan and says what was made.</summary>
    internal static void Apply(CapturePlan plan, ScannedSource source, StoreLayout layout, bool stop, CommandOutput output, TimeProvider clock, OpenRequest? open = null)
    {
        foreach (PlanNote note in plan.Notes) output.Words.WriteLine($"note: {note.Text}{(note.Options.Length == 0 ? "" : $"   ({note.Options})")}");
        CaptureResult result;
        using (ProgressLine progress = output.Progress())
            result = CaptureRunner.Apply(plan, source.Tree, layout, new CaptureOptions
            {
                Stop = stop,
                Open = open,
                Clock = clock,
                Progress = (verb, text) =>
                {
                    if (progress.IsShown && verb != "Copied") progress.Show($"{verb,10} {text}");
                    else progress.Say($"{verb,10} {text}"); // how long the application was paused is to be known afterwards
                },
                Advance = (done, all) => progress.Advance($"{100L * done / all} %"),
            });
        string place = plan.Source.Kind switch { SourceKind.Root => plan.Source.Place, SourceKind.PidNamespace => "its source", _ => "this host" };
        output.Data.WriteLine(output.IsTerminal
            ? $"Adopted {result.Name}.{(plan.Processes.IsEmpty ? "" : $" It {(stop ? "is stopped" : "still runs")} on {place}.")}"
            : $"{result.Name}\t{result.Image}");
        output.Words.WriteLine($"next: capsule run {result.Name} -d");
    }

    internal static int Explain(ImmutableArray<CapturePlan> plans, GuestPath path, RootTree tree, CommandOutput output)
    {
        foreach (CapturePlan plan in plans)
        {
            GuestPath place = new TreeResolver(tree).ResolveParent(path)?.Path ?? path;
            if (plan.Why(place) is { } chain)
            {
                output.Data.WriteLine(place == path ? path.ToString() : $"{path} (at {place})");
                foreach (string reason in chain) output.Data.WriteLine($"  ← {reason}");
                return 0;
            }
            if (plan.LeftOut.FirstOrDefault(l => l.Path == place) is { } left) throw new CapsuleException(Problems.NotInPlan(path.ToString(), left.Why));
        }
        throw new CapsuleException(Problems.NotInPlan(path.ToString(), tree.Look(path) is null ? "the source does not have it" : "nothing that was found needs it"));
    }

    internal static CapsuleName ParseName(string text) => CapsuleName.TryParse(text, out CapsuleName name)
        ? name : throw new CapsuleException(Problems.WrongUsage($"`{text}` is not a name: 1 to 63 of a-z 0-9 - . _, first a letter or digit", "capsule adopt APPLICATION --name NAME"));

    internal static ImmutableArray<GuestPath> Paths(ImmutableArray<string> texts)
    {
        try { return [.. texts.Select(t => GuestPath.Normalize(BytePicture.FromPicture(t)))]; }
        catch (FormatException e) { throw new CapsuleException(Problems.WrongUsage(FactText.Of(e), "paths are absolute, as the source sees them"), e); }
    }
}
