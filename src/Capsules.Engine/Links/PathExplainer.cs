using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Links.Explaining;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Links;

/// <summary>A user or group: its number and, where there is one, its name.</summary>
/// <param name="Number">The number.</param>
/// <param name="Name">The name.</param>
public sealed record Account(uint Number, string? Name)
{
    /// <inheritdoc/>
    public override string ToString() => Name is null ? $"{Number}" : $"{Name} ({Number})";
}

/// <summary>The link by which a path is seen.</summary>
/// <param name="Link">The link.</param>
/// <param name="Path">The directory that it covers.</param>
/// <param name="Users">Shared users: their number here, and who they are there.</param>
public sealed record ShownLink(CapsuleLink Link, GuestPath Path, ImmutableArray<(Account Here, Account There)> Users);

/// <summary>What a path of a capsule is, and by what it is seen.</summary>
public sealed record PathAnswer
{
    /// <summary>The path that was asked for.</summary>
    public required GuestPath Path { get; init; }
    /// <summary>Where symbolic links lead, when elsewhere.</summary>
    public GuestPath? LeadsTo { get; init; }
    /// <summary>What is there; null when nothing is.</summary>
    public FileFact? Entry { get; init; }
    /// <summary>By what it is seen, for people.</summary>
    public required string ShownBy { get; init; }
    /// <summary>One word for programs: layer, written, secret, open, volume, link, host-directory, stack, identity, temporary.</summary>
    public required string Kind { get; init; }
    /// <summary>Where it is on this host, when it is in one place there.</summary>
    public string? OnHost { get; init; }
    /// <summary>Owner and group as the capsule sees them.</summary>
    public Account? Owner { get; init; }
    /// <summary>See <see cref="Owner"/>.</summary>
    public Account? Group { get; init; }
    /// <summary>Owner and group on disk, by the names of the capsule that owns the file.</summary>
    public Account? OwnerOnDisk { get; init; }
    /// <summary>See <see cref="OwnerOnDisk"/>.</summary>
    public Account? GroupOnDisk { get; init; }
    /// <summary>The link, when it is seen by one.</summary>
    public ShownLink? Link { get; init; }
    /// <summary>Why nothing can be written there; null when modes alone decide.</summary>
    public string? ReadOnly { get; init; }
    /// <summary>What the user that was asked for may do.</summary>
    public PathAccess? Access { get; init; }
    /// <summary>Why it is not there.</summary>
    public Miss? Miss { get; init; }
}

/// <summary>Tells of a path of a capsule by what it is seen, whose it is, and who may use it. Nothing is changed.</summary>
/// <param name="store">The store.</param>
public sealed class PathExplainer(CapsuleStore store)
{
    private const uint Nobody = 65534;
    private static readonly GuestPath Run = GuestPath.Parse("/run");

    /// <summary>Explains a path.</summary>
    /// <param name="capsule">The capsule.</param>
    /// <param name="path">The path.</param>
    /// <param name="user">Whose access is asked for, by name or number, with a group after a colon; null asks for nobody's.</param>
    /// <exception cref="CapsuleException">There is no such user.</exception>
    public PathAnswer Explain(CapsuleRecord capsule, GuestPath path, string? user)
    {
        CapsuleManifest manifest = capsule.Folded(store.Manifest(capsule.Image));
        using CapsuleTree tree = CapsuleTree.Open(store, capsule);
        // Links are followed in the capsule's own tree as far as the directory that a link between capsules covers.
        if (LinkOf(capsule, path) is { } link) return OfLink(capsule, tree, path, link, user);
        if (tree.Resolve(path) is not { } found) return new() { Path = path, ShownBy = "symbolic links that lead in circles", Kind = "layer" };
        if (found.Path != path && LinkOf(capsule, found.Path) is { } behind) return OfLink(capsule, tree, found.Path, behind, user) with { Path = path, LeadsTo = found.Path };
        PathAnswer answer = Shown(capsule, manifest, found.Path) with { Path = path, LeadsTo = found.Path == path ? null : found.Path };
        if (found.Entry is not { } entry)
        {
            using var misses = new MissExplainer(capsule, store.Layout);
            return answer with { Miss = misses.Explain(path) };
        }
        var (users, groups) = Accounts(tree);
        answer = answer with { Entry = entry, Owner = NameOf(entry.Uid, users), Group = NameOf(entry.Gid, groups), OwnerOnDisk = NameOf(entry.Uid, users), GroupOnDisk = NameOf(entry.Gid, groups) };
        if (user is null) return answer;
        return answer with { Access = PathAccess.Of([.. Parts(found.Path).Select(p => tree.Look(p) is { } part ? Step(part, p) : new PathStep(p, EntryKind.Directory, 0x1ED, 0, 0))], Resolve(user, tree), answer.ReadOnly) };
    }

