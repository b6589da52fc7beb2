using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Crossings;
using Capsules.Engine.Forwarding;
using Capsules.Engine.Images;
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

/// <summary>
/// Makes links between capsules and keeps them true while their ends start and stop. What is seen through a link is the owner's own directory: a copy of the
/// owner's mount, with less rights, attached at the host's side of the other's root (docs/adr/0031).
/// </summary>
/// <param name="store">Capsules and images.</param>
public sealed partial class LinkRunner(CapsuleStore store)
{
    private const int LockPollMilliseconds = 20, MostMillisecondsForOwner = 15_000, StartMinutes = 30;

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>Offers something more.</summary>
    public void Share(CapsuleName owner, Export export)
    {
        using Descriptor held = store.Lock(owner, wait: true)!;
        CapsuleRecord capsule = CheckShare(owner, export);
        store.Save(capsule with { Exports = [.. store.Offered(capsule), export] });
    }

    /// <summary>Whether something can be offered; nothing is changed.</summary>
    /// <exception cref="CapsuleException">It cannot be.</exception>
    public CapsuleRecord CheckShare(CapsuleName owner, Export export)
    {
        CapsuleRecord capsule = store.Get(owner.ToString());
        ImmutableArray<Export> offered = store.Offered(capsule);
        if (offered.Any(e => e.Name == export.Name)) throw new CapsuleException(Problems.AlreadyOffered($"{owner}", $"{export.Name}"));
        if (export.Directory is { } path && export.Preset >= LinkPreset.Partner && !IsState(capsule, path)) throw new CapsuleException(Problems.NotSharable($"{path}", "it is to be written, and it is no state: what is written there is the capsule's own layer") with { Fix = $"capsule state add {owner} {path}, or --preset reader" });
        LinkAccounts accounts = new(store, _runner);
        foreach (string user in export.Users)
            if (!accounts.HasUser(capsule, user)) throw new CapsuleException(Problems.NoSuchAccount($"{owner}", user, "user"));
        return capsule;
    }

    /// <summary>Offers something no more.</summary>
    public void Unshare(CapsuleName owner, CapsuleName export)
    {
        using Descriptor held = store.Lock(owner, wait: true)!;
        CapsuleRecord capsule = CheckUnshare(owner, export);
        store.Save(capsule with { Exports = [.. store.Offered(capsule).Where(e => e.Name != export)] });
    }

    /// <summary>Whether something can be offered no more: nobody uses it. Nothing is changed.</summary>
    /// <exception cref="CapsuleException">It is used, or is not offered.</exception>
    public CapsuleRecord CheckUnshare(CapsuleName owner, CapsuleName export)
    {
        CapsuleRecord capsule = store.Get(owner.ToString());
        ImmutableArray<Export> offered = store.Offered(capsule);
        if (!offered.Any(e => e.Name == export)) throw new CapsuleException(Problems.NotOffered($"{owner}", $"{export}", offered.Select(e => $"{e.Name}")));
        CapsuleName[] users = [.. store.UsersOf(capsule, export)];
        if (users.Length > 0) throw new CapsuleException(Problems.StillLinked($"{owner}/{export}", string.Join(", ", users)));
        return capsule;
    }

    /// <summary>What would be done to make a link, and what the check finds; nothing is changed.</summary>
    /// <exception cref="CapsuleException">It cannot be.</exception>
    public (ImmutableArray<LinkStep> Steps, ImmutableArray<LinkFinding> Findings) PlanAdd(CapsuleName name, CapsuleLink link, Import? inPlaceOf = null)
    {
        Decision decision = Decide(store.Get(name.ToString()), link, inPlaceOf);
        return (decision.Steps, decision.Findings);
    }

