using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>Whose /dev/log takes what the capsule's programs log.</summary>
    private static IEnumerable<LinkFinding> Logging(Asked a)
    {
        if (!a.Export.TakesLogs) yield break;
        string place = SystemLogPlace.Path.ToString();
        if (a.Preset < LinkPreset.Client)
            yield return new(LinkLevel.Error, LinkConcern.Logs, place, $"{a.Here.Name} cannot log to {a.There.Name} as {Word(a.Preset)}", "whoever logs connects to a socket", a.LinkWith("--preset client"));
        if (a.Here.Links.FirstOrDefault(l => l.TakesLogs && l.Link.Import != a.Question.Import) is { } other)
            yield return new(LinkLevel.Error, LinkConcern.NestedLink, place, $"{a.Here.Name} logs to {other.Link.Import.From} already", "there is one /dev/log", $"capsule link rm {a.Here.Name} {other.Link.Import}");
        // Capsules of one stack have one table of sockets: who of them listens it does not tell.
        string? own = LoggerOf(a.Here), theirs = LoggerOf(a.There);
        if (own is not null || a.Here.HasLogger && !a.IsOneStack)
            yield return new(LinkLevel.Error, LinkConcern.TwoOwners, place, $"{a.Here.Name} has {own ?? "a program"} that takes what is logged at {place} itself", "whoever starts last would take the place from the other", $"let the two be told by configuration: {own ?? "the one"} of {a.Here.Name} can pass on what it takes");
        if (theirs is null && !a.There.HasLogger)
            yield return new(LinkLevel.Warning, LinkConcern.Logs, place, $"{a.There.Name} has no daemon that takes what is logged at {place}", $"what {a.Here.Name} logs would be in `capsule logs {a.There.Name}`", $"run rsyslogd or another one in {a.There.Name}");
        else yield return new(LinkLevel.Ok, LinkConcern.Logs, place, $"{theirs ?? "a program"} of {a.There.Name} takes what {a.Here.Name} logs");
        if (!a.AreTogether)
            yield return new(LinkLevel.Note, LinkConcern.Logs, place, $"{a.There.Name} is not told the process of {a.Here.Name} that logs, and users that are not shared are nobody's for it", "the kernel gives numbers only to those who have such a process and user (SCM_CREDENTIALS); the name and number in the text are the program's own");
    }

    /// <summary>A message bus, to which a client says its number itself.</summary>
    private static IEnumerable<LinkFinding> Buses(Asked a)
    {
        if (a.AreTogether || a.Path is not { } path || !(path == BusDirectory || a.Below.Any(e => e.Kind == EntryKind.Socket && e.Name == BusSocket))) yield break;
        string place = path.Child(System.Text.Encoding.ASCII.GetBytes(BusSocket)).ToString(), run = $"run the program in {a.There.Name}: capsule share add {a.There.Name}/tools --exec PROGRAM";
        const string cause = "a client tells the bus its own number, and the bus compares it with the one that the kernel tells (EXTERNAL, D-Bus specification)";
        if (a.Question.Users.IsEmpty)
            yield return new(LinkLevel.Warning, LinkConcern.Bus, place, $"no user of {a.Here.Name} is known to the D-Bus of {a.There.Name}", cause + "; for who is not shared that is nobody's", $"share a user that has the same number in both, or {run}");
        foreach (SharedName shared in a.Question.Users)
        {
            if (a.Here.User(shared.Here) is not { } here || a.There.User(shared.There) is not { } there) continue;
            yield return here.Uid == there.Uid
                ? new(LinkLevel.Ok, LinkConcern.Bus, shared.Here, $"{shared.Here} of {a.Here.Name} is known to the D-Bus of {a.There.Name} as {shared.There}")
                : new(LinkLevel.Warning, LinkConcern.Bus, shared.Here, $"the D-Bus of {a.There.Name} refuses programs with libdbus as {shared.Here} of {a.Here.Name}: they tell {here.Uid}, and the kernel {there.Uid}", cause + "; sd-bus, and GDBus of GLib 2.74 and later, tell none, and are taken", $"give {shared.Here} the number {there.Uid} in {a.Here.Name}, or {run}");
        }
    }

    private const string BusSocket = "system_bus_socket";
    private static readonly GuestPath BusDirectory = GuestPath.Parse("/run/dbus");

    /// <summary>The daemon among a capsule's services, also where it is one of many programs in a file (busybox syslogd).</summary>
    private static string? LoggerOf(LinkSide side) =>
        side.Manifest.Services.SelectMany(s => s.Command.Prepend(s.Program?.ToString() ?? "").Take(4)).SelectMany(w => w.Split(' ')).Select(w => w[(w.LastIndexOf('/') + 1)..]).FirstOrDefault(LinkTables.Loggers.Contains);
}
