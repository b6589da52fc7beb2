using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Crossings;
using Capsules.Engine.Links;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux.Launching;

namespace Capsules.Tools.Commands;

/// <summary>Words of the command line that mean links.</summary>
internal static class LinkWords
{
    public static Import Import(string word)
    {
        try { return Core.Links.Import.Parse(word); }
        catch (FormatException) { throw new CapsuleException(Problems.BadValue("share", word, "CAPSULE/SHARE, such as db/socket")); }
    }

    public static LinkPreset? Preset(string? word)
    {
        if (word is null) return null;
        foreach (LinkPreset preset in Enum.GetValues<LinkPreset>())
            if (Of(preset) == word) return preset;
        throw new CapsuleException(Problems.BadValue("preset", word, "reader, client, partner or same-machine"));
    }

    public static string Of(LinkPreset preset) => JsonReading.Dashed(preset);

    /// <summary>require, want, bind, degrade, or wait with a time such as wait:30s.</summary>
    private static (WhenDown WhenDown, long Milliseconds) WhenDown(string? word)
    {
        const long standard = 30_000;
        if (word is null) return (Core.Links.WhenDown.Require, standard);
        if (word.StartsWith("wait", StringComparison.Ordinal))
        {
            if (word == "wait") return (Core.Links.WhenDown.Wait, standard);
            if (word.StartsWith("wait:", StringComparison.Ordinal) && double.TryParse(word["wait:".Length..].TrimEnd('s'), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and < 1e6)
                return (Core.Links.WhenDown.Wait, (long)(seconds * 1000));
        }
        foreach (WhenDown when in Enum.GetValues<WhenDown>())
            if (JsonReading.Dashed(when) == word) return (when, standard);
        throw new CapsuleException(Problems.BadValue("--when-down", word, "require, want, bind, degrade, wait or wait:SECONDS"));
    }

    /// <summary>The link that the options ask for; as much as is offered when they do not say.</summary>
    public static CapsuleLink Link(ParsedCommand command, Import import, Export? offered)
    {
        if (command.Has("--fork"))
        {
            foreach (string option in (string[])["--merge", "--priority", "--private", "--preset", "--when-down"])
                if (command.Has(option) || command.Value(option) is not null || command.Values(option).Any()) throw new CapsuleException(Problems.WrongUsage($"{option} tells how a link is, and --fork asks for a copy", "capsule link add CAPSULE OWNER/SHARE --fork [--as HERE=THERE]..."));
            return new() { Import = import, Preset = LinkPreset.Reader, Users = Names(command.Values("--as")), Groups = Names(command.Values("--as-group")) };
        }
        var (when, milliseconds) = WhenDown(command.Value("--when-down"));
        return new()
        {
            Import = import,
            Preset = Preset(command.Value("--preset")) ?? (command.Has("--merge") ? LinkPreset.Reader : offered?.Preset ?? LinkPreset.Reader),
            WhenDown = when,
            WaitMilliseconds = milliseconds,
            Merge = command.Has("--merge"),
            Priority = Priority(command),
            Private = [.. command.Values("--private").Select(w => PathWords.Inside("--private", w)).Distinct().Order()],
            Users = Names(command.Values("--as")),
            Groups = Names(command.Values("--as-group")),
        };
    }

    /// <summary>What --plan prints: the steps, and what the check found; or both for programs.</summary>
    public static void WritePlan(ParsedCommand command, CommandOutput output, CapsuleName capsule, Import import, ImmutableArray<LinkStep> steps, ImmutableArray<LinkFinding> findings)
    {
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(LinkPlanner.Json($"{capsule}", $"{import}", steps, findings)));
        else output.Data.Write(LinkPlanner.Text(steps) + LinkReport.Text([.. findings.Where(f => f.Level >= LinkLevel.Warning)]));
        output.Words.WriteLine("Nothing was changed.");
    }

    /// <summary>Several words in a cell of a table; a dash for none.</summary>
    public static string Cell<T>(IEnumerable<T> words, string between = " ") => string.Join(between, words) is { Length: > 0 } text ? text : "-";

    private static int Priority(ParsedCommand command)
    {
        if (command.Value("--priority") is not { } word) return CapsuleLink.StandardPriority;
        if (!command.Has("--merge")) throw new CapsuleException(Problems.WrongUsage("--priority tells whose software is seen where several are merged", "capsule link add CAPSULE OWNER/SHARE --merge --priority N"));
        return int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number <= CapsuleLink.MostPriority ? number : throw new CapsuleException(Problems.BadValue("--priority", word, $"a number from 0 to {CapsuleLink.MostPriority}"));
    }