    /// <summary>Makes a link, or puts it in the place of another at the same path; a capsule that runs sees it at once.</summary>
    /// <param name="name">The capsule.</param>
    /// <param name="link">The link.</param>
    /// <param name="inPlaceOf">The link that goes: there is no moment without the path (Linux 6.5).</param>
    /// <exception cref="CapsuleException">It cannot be; nothing is changed.</exception>
    public LinkChange Add(CapsuleName name, CapsuleLink link, Import? inPlaceOf = null)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        if (!link.Private.IsEmpty && _runner.Running(name) is null) capsule = store.EndCommit(capsule);
        Decision decision = Decide(capsule, link, inPlaceOf);
        var (before, after, owner, export) = (decision.Before, decision.After, decision.Owner, decision.Export);
        RunRecord? run = _runner.Running(name);
        ChangeOwner(owner.Name, o => o with { LinkedBy = [.. o.LinkedBy.Append(name).Distinct().Order()] });
        try
        {
            MakePrivate(decision, run is not null);
            var warnings = ImmutableArray.CreateBuilder<Warning>();
            ImmutableArray<MountHolder> holders = [];
            if (after.Stack != before.Stack) new StackSeats(store).Leave(before.Stack);
            StackRecord stack = _runner.Stacks.Ensure(after.Stack, store.Manifest(after.Image).Identity);
            if (!_runner.Stacks.IsUp(after.Stack)) _runner.Stacks.Save(stack with { SharedUsers = decision.Users, SharedGroups = decision.Groups });
            else if (!decision.UsersCount) warnings.Add(Warnings.UsersComeLater($"{name}", string.Join(", ", decision.Link.Users.Concat(decision.Link.Groups))));
            if (run is not null)
            {
                if (inPlaceOf is not null && export.Directory is { } path) holders = PeerMounts.Holders(path, new RunningCapsule(_layout, run).Processes());
                if (Attach(after, decision.Link) is { } waits)
                    warnings.Add(inPlaceOf is null ? Warnings.LinkWaits($"{name}", $"{link.Import}", waits) : throw new CapsuleException(Problems.OwnerDown($"{name}", $"{owner.Name}", waits)));
                CrossingMounts.Follow(store, after);
                if (ForwardDoor.Follow(store, after).FirstOrDefault(f => f.Import == link.Import) is { } closed) throw new CapsuleException(Problems.PortNotLed($"{name}", $"{closed.Port}", $"{owner.Name}", closed.Problem!));
                warnings.AddRange(JournalDoor.Follow(store, after));
            }
            if (inPlaceOf is not null) Forget(inPlaceOf.From, after);
            if (link.Preset == LinkPreset.SameMachine) warnings.AddRange(new StackSeats(store).Join(after.Stack));
            if (run is null)
                foreach (NewState made in decision.NewState) new StateMaker(store).RemoveSeed(name, made.Volume.Path);
            return new(decision.Link, warnings.ToImmutable(), holders);
        }
        catch
        {
            store.Save(before);
            Forget(owner.Name, before);
            if (run is not null) TakeBack(before, export);
            foreach (NewState made in decision.NewState) SmallFiles.RemoveTree(_layout.Volume(name, made.Volume.Name));
            throw;
        }
    }

    /// <summary>Makes the private directories of a link state of the capsule, and the link with them.</summary>
    private void MakePrivate(Decision decision, bool runs)
    {
        CapsuleRecord after = decision.After;
        var maker = new StateMaker(store);
        using WorkDirectory? work = decision.NewState.IsEmpty ? null : new(_layout, "private");
        var made = new List<(CapsuleName, string)>();
        foreach (NewState state in decision.NewState)
        {
            string half = $"{work!.Place}/{state.Volume.Name}";
            if (!maker.Seed(after, state.Volume.Path, half))
            {
                // As the owner's, where the capsule has such a user: who could write there before can write here.
                FileCalls.MakeDirectory(null, half, 0x1C0);
                FileCalls.ChangeOwner(null, half, state.Uid, state.Gid);
                FileCalls.ChangeMode(null, half, state.Mode);
            }
            else if (runs) throw new CapsuleException(Problems.AlreadyRunning($"{after.Name}")); // what it has open there would be lost
            made.Add((state.Volume.Name, half));
        }
        maker.Place(after, made);
    }

    /// <summary>A running capsule sees again what its record says, after a link that could not be made.</summary>
    private void TakeBack(CapsuleRecord capsule, Export export)
    {
        try
        {
            CapsuleLink? same = capsule.Links.FirstOrDefault(l => export.Directory is not null && store.Offered(l.Import)?.Path == export.Path);
            if (same is not null) Attach(capsule, same);
            else if (export.Directory is { } path) new PeerMounts(_layout, capsule.Name).Detach(path);
            if (export.TakesLogs) FollowLogs(capsule);
            if (export.SharesMemory) FollowMemory(capsule);
            CrossingMounts.Follow(store, capsule);
            ForwardDoor.Follow(store, capsule);
        }
        catch (Exception e) when (e is SyscallException or CapsuleException) { } // why the link could not be made is what is told
    }

    /// <summary>A link that may be made, and what it means.</summary>
    private sealed record Decision(CapsuleRecord Before, CapsuleRecord After, CapsuleRecord Owner, Export Export, CapsuleLink Link, ImmutableArray<LinkFinding> Findings)
    {
        /// <summary>The numbers that the stack shares with it.</summary>
        public ImmutableArray<SharedId> Users { get; init; } = [];
        /// <inheritdoc cref="Users"/>
        public ImmutableArray<SharedId> Groups { get; init; } = [];
        /// <summary>Whether a stack that is up has these numbers.</summary>
        public bool UsersCount { get; init; } = true;
        /// <summary>Private directories that become state.</summary>
        public ImmutableArray<NewState> NewState { get; init; } = [];
        /// <summary>What is done.</summary>
        public ImmutableArray<LinkStep> Steps { get; init; } = [];
    }

    /// <summary>A directory that becomes state, with the owner and mode that it has when the capsule has nothing there.</summary>
    private sealed record NewState(StateVolume Volume, uint Uid, uint Gid, int Mode);

    private ImmutableArray<NewState> PrivateOf(CapsuleRecord capsule, CapsuleLink link, LinkQuestion facts)
    {
        var made = ImmutableArray.CreateBuilder<NewState>();
        ImmutableArray<StateVolume> volumes = capsule.Folded(store.Manifest(capsule.Image)).Volumes;
        foreach (GuestPath own in link.Private.Where(p => !volumes.Any(v => v.Path == p)))
        {
            StateVolume volume = new StateMaker(store).Draft(capsule with { FurtherVolumes = [.. capsule.FurtherVolumes, .. made.Select(m => m.Volume)] }, own, $"private below {link.Import}");
            LinkEntry? there = facts.Owner!.Entries.FirstOrDefault(e => e.Path == own);
            LinkSide here = facts.Here, owner = facts.Owner;
            var user = facts.Users.Where(u => there is not null && owner.User(u.There)?.Uid == there.Uid).Select(u => here.User(u.Here)).FirstOrDefault();
            var group = facts.Groups.Where(g => there is not null && owner.Group(g.There)?.Gid == there.Gid).Select(g => here.Group(g.Here)).FirstOrDefault();
            made.Add(new(volume, user?.Uid ?? 0, group?.Gid ?? user?.Gid ?? 0, there?.Mode ?? 0x1ED));
        }
        return made.ToImmutable();
    }

    /// <summary>Whether a link may be made, and what it means; nothing is changed.</summary>
    private Decision Decide(CapsuleRecord capsule, CapsuleLink link, Import? inPlaceOf)
    {
        CapsuleRecord before = capsule;
        CapsuleName name = capsule.Name;
        CapsuleLink? replaced = inPlaceOf is null ? null : LinkOf(capsule, inPlaceOf);
        if (capsule.Links.FirstOrDefault(l => l.Import == link.Import) is { } there)
        {
            // One that waits was cut off when it was made, or its owner does not offer it now: it is made anew.
            if (replaced is not null || StateOf(capsule, there) != LinkState.Waiting) throw new CapsuleException(Problems.AlreadyLinked($"{name}", $"{link.Import}"));
            replaced = there;
        }
        var (owner, export) = Find(capsule, link);
        if (inPlaceOf is not null) CheckSwap(capsule, replaced!, link, export);
        if (replaced is not null) capsule = capsule with { Links = capsule.Links.Remove(replaced) };
        LinkAccounts accounts = new(store, _runner);
        CheckAllowed(link, export);
        link = link.WithPrivateOf(replaced).WithUsers(export, user => accounts.HasUser(capsule, user));
        CapsuleRecord after = capsule with { Links = replaced is null ? capsule.Links.Add(link) : before.Links.Replace(replaced, link), Stack = link.Preset == LinkPreset.SameMachine ? owner.Stack : capsule.Stack };
        if (after.Stack != capsule.Stack) CheckMove(capsule);
        CheckCircle(after);
        LinkQuestion facts = new LinkFactsReader(store).Read(name, link, inPlaceOf);
        ImmutableArray<LinkFinding> findings = LinkChecker.Check(facts);
        if (LinkReport.Refuses(findings, strict: false)) throw new CapsuleException(Problems.LinkRefused($"{name}", $"{link.Import}", LinkReport.Reasons(findings, strict: false)));
        ImmutableArray<NewState> made = PrivateOf(after, link, facts);
        after = after with { FurtherVolumes = [.. after.FurtherVolumes, .. made.Select(m => m.Volume)] };
        var (users, groups) = accounts.Of(after.Stack, after);
        StackRecord stack = _runner.Stacks.FindOrDraft(after.Stack, store.Manifest(after.Image).Identity);
        bool count = !_runner.Stacks.IsUp(after.Stack) || !users.Except(stack.SharedUsers).Any() && !groups.Except(stack.SharedGroups).Any();
        return new(before, after, owner, export, link, findings)
        {
            Users = users,
            Groups = groups,
            UsersCount = count,
            NewState = made,
            Steps = LinkPlanner.Add(new()
            {
                Capsule = name,
                Link = link,
                Export = export,
                InPlaceOf = inPlaceOf,
                Runs = _runner.Running(name) is not null,
                IsOffered = link.Merge || _runner.Running(owner.Name) is not null || store.Manifest(owner.Image).Services.IsEmpty,
                Stack = after.Stack != capsule.Stack ? after.Stack : null,
                UsersCount = count,
                NewState = [.. made.Select(m => m.Volume)],
                IsOneNetwork = after.Stack == owner.Stack,
            }),
        };
    }

    /// <summary>One directory takes the place of another only where both are seen at one path, and no stack is joined by it.</summary>
    private void CheckSwap(CapsuleRecord capsule, CapsuleLink replaced, CapsuleLink link, Export export)
    {
        if (replaced.Preset == LinkPreset.SameMachine || link.Preset == LinkPreset.SameMachine) throw new CapsuleException(Problems.NotSwappable($"{capsule.Name}", $"{replaced.Import}", $"{link.Import}", "one of them makes a stack of both"));
        if (store.Offered(replaced.Import) is { } before && before.Path != export.Path) throw new CapsuleException(Problems.NotSwappable($"{capsule.Name}", $"{replaced.Import}", $"{link.Import}", $"one is seen at {before.Path?.ToString() ?? "no path"}, the other at {export.Path?.ToString() ?? "no path"}"));
    }

    /// <summary>What would be done to take a link away, and who has something open of it; nothing is changed.</summary>
    public (ImmutableArray<LinkStep> Steps, ImmutableArray<MountHolder> Holders) PlanRemove(CapsuleName name, Import import)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        CapsuleLink link = LinkOf(capsule, import);
        bool leaves = Leaves(capsule, link);
        Export? export = store.Offered(import);
        IReadOnlyList<int> processes = _runner.Running(name) is { } run ? new RunningCapsule(_layout, run).Processes() : [];
        return (LinkPlanner.Remove(new() { Capsule = name, Link = link, Export = export, Runs = processes.Count > 0, Stack = leaves ? capsule.Stack : null, IsOneNetwork = store.TryFind(import.From)?.Stack == capsule.Stack, MergedWith = link.Merge && export?.Path is { } at ? [.. MergedAt(capsule, at).Select(l => l.Import).Where(i => i != import)] : [] }), export?.Directory is { } path ? PeerMounts.Holders(path, processes) : []);
    }

    /// <summary>Takes a link away, also of a capsule that runs.</summary>
    public LinkChange Remove(CapsuleName name, Import import)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get(name.ToString());
        CapsuleLink link = LinkOf(capsule, import);
        ImmutableArray<MountHolder> holders = [];
        bool leaves = Leaves(capsule, link);
        CapsuleRecord unlinked = capsule with { Links = capsule.Links.Remove(link), Stack = leaves ? name : capsule.Stack };
        Export? export = store.Offered(import);
        RunRecord? run = _runner.Running(name);
        if (run is not null && export?.Directory is { } path)
        {
            IReadOnlyList<int> processes = new RunningCapsule(_layout, run).Processes();
            holders = PeerMounts.Holders(path, processes);
            if (link.Merge && MergedAt(unlinked, path) is [var other, ..]) Attach(unlinked, other); // the others stay merged
            else
            {
                new PeerMounts(_layout, name).Detach(path);
                holders = holders.AddRange(PeerMounts.Unreached(path, processes));
                new PrivateDirectories(store, capsule, link).Uncover();
            }
        }
        if (run is not null && export?.TakesLogs == true) new SystemLogs(_layout, name).Keep();
        if (run is not null && export?.SharesMemory == true) new MemoryOfOthers(_runner, capsule).Leave();
        store.Save(unlinked);
        if (leaves) new StackSeats(store).Leave(capsule.Stack);
        if (!unlinked.Links.Any(l => l.Import.From == import.From)) FileCalls.Remove(null, _layout.StartMark(import.From, name));
        Forget(import.From, unlinked);
        if (_runner.Running(name) is not null)
        {
            CrossingMounts.Follow(store, unlinked);
            ForwardDoor.Follow(store, unlinked);
        }
        return new(link, [], holders);
    }

    /// <summary>A link of a capsule.</summary>
    /// <exception cref="CapsuleException">It has none of that.</exception>
    internal static CapsuleLink LinkOf(CapsuleRecord capsule, Import import) =>
        capsule.Links.FirstOrDefault(l => l.Import == import) ?? throw new CapsuleException(Problems.NotLinked($"{capsule.Name}", $"{import}"));

    /// <summary>Whether the capsule is a stack of its own without this link.</summary>
    private bool Leaves(CapsuleRecord capsule, CapsuleLink link)
    {
        bool leaves = link.Preset == LinkPreset.SameMachine && capsule.Stack != capsule.Name && !capsule.Links.Any(l => l != link && l.Preset == LinkPreset.SameMachine);
        if (leaves) CheckMove(capsule);
        return leaves;
    }

    /// <summary>How a link of a capsule is.</summary>
    public LinkState StateOf(CapsuleRecord capsule, CapsuleLink link)
    {
        if (_runner.Running(capsule.Name) is null) return LinkState.Down;
        if (store.TryFind(link.Import.From) is not { } owner || store.Offered(link.Import) is not { } export) return LinkState.Waiting;
        // One network leads a port once, whichever of its capsules asked for it; of one that nobody has been told of nothing is known.
        if (capsule.Stack != owner.Stack && LoopbackPort.Of(export, link.Preset).Except(_runner.Members(capsule.Stack).SelectMany(m => ForwardDoor.Of(_layout, m.Name)).Where(f => f.IsOpen && f.Import.From == owner.Name).Select(f => f.Port)).Any()) return LinkState.Waiting;
        if (export.TakesLogs && !(_runner.Running(owner.Name) is { } takes && new SystemLogs(_layout, capsule.Name).IsLedTo(takes.Init))) return LinkState.Waiting;
        if (export.SharesMemory && capsule.Stack != owner.Stack && !new MemoryOfOthers(_runner, capsule).IsOf(owner.Stack)) return LinkState.Waiting;
        if (export.Directory is not { } path || IsSeenAnyway(capsule, owner, path)) return _runner.Running(owner.Name) is null ? LinkState.Waiting : LinkState.Live;
        var mounts = new PeerMounts(_layout, capsule.Name);
        using Descriptor? there = mounts.Open(path);
        if (there is not null && !new PrivateDirectories(store, capsule, link).AreSeen()) return LinkState.Waiting;
        if (there is null) return LinkState.Waiting;
        if (link.Merge) return mounts.Shows(path).Contains($"{link.Import}") ? LinkState.Live : LinkState.Waiting; // cut off before it was put in
        var (source, _) = OpenSource(capsule, owner, path);
        using (source) return source is null || IsSame(source, there) ? LinkState.Live : LinkState.Waiting; // cut off in the middle of a swap, it shows another's
    }

    private static bool IsSame(Descriptor one, Descriptor other) => FileCalls.Stat(one) is var a && FileCalls.Stat(other) is var b && a.Device == b.Device && a.Inode == b.Inode;

    /// <summary>Before the stack of a capsule comes up; the caller holds the capsule's lock.</summary>
    public ImmutableArray<Warning> Prepare(CapsuleName name)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        string[] starting = Starting();
        foreach (CapsuleName from in capsule.Links.Select(l => l.Import.From).Distinct())
        {
            if (starting.Contains(from.ToString())) continue; // it waits for us, and offers what it has when it is up
            CapsuleLink[] links = [.. capsule.Links.Where(l => l.Import.From == from)];
            foreach (CapsuleLink link in links) Find(capsule, link);
            links = [.. links.Where(l => !l.Merge)]; // software is there without running
            if (links.Length == 0) continue;
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
        foreach (CapsuleLink link in capsule.Links.DistinctBy(l => l.Merge ? (object?)store.Offered(l.Import)?.Path : l)) // what is merged at one path is one mount
            if (Attach(capsule, link) is { } why) warnings.Add(Warnings.LinkWaits($"{name}", $"{link.Import}", why));
        CrossingMounts.Follow(store, capsule);
        warnings.AddRange(ForwardDoor.Follow(store, capsule).Select(f => Warnings.PortNotLed($"{name}", $"{f.Port}", $"{f.Import.From}", f.Problem!)));
        warnings.AddRange(JournalDoor.Follow(store, capsule)); // before its services write
        return warnings.ToImmutable();
    }

    /// <summary>When an owner has come up: those that wait for it, or see what it was before, get their links. One that is just starting looks by itself.</summary>
    public ImmutableArray<Warning> Offer(CapsuleName owner)
    {
        var warnings = ImmutableArray.CreateBuilder<Warning>();
        foreach (CapsuleName name in store.Get(owner.ToString()).LinkedBy)
        {
            if (FileCalls.Remove(null, _layout.StartMark(owner, name)) && _runner.Running(name) is null)
            {
                if (!Starting().Contains($"{name}") && Run("start", name) is { } why) warnings.Add(Warnings.LinkWaits($"{name}", $"{owner}", why));
                continue;
            }
            if (_runner.Running(name) is null || store.TryFind(name) is null || store.Lock(name, wait: false) is not { } held) continue;
            using (held)
                try { warnings.AddRange(Attach(name)); }
                catch (CapsuleException e) { warnings.Add(Warnings.LinkWaits($"{name}", $"{owner}", $"{e.Problem.What} ({e.Problem.Cause})")); } // the owner is up all the same
        }
        SmallFiles.RemoveTree(_layout.StillSeen(owner)); // all see what it is now
        return warnings.ToImmutable();
    }

    /// <summary>When an owner has ended by itself: those that cannot be without it stop.</summary>
    public void Lose(CapsuleName owner)
    {
        store.Lock(owner, wait: true)!.Dispose(); // whoever saw its end may still be at work on it
        if (_runner.Running(owner) is not null) return; // it is there again, and has offered what it has
        Withdraw(owner, startsAgain: false);
        if (IsUp(owner)) Offer(owner); // it came while they stopped
    }

    /// <summary>Before an owner stops: those that require it stop first; when it starts again at once, so do they. Those bound to it start with it whenever that is.</summary>
    public void Withdraw(CapsuleName owner, bool startsAgain)
    {
        foreach (CapsuleName name in store.Get(owner.ToString()).LinkedBy)
        {
            if (_runner.Running(name) is null || store.TryFind(name) is not { } capsule) continue;
            CapsuleLink[] links = [.. capsule.Links.Where(l => l.Import.From == owner && !l.Merge && l.WhenDown is WhenDown.Require or WhenDown.Bind)];
            if (links.Length == 0)
            {
                LetLogsGo(capsule, owner);
                continue;
            }
            if (Run("stop", name) is { } why) throw new CapsuleException(Problems.LinkStepFailed("stop first", $"{name}", why));
            if (startsAgain || links.Any(l => l.WhenDown == WhenDown.Bind)) SmallFiles.Write(_layout.StartMark(owner, name), "start\n"u8, durable: false);
        }
    }

    /// <summary>What a stack shares is made when it comes up: a capsule joins and leaves while it does not run.</summary>
    private void CheckMove(CapsuleRecord capsule)
    {
        if (_runner.Running(capsule.Name) is not null) throw new CapsuleException(Problems.AlreadyRunning($"{capsule.Name}"));
    }

    private (CapsuleRecord Owner, Export Export) Find(CapsuleRecord capsule, CapsuleLink link) => Find(store, capsule.Name, link.Import);

    /// <summary>The owner of what a capsule uses, and what that offers.</summary>
    /// <exception cref="CapsuleException">It is not here, or offers no such thing.</exception>
    internal static (CapsuleRecord Owner, Export Export) Find(CapsuleStore store, CapsuleName capsule, Import import)
    {
        CapsuleRecord owner = store.TryFind(import.From) ?? throw new CapsuleException(Problems.OwnerNotHere($"{capsule}", $"{import.From}"));
        ImmutableArray<Export> offered = store.Offered(owner);
        return (owner, offered.FirstOrDefault(e => e.Name == import.Export) ?? throw new CapsuleException(Problems.NotOffered($"{owner.Name}", $"{import.Export}", offered.Select(e => $"{e.Name}"))));
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
            foreach (CapsuleLink link in at.Links.Where(l => !l.Merge && l.WhenDown is WhenDown.Require or WhenDown.Bind or WhenDown.Wait))
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
        // Who is at work on the owner may be waiting for the capsule that we hold: nobody waits for ever.
        Descriptor? held = null;
        for (long until = Environment.TickCount64 + MostMillisecondsForOwner; (held = store.Lock(owner, wait: false)) is null; Thread.Sleep(LockPollMilliseconds))
            if (Environment.TickCount64 > until) throw new CapsuleException(Problems.OwnerBusy($"{owner}"));
        using (held)
            if (store.TryFind(owner) is { } there) store.Save(change(there));
    }

    private void Forget(CapsuleName owner, CapsuleRecord capsule)
    {
        if (!store.Has(owner) || capsule.Links.Any(l => l.Import.From == owner)) return;
        try { ChangeOwner(owner, o => o with { LinkedBy = o.LinkedBy.Remove(capsule.Name) }); }
        catch (CapsuleException e) when (e.Problem.Code == Problems.OwnerBusy($"{owner}").Code) { return; } // a name too many: who uses it is asked of the links
        if (store.TryFind(owner) is { LinkedBy.IsEmpty: true }) SmallFiles.RemoveTree(_layout.StillSeen(owner));
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
        if (export.TakesLogs) return LeadLogs(capsule, link, owner);
        if (export.SharesMemory) return UseMemory(capsule, link, owner);
        if (export.Directory is not { } path || IsSeenAnyway(capsule, owner, path)) return null;
        var mounts = new PeerMounts(_layout, capsule.Name);
        try
        {
            ImmutableArray<CapsuleLink> merged = link.Merge ? MergedAt(capsule, path) : [];
            var (clone, why) = link.Merge ? OpenMerged(capsule, merged, path) : OpenSource(capsule, owner, path);
            using (clone)
            using (Descriptor? there = mounts.Open(path))
            {
                var own = new PrivateDirectories(store, capsule, link);
                if (clone is null) return there is null ? why : null; // what was attached when the owner ran is still the owner's own
                if (there is not null && IsSame(clone, there) && own.AreSeen()) return null;
                MountAttributes rights = MountAttributes.NoSuid | MountAttributes.NoDevices | (link.IsWritable ? MountAttributes.None : link.Merge ? MountAttributes.ReadOnly : MountAttributes.ReadOnly | MountAttributes.NoExec);
                MountCalls.SetAttributes(clone, path.ToString(), rights, recursive: true);
                MountCalls.SetPropagation(clone, Propagation.Slave, path.ToString(), recursive: true); // what the owner mounts there later is seen, too; nothing goes the other way
                using Descriptor? whole = link.Private.IsEmpty ? null : own.Over(clone, path);
                ImmutableArray<string> shows = [.. merged.Select(m => $"{m.Import}")];
                if (there is null) mounts.Attach(path, whole ?? clone, shows);
                else mounts.Swap(path, whole ?? clone, shows);
            }
            return null;
        }
        catch (SyscallException e) { throw new CapsuleException(Problems.CannotShow($"{link.Import}", $"{path}", e.Message), e); }
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

    /// <summary>Those whose start waits for what we do.</summary>
    private static string[] Starting() => Environment.GetEnvironmentVariable(LinkDoor.StartingVariable)?.Split(',') ?? [];

    private static string? Run(string verb, CapsuleName name)
    {
        var (status, said) = ToolRun.Run(Programs.Runtime, [verb, name.ToString()], [.. Programs.Environment, LinkDoor.Starting(null)], TimeSpan.FromMinutes(StartMinutes));
        return status == 0 ? null : said.Length == 0 ? $"exit {status}" : said;
    }
}
