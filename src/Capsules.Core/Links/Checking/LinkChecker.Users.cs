using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    private const int MayRead = 4, MayWrite = 2, MayEnter = 1;

    /// <summary>Users that both are to share.</summary>
    private static IEnumerable<LinkFinding> SharedUsers(Asked a)
    {
        foreach (SharedName shared in a.Question.Users.Distinct())
        {
            UserAccount? here = a.Here.User(shared.Here), there = a.There.User(shared.There);
            if (here is null || there is null)
            {
                string lacks = here is null ? a.Here.Name.ToString() : a.There.Name.ToString(), name = here is null ? shared.Here : shared.There;
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, name, $"{lacks} has no user {name}", "it is not in its /etc/passwd", Similar(here is null ? a.Here : a.There) is { } users ? $"name another one; its services run as {users}" : "name another one");
                continue;
            }
            if (!a.AreTogether && (here.Uid == 0 || there.Uid == 0))
            {
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, shared.ToString(), $"root of {(there.Uid == 0 ? a.There.Name : a.Here.Name)} is not shared with another capsule", "its owner could then be changed and entered as if it were the same machine", $"share a user of its own, or make them one machine: {a.LinkWith("--preset same-machine")}");
                continue;
            }
            string change = here.Uid == there.Uid ? "" : $", and keeps its own number in both ({here.Uid} and {there.Uid})";
            if (a.AreTogether && here.Uid != there.Uid)
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, shared.ToString(), $"{here.Name} is number {here.Uid} in {a.Here.Name} and {there.Name} number {there.Uid} in {a.There.Name}", "on one machine a user has one number", $"give both the same number, or link as {Word(LinkPreset.Partner)}");
            else yield return new(LinkLevel.Ok, LinkConcern.SharedUser, shared.ToString(), $"user {here.Name} ({here.Uid} in {a.Here.Name}) will be {there.Name} in {a.There.Name}{change}");
        }

        // The kernel has one number behind each, so that a user is one other's at most, and has one face here.
        var others = a.Here.Links.Where(l => l.Link.Import != a.Question.Import).SelectMany(l => l.Link.Users.Select(u => (l.Link.Import.From, Name: u))).ToArray();
        foreach (SharedName shared in a.Question.Users.Distinct())
        {
            if (a.Here.User(shared.Here) is not { } here || a.There.User(shared.There) is not { } there) continue;
            foreach (var (owner, name) in others.Where(o => a.Here.User(o.Name.Here)?.Uid == here.Uid && (o.From != a.There.Name || a.There.User(o.Name.There)?.Uid != there.Uid) && a.Behind(o.From, o.Name.There) != a.Behind(a.There.Name, there.Name)))
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, here.Name, $"{here.Name} of {a.Here.Name} is {name.There} of {owner} already, and cannot be {there.Name} of {a.There.Name} as well", "a user has one owner", $"run one of the two programs of {a.Here.Name} as another user");
            foreach (var (_, name) in others.Where(o => o.From == a.There.Name && a.There.User(o.Name.There)?.Uid == there.Uid && a.Here.User(o.Name.Here)?.Uid != here.Uid))
                yield return new(LinkLevel.Error, LinkConcern.SharedUser, there.Name, $"{there.Name} of {a.There.Name} is {name.Here} of {a.Here.Name} already, and cannot be {here.Name} as well", "a user of the owner has one number in each other capsule", $"share one of {name.Here} and {here.Name}, and let the other be in its group");
        }
        foreach (var twice in a.Question.Users.Distinct().GroupBy(u => a.Here.User(u.Here)?.Uid).Where(g => g.Key is not null && g.Select(u => a.There.User(u.There)?.Uid).Distinct().Count() > 1))
            yield return new(LinkLevel.Error, LinkConcern.SharedUser, twice.First().Here, $"{twice.First().Here} of {a.Here.Name} cannot be {Some(twice.Select(u => u.There))} of {a.There.Name} at once", "a user has one owner", "name one of them");
        foreach (var twice in a.Question.Users.Distinct().GroupBy(u => a.There.User(u.There)?.Uid).Where(g => g.Key is not null && g.Select(u => a.Here.User(u.Here)?.Uid).Distinct().Count() > 1))
            yield return new(LinkLevel.Error, LinkConcern.SharedUser, twice.First().There, $"{Some(twice.Select(u => u.Here))} of {a.Here.Name} cannot all be {twice.First().There} of {a.There.Name}", "a user of the owner has one number in each other capsule", "share one of them, and let the others be in its group");
        if (a.Question.Users.IsEmpty && !a.AreTogether && !a.Export.Users.IsEmpty)
            yield return new(LinkLevel.Note, LinkConcern.SharedUser, a.Export.Users[0], $"programs of {a.There.Name} see those of {a.Here.Name} as nobody; {a.There.Name} offers {Some(a.Export.Users)}", null, $"--as HERE={a.Export.Users[0]}");

        static string? Similar(LinkSide side) => side.Manifest.Services.Select(s => s.User ?? "root").Distinct().Take(3).ToArray() is { Length: > 0 } users ? string.Join(", ", users) : null;
    }

    /// <summary>Groups that both are to share.</summary>
    private static IEnumerable<LinkFinding> SharedGroups(Asked a)
    {
        foreach (SharedName shared in a.Question.Groups.Distinct())
        {
            GroupAccount? here = a.Here.Group(shared.Here), there = a.There.Group(shared.There);
            if (here is null || there is null)
            {
                string lacks = here is null ? a.Here.Name.ToString() : a.There.Name.ToString(), name = here is null ? shared.Here : shared.There;
                yield return new(LinkLevel.Error, LinkConcern.SharedGroup, name, $"{lacks} has no group {name}", "it is not in its /etc/group", "name another one");
                continue;
            }
            if (!a.AreTogether && (here.Gid == 0 || there.Gid == 0))
            {
                yield return new(LinkLevel.Error, LinkConcern.SharedGroup, shared.ToString(), $"the group of root of {(there.Gid == 0 ? a.There.Name : a.Here.Name)} is not shared with another capsule", null, "share a group of its own");
                continue;
            }
            string[] members = [.. a.Here.Users.Where(u => u.Gid == here.Gid || here.Members.Contains(u.Name)).Select(u => u.Name),
                .. a.Here.Manifest.Services.Where(s => s.Group == here.Name || s.SupplementaryGroups.Contains(here.Name)).Select(s => $"the service {s.Name}")];
            if (members.Length == 0)
                yield return new(LinkLevel.Warning, LinkConcern.SharedGroup, shared.ToString(), $"nobody of {a.Here.Name} is in its group {here.Name}", $"the group would be shared, and nobody could use it", $"add a user to it in {a.Here.Name}: usermod -a -G {here.Name} USER");
            else
                yield return new(LinkLevel.Ok, LinkConcern.SharedGroup, shared.ToString(), $"{Some(members)} of {a.Here.Name} will be in the group {there.Name} of {a.There.Name}");
        }
    }

    /// <summary>Same name or same number, in the accounts of both.</summary>
    private static IEnumerable<LinkFinding> Accounts(Asked a)
    {
        if (a.IsOneStack) yield break;
        HashSet<string> used = [.. new[] { a.Here, a.There }.SelectMany(s => s.Manifest.Services).SelectMany(s => s.SupplementaryGroups.Add(s.User ?? "root").Add(s.Group ?? "root")), .. a.There.Entries.Select(e => a.There.UserName(e.Uid))];
        var numbers = new List<string>();
        foreach (UserAccount here in a.Here.Users)
        {
            if (here.Uid is 0 or 65534) continue;
            UserAccount? sameName = a.There.Users.FirstOrDefault(u => u.Name == here.Name), sameNumber = a.There.Users.FirstOrDefault(u => u.Uid == here.Uid);
            bool isShared = a.Question.Users.Any(u => a.Here.User(u.Here)?.Uid == here.Uid);
            if (sameName is not null && sameName.Uid != here.Uid && !isShared && used.Contains(here.Name))
                yield return a.Joins
                    ? new(LinkLevel.Error, LinkConcern.Accounts, here.Name, $"{here.Name} is number {here.Uid} in {a.Here.Name} and {sameName.Uid} in {a.There.Name}", "on one machine a user has one number", $"give both the same number, or link as {Word(LinkPreset.Partner)}")
                    : new(LinkLevel.Note, LinkConcern.Accounts, here.Name, $"{here.Name} is number {here.Uid} in {a.Here.Name} and {sameName.Uid} in {a.There.Name}: they are two users", "they are told apart, unless they are shared by name", a.Export.Users.Contains(here.Name) ? $"--as {here.Name}" : null);
            if (sameNumber is not null && sameNumber.Name != here.Name && (used.Contains(here.Name) || used.Contains(sameNumber.Name)))
            {
                if (a.Joins)
                    yield return new(LinkLevel.Error, LinkConcern.Accounts, $"{here.Uid}", $"number {here.Uid} is {here.Name} in {a.Here.Name} and {sameNumber.Name} in {a.There.Name}", "on one machine each would have the other's files", $"give one of them another number, or link as {Word(LinkPreset.Partner)}");
                else numbers.Add($"{here.Uid} ({here.Name}, {sameNumber.Name})");
            }
        }
        if (numbers.Count > 0) yield return new(LinkLevel.Ok, LinkConcern.Accounts, numbers[0], $"users of the same number and another name are kept apart: {Some(numbers)}");
    }

    /// <summary>Files below the path whose owner the other capsule does not have.</summary>
    private static IEnumerable<LinkFinding> ForeignFiles(Asked a)
    {
        if (a.AreTogether || a.Path is not { } path) yield break;
        var closed = new List<GuestPath>();
        var seen = new SortedDictionary<string, (int Unreadable, int Readable, LinkEntry First)>(StringComparer.Ordinal);
        foreach (LinkEntry entry in a.There.Entries)
        {
            if (entry.Kind == EntryKind.SymbolicLink || closed.Any(entry.Path.IsWithin)) continue;
            bool ownerIsShared = a.SharedUids.Contains(entry.Uid), groupIsShared = a.SharedGids.Contains(entry.Gid);
            int need = entry.IsDirectory ? MayEnter : entry.Kind == EntryKind.Socket ? MayWrite : MayRead;
            bool may = (entry.Mode & need) != 0 || groupIsShared && (entry.Mode >> 3 & need) != 0 || ownerIsShared && (entry.Mode >> 6 & need) != 0;
            if (!may && entry.IsDirectory) closed.Add(entry.Path);
            if (ownerIsShared || may && groupIsShared) continue;
            if (may && entry.Uid == 0 && (entry.IsDirectory || !a.IsWritable)) continue; // what root left for all to read is seen as nobody's wherever one looks
            string owner = $"{a.There.UserName(entry.Uid)}:{a.There.GroupName(entry.Gid)}";
            var before = seen.GetValueOrDefault(owner, (0, 0, entry));
            seen[owner] = may ? (before.Item1, before.Item2 + 1, before.Item1 > 0 ? before.Item3 : entry) : (before.Item1 + 1, before.Item2, before.Item1 > 0 ? before.Item3 : entry);
        }
        bool somethingWorks = a.Preset == LinkPreset.Client && a.There.Entries.Any(e => e.Kind == EntryKind.Socket && MayConnect(a, e)) && !closed.Contains(path);
        foreach (var (owner, (unreadable, readable, first)) in seen)
        {
            string user = owner[..owner.IndexOf(':', StringComparison.Ordinal)];
            if (unreadable > 0)
                yield return new(somethingWorks ? LinkLevel.Note : LinkLevel.Warning, LinkConcern.ForeignFiles, first.Path.ToString(), $"{a.Here.Name} cannot use what belongs to {owner}: {(unreadable == 1 ? first.Path.ToString() : $"{unreadable} entries such as {first.Path}")}",
                    $"mode {Convert.ToString(first.Mode & 0xFFF, 8).PadLeft(4, '0')}, and neither {user} nor the group is shared: they are nobody's for {a.Here.Name}, for its root too", somethingWorks ? null : Share(first));
            else if (readable > 0)
                yield return new(LinkLevel.Note, LinkConcern.ForeignFiles, first.Path.ToString(), $"files of {owner} are seen as nobody's, and can be {(a.IsWritable ? "read, not changed" : "read")}", null, a.IsWritable && user != "root" ? $"--as HERE={user}" : null);
        }

        string Share(LinkEntry entry)
        {
            int need = entry.IsDirectory ? MayEnter : entry.Kind == EntryKind.Socket ? MayWrite : MayRead;
            return (entry.Mode >> 3 & need) != 0 && entry.Gid != 0 ? $"share the group, with a member of its own in {a.Here.Name}: --as-group HERE={a.There.GroupName(entry.Gid)}"
                : entry.Uid != 0 ? $"share the user: --as HERE={a.There.UserName(entry.Uid)}" : $"let a group read it in {a.There.Name}, and share that";
        }
    }

    private static bool MayConnect(Asked a, LinkEntry socket) =>
        (socket.Mode & MayWrite) != 0 || a.SharedUids.Contains(socket.Uid) && (socket.Mode >> 6 & MayWrite) != 0 || a.SharedGids.Contains(socket.Gid) && (socket.Mode >> 3 & MayWrite) != 0;
}
