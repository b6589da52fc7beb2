using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>The data of databases: their files belong to one server, which holds in memory what is not in them yet.</summary>
    private static IEnumerable<LinkFinding> Databases(Asked a)
    {
        if (a.Path is not { } path) yield break;
        foreach (DatabaseKind database in LinkTables.Databases)
        {
            if (a.There.Entries.FirstOrDefault(e => database.Markers.Contains(e.Name)) is not { } marker) continue;
            bool ownerServes = Serves(a.There, database), hereServes = Serves(a.Here, database);
            if (!a.Question.Fork && (ownerServes || database.Programs.IsEmpty)) // nobody else's server writes to a copy
            {
                string cause = $"{marker.Name} was found: the data of {database.Name}, {(a.There.IsRunning ? "which runs" : "which the service has open whenever it runs")}";
                string? socket = a.There.Manifest.Exports.FirstOrDefault(e => e.Name != a.Export.Name && e.Path is not null && e.Preset == LinkPreset.Client)?.Name.ToString();
                string instead = socket is not null ? $"link its socket (capsule link add {a.Here.Name} {a.There.Name}/{socket})" : $"offer its socket (capsule share add {a.There.Name}/socket --path /run/NAME --preset client) and link that";
                yield return a.IsWritable
                    ? new(LinkLevel.Error, LinkConcern.Database, path.ToString(), $"{path} is private to {a.There.Name}'s server program; a second writer would corrupt it", cause, $"{instead}, or work on a copy: {a.ForkWith()}")
                    : new(LinkLevel.Warning, LinkConcern.Database, path.ToString(), $"what {a.Here.Name} reads of {path} need not fit together", cause + "; it writes at any time, and keeps part of it in memory", $"{instead}, and read a dump, or a copy: {a.ForkWith()}");
            }
            if (!hereServes) continue;
            string? data = a.There.Entries.FirstOrDefault(e => e.Name == database.VersionFile)?.Content?.Trim();
            if (data is null || ServerVersion(a.Here, database) is not { } server) continue;
            string major = database.VersionFile == "PG_VERSION" ? data : data.Split('.') is [var first, var second, ..] ? $"{first}.{second}" : data;
            string serves = database.VersionFile == "PG_VERSION" ? server.Split('.')[0] : server.Split('.') is [var f, var s, ..] ? $"{f}.{s}" : server;
            yield return major == serves ? new(LinkLevel.Ok, LinkConcern.FormatVersion, path.ToString(), $"the data is of {database.Name} {major}, as the server of {a.Here.Name}")
                : a.Question.Fork ? new(LinkLevel.Warning, LinkConcern.FormatVersion, path.ToString(), $"the data is of {database.Name} {major}, the server of {a.Here.Name} of {serves}", $"that server upgrades the copy or refuses it; the data of {a.There.Name} stays what it is")
                : new(LinkLevel.Error, LinkConcern.FormatVersion, path.ToString(), $"the data is of {database.Name} {major}, the server of {a.Here.Name} of {serves}", "a server reads data of its own version, and one that upgrades it in place leaves nothing for the other", $"use a server of version {major}, or dump and load");
        }
        if (a.IsWritable && a.There.Entries.FirstOrDefault(e => e.Content?.StartsWith("SQLite format 3", StringComparison.Ordinal) == true) is { } sqlite)
            yield return new(LinkLevel.Ok, LinkConcern.Database, sqlite.Path.ToString(), $"{sqlite.Path} is a SQLite database: both may write it, its locks hold for both");
    }

    /// <summary>Whether a capsule runs the server of a database, also by a script that starts it (docker-entrypoint.sh postgres, mariadbd-safe).</summary>
    private static bool Serves(LinkSide side, DatabaseKind database) =>
        side.Manifest.Services.SelectMany(s => s.Command.Prepend(s.Program?.ToString() ?? "")).Select(w => w[(w.LastIndexOf('/') + 1)..]).Any(name => database.Programs.Any(p => name == p || name == p + "-safe" || name == p + "_safe"));

    /// <summary>The version of a server that a capsule runs, by its package.</summary>
    private static string? ServerVersion(LinkSide side, DatabaseKind database)
    {
        PackageVersion? package = side.Packages.FirstOrDefault(p => database.ServerPackages.Any(n => n.EndsWith('-') ? p.Name.StartsWith(n, StringComparison.Ordinal) && p.Name.AsSpan(n.Length).IndexOfAnyExceptInRange('0', '9') < 0 : p.Name == n));
        if (package is not null) return Upstream(package.Version);
        // Without packages: /usr/lib/postgresql/15/bin/postgres says it.
        return side.Manifest.Services.SelectMany(s => s.Command.FirstOrDefault("").Split('/')).FirstOrDefault(part => database.VersionFile == "PG_VERSION" && part.Length > 0 && part.All(char.IsAsciiDigit));
    }

    /// <summary>[epoch:]upstream[-revision] without the other two.</summary>
    private static string Upstream(string version)
    {
        int colon = version.IndexOf(':', StringComparison.Ordinal), dash = version.LastIndexOf('-');
        return version[(colon + 1)..(dash > colon ? dash : version.Length)];
    }

    /// <summary>Numbers of processes mean something only where the processes are.</summary>
    private static IEnumerable<LinkFinding> PidFiles(Asked a)
    {
        if (a.Path is not { } path || a.Question.OneNumbering) yield break;
        GuestPath[] files = [.. a.Below.Where(e => e.Kind == EntryKind.Regular && (e.Name.EndsWith(".pid", StringComparison.Ordinal) || e.Name == "pid")).Select(e => e.Path)
            .Concat(a.There.Manifest.Services.Select(s => s.PidFile).OfType<GuestPath>().Where(p => p.IsWithin(path))).Distinct().Order()];
        foreach (GuestPath file in files)
        {
            Mention? reader = a.Here.Mentions.FirstOrDefault(m => m.Path == file);
            yield return reader is null
                ? new(LinkLevel.Note, LinkConcern.PidFile, file.ToString(), $"the number in {file} is one of {a.There.Name}: in {a.Here.Name} it is another process or none")
                : new(LinkLevel.Warning, LinkConcern.PidFile, file.ToString(), $"{reader.File} of {a.Here.Name} uses {file}, and a signal to that number would hit another process", $"each capsule numbers its own processes: PID 1 of {a.There.Name} is not that of {a.Here.Name}",
                    $"offer the program that does it there (capsule share add {a.There.Name}/tools --exec PROGRAM), or {(a.IsOneStack ? $"let the stack number its processes as one: capsule stack set {a.Here.Stack} --processes shared" : $"link as one machine: {a.LinkWith("--preset same-machine")}")}");
        }
    }

    /// <summary>Sockets that are seen read-only.</summary>
    private static IEnumerable<LinkFinding> Sockets(Asked a)
    {
        if (a.Path is not { } path || a.Preset != LinkPreset.Reader) yield break;
        GuestPath[] sockets = [.. a.Below.Where(e => e.Kind == EntryKind.Socket).Select(e => e.Path).Concat(UnixSockets(a.There).Where(s => s.IsWithin(path))).Distinct().Order()];
        if (sockets.Length > 0)
            yield return new(LinkLevel.Note, LinkConcern.Socket, sockets[0].ToString(), $"a reader can connect to {Some(sockets.Select(s => s.ToString()))} all the same", "read-only holds for files; who may connect is decided by the mode of the socket", null);
    }

    /// <summary>Logs that are moved away while they are read.</summary>
    private static IEnumerable<LinkFinding> Rotation(Asked a)
    {
        if (a.Path is { } path && path.IsWithin(Logs) && a.There.Entries.Any(e => e.Path == path && e.IsDirectory))
            yield return new(LinkLevel.Ok, LinkConcern.Logs, path.ToString(), $"logs that are rotated by rename go on to be seen: {path} is linked as a directory");
    }

    /// <summary>Text that the two understand differently.</summary>
    private static IEnumerable<LinkFinding> Locales(Asked a)
    {
        if (!LinkTables.Databases.Any(d => Serves(a.There, d))) yield break;
        if (a.Here.Locale is { } here && a.There.Locale is { } there && !CharacterSet(here).Equals(CharacterSet(there), StringComparison.OrdinalIgnoreCase))
            yield return new(LinkLevel.Warning, LinkConcern.Locale, here, $"{a.Here.Name} writes text as {CharacterSet(here)}, the database of {a.There.Name} as {CharacterSet(there)}", $"LANG is {here} in one and {there} in the other", $"set LANG={there} for {a.Here.Name}, or the character set of its client");
        if (a.Here.TimeZone is { } zone && a.There.TimeZone is { } other && zone != other)
            yield return new(LinkLevel.Warning, LinkConcern.Locale, zone, $"{a.Here.Name} is in the time zone {zone}, the database of {a.There.Name} in {other}", "times without a zone are read as another hour", $"set the same zone in both, or in the client's session");

        static string CharacterSet(string locale) => locale.Split('@')[0].Split('.') is [_, var set, ..] ? set.Equals("utf8", StringComparison.OrdinalIgnoreCase) ? "UTF-8" : set : locale is "C" or "POSIX" ? "ASCII" : "ISO-8859-1";
    }

    /// <summary>Programs of the owner that are to be run.</summary>
    private static IEnumerable<LinkFinding> Programs(Asked a)
    {
        if (a.Preset < LinkPreset.Partner)
        {
            if (!a.Export.Programs.IsEmpty) yield return new(LinkLevel.Note, LinkConcern.Program, a.Export.Programs[0].ToString(), $"{a.Here.Name} cannot run {Some(a.Export.Programs.Select(p => p.ToString()))} as {Word(a.Preset)}", null, a.Export.Preset < LinkPreset.Partner ? null : a.LinkWith("--preset partner"));
            yield break;
        }
        foreach (GuestPath program in a.Export.Programs)
        {
            ProgramFact? there = a.There.Programs.FirstOrDefault(p => p.Path == program), here = a.Here.Programs.FirstOrDefault(p => p.Path == program);
            if (there is null)
            {
                yield return new(LinkLevel.Error, LinkConcern.Program, program.ToString(), $"{a.There.Name} has no program {program}", null, $"capsule misses {a.There.Name} {program}");
                continue;
            }
            if (a.Here.Manifest.Services.FirstOrDefault(s => (s.Program?.ToString() ?? s.Command.FirstOrDefault("")) == program.ToString()) is { } service)
                yield return new(LinkLevel.Error, LinkConcern.Program, program.ToString(), $"the service {service.Name} of {a.Here.Name} is {program} itself, and would be run in {a.There.Name}", "what is offered takes the place of the program of the same path", $"offer another program than {program}");
            else if (here is null) yield return new(LinkLevel.Ok, LinkConcern.Program, program.ToString(), $"{program} runs in {a.There.Name}; {a.Here.Name} has none of that path");
            else if (here.Digest is not null && here.Digest == there.Digest) yield return new(LinkLevel.Ok, LinkConcern.Program, program.ToString(), $"{a.Here.Name} has the same {program}; it runs in {a.There.Name} from then on");
            else if (here.Package is not null && here.Package == there.Package) yield return new(LinkLevel.Note, LinkConcern.Program, program.ToString(), $"{a.Here.Name} has {program} of another version of {here.Package}; that of {a.There.Name} is run from then on");
            else
                yield return new(LinkLevel.Warning, LinkConcern.Program, program.ToString(), $"{a.Here.Name} has a {program} of its own{(here.Package is null ? "" : $", of {here.Package}")}, and that of {a.There.Name}{(there.Package is null ? "" : $", of {there.Package},")} takes its place",
                    "programs that call it get the other one, with its options and its queue", $"make {a.Here.Name} without {here.Package ?? program.ToString()}, or offer other programs");
        }
        if (a.Export is { Programs.IsEmpty: false, RunAs: { } runAs } && a.There.User(runAs) is null)
            yield return new(LinkLevel.Error, LinkConcern.Program, runAs, $"{a.There.Name} has no user {runAs}, as whom its programs are to run", null, $"let {a.There.Name} offer them anew (capsule share rm, share add --run-as USER)");
    }

    /// <summary>Libraries that would be loaded into programs of another system.</summary>
    private static IEnumerable<LinkFinding> Libraries(Asked a)
    {
        bool merges = a.Question.Merge;
        if (!a.IsWritable && !merges && a.There.Libraries.FirstOrDefault() is { } library)
            yield return new(LinkLevel.Note, LinkConcern.Libraries, library.Path.ToString(), $"libraries and programs below {a.Path} can be read, not loaded or run, as {Word(a.Preset)}");
        string run = $"run the program that needs it in {a.There.Name}: capsule share add {a.There.Name}/tools --exec PROGRAM";
        LibraryFact[] newer = [.. a.There.Libraries.Where(l => a.Here.CLibrary is { } has && l.CLibrary > has).OrderBy(l => l.Path)];
        if (newer.Length > 0)
            yield return new(merges ? LinkLevel.Error : LinkLevel.Warning, LinkConcern.Libraries, newer[0].Path.ToString(), $"programs of {a.Here.Name} cannot load {Some(newer.Select(l => l.Path.ToString()))}", $"it needs glibc {newer.Max(l => l.CLibrary)}, and {a.Here.Name} has {a.Here.CLibrary}", run);
        LibraryFact[] lacking = [.. a.There.Libraries.Where(l => merges && l.Missing.Length > 0).OrderBy(l => l.Path)];
        if (lacking.Length > 0) // one of many modules may be one that nobody wants to load
            yield return new(lacking.Length == a.There.Libraries.Length ? LinkLevel.Error : LinkLevel.Warning, LinkConcern.Libraries, lacking[0].Path.ToString(), $"programs of {a.Here.Name} cannot load {Some(lacking.Select(l => l.Path.ToString()))}",
                $"{a.Here.Name} does not have {Some(lacking.SelectMany(l => l.Missing).Distinct())}", run);
    }

    /// <summary>Software may be seen among one's own files, for it does not change; state has one owner.</summary>
    private static IEnumerable<LinkFinding> Merges(Asked a)
    {
        if (!a.Question.Merge) yield break;
        if (a.Path is not { } path || a.There.Ground is not (PathGround.Software or PathGround.Missing))
        {
            yield return new(LinkLevel.Error, LinkConcern.Merge, $"{a.Path}", $"{a.Question.Import} is no software that could be merged", "state, sockets and programs that are run at home have one owner, and are not mixed with others' files", $"link it without --merge");
            yield break;
        }
        if (a.IsWritable) yield return new(LinkLevel.Error, LinkConcern.Merge, path.ToString(), "what is merged cannot be written", "it is the owner's software, which does not change", "--preset reader");
        if (a.Here.State.FirstOrDefault(v => path.IsWithin(v.Path)) is { } state) yield return new(LinkLevel.Error, LinkConcern.Merge, path.ToString(), $"{path} is state of {a.Here.Name} ({state.Name})", "state is not mixed with software", "link it without --merge, or at another path");
        var owned = a.There.Entries.ToDictionary(e => e.Path);
        LinkEntry[] both = [.. a.Here.Entries.Where(e => !e.IsDirectory && owned.TryGetValue(e.Path, out LinkEntry? theirs) && (theirs.Kind != e.Kind || e.Digest is null || theirs.Digest != e.Digest))];
        if (both.Length > 0) yield return new(LinkLevel.Warning, LinkConcern.Merge, path.ToString(), $"{both.Length} files are in both and differ; {a.Here.Name}'s own are seen: {Some(both.Select(e => BytePicture.Of(e.Path.RelativeTo(path))))}", "two versions of one thing", $"offer a directory below {path} that has only what {a.Here.Name} lacks");
        foreach (MergedBeside beside in a.Question.MergedWith.Where(b => b.Differing.Length > 0))
        {
            Import winner = beside.Wins ? beside.Import : a.Question.Import, other = beside.Wins ? a.Question.Import : beside.Import;
            yield return new(LinkLevel.Warning, LinkConcern.Merge, path.ToString(), $"{beside.Differing.Length} files are in {winner} and in {other} and differ; those of {winner} are seen: {Some(beside.Differing.Select(e => BytePicture.Of(e.RelativeTo(path))))}",
                "two versions of one thing; the lower priority wins, of equal ones the link that was made first", a.LinkWith("--merge --priority N"));
        }
        if (both.Length == 0) yield return new(LinkLevel.Ok, LinkConcern.Merge, path.ToString(), $"{a.There.Entries.Count(e => !e.IsDirectory && !a.Here.Entries.Any(h => h.Path == e.Path))} files of {a.There.Name} are added at {path}");
    }
}
