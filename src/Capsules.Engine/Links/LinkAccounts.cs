using System.Collections.Immutable;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>Names of users in two capsules to the numbers of a map: the owner's kernel id stands under the user's own number.</summary>
internal sealed class LinkAccounts(CapsuleStore store, CapsuleRunner runner)
{
    private readonly Dictionary<CapsuleName, AccountFiles> _files = [];

    /// <summary>The numbers that a stack shares, by the links of all its capsules.</summary>
    /// <param name="stack">The stack.</param>
    /// <param name="changed">One of them, as it will be.</param>
    /// <exception cref="CapsuleException">A name is unknown, or one number would be two owners'.</exception>
    public (ImmutableArray<SharedId> Users, ImmutableArray<SharedId> Groups) Of(CapsuleName stack, CapsuleRecord? changed = null)
    {
        var users = new SharedSet("user");
        var groups = new SharedSet("group");
        var mainGroups = new List<(CapsuleRecord Capsule, CapsuleLink Link, ResolvedUser Here, ResolvedUser There, StackRecord Owner)>();
        foreach (CapsuleRecord capsule in runner.Members(stack).Where(c => c.Name != changed?.Name).Concat(changed is null ? [] : [changed]).OrderBy(c => c.Name))
            foreach (CapsuleLink link in capsule.Links)
            {
                if (link.Users.IsEmpty && link.Groups.IsEmpty || store.TryFind(link.Import.From) is not { } owner || owner.Stack == stack) continue; // one stack has one numbering
                StackRecord ofOwner = runner.Stacks.Ensure(owner.Stack, store.Manifest(owner.Image).Identity);
                foreach (SharedName name in link.Users)
                {
                    ResolvedUser here = User(capsule, name.Here), there = User(owner, name.There);
                    users.Add(capsule, link, name.Here, here.Uid, Outside(ofOwner.UserMap, there.Uid, here.Uid, capsule, name));
                    mainGroups.Add((capsule, link, here, there, ofOwner));
                }
                foreach (SharedName name in link.Groups)
                {
                    uint here = Group(capsule, name.Here), there = Group(owner, name.There);
                    groups.Add(capsule, link, name.Here, here, Outside(ofOwner.GroupMap, there, here, capsule, name));
                }
            }
        foreach (var (capsule, link, here, there, owner) in mainGroups) // what a shared user makes is its main group's, too, where that is nobody else's
            if (here.Gid != 0 && there.Gid != 0 && !groups.Has(here.Gid) && owner.GroupMap.Outside(there.Gid) is { } outside && !groups.HasOutside(outside)) groups.Add(capsule, link, $"{here.Gid}", here.Gid, outside);
        if (Host.IsInitial) return (users.ToArray(), groups.ToArray());
        return ([], []); // every number is itself there, and was checked to be the same
    }

    /// <summary>Whether a capsule has a user of that name or number.</summary>
    public bool HasUser(CapsuleRecord capsule, string name) => Find(capsule, name)?.Name.Length > 0;

    /// <summary>A user of a capsule, by name or number; null when there is none.</summary>
    public ResolvedUser? Find(CapsuleRecord capsule, string name)
    {
        try { return FilesOf(capsule).Resolve(name, null, []); }
        catch (CapsuleException) { return null; }
    }

    private static uint Outside(IReadOnlyList<IdExtent> map, uint there, uint here, CapsuleRecord capsule, SharedName name)
    {
        if (here == 0 || there == 0) throw new CapsuleException(Problems.MoreThanOffered($"{name}", "to be root", "users that are not"));
        if (!Host.IsInitial && here != there) throw new CapsuleException(Problems.OnlyByNumber($"{capsule.Name}", $"{name} ({here} and {there})"));
        return map.Outside(there) ?? throw new CapsuleException(Problems.NoSuchAccount($"{capsule.Name}", name.There, "user"));
    }

    private ResolvedUser User(CapsuleRecord capsule, string name)
    {
        try { return FilesOf(capsule).Resolve(name, null, []); }
        catch (CapsuleException e) { throw new CapsuleException(Problems.NoSuchAccount($"{capsule.Name}", name, "user"), e); }
    }

    private uint Group(CapsuleRecord capsule, string name)
    {
        try { return FilesOf(capsule).Resolve(null, name, []).Gid; }
        catch (CapsuleException e) { throw new CapsuleException(Problems.NoSuchAccount($"{capsule.Name}", name, "group"), e); }
    }

    private AccountFiles FilesOf(CapsuleRecord capsule)
    {
        if (_files.TryGetValue(capsule.Name, out AccountFiles? files)) return files;
        if (runner.Running(capsule.Name) is { } run) return _files[capsule.Name] = AccountFiles.OfRunning(run.Init);
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        StackRecord stack = runner.Stacks.FindOrDraft(capsule.Stack, manifest.Identity);
        return _files[capsule.Name] = AccountFiles.OfLayers(CapsuleLaunch.Of(store, capsule, manifest, runner.Stacks.Describe(stack), DefaultFilter.Profile()).Request);
    }

    /// <summary>Each number inside once, each owner's number once.</summary>
    private sealed class SharedSet(string kind)
    {
        private readonly SortedDictionary<uint, (SharedId Id, CapsuleLink Link)> _ids = [];

        public bool Has(uint inside) => _ids.ContainsKey(inside);

        public bool HasOutside(uint outside) => _ids.Values.Any(i => i.Id.Outside == outside);

        public void Add(CapsuleRecord capsule, CapsuleLink link, string name, uint inside, uint outside)
        {
            if (_ids.TryGetValue(inside, out var there))
            {
                if (there.Id.Outside != outside) throw new CapsuleException(Problems.TwoOwners($"{capsule.Name}", kind, name, $"{there.Link.Import}", $"{link.Import}"));
                return;
            }
            if (_ids.Values.FirstOrDefault(i => i.Id.Outside == outside) is { Link: { } other }) throw new CapsuleException(Problems.TwoOwners($"{capsule.Name}", kind, name, $"another {kind} of it ({other.Import})", $"{link.Import}"));
            _ids[inside] = (new(inside, outside), link);
        }

        public ImmutableArray<SharedId> ToArray() => [.. _ids.Values.Select(i => i.Id)];
    }
}