    private static PathStep Step(FileFact fact, GuestPath path) => new(path, fact.Kind, fact.Mode, fact.Uid, fact.Gid);

    private PathAnswer OfLink(CapsuleRecord capsule, CapsuleTree tree, GuestPath path, (CapsuleLink Link, GuestPath Path) link, string? user)
    {
        PathAnswer answer = new() { Path = path, ShownBy = $"the link to {link.Link.Import}", Kind = "link" };
        if (store.TryFind(link.Link.Import.From) is not { } owner) return answer with { ShownBy = $"the link to {link.Link.Import}, whose owner is not on this host" };
        using CapsuleTree owned = CapsuleTree.Open(store, owner);
        var (users, groups) = Accounts(tree);
        var (theirUsers, theirGroups) = Accounts(owned);
        bool oneStack = owner.Stack == capsule.Stack;
        ImmutableArray<(Account Here, Account There)> shared = [.. Pairs(link.Link.Users, users, theirUsers, u => u.Name, u => u.Uid)], sharedGroups =
        [
            .. Pairs(link.Link.Groups, groups, theirGroups, g => g.Name, g => g.Gid),
            .. link.Link.Users.Select(u => (Here: Find(users, u.Here, x => x.Name, x => x.Uid), There: Find(theirUsers, u.There, x => x.Name, x => x.Uid))).Where(p => p is { Here: not null, There: not null }).Select(p => (NameOf(p.Here!.Gid, groups), NameOf(p.There!.Gid, theirGroups))),
        ];
        uint? Here(uint there, ImmutableArray<(Account Here, Account There)> pairs) => oneStack ? there : pairs.FirstOrDefault(p => p.There.Number == there).Here?.Number;
        answer = answer with
        {
            Link = new(link.Link, link.Path, shared),
            ReadOnly = link.Link.IsWritable ? null : $"{link.Path} is linked as {Core.Json.JsonReading.Dashed(link.Link.Preset)}, which is read-only",
        };
        if (owned.Resolve(path) is not { } found) return answer;
        answer = answer with { OnHost = Shown(owner, owner.Folded(store.Manifest(owner.Image)), found.Path).OnHost, LeadsTo = found.Path == path ? null : found.Path };
        if (found.Entry is not { } entry) return answer with { Miss = new(path, false, null, $"{owner.Name} has nothing there{(owned.IsRunning || !path.IsWithin(Run) ? "" : ", and does not run")}", null, owned.IsRunning ? null : $"capsule start {owner.Name}") };
        Account Seen(uint? here, IEnumerable<(uint Number, string Name)> names) => here is { } number ? NameOf(number, names) : new(Nobody, "nobody");
        answer = answer with
        {
            Entry = entry,
            Owner = Seen(Here(entry.Uid, shared), users.Select(u => (u.Uid, u.Name))),
            Group = Seen(Here(entry.Gid, sharedGroups), groups.Select(g => (g.Gid, g.Name))),
            OwnerOnDisk = NameOf(entry.Uid, theirUsers),
            GroupOnDisk = NameOf(entry.Gid, theirGroups),
        };
        if (user is null) return answer;
        var steps = Parts(found.Path).Select(part => part.IsWithin(link.Path)
            ? owned.Look(part) is { } theirs ? new PathStep(part, theirs.Kind, theirs.Mode, Here(theirs.Uid, shared), Here(theirs.Gid, sharedGroups)) : new PathStep(part, EntryKind.Directory, 0, null, null)
            : tree.Look(part) is { } own ? Step(own, part) : new PathStep(part, EntryKind.Directory, 0x1ED, 0, 0)); // where nothing is, the directory is made for the link
        return answer with { Access = PathAccess.Of([.. steps], Resolve(user, tree), answer.ReadOnly) };
    }

