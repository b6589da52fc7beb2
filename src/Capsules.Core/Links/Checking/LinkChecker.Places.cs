using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>Whether the path can be shown at all.</summary>
    private static IEnumerable<LinkFinding> Places(Asked a)
    {
        if (a.Path is not { } path)
        {
            if (a.Export.Programs.IsEmpty && a.Export.Ports.IsEmpty && !a.Export.TakesLogs && !a.Export.SharesMemory) yield return new(LinkLevel.Error, LinkConcern.Offer, a.Question.Import.ToString(), $"{a.Question.Import} offers neither a directory nor a program nor a port", null, $"capsule share add {a.Question.Import} --path PATH");
            yield break;
        }
        if (ShareablePaths.WhyNot(path) is { } why)
        {
            yield return new(LinkLevel.Error, LinkConcern.ForbiddenPath, path.ToString(), $"{path} cannot be shown to another capsule", why, "offer the directory that the two need in common, such as /run/NAME or /var/lib/NAME");
            yield break;
        }
        if (a.There.HasMore)
            yield return new(LinkLevel.Note, LinkConcern.Offer, path.ToString(), $"{path} of {a.There.Name} has more entries than are looked at: {a.There.Entries.Length} were");
        LinkEntry? owned = a.There.Entries.FirstOrDefault(e => e.Path == path);
        if (a.There.LeadsTo is { } there && there != path)
            yield return new(a.Here.LeadsTo == there ? LinkLevel.Note : LinkLevel.Error, LinkConcern.SymbolicLink, path.ToString(), $"{path} of {a.There.Name} is really {there}", "a symbolic link leads there", $"offer {there} instead");
        else if (a.Here.LeadsTo is { } here && here != path)
            yield return new(LinkLevel.Error, LinkConcern.SymbolicLink, path.ToString(), $"{path} of {a.Here.Name} is really {here}: the link would cover that", "a symbolic link leads there", $"remove the link in {a.Here.Name}, or offer {here}");
        if (owned is null && a.There.Ground == PathGround.Missing || owned is null && a.There.Ground == PathGround.Run)
        {
            bool isExpected = path.IsWithin(Run) && (IsMade(a.There, path) || !a.There.IsRunning);
            if (!path.IsWithin(Run))
                yield return new(LinkLevel.Error, LinkConcern.MissingPath, path.ToString(), $"{a.There.Name} has no {path}", null, $"`capsule why {a.There.Name} {path}` tells more");
            else
                yield return new(isExpected ? LinkLevel.Note : LinkLevel.Warning, LinkConcern.MissingPath, path.ToString(), isExpected ? $"{path} is made when {a.There.Name} starts" : $"{a.There.Name} runs and has no {path}", null, isExpected ? null : $"`capsule exec {a.There.Name} ls /run` shows what there is");
        }
        else if (owned is { IsDirectory: false })
            yield return new(LinkLevel.Error, LinkConcern.SingleFile, path.ToString(), $"{path} is not a directory", "a program that replaces a file by rename leaves a link to it at the old one, and a program that renames over it fails", $"offer the directory {path.Parent} in its place");
    }

    /// <summary>Whether a service makes a directory of /run, or listens in it.</summary>
    private static bool IsMade(LinkSide side, GuestPath path) =>
        side.Manifest.Services.Any(s => s.RuntimeDirectories.Any(d => d.Path.IsWithin(path)) || s.Ready?.Socket is { } socket && socket.IsWithin(path) || s.PidFile is { } pid && pid.IsWithin(path))
        || UnixSockets(side).Any(s => s.IsWithin(path));

    private static IEnumerable<GuestPath> UnixSockets(LinkSide side) =>
        side.Manifest.Listeners.Where(l => l.Protocol == "unix" && l.Address.StartsWith('/')).Select(l => GuestPath.Parse(l.Address));

    /// <summary>Whose state it is.</summary>
    private static IEnumerable<LinkFinding> State(Asked a)
    {
        if (a.Path is not { } path) yield break;
        foreach (StateVolume volume in a.Here.State.Where(v => v.Path.IsWithin(path) && !a.Question.Private.Contains(v.Path)).OrderBy(v => v.Path))
        {
            string what = volume.Path == path ? $"{path} is state of {a.Here.Name} and of {a.There.Name}" : $"{volume.Path} is state of {a.Here.Name}, and the link would hide it";
            yield return new(LinkLevel.Error, LinkConcern.TwoOwners, volume.Path.ToString(), what, "a directory has one owner: what the other wrote there before would be out of sight",
                StateFork.TryRead(volume) is { } fork ? $"capsule link rm {a.Here.Name} {fork.Of} --volumes"
                : volume.Path != path && !a.Question.Merge ? $"keep it {a.Here.Name}'s own: {a.LinkWith($"--private {volume.Path}")}" : $"decide whose it is: take the volume {volume.Name} from {a.Here.Name}, or offer a directory below {path} that {a.Here.Name} does not have");
        }
        if (!a.IsOneStack)
        {
            foreach (LinkFinding finding in Sockets(path)) yield return finding;
            // A capsule makes directories of /run that its programs name, also those of others (nginx: /run/php). It is one's own when one's own server is in it.
            bool sameServer = ProgramsOf(a.Here).Intersect(ProgramsOf(a.There)).Any();
            foreach (RuntimeDirectory made in a.Here.Manifest.Services.SelectMany(s => s.RuntimeDirectories).Where(d => d.Path.IsWithin(path)).DistinctBy(d => d.Path))
                yield return sameServer || a.Here.Manifest.Services.Any(s => s.PidFile is { } pid && pid.IsWithin(made.Path)) || UnixSockets(a.Here).Any(s => s.IsWithin(made.Path))
                    ? new(LinkLevel.Error, LinkConcern.TwoOwners, made.Path.ToString(), $"{a.Here.Name} makes {made.Path} for its own service at each start", "the link would lie over it, and the two would take each other's sockets", $"link to a capsule that does not run the same kind of server, or offer another directory than {path}")
                    : new(LinkLevel.Note, LinkConcern.TwoOwners, made.Path.ToString(), $"{a.Here.Name} makes {made.Path} at each start, and the link lies over it");
        }
        if (a.IsWritable && a.There.Ground is PathGround.Software or PathGround.Temporary && a.IsWritable && a.There.Entries.Any(e => e.Path == path))
            yield return new(LinkLevel.Error, LinkConcern.NotState, path.ToString(), $"{path} of {a.There.Name} cannot be written by two", "it is part of the software of the capsule: locks, sockets and numbers of users do not hold there", $"capsule state add {a.There.Name} {path}");
        else if (a.There.Ground == PathGround.Software && a.There.Entries.Any(e => e.Path == path))
            yield return new(LinkLevel.Note, LinkConcern.NotState, path.ToString(), $"{path} is part of the software of {a.There.Name}: a commit or another version of it changes what {a.Here.Name} sees");
        if (a.There.Ground == PathGround.HostDirectory)
            yield return new(LinkLevel.Note, LinkConcern.NotState, path.ToString(), $"{path} of {a.There.Name} is a directory of this host, shown there with -v");
        if (!a.Here.State.Any(v => v.Path.IsWithin(path) && !a.Question.Private.Contains(v.Path)) && a.There.Ground == PathGround.State)
            yield return new(LinkLevel.Ok, LinkConcern.TwoOwners, path.ToString(), $"{path} is state of {a.There.Name} alone");

        IEnumerable<LinkFinding> Sockets(GuestPath path)
        {
            foreach (GuestPath socket in UnixSockets(a.Here).Where(s => s.IsWithin(path)).Distinct().Order())
                if (UnixSockets(a.There).Contains(socket))
                    yield return new(LinkLevel.Error, LinkConcern.TwoOwners, socket.ToString(), $"{a.Here.Name} and {a.There.Name} both listen on {socket}", "whoever starts last takes the socket away from the other", "give one of them another socket");
                else if (!a.IsWritable)
                    yield return new(LinkLevel.Error, LinkConcern.TwoOwners, socket.ToString(), $"{a.Here.Name} would make its socket {socket} in the directory of {a.There.Name}, where it may not write", $"{path} is asked for as {Word(a.Preset)}", $"give {a.Here.Name} another directory for its socket, or ask for --preset partner");
        }
    }

    /// <summary>Directories below the linked one that are to be the capsule's own.</summary>
    private static IEnumerable<LinkFinding> Privates(Asked a)
    {
        foreach (GuestPath own in a.Question.Private)
        {
            LinkFinding Fails(string what, string? cause, string fix) => new(LinkLevel.Error, LinkConcern.Private, own.ToString(), what, cause, fix);
            if (a.Path is not { } path || !own.IsWithin(path) || own == path)
                yield return Fails($"{own} is not below what {a.Question.Import} offers", a.Path is null ? "it offers no directory" : $"that is {a.Path}", $"name a directory below {a.Path?.ToString() ?? "an offered one"}");
            else if (a.Question.Merge)
                yield return Fails($"{own} cannot be {a.Here.Name}'s own below software that is merged", "what is merged is read-only as a whole", "link it without --merge");
            else if (LinkTables.NewAtEachStart.FirstOrDefault(own.IsWithin) is { IsRoot: false } fresh)
                yield return Fails($"{own} cannot be state of {a.Here.Name}", $"{fresh} is made anew at each start", "name a directory of persistent state");
            else if (a.Question.Private.FirstOrDefault(o => o != own && own.IsWithin(o)) is { IsRoot: false } outer)
                yield return Fails($"{own} lies in {outer}, which is {a.Here.Name}'s own already", null, $"name {outer} alone");
            else if (a.There.Entries.FirstOrDefault(e => e.Path == own) is not { } there)
            {
                if (!a.There.HasMore && a.There.Entries.Any(e => e.Path == path)) // else what is made at its start, or was not looked at, is seen when it is shown
                    yield return Fails($"{a.There.Name} has no directory {own}", $"nothing is made in the state of another, and what is {a.Here.Name}'s own needs a place to lie on", $"capsule exec {a.There.Name} mkdir -p {own}");
            }
            else if (!there.IsDirectory)
                yield return Fails($"{own} of {a.There.Name} is no directory", "a directory can only lie over a directory", $"name a directory below {path}");
            else
            {
                int covered = a.There.Entries.Count(e => e.Path != own && e.Path.IsWithin(own));
                yield return new(LinkLevel.Ok, LinkConcern.Private, own.ToString(), $"{own} is {a.Here.Name}'s own: {a.There.Name} sees nothing of it");
                if (covered > 0) yield return new(LinkLevel.Note, LinkConcern.Private, own.ToString(), $"{a.Here.Name} sees nothing of the {covered} entries that {a.There.Name} has at {own}");
            }
        }
    }

    /// <summary>What of the capsule's own the link would hide.</summary>
    private static IEnumerable<LinkFinding> Hidden(Asked a)
    {
        if (a.Path is not { } path || a.Question.Merge || a.IsOneStack && path.IsWithin(Run)) yield break; // what is merged hides nothing
        var owned = a.There.Entries.ToDictionary(e => e.Path);
        LinkEntry[] own = [.. a.Here.Entries.Where(e => !e.IsDirectory && !a.Here.State.Any(v => e.Path.IsWithin(v.Path) && v.Path.IsWithin(path)) && !a.Question.Private.Any(e.Path.IsWithin) && !a.Here.Links.Any(l => l.Path is { } linked && e.Path.IsWithin(linked)))];
        LinkEntry[] other = [.. own.Where(e => !owned.TryGetValue(e.Path, out LinkEntry? same) || same.Kind != e.Kind || e.Digest is null || same.Digest != e.Digest)];
        if (other.Length > 0)
            yield return new(LinkLevel.Warning, LinkConcern.HiddenFiles, path.ToString(), $"{other.Length} of {a.Here.Name}'s own files would be out of sight: {Some(other.Select(e => BytePicture.Of(e.Path.RelativeTo(path))))}",
                $"{a.There.Name} has others there, or none", $"move them to another directory, or offer a directory below {path} that {a.Here.Name} does not use");
        else if (own.Length > 0) yield return new(LinkLevel.Ok, LinkConcern.HiddenFiles, path.ToString(), $"{a.Here.Name} has the same files at {path}");
        else if (!a.Here.State.Any(v => v.Path.IsWithin(path))) yield return new(LinkLevel.Ok, LinkConcern.HiddenFiles, path.ToString(), $"path {path} is free in {a.Here.Name}");
    }

    /// <summary>Links over links.</summary>
    private static IEnumerable<LinkFinding> Nested(Asked a)
    {
        if (a.Path is not { } path) yield break;
        foreach (LinkedPath link in a.Here.Links.Where(l => l.Link.Import != a.Question.Import && l.Path is not null).OrderBy(l => l.Path!.Value))
        {
            GuestPath other = link.Path!.Value;
            if (other == path && a.Question.Merge && link.Link.Merge) continue; // one among others: Merges compares them
            if (other == path)
                yield return new(LinkLevel.Error, LinkConcern.NestedLink, path.ToString(), $"{a.Here.Name} has {link.Link.Import} at {path} already", null, $"capsule link rm {a.Here.Name} {link.Link.Import}");
            else if (path.IsWithin(other) || other.IsWithin(path))
            {
                GuestPath upper = path.IsWithin(other) ? other : path, lower = upper == path ? other : path;
                bool sameOwner = link.Link.Import.From == a.There.Name;
                yield return new(LinkLevel.Error, LinkConcern.NestedLink, lower.ToString(), sameOwner ? $"{lower} comes with {upper}, which {a.Here.Name} {(upper == path ? "asks for" : "has")}" : $"{lower} would lie over {upper}, which is another capsule's",
                    "a rename or hard link between the two would fail, and whoever unmounts one takes the other along", sameOwner ? $"use {upper} alone" : $"offer a directory that is not below {upper}");
            }
            else if (a.IsWritable && link.Link.IsWritable && link.Link.Import.From == a.There.Name && path.Parent == other.Parent && a.There.State.Any(v => path.IsWithin(v.Path) && other.IsWithin(v.Path)))
                yield return new(LinkLevel.Warning, LinkConcern.Rename, path.ToString(), $"files cannot be renamed between {other} and {path}", $"for {a.There.Name} they are one file system, for {a.Here.Name} two (EXDEV)", $"offer {path.Parent} in place of both");
        }
    }

    /// <summary>Programs that rename from the directory to one beside it, or back.</summary>
    private static IEnumerable<LinkFinding> Renames(Asked a)
    {
        if (a.Path is not { } path || !a.IsWritable) yield break;
        foreach (RenameFamily family in LinkTables.Renamers)
        {
            string name = BytePicture.Of(path.Name);
            bool isMember = family.Names.Contains(name) && (family.Parent is { } parent ? path.Parent == parent : family.Names.All(n => n == name || a.There.Beside.Contains(n)));
            if (!isMember) continue;
            yield return new(LinkLevel.Error, LinkConcern.Rename, path.ToString(), $"{family.Program} renames files between {path} and what is beside it", $"through a link to {name} alone that fails (EXDEV)", $"offer {path.Parent} in its place");
        }
    }

    /// <summary>Files that are the same as some outside.</summary>
    private static IEnumerable<LinkFinding> HardLinks(Asked a)
    {
        LinkEntry[] files = [.. a.Below.Where(e => e.HasOtherNames)];
        if (files.Length == 0) yield break;
        yield return new(a.IsWritable ? LinkLevel.Warning : LinkLevel.Note, LinkConcern.HardLinks, files[0].Path.ToString(), $"{files.Length} files below {a.Path} have other names outside of it: {Some(files.Select(e => e.Path.ToString()))}",
            a.IsWritable ? $"what {a.Here.Name} writes to them is changed there as well" : null, a.IsWritable ? "copy them (cp --reflink=auto) if that is not meant" : null);
    }
}
