using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule share add`, `list`, `rm`: what a capsule offers to others.</summary>
public static class ShareCommand
{
    /// <summary>Offers something; the exit code.</summary>
    public static int Add(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        Import word = LinkWords.Import(command.Arguments[0]);
        store.Get(word.From.ToString());
        GuestPath? path = command.Value("--path") is { } given ? GuestPath.Normalize(BytePicture.FromPicture(given)) : null;
        ImmutableArray<GuestPath> programs = [.. command.Values("--exec").SelectMany(v => v.Split(',')).Select(p => p.StartsWith('/') ? GuestPath.Normalize(BytePicture.FromPicture(p)) : throw new CapsuleException(Problems.BadValue("program", p, "its whole path, such as /usr/bin/pg_dump")))];
        ImmutableArray<string> ports = [.. command.Values("--port").SelectMany(v => v.Split(',')).SelectMany(v => Ports(v)).Select(p => p.ToString()).Distinct()];
        if (path is null && programs.IsEmpty && ports.IsEmpty) throw new CapsuleException(Problems.WrongUsage("nothing is offered: --path, --exec or --port", command.Verb.Usage));
        bool logs = path == SystemLogPlace.Path, memory = path == CapsuleSpecs.SharedMemory;
        if (path is { } shown && !logs && !memory && ShareablePaths.WhyNot(shown) is { } why) throw new CapsuleException(Problems.NotSharable($"{shown}", why));
        var export = new Export
        {
            Name = word.Export,
            Preset = LinkWords.Preset(command.Value("--preset")) ?? (!programs.IsEmpty && path is null || memory ? LinkPreset.Partner : ports.IsEmpty && !logs ? LinkPreset.Reader : LinkPreset.Client),
            Path = path,
            Programs = programs,
            Ports = ports,
            Arguments = [.. command.Values("--argument")],
            Environment = [.. command.Values("--pass")],
            RunAs = command.Value("--run-as"),
            Users = [.. command.Values("--user").SelectMany(v => v.Split(','))],
            Groups = [.. command.Values("--group").SelectMany(v => v.Split(','))],
        };
        if (!programs.IsEmpty && export.Preset < LinkPreset.Partner) throw new CapsuleException(Problems.WrongUsage($"programs are run by those that are linked as partner, and not as {LinkWords.Of(export.Preset)}: --preset partner, or offer them apart from the directory", command.Verb.Usage));
        if (!ports.IsEmpty && export.Preset < LinkPreset.Client) throw new CapsuleException(Problems.WrongUsage($"ports are reached by those that are linked as client, and not as {LinkWords.Of(export.Preset)}: --preset client, or offer them apart from the directory", command.Verb.Usage));
        if (logs && export.Preset < LinkPreset.Client) throw new CapsuleException(Problems.WrongUsage($"those that log connect to a socket, and not as {LinkWords.Of(export.Preset)}: --preset client", command.Verb.Usage));
        if (memory && export.Preset < LinkPreset.Partner) throw new CapsuleException(Problems.WrongUsage($"shared memory is written by those that use it, and not as {LinkWords.Of(export.Preset)}: --preset partner", command.Verb.Usage));
        if (export.Users.Concat(export.Groups).Any(n => n is "root" or "0" or "")) throw new CapsuleException(Problems.MoreThanOffered($"{word}", "to be root", "users that are not"));
        var links = new LinkRunner(store);
        if (command.Has("--plan"))
        {
            links.CheckShare(word.From, export);
            LinkWords.WritePlan(command, output, word.From, word, [new(LinkAct.Offer, LinkMoment.Now, $"{export.Name}", $"{word.From} offers {Of(export)}")], []);
            return 0;
        }
        links.Share(word.From, export);
        output.Words.WriteLine($"{word.From} offers {Of(export)}.");
        output.Words.WriteLine($"next: capsule link add CAPSULE {word}");
        WriteOne(command, output, word, export);
        return 0;
    }

    private static ImmutableArray<LoopbackPort> Ports(string word)
    {
        try { return LoopbackPort.Parse(word); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadValue("port", word, "PORT[/tcp|udp], such as 5432"), e); }
    }

    private static void WriteOne(ParsedCommand command, CommandOutput output, Import word, Export export)
    {
        if (command.Has("--json")) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => LinkJson.WriteExport(w, export))));
        else output.Data.WriteLine(word);
    }

    /// <summary>Lists offers; the exit code.</summary>
    public static int List(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleName[] names = command.Arguments.IsEmpty ? [.. store.Names().Order()] : [store.Get(command.Arguments[0]).Name];
        (CapsuleRecord Owner, Export Export)[] rows = [.. names.Select(store.TryFind).OfType<CapsuleRecord>().SelectMany(c => store.Offered(c).Select(e => (c, e)))];
        string[] UsedBy(CapsuleRecord owner, Export export) => [.. store.UsersOf(owner, export.Name).Select(n => n.ToString())];
        if (command.Has("--json"))
            output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(JsonWriting.Document(w => w.Objects("shares", rows, row =>
            {
                w.Text("capsule", row.Owner.Name.ToString());
                LinkJson.WriteExport(w, row.Export);
                w.Texts("usedBy", [.. UsedBy(row.Owner, row.Export)]);
            })), command.Fields, inside: "shares")));
        else
            output.WriteTable(["SHARE", "PRESET", "PATH", "PROGRAMS", "PORTS", "USERS", "USED BY"], [.. rows.Select(r => (string[])
            [
                $"{r.Owner.Name}/{r.Export.Name}", LinkWords.Of(r.Export.Preset), r.Export.Path?.ToString() ?? "-", LinkWords.Cell(r.Export.Programs.Select(p => p.ToString())), LinkWords.Cell(r.Export.Ports), LinkWords.Cell(r.Export.Users), LinkWords.Cell(UsedBy(r.Owner, r.Export)),
            ])]);
        return 0;
    }

    /// <summary>Offers something no more; the exit code.</summary>
    public static int Remove(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        Import word = LinkWords.Import(command.Arguments[0]);
        store.Get(word.From.ToString());
        var links = new LinkRunner(store);
        if (command.Has("--plan"))
        {
            links.CheckUnshare(word.From, word.Export);
            LinkWords.WritePlan(command, output, word.From, word, [new(LinkAct.Withdraw, LinkMoment.Now, $"{word.Export}", $"{word.From} offers {word.Export} no more")], []);
            return 0;
        }
        Export? offered = store.Offered(word);
        links.Unshare(word.From, word.Export);
        output.Words.WriteLine($"{word.From} offers {word.Export} no more.");
        if (command.Has("--json") && offered is not null) WriteOne(command, output, word, offered);
        return 0;
    }

    private static string Of(Export export) => string.Join(", and ", ((string?[])
    [
        export.Directory is { } path ? $"{path} {(export.Preset >= LinkPreset.Partner ? "to be read and written" : "to be read")}" : null,
        export.SharesMemory ? $"{CapsuleSpecs.SharedMemory} to be used as one" : null,
        export.TakesLogs ? $"{SystemLogPlace.Path} to be logged to" : null,
        export.Programs.IsEmpty ? null : $"{string.Join(", ", export.Programs)} to be run",
        export.Ports.IsEmpty ? null : $"{string.Join(", ", export.Ports)} of its loopback network to be reached",
    ]).OfType<string>());
}