    private static ImmutableArray<SharedName> Names(IEnumerable<string> words)
    {
        try { return [.. words.SelectMany(w => w.Split(',')).Select(SharedName.Parse)]; }
        catch (FormatException e) { throw new CapsuleException(Problems.BadValue("user", string.Join(',', words), "HERE=THERE, or one name that both have"), e); }
    }
}

/// <summary>`capsule link add`, `list`, `rm`: a capsule uses what another offers.</summary>
public static class LinkCommand
{
    /// <summary>Makes links; the exit code.</summary>
    public static int Add(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord capsule = store.Get(command.Arguments[0]);
        Import[] imports = command.Arguments.Length > 1 ? [.. command.Arguments.Skip(1).Select(LinkWords.Import)] : [.. store.Manifest(capsule.Image).Imports.Where(i => !capsule.Links.Any(l => l.Import == i))];
        if (imports.Length == 0) throw new CapsuleException(Problems.WrongUsage($"its image says of nothing that {capsule.Name} uses it: name what it is to use", command.Verb.Usage));
        foreach (Import import in imports) Make(command, store, output, capsule.Name, import, inPlaceOf: null);
        return 0;
    }

    /// <summary>Puts a link in the place of another; the exit code.</summary>
    public static int Swap(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord capsule = store.Get(command.Arguments[0]);
        Make(command, store, output, capsule.Name, LinkWords.Import(command.Arguments[2]), LinkWords.Import(command.Arguments[1]));
        return 0;
    }

