using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

/// <summary>
/// What would go well and what would not if a capsule used what another offers, before anything is done. Pure: the facts of both sides in, findings
/// out, in an order that depends on nothing else. A class of conflicts is one method; each says nothing where it does not apply.
/// </summary>
public static partial class LinkChecker
{
    private static readonly GuestPath Run = GuestPath.Parse("/run"), Logs = GuestPath.Parse("/var/log");

    /// <summary>The findings.</summary>
    public static ImmutableArray<LinkFinding> Check(LinkQuestion question)
    {
        if (question.Owner is null)
            return [new(LinkLevel.Error, LinkConcern.Owner, question.Import.From.ToString(), $"there is no capsule {question.Import.From} on this host", "files, locks and sockets are shared by one kernel: a link leads to a capsule of the same host", $"bring {question.Import.From} here, or name another")];
        if (question.Owner.Name == question.Here.Name)
            return [new(LinkLevel.Error, LinkConcern.Owner, question.Here.Name.ToString(), $"{question.Here.Name} cannot use what it owns itself", null, "name another capsule")];
        if (question.Export is null)
            return [new(LinkLevel.Error, LinkConcern.Offer, question.Import.ToString(), $"{question.Import.From} offers nothing of the name {question.Import.Export}", "without an offer there is no link", $"capsule share add {question.Import} --path PATH")];
        var asked = new Asked(question);
        if (question.Fork) return [.. Places(asked), .. Copies(asked), .. Hidden(asked), .. Nested(asked), .. CopiedOwners(asked), .. Databases(asked)];
        return
        [
            .. Offers(asked), .. Places(asked), .. State(asked), .. Privates(asked), .. Hidden(asked), .. Nested(asked), .. Renames(asked), .. HardLinks(asked),
            .. SharedUsers(asked), .. SharedGroups(asked), .. Accounts(asked), .. ForeignFiles(asked),
            .. Databases(asked), .. PidFiles(asked), .. Sockets(asked), .. Rotation(asked), .. Logging(asked), .. Memory(asked), .. Buses(asked), .. Locales(asked), .. Programs(asked), .. Libraries(asked), .. Merges(asked),
            .. Loopback(asked), .. Ports(asked), .. Forwards(asked), .. Identities(asked), .. Cycles(asked),
        ];
    }

    /// <summary>The question with what each check asks of it again and again.</summary>
    private sealed class Asked(LinkQuestion question)
    {
        public LinkQuestion Question => question;
        public LinkSide Here => question.Here;
        public LinkSide There { get; } = question.Owner!;
        public Export Export { get; } = question.Export!;
        public LinkPreset Preset { get; } = question.Preset ?? question.Export!.Preset;
        public GuestPath? Path => Export.Directory;
        public bool IsWritable => Preset >= LinkPreset.Partner;
        /// <summary>Ports of the owner that are reached as if they were one's own.</summary>
        public ImmutableArray<LoopbackPort> Ports { get; } = LoopbackPort.Of(question.Export, question.Preset ?? question.Export!.Preset);
        /// <summary>They are one machine already: one numbering of users, one network, one /run.</summary>
        public bool IsOneStack => Here.Stack == There.Stack;
        /// <summary>They will be one machine.</summary>
        public bool Joins => Preset == LinkPreset.SameMachine && !IsOneStack;
        /// <summary>They have one numbering of users and one network once the link is made.</summary>
        public bool AreTogether => IsOneStack || Preset == LinkPreset.SameMachine;

        public uint[] SharedUids { get; } = [.. question.Users.Select(u => question.Owner!.User(u.There)?.Uid).OfType<uint>()];
        /// <summary>The main group of a shared user comes with it.</summary>
        public uint[] SharedGids { get; } =
        [
            .. question.Groups.Select(g => question.Owner!.Group(g.There)?.Gid).OfType<uint>(),
            .. question.Users.Select(u => question.Owner!.User(u.There)?.Gid).OfType<uint>(),
        ];

        /// <summary>What of the path's entries the owner has, without the path itself.</summary>
        public IEnumerable<LinkEntry> Below => There.Entries.Where(e => e.Path != Path);

        /// <summary>Whose user a capsule's user is in the end: what an owner offers may itself be one of another capsule's, and is then the same for the kernel.</summary>
        public (CapsuleName Owner, string User) Behind(CapsuleName capsule, string user)
        {
            for (int links = 0; links < question.Elsewhere.Length && question.Elsewhere.FirstOrDefault(e => e.Capsule == capsule && e.User.Here == user) is { } next; links++) (capsule, user) = (next.Owner, next.User.There);
            return (capsule, user);
        }

        /// <summary>As on the command line, with another preset.</summary>
        public string LinkWith(string options) => $"capsule link add {Here.Name} {question.Import} {options}";

        /// <summary>A copy in place of the directory itself.</summary>
        public string ForkWith(string options = "") => LinkWith($"--fork {options}".TrimEnd());
    }

    private static IEnumerable<LinkFinding> Offers(Asked a)
    {
        if (a.Preset > a.Export.Preset)
            yield return new(LinkLevel.Error, LinkConcern.Offer, a.Question.Import.ToString(), $"{a.Question.Import} is offered as {Word(a.Export.Preset)}, not as {Word(a.Preset)}", "the owner's offer is the most that a link may ask for", $"ask for --preset {Word(a.Export.Preset)}, or let {a.There.Name} offer more (capsule share rm, share add)");
        foreach (string user in a.Question.Users.Select(u => u.There).Where(n => !IsOffered(n, a.Export.Users, a.There.User(n)?.Name)).Distinct())
            yield return new(LinkLevel.Error, LinkConcern.Offer, user, $"{a.There.Name} does not offer its user {user} to others", a.Export.Users.IsEmpty ? "the offer names no user" : $"it offers {string.Join(", ", a.Export.Users)}", $"let {a.There.Name} offer it (capsule share rm, share add --user {user})");
        foreach (string group in a.Question.Groups.Select(g => g.There).Where(n => !IsOffered(n, a.Export.Groups, a.There.Group(n)?.Name)).Distinct())
            yield return new(LinkLevel.Error, LinkConcern.Offer, group, $"{a.There.Name} does not offer its group {group} to others", a.Export.Groups.IsEmpty ? "the offer names no group" : $"it offers {string.Join(", ", a.Export.Groups)}", $"let {a.There.Name} offer it (capsule share rm, share add --group {group})");

        static bool IsOffered(string name, ImmutableArray<string> offered, string? known) => offered.Contains(name) || known is not null && offered.Contains(known);
    }

    private static string Word(LinkPreset preset) => Json.JsonReading.Dashed(preset);

    /// <summary>"a, b and 3 more" for people.</summary>
    private static string Some(IEnumerable<string> names, int most = 3)
    {
        string[] all = [.. names];
        return all.Length switch
        {
            0 => "",
            _ when all.Length > most => $"{string.Join(", ", all.Take(most))} and {all.Length - most} more",
            1 => all[0],
            _ => $"{string.Join(", ", all[..^1])} and {all[^1]}",
        };
    }

    /// <summary>Names of programs that a capsule's services run, without directory.</summary>
    private static IEnumerable<string> ProgramsOf(LinkSide side) =>
        side.Manifest.Services.Select(s => s.Program?.ToString() ?? s.Command.FirstOrDefault("")).Select(p => p[(p.LastIndexOf('/') + 1)..]);
}
