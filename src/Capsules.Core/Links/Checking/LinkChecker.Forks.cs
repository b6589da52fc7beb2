using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>Whether there is a place for a copy, and something to copy.</summary>
    private static IEnumerable<LinkFinding> Copies(Asked a)
    {
        LinkFinding Fails(string subject, string what, string cause, string fix) => new(LinkLevel.Error, LinkConcern.Fork, subject, what, cause, fix);
        if (a.Path is not { } path)
        {
            yield return Fails($"{a.Question.Import}", $"{a.Question.Import} offers no directory that could be copied", "ports and programs are of what runs", "link it without --fork");
            yield break;
        }
        if (a.Here.Links.FirstOrDefault(l => l.Link.Import == a.Question.Import) is { } linked)
            yield return Fails($"{path}", $"{a.Here.Name} is linked to {linked.Link.Import}, and sees the directory itself", "one path cannot be both", $"capsule link rm {a.Here.Name} {linked.Link.Import}");
        foreach (StateVolume volume in a.Here.State.Where(v => v.Path.IsWithin(path) || path.IsWithin(v.Path)).OrderBy(v => v.Path))
            yield return Fails($"{volume.Path}", $"{volume.Path} is state of {a.Here.Name} already ({volume.Name}{(StateFork.TryRead(volume) is { } before ? $", {before}" : "")})", "a copy is a volume of its own, and volumes do not lie in each other",
                StateFork.TryRead(volume) is { } again ? $"capsule link rm {a.Here.Name} {again.Of} --volumes" : $"copy into another capsule, or one without this state");
        if (!a.There.Entries.Any(e => e.Path == path)) yield break; // said by its place
        if (a.There.Ground != PathGround.State)
            yield return Fails($"{path}", $"{path} of {a.There.Name} is no state: there is nothing to copy", "software does not change, and what is below /run belongs to programs that run", "link it without --fork");
        else if (a.There.State.FirstOrDefault(v => v.Path != path && v.Path.IsWithin(path)) is { } below)
            yield return Fails($"{path}", $"{path} of {a.There.Name} is more than one directory: {below.Path} is other state", "a copy is one volume", $"offer {below.Path}, and copy that");
        else if (a.There.State.FirstOrDefault(v => path.IsWithin(v.Path) && v.Kind != VolumeKind.Directory) is { } image)
            yield return Fails($"{path}", $"{path} of {a.There.Name} is a file system in a file ({image.Name})", "it is mounted by one kernel at a time", $"copy its files by a program of {a.There.Name}");
        else yield return new(LinkLevel.Ok, LinkConcern.Fork, $"{path}", $"{a.Here.Name} gets a copy of {path} of {a.There.Name}, which neither changes for the other");
        int sockets = a.Below.Count(e => e.Kind == EntryKind.Socket);
        if (sockets > 0) yield return new(LinkLevel.Note, LinkConcern.Socket, $"{path}", $"{sockets} sockets are left out: each belongs to a program of {a.There.Name}");
    }

    /// <summary>Whose the files of a copy are.</summary>
    private static IEnumerable<LinkFinding> CopiedOwners(Asked a)
    {
        foreach (SharedName user in a.Question.Users.Distinct())
            if (a.Here.User(user.Here) is null || a.There.User(user.There) is null)
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, $"{user}", a.Here.User(user.Here) is null ? $"{a.Here.Name} has no user {user.Here}" : $"{a.There.Name} has no user {user.There}", "it is not in its /etc/passwd", "name another one");
        foreach (SharedName group in a.Question.Groups.Distinct())
            if (a.Here.Group(group.Here) is null || a.There.Group(group.There) is null)
                yield return new(LinkLevel.Error, LinkConcern.SharedGroup, $"{group}", a.Here.Group(group.Here) is null ? $"{a.Here.Name} has no group {group.Here}" : $"{a.There.Name} has no group {group.There}", "it is not in its /etc/group", "name another one");
        var owners = new ForkOwners(new(a.There.Users, a.There.Groups), new(a.Here.Users, a.Here.Groups), a.Question.Users, a.Question.Groups);
        var become = new SortedSet<string>(StringComparer.Ordinal);
        foreach (LinkEntry entry in a.There.Entries)
        {
            uint uid = owners.User(entry.Uid);
            owners.Group(entry.Gid);
            if (!owners.UnknownUsers.Contains(entry.Uid) && (uid != entry.Uid || a.Here.UserName(uid) != a.There.UserName(entry.Uid))) become.Add($"{a.There.UserName(entry.Uid)} ({entry.Uid}) to {a.Here.UserName(uid)} ({uid})");
        }
        if (become.Count > 0) yield return new(LinkLevel.Ok, LinkConcern.SharedUser, become.Min!, $"files go from {Some(become)}");
        foreach (uint user in owners.UnknownUsers)
            yield return new(LinkLevel.Warning, LinkConcern.ForeignFiles, $"{user}", $"files of the user {owners.DescribeUser(user)} keep that number in the copy: {a.Here.Name} has no user of that name", null, a.ForkWith($"--as HERE={a.There.UserName(user)}"));
        foreach (uint group in owners.UnknownGroups)
            yield return new(LinkLevel.Warning, LinkConcern.ForeignFiles, $"{group}", $"files of the group {owners.DescribeGroup(group)} keep that number in the copy: {a.Here.Name} has no group of that name", null, a.ForkWith($"--as-group HERE={a.There.GroupName(group)}"));
    }
}