    /// <summary>The link that covers a path; of several the one that lies above the others. What is merged covers nothing of the capsule's own.</summary>
    internal (CapsuleLink Link, GuestPath Path)? LinkOf(CapsuleRecord capsule, GuestPath path)
    {
        (CapsuleLink Link, GuestPath Path)? covering = null;
        foreach (CapsuleLink link in CapsuleLink.ByPriority(capsule.Links))
            if (store.Offered(link.Import)?.Directory is { } at && path.IsWithin(at) && !link.Private.Any(path.IsWithin) && !(link.Merge && TreeWith(capsule, capsule.Folded(store.Manifest(capsule.Image)), path) is { Status: not { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 } }) && (covering is null || at.IsWithin(covering.Value.Path) && !(link.Merge && at == covering.Value.Path && (Has(covering.Value.Link) || !Has(link))))) covering = (link, at);
        return covering;

        // Of several whose software is merged at one path the first that has it.
        bool Has(CapsuleLink link)
        {
            if (store.TryFind(link.Import.From) is not { } owner) return false;
            using var software = Overlay.OfLayers(store.Layout, store.Manifest(owner.Image).Layers);
            return FileCalls.TryStat(null, new NativePath(software.Place + "/").Append(path.RelativeTo(GuestPath.Root))) is not null;
        }
    }

