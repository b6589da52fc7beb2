using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Crossings;
using Capsules.Engine.Journals;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>How a link is now.</summary>
public enum LinkState
{
    /// <summary>The capsule that uses it does not run.</summary>
    Down,
    /// <summary>It runs, and sees what is offered.</summary>
    Live,
    /// <summary>It runs, and the owner does not offer it now.</summary>
    Waiting,
}

/// <summary>What came of a link that was made or taken away.</summary>
/// <param name="Link">The link.</param>
/// <param name="Warnings">What will not be as expected.</param>
/// <param name="Holders">Who has something open of it.</param>
public sealed record LinkChange(CapsuleLink Link, ImmutableArray<Warning> Warnings, ImmutableArray<MountHolder> Holders);

/// <summary>
/// Makes links between capsules and keeps them true while their ends start and stop. What is seen through a link is the owner's own directory: a copy of the
/// owner's mount, with less rights, attached at the host's side of the other's root (docs/adr/0031).
/// </summary>
/// <param name="store">Capsules and images.</param>
public sealed class LinkRunner(CapsuleStore store)
{
    private const int LockPollMilliseconds = 20, StartMinutes = 30;

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>Offers something more.</summary>
    public void Share(CapsuleName owner, Export export)
    {
        using Descriptor held = store.Lock(owner, wait: true)!;
        CapsuleRecord capsule = store.Get(owner.ToString());
        ImmutableArray<Export> offered = store.Offered(capsule);
        if (offered.Any(e => e.Name == export.Name)) throw new CapsuleException(Problems.AlreadyOffered($"{owner}", $"{export.Name}"));
        if (export.Path is { } path && export.Preset >= LinkPreset.Partner && !IsState(capsule, path)) throw new CapsuleException(Problems.NotSharable($"{path}", "it is to be written, and it is no state: what is written there is the capsule's own layer") with { Fix = $"capsule state add {owner} {path}, or --preset reader" });
        LinkAccounts accounts = new(store, _runner);
        foreach (string user in export.Users)
            if (!accounts.HasUser(capsule, user)) throw new CapsuleException(Problems.NoSuchAccount($"{owner}", user, "user"));
        store.Save(capsule with { Exports = [.. offered, export] });
    }

    /// <summary>Offers something no more.</summary>
    public void Unshare(CapsuleName owner, CapsuleName export)
    {
        using Descriptor held = store.Lock(owner, wait: true)!;
        CapsuleRecord capsule = store.Get(owner.ToString());
        ImmutableArray<Export> offered = store.Offered(capsule);
        if (!offered.Any(e => e.Name == export)) throw new CapsuleException(Problems.NotOffered($"{owner}", $"{export}", offered.Select(e => $"{e.Name}")));
        string[] users = [.. capsule.LinkedBy.Where(n => store.TryFind(n)?.Links.Any(l => l.Import == new Import(owner, export)) == true).Select(n => n.ToString())];
        if (users.Length > 0) throw new CapsuleException(Problems.StillLinked($"{owner}/{export}", string.Join(", ", users)));
        store.Save(capsule with { Exports = [.. offered.Where(e => e.Name != export)] });
    }