    private static void Make(ParsedCommand command, CapsuleStore store, CommandOutput output, CapsuleName capsule, Import import, Import? inPlaceOf)
    {
        var links = new LinkRunner(store);
        Export? offered = store.Offered(import);
        CapsuleLink link = LinkWords.Link(command, import, offered);
        if (command.Has("--fork"))
        {
            ForkCommand.Make(command, store, output, capsule, link);
            return;
        }
        if (command.Has("--plan"))
        {
            var (steps, findings) = links.PlanAdd(capsule, link, inPlaceOf);
            LinkWords.WritePlan(command, output, capsule, import, steps, findings);
            return;
        }
        LinkChange change = links.Add(capsule, link, inPlaceOf);
        output.Words.WriteLine($"{(inPlaceOf is null ? "Linked" : "Swapped")} {capsule} to {import}{(offered?.Directory is { } path ? $": {path}, {(change.Link.IsWritable ? "read and written" : "read")}" : "")}{(offered?.SharesMemory == true ? $": {CapsuleSpecs.SharedMemory}" : "")}{(offered?.TakesLogs == true ? $": {SystemLogPlace.Path}, for programs that begin to log" : "")}{(!LoopbackPort.Of(offered, change.Link.Preset).IsEmpty ? $"; {string.Join(", ", offered!.Ports)} at its 127.0.0.1" : "")}{(change.Link.Users.IsEmpty ? "" : $"; {string.Join(", ", change.Link.Users.Select(u => u.Here == u.There ? u.Here : $"{u.Here} is {import.From}'s {u.There}"))} shared")}.");
        Tell(output, change);
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => LinkJson.WriteLink(w, change.Link))));
        else output.Data.WriteLine(import);
    }

    private static void Tell(CommandOutput output, LinkChange change)
    {
        foreach (Warning warning in change.Warnings) output.Words.WriteLine(warning.ToString());
        foreach (MountHolder holder in change.Holders) output.Words.WriteLine($"note: {holder.Name} ({holder.Pid}) still has it open: {holder.What}");
    }

    /// <summary>Lists links; the exit code.</summary>
    public static int List(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        var links = new LinkRunner(store);
        CapsuleName[] names = command.Arguments.IsEmpty ? [.. store.Names().Order()] : [store.Get(command.Arguments[0]).Name];
        CapsuleRecord[] capsules = [.. names.Select(store.TryFind).OfType<CapsuleRecord>()];
        Row[] rows = [.. capsules.SelectMany(c => c.Links.Select(l => OfLink(store, links, c, l)).Concat(StateFork.Among(c.FurtherVolumes).Select(f => OfFork(c.Name, f))))];
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(JsonWriting.Document(w => w.Objects("links", rows, row => row.Write(w))), command.Fields, inside: "links")));
        else output.WriteTable(["FROM", "TO", "PRESET", "PATH", "PORTS", "USERS", "STATE", "HOW"], [.. rows.Select(r => r.Cells)]);
        return 0;
    }

    /// <summary>A line of the list, for people and for programs.</summary>
    private sealed record Row(string[] Cells, Action<Utf8JsonWriter> Write);

    private static Row OfLink(CapsuleStore store, LinkRunner links, CapsuleRecord capsule, CapsuleLink link)
    {
        Export? export = store.Offered(link.Import);
        string path = export?.Path?.ToString() ?? "-", state = JsonReading.Dashed(links.StateOf(capsule, link));
        ImmutableArray<LoopbackPort> ports = LoopbackPort.Of(export, link.Preset);
        string[] how = [.. link.Merge ? [$"merged, priority {link.Priority}"] : Array.Empty<string>(), .. link.Private.Select(p => $"private {p}")];
        return new([$"{capsule.Name}", $"{link.Import}", LinkWords.Of(link.Preset), path, LinkWords.Cell(ports), LinkWords.Cell(link.Users), state, LinkWords.Cell(how, ", ")], w =>
        {
            w.Text("from", capsule.Name.ToString());
            LinkJson.WriteLink(w, link);
            w.Text("path", export?.Path?.ToString());
            w.Texts("programs", [.. (export?.Programs ?? []).Select(p => p.ToString())]);
            w.Texts("ports", [.. ports.Select(p => p.ToString())]);
            w.Text("state", state);
            w.Objects("used", CrossingDoor.UsedBy(store.Layout, capsule.Name, link.Import), used =>
            {
                w.Text("program", used.Text("program"));
                foreach (string number in (string[])["count", "refused", "cpuNanoseconds", "memoryPeak"]) w.Integer(number, used.Integer(number));
                w.Text("last", used.Text("last"));
            });
        });
    }

    private static Row OfFork(CapsuleName capsule, StateFork fork) => new([$"{capsule}", $"{fork.Of}", "-", $"{fork.Path}", "-", "-", "fork", $"{fork}"], w =>
    {
        w.Text("from", $"{capsule}");
        ForkCommand.Write(w, fork);
    });

    /// <summary>Takes links away; the exit code.</summary>
    public static int Remove(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord capsule = store.Get(command.Arguments[0]);
        string word = command.Arguments[1];
        Import[] imports = word.Contains('/', StringComparison.Ordinal) ? [LinkWords.Import(word)] : [.. capsule.Links.Select(l => l.Import).Where(i => i.From.ToString() == word)];
        StateFork[] forks = [.. StateFork.Among(capsule.FurtherVolumes).Where(f => word == $"{f.Of}" || word == $"{f.Of.From}")];
        if (forks.Length > 0) imports = [.. imports.Where(i => capsule.Links.Any(l => l.Import == i))];
        if (imports.Length == 0 && forks.Length == 0) throw new CapsuleException(Problems.NotLinked($"{capsule.Name}", word));
        if (forks.Length == 0 && command.Has("--volumes")) throw new CapsuleException(Problems.WrongUsage($"{word} is a link: there is no data of {capsule.Name}'s own to remove", $"capsule link rm {capsule.Name} {word}"));
        foreach (StateFork fork in forks) ForkCommand.Remove(command, store, output, capsule.Name, fork);
        var links = new LinkRunner(store);
        foreach (Import import in imports)
        {
            if (command.Has("--plan"))
            {
                var (steps, holders) = links.PlanRemove(capsule.Name, import);
                foreach (MountHolder holder in holders) output.Words.WriteLine($"note: {holder.Name} ({holder.Pid}) has it open: {holder.What}");
                LinkWords.WritePlan(command, output, capsule.Name, import, steps, []);
                continue;
            }
            LinkChange change = links.Remove(capsule.Name, import);
            output.Words.WriteLine($"{capsule.Name} is linked to {import} no more.");
            Tell(output, change);
            if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => LinkJson.WriteLink(w, change.Link))));
        }
        return 0;
    }

    /// <summary>What `capsule` asks for when a capsule starts or stops; problems and warnings go back as lines.</summary>
    public static int Linker(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        var links = new LinkRunner(store);
        CapsuleName name = CapsuleName.Parse(command.Arguments[1]);
        try
        {
            ImmutableArray<Warning> warnings = [];
            switch (command.Arguments[0])
            {
                case "prepare": warnings = links.Prepare(name); break;
                case "seat": new StackSeats(store).Take(name); break;
                case "attach": warnings = links.Attach(name); break;
                case "offer": warnings = links.Offer(name); break;
                case "withdraw": links.Withdraw(name, startsAgain: false); break;
                case "lose":
                    try { links.Lose(name); }
                    finally { Guard.EndOwn(); } // killed on the way, it is started again
                    break;
                case "restart": links.Withdraw(name, startsAgain: true); break;
                case var other: throw new CapsuleException(Problems.UnknownVerb(other));
            }
            foreach (Warning warning in warnings) output.Data.WriteLine(LinkLines.Of(warning));
            return 0;
        }
        catch (CapsuleException e)
        {
            output.Data.WriteLine(LinkLines.Of(e.Problem));
            return (int)e.Problem.Exit;
        }
    }
}
