using System.Collections.Immutable;
using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;

namespace Capsules.Engine.Journals;

/// <summary>What is known of who wrote a path.</summary>
/// <param name="Owner">Whose state it is.</param>
/// <param name="Path">As the owner sees it.</param>
/// <param name="Known">What its journal says.</param>
/// <param name="Users">Names of users, by capsule (null: this host) and number.</param>
public sealed record WrittenPath(CapsuleName Owner, GuestPath Path, WriteAnswer Known, IReadOnlyDictionary<(CapsuleName? Capsule, uint User), string> Users);

/// <summary>Begins, ends and asks journals of writes.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class WriteJournals(CapsuleStore store)
{
    private readonly StoreLayout _layout = store.Layout;

    /// <summary>Notes who writes to a capsule's state from now on, also of one that runs.</summary>
    public ImmutableArray<Warning> Add(CapsuleName name)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        if (capsule.Journal) throw new CapsuleException(Problems.JournalThere($"{name}"));
        if (!JournalDoor.StateOf(store, capsule).Any()) throw new CapsuleException(Problems.NoState($"{name}"));
        capsule = capsule with { Journal = true };
        store.Save(capsule);
        return capsule.LinkedBy.Append(name).Any(n => RunRecord.Find(_layout, n) is { IsAlive: true }) ? [.. JournalDoor.Follow(store, capsule)] : [];
    }

    /// <summary>Notes it no more; what was noted goes.</summary>
    public void Remove(CapsuleName name)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        if (!capsule.Journal) throw new CapsuleException(Problems.NoJournal($"{name}"));
        store.Save(capsule with { Journal = false });
        if (SmallFiles.IsLocked(JournalDoor.LockFile(_layout))) JournalDoor.Ask(_layout);
        SmallFiles.RemoveTree(_layout.Journal(name));
    }

    /// <summary>When the oldest was written of what a capsule's journal has, and how many bytes that is.</summary>
    public (DateTimeOffset? Since, long Size) Extent(CapsuleName name) => (JournalFile.Read(_layout, name).FirstOrDefault()?.Time, JournalFile.SizeOf(_layout, name));

    /// <summary>The most bytes that a journal has.</summary>
    public static long Most => 2 * JournalFile.MostOfHalf;

    /// <summary>Asks for a path, as a capsule sees it.</summary>
    /// <exception cref="CapsuleException">No journal tells of it.</exception>
    public WrittenPath Ask(CapsuleRecord capsule, GuestPath path)
    {
        var (owner, there) = Resolve(capsule, path);
        if (!JournalDoor.StateOf(store, owner).Any(v => there.IsWithin(v.Path) || v.Path.IsWithin(there))) throw new CapsuleException(Problems.NotJournalled($"{owner.Name}", $"{there}"));
        if (!owner.Journal) throw new CapsuleException(Problems.NoJournal($"{owner.Name}"));
        WriteAnswer known = WriteQuery.Ask(JournalFile.Read(_layout, owner.Name), there, JournalDoor.State(_layout, owner.Name).IsNoting);
        return new(owner.Name, there, known, NamesOf(known));
    }

    /// <summary>Whose a path is, and its name there: links between capsules come first, then symbolic links, which may lead to one.</summary>
    private (CapsuleRecord Owner, GuestPath Path) Resolve(CapsuleRecord capsule, GuestPath path)
    {
        var explainer = new PathExplainer(store);
        var link = explainer.LinkOf(capsule, path);
        if (link is null)
        {
            using CapsuleTree tree = CapsuleTree.Open(store, capsule);
            path = tree.Resolve(path)?.Path ?? path;
            link = explainer.LinkOf(capsule, path);
        }
        if (link is not { } by) return (capsule, path);
        CapsuleRecord owner = store.TryFind(by.Link.Import.From) ?? throw new CapsuleException(Problems.OwnerNotHere($"{capsule.Name}", $"{by.Link.Import.From}"));
        using CapsuleTree owned = CapsuleTree.Open(store, owner);
        return (owner, owned.Resolve(path)?.Path ?? path);
    }

    private Dictionary<(CapsuleName?, uint), string> NamesOf(WriteAnswer known)
    {
        var names = new Dictionary<(CapsuleName?, uint), string>();
        foreach (var users in known.Writes.Where(w => w.By?.User is not null).GroupBy(w => w.By!.Capsule))
        {
            ImmutableArray<Core.Formats.Accounts.UserAccount> accounts;
            if (users.Key is not { } name) accounts = SmallFiles.TryRead("/etc/passwd") is { } own ? Core.Formats.Accounts.AccountFiles.Users(own) : [];
            else if (store.TryFind(name) is not { } capsule) continue;
            else
            {
                using CapsuleTree tree = CapsuleTree.Open(store, capsule);
                (accounts, _) = PathExplainer.Accounts(tree);
            }
            foreach (uint user in users.Select(u => u.By!.User!.Value).Distinct())
                if (accounts.FirstOrDefault(a => a.Uid == user) is { } account) names[(users.Key, user)] = account.Name;
        }
        return names;
    }
}