    /// <summary>Makes a link; a capsule that runs sees it at once.</summary>
    /// <exception cref="CapsuleException">It cannot be; nothing is changed.</exception>
    public LinkChange Add(CapsuleName name, CapsuleLink link)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        if (capsule.Links.FirstOrDefault(l => l.Import == link.Import) is { } before)
        {
            if (StateOf(capsule, before) != LinkState.Waiting) throw new CapsuleException(Problems.AlreadyLinked($"{name}", $"{link.Import}"));
            capsule = capsule with { Links = capsule.Links.Remove(before) }; // it was cut off when it was made, or its owner does not offer it now: made anew
        }
        var (owner, export) = Find(capsule, link);
        LinkAccounts accounts = new(store, _runner);
        CheckAllowed(link, export);
        link = link.WithUsers(export, user => accounts.HasUser(capsule, user));
        CapsuleRecord linked = capsule with { Links = capsule.Links.Add(link), Stack = link.Preset == LinkPreset.SameMachine ? owner.Stack : capsule.Stack };
        if (linked.Stack != capsule.Stack) CheckMove(capsule);
        CheckCircle(linked);
        ImmutableArray<LinkFinding> findings = LinkChecker.Check(new LinkFactsReader(store).Read(name, link));
        if (LinkReport.Refuses(findings, strict: false)) throw new CapsuleException(Problems.LinkRefused($"{name}", $"{link.Import}", LinkReport.Reasons(findings, strict: false)));
        ChangeOwner(owner.Name, o => o with { LinkedBy = [.. o.LinkedBy.Append(name).Distinct().Order()] });
        store.Save(linked);
        try
        {
            var warnings = ImmutableArray.CreateBuilder<Warning>();
            if (linked.Stack != capsule.Stack) LeaveStack(capsule);
            var (users, groups) = accounts.Of(linked.Stack);
            StackRecord stack = _runner.Stacks.Ensure(linked.Stack, store.Manifest(capsule.Image).Identity);
            if (!_runner.Stacks.IsUp(linked.Stack)) _runner.Stacks.Save(stack with { SharedUsers = users, SharedGroups = groups });
            else if (users.Except(stack.SharedUsers).Any() || groups.Except(stack.SharedGroups).Any())
                warnings.Add(Warnings.UsersComeLater($"{name}", string.Join(", ", link.Users.Concat(link.Groups))));
            if (_runner.Running(name) is not null)
            {
                if (Attach(linked, link) is { } waits) warnings.Add(Warnings.LinkWaits($"{name}", $"{link.Import}", waits));
                CrossingMounts.Follow(store, linked);
                warnings.AddRange(JournalDoor.Follow(store, linked));
            }
            return new(link, warnings.ToImmutable(), []);
        }
        catch
        {
            store.Save(capsule);
            Forget(owner.Name, capsule);
            throw;
        }
    }

    /// <summary>Takes a link away, also of a capsule that runs.</summary>
    public LinkChange Remove(CapsuleName name, Import import)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        CapsuleLink link = capsule.Links.FirstOrDefault(l => l.Import == import) ?? throw new CapsuleException(Problems.NotLinked($"{name}", $"{import}"));
        ImmutableArray<MountHolder> holders = [];
        bool leaves = link.Preset == LinkPreset.SameMachine && capsule.Stack != name && !capsule.Links.Any(l => l != link && l.Preset == LinkPreset.SameMachine);
        if (leaves) CheckMove(capsule);
        if (_runner.Running(name) is { } run && store.Offered(link.Import)?.Path is { } path)
        {
            IReadOnlyList<int> processes = new RunningCapsule(_layout, run).Processes();
            holders = PeerMounts.Holders(path, processes);
            new PeerMounts(_layout, name).Detach(path);
            holders = holders.AddRange(PeerMounts.Unreached(path, processes));
        }
        CapsuleRecord unlinked = capsule with { Links = capsule.Links.Remove(link), Stack = leaves ? name : capsule.Stack };
        store.Save(unlinked);
        if (leaves) LeaveStack(capsule);
        capsule = unlinked;
        Forget(import.From, capsule);
        if (_runner.Running(name) is not null) CrossingMounts.Follow(store, capsule);
        return new(link, [], holders);
    }

    /// <summary>How a link of a capsule is.</summary>
    public LinkState StateOf(CapsuleRecord capsule, CapsuleLink link)
    {
        if (_runner.Running(capsule.Name) is null) return LinkState.Down;
        if (store.TryFind(link.Import.From) is not { } owner || store.Offered(link.Import) is not { } export) return LinkState.Waiting;
        if (export.Path is not { } path || IsSeenAnyway(capsule, owner, path)) return _runner.Running(owner.Name) is null ? LinkState.Waiting : LinkState.Live;
        using Descriptor? there = new PeerMounts(_layout, capsule.Name).Open(path);
        return there is null ? LinkState.Waiting : LinkState.Live;
    }

    /// <summary>Before the stack of a capsule comes up; the caller holds the capsule's lock.</summary>
    public ImmutableArray<Warning> Prepare(CapsuleName name)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        string[] starting = Environment.GetEnvironmentVariable(LinkDoor.StartingVariable)?.Split(',') ?? [];
        foreach (CapsuleName from in capsule.Links.Select(l => l.Import.From).Distinct())
        {
            if (starting.Contains(from.ToString())) continue; // it waits for us, and offers what it has when it is up
            CapsuleLink[] links = [.. capsule.Links.Where(l => l.Import.From == from)];
            foreach (CapsuleLink link in links) Find(capsule, link);
            CapsuleLink hardest = links.MinBy(l => l.WhenDown switch { WhenDown.Require or WhenDown.Bind => 0, WhenDown.Wait => 1, WhenDown.Want => 2, _ => 3 })!;
            CapsuleRecord owner = store.Get(from.ToString());
            if (hardest.WhenDown == WhenDown.Degrade || store.Manifest(owner.Image).Services.IsEmpty) continue; // who has no services is there without running
            if (hardest.WhenDown == WhenDown.Wait)
            {
                if (!WaitUntilUp(from, hardest.WaitMilliseconds)) throw new CapsuleException(Problems.OwnerDown($"{name}", $"{from}", $"nobody started it within {hardest.WaitMilliseconds / 1000.0:0.#} s"));
                continue;
            }
            if (StartOwner(from) is not { } why) continue;
            if (hardest.WhenDown != WhenDown.Want) throw new CapsuleException(Problems.OwnerDown($"{name}", $"{from}", why));
            warnings.Add(Warnings.LinkWaits($"{name}", $"{from}", why));
        }
        if (_runner.Stacks.IsUp(capsule.Stack)) return warnings.ToImmutable();
        var (users, groups) = new LinkAccounts(store, _runner).Of(capsule.Stack);
        _runner.Stacks.Save(_runner.Stacks.Ensure(capsule.Stack, store.Manifest(capsule.Image).Identity) with { SharedUsers = users, SharedGroups = groups });
        return warnings.ToImmutable();
    }

    /// <summary>Gives a capsule that runs all its links, as far as their owners offer them now; the caller holds its lock.</summary>
    public ImmutableArray<Warning> Attach(CapsuleName name)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        foreach (CapsuleLink link in capsule.Links)
            if (Attach(capsule, link) is { } why) warnings.Add(Warnings.LinkWaits($"{name}", $"{link.Import}", why));
        CrossingMounts.Follow(store, capsule);
        warnings.AddRange(JournalDoor.Follow(store, capsule)); // before its services write
        return warnings.ToImmutable();
    }

    /// <summary>When an owner has come up: those that wait for it, or see what it was before, get their links. One that is just starting looks by itself.</summary>
    public ImmutableArray<Warning> Offer(CapsuleName owner)
    {
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        foreach (CapsuleName name in store.Get(owner.ToString()).LinkedBy)
        {
            bool again = FileCalls.Remove(null, StartsAgain(owner, name));
            if (again) RemoveIfEmpty($"{_layout.Run}/links");
            if (again && _runner.Running(name) is null)
            {
                if (Run("start", name) is { } why) warnings.Add(Warnings.LinkWaits($"{name}", $"{owner}", why));
                continue;
            }
            if (_runner.Running(name) is null || store.TryFind(name) is null || store.Lock(name, wait: false) is not { } held) continue;
            using (held)
                try { warnings.AddRange(Attach(name)); }
                catch (CapsuleException e) { warnings.Add(Warnings.LinkWaits($"{name}", $"{owner}", $"{e.Problem.What} ({e.Problem.Cause})")); } // the owner is up all the same
        }
        return warnings.ToImmutable();
    }

    /// <summary>Before an owner stops: those that require it stop first; when it starts again at once, so do they.</summary>
    public void Withdraw(CapsuleName owner, bool startsAgain)
    {
        foreach (CapsuleName name in store.Get(owner.ToString()).LinkedBy)
        {
            if (_runner.Running(name) is null || store.TryFind(name)?.Links.Any(l => l.Import.From == owner && l.WhenDown is WhenDown.Require or WhenDown.Bind) != true) continue;
            if (Run("stop", name) is { } why) throw new CapsuleException(Problems.LinkStepFailed("stop first", $"{name}", why));
            if (!startsAgain) continue;
            SmallFiles.MakeDirectories(Path.GetDirectoryName(StartsAgain(owner, name))!);
            SmallFiles.Write(StartsAgain(owner, name), "start\n"u8, durable: false);
        }
    }

    /// <summary>What a stack shares is made when it comes up: a capsule joins and leaves while it does not run.</summary>
    private void CheckMove(CapsuleRecord capsule)
    {
        if (_runner.Running(capsule.Name) is not null) throw new CapsuleException(Problems.AlreadyRunning($"{capsule.Name}"));
    }

    /// <summary>A stack that nobody is in any more goes, and its identity with it.</summary>
    private void LeaveStack(CapsuleRecord capsule)
    {
        if (!_runner.Members(capsule.Stack).Any()) _runner.Stacks.Remove(capsule.Stack);
    }

    private static void RemoveIfEmpty(string directory)
    {
        try { FileCalls.Remove(null, directory, isDirectory: true); }
        catch (SyscallException e) when (e.Errno == Errno.ENOTEMPTY) { } // others are still to be started
    }

    private string StartsAgain(CapsuleName owner, CapsuleName user) => $"{_layout.Run}/links/{owner}+{user}";

    private (CapsuleRecord Owner, Export Export) Find(CapsuleRecord capsule, CapsuleLink link)
    {
        CapsuleRecord owner = store.TryFind(link.Import.From) ?? throw new CapsuleException(Problems.OwnerNotHere($"{capsule.Name}", $"{link.Import.From}"));
        ImmutableArray<Export> offered = store.Offered(owner);
        return (owner, offered.FirstOrDefault(e => e.Name == link.Import.Export) ?? throw new CapsuleException(Problems.NotOffered($"{owner.Name}", $"{link.Import.Export}", offered.Select(e => $"{e.Name}"))));
    }

    /// <summary>No more is asked for than is offered.</summary>
    private static void CheckAllowed(CapsuleLink link, Export export)
    {
        if (link.Preset > export.Preset) throw new CapsuleException(Problems.MoreThanOffered($"{link.Import}", Word(link.Preset), Word(export.Preset)));
        foreach (SharedName user in link.Users)
            if (!export.Users.Contains(user.There)) throw new CapsuleException(Problems.MoreThanOffered($"{link.Import}", $"to be its user {user.There}", export.Users.IsEmpty ? "no users" : string.Join(", ", export.Users)));
        foreach (SharedName group in link.Groups)
            if (!export.Groups.Contains(group.There)) throw new CapsuleException(Problems.MoreThanOffered($"{link.Import}", $"to be its group {group.There}", export.Groups.IsEmpty ? "no groups" : string.Join(", ", export.Groups)));
    }

    private static string Word(LinkPreset preset) => Core.Json.JsonReading.Dashed(preset);

    /// <summary>No capsule waits for itself.</summary>
    private void CheckCircle(CapsuleRecord capsule)
    {
        var way = new Stack<CapsuleName>();
        bool Reaches(CapsuleRecord at)
        {
            if (way.Contains(at.Name)) return false;
            way.Push(at.Name);
            foreach (CapsuleLink link in at.Links.Where(l => l.WhenDown is WhenDown.Require or WhenDown.Bind or WhenDown.Wait))
            {
                if (link.Import.From == capsule.Name) return true;
                if (store.TryFind(link.Import.From) is { } next && Reaches(next)) return true;
            }
            way.Pop();
            return false;
        }
        if (Reaches(capsule)) throw new CapsuleException(Problems.LinkCircle($"{capsule.Name}", string.Join(" needs ", way.Reverse().Append(capsule.Name))));
    }

    private void ChangeOwner(CapsuleName owner, Func<CapsuleRecord, CapsuleRecord> change)
    {
        using Descriptor held = store.Lock(owner, wait: true)!;
        if (store.TryFind(owner) is { } there) store.Save(change(there));
    }

    private void Forget(CapsuleName owner, CapsuleRecord capsule)
    {
        if (store.Has(owner) && !capsule.Links.Any(l => l.Import.From == owner)) ChangeOwner(owner, o => o with { LinkedBy = o.LinkedBy.Remove(capsule.Name) });
    }

    /// <summary>Whether a path is one of the capsule's persistent directories, or of its /run.</summary>
    private bool IsState(CapsuleRecord capsule, GuestPath path) =>
        path.IsWithin(GuestPath.Parse("/run")) || capsule.Folded(store.Manifest(capsule.Image)).Volumes.Any(v => path.IsWithin(v.Path));

    /// <summary>/run is one for a whole stack.</summary>
    private static bool IsSeenAnyway(CapsuleRecord capsule, CapsuleRecord owner, GuestPath path) => capsule.Stack == owner.Stack && path.IsWithin(GuestPath.Parse("/run"));

    /// <summary>Attaches one link, or puts what is there now in its place; why not yet, when its owner does not offer it now.</summary>
    private string? Attach(CapsuleRecord capsule, CapsuleLink link)
    {
        var (owner, export) = Find(capsule, link);
        if (export.Path is not { } path || IsSeenAnyway(capsule, owner, path)) return null;
        var mounts = new PeerMounts(_layout, capsule.Name);
        try
        {
            var (clone, why) = OpenSource(capsule, owner, path);
            using (clone)
            using (Descriptor? there = mounts.Open(path))
            {
                if (clone is null) return there is null ? why : null; // what was attached when the owner ran is still the owner's own
                FileStatus source = FileCalls.Stat(clone);
                if (there is not null && FileCalls.Stat(there) is var now && now.Device == source.Device && now.Inode == source.Inode) return null;
                MountAttributes rights = MountAttributes.NoSuid | MountAttributes.NoDevices | (link.IsWritable ? MountAttributes.None : MountAttributes.ReadOnly | MountAttributes.NoExec);
                MountCalls.SetAttributes(clone, path.ToString(), rights, recursive: true);
                MountCalls.SetPropagation(clone, Propagation.Slave, path.ToString(), recursive: true); // what the owner mounts there later is seen, too; nothing goes the other way
                if (there is null) mounts.Attach(path, clone);
                else mounts.Swap(path, clone);
            }
            return null;
        }
        catch (SyscallException e) { throw new CapsuleException(Problems.CannotShow($"{link.Import}", $"{path}", e.Message), e); }
    }

    /// <summary>A copy of the owner's mount: from its root when it runs, else of the directory on disk, through the owner's ids.</summary>
    private (Descriptor? Clone, string? Why) OpenSource(CapsuleRecord capsule, CapsuleRecord owner, GuestPath path)
    {
        if (_runner.Running(owner.Name) is not null)
        {
            using Descriptor root = FileCalls.Open(_layout.RunOf(owner.Name) + "/peer", OpenFlags.PathOnly | OpenFlags.Directory);
            var (at, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
            if (at is null) return (null, errno == Errno.ENOENT ? $"{owner.Name} has no {path} yet" : $"{path} of {owner.Name}: {Errno.Name(errno)}");
            using (at) return (MountCalls.Clone(at, "", recursive: true), null);
        }
        ImmutableArray<StateVolume> volumes = owner.Folded(store.Manifest(owner.Image)).Volumes;
        if (volumes.FirstOrDefault(v => v.Kind == VolumeKind.Directory && path.IsWithin(v.Path)) is not { } volume || volumes.Any(v => v != volume && v.Path.IsWithin(path))) return (null, $"{owner.Name} does not run");
        using Descriptor data = FileCalls.Open(owner.PlaceOf(_layout, volume.Name), OpenFlags.PathOnly | OpenFlags.Directory);
        string below = path.ToString()[volume.Path.ToString().Length..].TrimStart('/');
        var (found, problem) = FileCalls.TryOpenResolved(data, below.Length == 0 ? "." : below, OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoMagicLinks);
        if (found is null) return (null, $"{path} of {owner.Name}: {Errno.Name(problem)}");
        using (found)
        {
            Descriptor clone = MountCalls.Clone(found, "");
            if (Host.IsInitial) WithIdsOf(capsule, owner, ids => MountCalls.MapIds(clone, ids, path.ToString()));
            return (clone, null);
        }
    }

    private void WithIdsOf(CapsuleRecord capsule, CapsuleRecord owner, Action<Descriptor> work)
    {
        StackRecord stack = _runner.Stacks.Ensure(owner.Stack, store.Manifest(owner.Image).Identity);
        string pin = $"{_layout.RunOf(capsule.Name)}/ids.{Environment.ProcessId}.tmp";
        FileCalls.MakeNode(null, pin, FileKind.Regular, 0x180);
        try
        {
            NamespaceHolder.Make(NamespaceKinds.None, stack.UserMap, stack.GroupMap, null, _ => pin);
            using Descriptor ids = FileCalls.Open(pin, OpenFlags.ReadOnly);
            work(ids);
        }
        finally
        {
            MountCalls.Detach(pin);
            FileCalls.Remove(null, pin);
        }
    }

    /// <summary>Starts an owner unless it is up; why it is not, when it is not.</summary>
    private string? StartOwner(CapsuleName owner) => IsUp(owner) ? null : Run("start", owner);

    /// <summary>Up, and nobody is at work on it.</summary>
    private bool IsUp(CapsuleName owner) => _runner.Running(owner) is { CommandOnly: false } && !SmallFiles.IsLocked(_layout.Capsule(owner) + "/lock");

    private bool WaitUntilUp(CapsuleName owner, long milliseconds)
    {
        for (long until = Environment.TickCount64 + milliseconds; Environment.TickCount64 < until; Thread.Sleep(LockPollMilliseconds))
            if (IsUp(owner)) return true;
        return IsUp(owner);
    }

    private static string? Run(string verb, CapsuleName name)
    {
        var (status, said) = ToolRun.Run(Programs.Runtime, [verb, name.ToString()], [.. Programs.Environment, LinkDoor.Starting(null)], TimeSpan.FromMinutes(StartMinutes));
        return status == 0 ? null : said.Length == 0 ? $"exit {status}" : said;
    }
}