    /// <summary>By what a place is seen that no link covers.</summary>
    private PathAnswer Shown(CapsuleRecord capsule, CapsuleManifest manifest, GuestPath place)
    {
        StoreLayout layout = store.Layout;
        PathAnswer Of(string kind, string text, string? onHost = null, string? readOnly = null) => new() { Path = place, Kind = kind, ShownBy = text, OnHost = onHost, ReadOnly = readOnly };
        string At(string tree, GuestPath below) => below.IsRoot ? tree : tree + "/" + BytePicture.Of(below.Bytes[1..]);

        if (capsule.HostDirectories.Where(d => place.IsWithin(d.Target)).MaxBy(d => d.Target.Bytes.Length) is { } directory)
            return Of("host-directory", $"the directory {directory.Source} of this host (-v)", At(directory.Source, GuestPath.Root.Combine(place.RelativeTo(directory.Target))), directory.ReadOnly ? "the directory of this host is shown read-only (-v …:ro)" : null);
        var stacks = new StackRunner(layout);
        if (stacks.IsUp(capsule.Stack) && stacks.Find(capsule.Stack) is { } stack)
            foreach (var (at, file) in stacks.Describe(stack).IdentityFiles)
                if (at == place) return Of("identity", $"the identity of stack {capsule.Stack}", file.ToString(), "the files of the identity are shown read-only");
        if (manifest.Volumes.Where(v => place.IsWithin(v.Path)).MaxBy(v => v.Path.Bytes.Length) is { } volume)
        {
            string data = volume.Kind == VolumeKind.Image ? layout.VolumeImage(capsule.Name, volume.Name) : capsule.PlaceOf(layout, volume.Name);
            string whose = capsule.SharedVolumes.FirstOrDefault(s => s.Name == volume.Name) is { } shared ? $" of {shared.Owner}" : StateFork.TryRead(volume) is { } fork ? $", a {fork}" : "";
            return Of("volume", $"the volume {volume.Name}{whose}", volume.Kind == VolumeKind.Image ? data : At(data, GuestPath.Root.Combine(place.RelativeTo(volume.Path))));
        }
        if (place.IsWithin(Run)) return Of("stack", $"/run of stack {capsule.Stack}, new when the stack starts");
        if (place.IsWithin(CapsuleSpecs.SharedMemory) && capsule.Links.FirstOrDefault(l => store.Offered(l.Import)?.SharesMemory == true) is { } memory) return Of("link", $"the shared memory of {memory.Import.From}, by the link {memory.Import}");
        if (place.IsWithin(CapsuleSpecs.SharedMemory)) return Of("stack", $"the shared memory of stack {capsule.Stack}, new when the stack starts");
        if (LinkTables.NewAtEachStart.FirstOrDefault(place.IsWithin) is { IsRoot: false } temporary) return Of("temporary", $"{temporary}, new at each start");
        string? readOnly = capsule.ReadOnly ? "the capsule was made with --read-only" : null;
        if (TreeWith(capsule, manifest, place) is not var (tree, what, status)) return Of("layer", "no layer, volume or link", readOnly: readOnly);
        if (status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 }) return Of("written", "nothing: it was removed here");
        string kind = tree == layout.Secrets(capsule.Name) ? "secret" : tree == layout.OpenTree(capsule.Name) ? "open" : tree == layout.Writable(capsule.Name) + "/upper" ? "written" : "layer";
        return Of(kind, what, At(tree, place), readOnly);
    }

    /// <summary>The topmost of the trees of its root that has a path, be it as what says that it was removed.</summary>
    private (string Tree, string What, FileStatus Status)? TreeWith(CapsuleRecord capsule, CapsuleManifest manifest, GuestPath place)
    {
        foreach (var (tree, what) in CapsuleTree.TreesOf(store.Layout, capsule, manifest))
            if (FileCalls.TryStat(null, new NativePath(tree + "/").Append(place.RelativeTo(GuestPath.Root))) is { } status) return (tree, what, status);
        return null;
    }

    private static IEnumerable<(Account Here, Account There)> Pairs<T>(ImmutableArray<SharedName> shared, ImmutableArray<T> here, ImmutableArray<T> there, Func<T, string> name, Func<T, uint> number) where T : class =>
        shared.Select(s => (Here: Find(here, s.Here, name, number), There: Find(there, s.There, name, number))).Where(p => p is { Here: not null, There: not null })
            .Select(p => (new Account(number(p.Here!), name(p.Here!)), new Account(number(p.There!), name(p.There!))));

    private static T? Find<T>(ImmutableArray<T> accounts, string word, Func<T, string> name, Func<T, uint> number) where T : class =>
        accounts.FirstOrDefault(a => name(a) == word) ?? (uint.TryParse(word, out uint wanted) ? accounts.FirstOrDefault(a => number(a) == wanted) : null);

    private static Account NameOf(uint number, ImmutableArray<UserAccount> users) => new(number, users.FirstOrDefault(u => u.Uid == number)?.Name);
    private static Account NameOf(uint number, ImmutableArray<GroupAccount> groups) => new(number, groups.FirstOrDefault(g => g.Gid == number)?.Name);
    private static Account NameOf(uint number, IEnumerable<(uint Number, string Name)> names) => new(number, names.FirstOrDefault(n => n.Number == number).Name);

    internal static AccountLists Accounts(CapsuleTree tree) =>
        new(tree.Read(GuestPath.Parse("/etc/passwd")) is { } users ? Core.Formats.Accounts.AccountFiles.Users(users) : [], tree.Read(GuestPath.Parse("/etc/group")) is { } groups ? Core.Formats.Accounts.AccountFiles.Groups(groups) : []);

    private static PathUser Resolve(string user, CapsuleTree tree)
    {
        IEnumerable<string> Lines(string file) => tree.Read(GuestPath.Parse(file)) is { } text ? System.Text.Encoding.UTF8.GetString(text.Span).Split('\n') : [];
        ResolvedUser found = UserResolver.Resolve(user, null, [], Lines("/etc/passwd"), Lines("/etc/group"));
        return new(user, found.Uid, [found.Gid, .. found.Groups]);
    }

    /// <summary>/, /a, /a/b of /a/b.</summary>
    private static ImmutableArray<GuestPath> Parts(GuestPath path)
    {
        var parts = new List<GuestPath>();
        for (GuestPath at = path; ; at = at.Parent)
        {
            parts.Insert(0, at);
            if (at.IsRoot) return [.. parts];
        }
    }
}
