using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Journals;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Links;

/// <summary>A copy that was made.</summary>
/// <param name="Fork">Its label.</param>
/// <param name="Held">Who was held still, and how long in all; zero when nobody who writes to the original ran.</param>
/// <param name="Warnings">What will not be as expected.</param>
public sealed record ForkMade(StateFork Fork, (ImmutableArray<CapsuleName> Who, TimeSpan Length) Held, ImmutableArray<Warning> Warnings);

/// <summary>
/// Copies of another's state, for tests: state of the capsule's own, labelled with what it was and when (docs/adr/0036). The copy is made beside its place; while its
/// last pass is taken, those who write to the original are held still.
/// </summary>
/// <param name="store">Capsules and images.</param>
/// <param name="clock">Tells when a copy was taken.</param>
public sealed class ForkRunner(CapsuleStore store, TimeProvider clock)
{
    private const int MostPasses = 5, MostTries = 5, ShortPass = 20; // milliseconds

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>What would be done, and what the check finds; nothing is changed.</summary>
    /// <exception cref="CapsuleException">It cannot be.</exception>
    public (ImmutableArray<LinkStep> Steps, ImmutableArray<LinkFinding> Findings) Plan(CapsuleName name, CapsuleLink link)
    {
        Decision decision = Decide(store.Get($"{name}"), link);
        using var source = new RootTree(decision.Source);
        var (files, bytes, onDisk) = Count(source, decision.Below);
        RunRecord[] writers = [.. Writers(decision)];
        string held = writers.Length == 0 ? "" : $"; {string.Join(" and ", writers.Select(w => w.Name))} held still for what changed meanwhile";
        return (LinkPlanner.Fork(name, decision.Path, link.Import, decision.Volume.Name, $"{files} files, {Megabytes(bytes)} MB, {Megabytes(onDisk)} MB of them on disk{held}"), decision.Findings);
    }

    /// <summary>Makes a copy; a capsule that runs sees it at once.</summary>
    /// <exception cref="CapsuleException">It cannot be; nothing is changed.</exception>
    public ForkMade Make(CapsuleName name, CapsuleLink link)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get($"{name}");
        bool runs = _runner.Running(name) is not null;
        if (!runs) capsule = store.EndCommit(capsule);
        Decision decision = Decide(capsule, link);
        try
        {
            using var work = new WorkDirectory(_layout, "fork");
            string half = $"{work.Place}/{decision.Volume.Name}";
            FileCalls.MakeDirectory(null, half, 0x1C0);
            var (time, who, length) = Copy(decision, link.Import, half);
            using (Descriptor directory = FileCalls.Open(half, OpenFlags.ReadOnly | OpenFlags.Directory)) FileContent.SyncFileSystem(directory);
            var fork = new StateFork(decision.Volume.Name, decision.Path, link.Import, time);
            CapsuleRecord after = capsule with { FurtherVolumes = capsule.FurtherVolumes.Add(decision.Volume with { Reason = $"{fork}" }) };
            var maker = new StateMaker(store);
            maker.Place(after, [(decision.Volume.Name, half)]);
            return new(fork, (who, length), [.. Unknown(decision, name), .. runs ? Show(after, fork, maker) : []]);
        }
        catch (SyscallException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT) { throw new CapsuleException(Problems.StoreFull(_layout.State, e.Message), e); }
    }

    /// <summary>What would be done to take a label away, or the copy with it.</summary>
    /// <exception cref="CapsuleException">It cannot be.</exception>
    public ImmutableArray<LinkStep> PlanRemove(CapsuleName name, StateFork fork, bool volumes)
    {
        CheckRemove(name, volumes);
        return LinkPlanner.RemoveFork(name, fork, volumes);
    }

    /// <summary>Takes the label away: the copy is state of the capsule like any other. With <paramref name="volumes"/> the copy goes.</summary>
    /// <exception cref="CapsuleException">It cannot be; nothing is changed.</exception>
    public void Remove(CapsuleName name, StateFork fork, bool volumes)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord capsule = store.Get($"{name}");
        CheckRemove(name, volumes);
        if (volumes) new StateMaker(store).Remove(capsule, fork.Volume);
        else store.Save(capsule with { FurtherVolumes = [.. capsule.FurtherVolumes.Select(v => v.Name == fork.Volume ? v with { Reason = fork.Kept } : v)] });
    }

    private void CheckRemove(CapsuleName name, bool volumes)
    {
        if (volumes && _runner.Running(name) is not null) throw new CapsuleException(Problems.AlreadyRunning($"{name}"));
    }

    /// <summary>A copy that may be made.</summary>
    /// <param name="Path">Where it is seen.</param>
    /// <param name="Volume">What it will be.</param>
    /// <param name="Source">The owner's volume on disk.</param>
    /// <param name="Below">The directory in it.</param>
    /// <param name="Owners">Whose the files will be.</param>
    /// <param name="Findings">What the check found.</param>
    private sealed record Decision(GuestPath Path, StateVolume Volume, string Source, GuestPath Below, ForkOwners Owners, ImmutableArray<LinkFinding> Findings);

    private Decision Decide(CapsuleRecord capsule, CapsuleLink link)
    {
        CapsuleName name = capsule.Name;
        if (StateFork.Among(capsule.FurtherVolumes).Any(f => f.Of == link.Import)) throw new CapsuleException(Problems.AlreadyLinked($"{name}", $"{link.Import}") with { Fix = $"capsule link rm {name} {link.Import} --volumes" });
        var (owner, export) = LinkRunner.Find(store, name, link.Import);
        ImmutableArray<LinkFinding> findings = LinkChecker.Check(new LinkFactsReader(store).Read(name, link, fork: true));
        if (LinkReport.Refuses(findings, strict: false)) throw new CapsuleException(Problems.LinkRefused($"{name}", $"{link.Import}", LinkReport.Reasons(findings, strict: false)));
        GuestPath path = export.Path!.Value; // who offers none was refused
        StateVolume data = owner.Folded(store.Manifest(owner.Image)).Volumes.First(v => path.IsWithin(v.Path)); // what is no state was refused
        using CapsuleTree here = CapsuleTree.Open(store, capsule), there = CapsuleTree.Open(store, owner);
        return new(path, new StateMaker(store).Draft(capsule, path, "fork"), owner.PlaceOf(_layout, data.Name), GuestPath.Root.Combine(path.RelativeTo(data.Path)),
            new(PathExplainer.Accounts(there), PathExplainer.Accounts(here), link.Users, link.Groups), findings);
    }

    /// <summary>Those that run and can write to the directory, by name: all that have the volume, and whoever is linked to one of these to write.</summary>
    private IEnumerable<RunRecord> Writers(Decision decision)
    {
        CapsuleRecord[] all = [.. store.Names().Select(store.TryFind).OfType<CapsuleRecord>()]; // as they are now
        (CapsuleName Name, GuestPath Path)[] sees =
            [.. all.SelectMany(c => c.Folded(store.Manifest(c.Image)).Volumes.Where(v => c.PlaceOf(_layout, v.Name) == decision.Source).Select(v => (c.Name, v.Path.Combine(decision.Below.RelativeTo(GuestPath.Root)))))];
        bool MayWrite(CapsuleRecord c) => sees.Any(s => s.Name == c.Name)
            || c.Links.Any(l => l.IsWritable && store.Offered(l.Import)?.Directory is { } at && sees.Any(s => s.Name == l.Import.From && (at.IsWithin(s.Path) || s.Path.IsWithin(at))));
        return all.Where(MayWrite).Select(c => c.Name).Order().Select(_runner.Running).OfType<RunRecord>(); // in one order: two copies that hold each other's would wait for ever
    }

    /// <summary>A running capsule sees its new state.</summary>
    private ImmutableArray<Warning> Show(CapsuleRecord capsule, StateFork fork, StateMaker maker)
    {
        try
        {
            new PeerVolumes(store, capsule).Show(fork.Path);
            return [.. JournalDoor.Follow(store, capsule)];
        }
        catch (SyscallException e)
        {
            maker.Remove(capsule, fork.Volume);
            throw new CapsuleException(Problems.CannotShow($"{fork.Of}", $"{fork.Path}", e.Message), e);
        }
    }

    /// <summary>Passes while it is written, until they gain little; then one in which nobody writes.</summary>
    private (DateTimeOffset Time, ImmutableArray<CapsuleName> Who, TimeSpan Length) Copy(Decision decision, Import import, string target)
    {
        using var source = new RootTree(decision.Source);
        using var copier = new StateCopier(source, decision.Below, target, decision.Owners);
        long last = long.MaxValue;
        for (int pass = 0; pass < MostPasses; pass++)
        {
            long start = Environment.TickCount64;
            copier.Pass(isLast: false);
            long took = Environment.TickCount64 - start;
            if (pass > 0 && (took < ShortPass || took > last * 3 / 4)) break;
            last = took;
        }
        TimeSpan length = TimeSpan.Zero;
        for (int attempt = 0; attempt < MostTries; attempt++)
        {
            var held = new List<HeldStill>();
            long start = clock.GetTimestamp();
            try
            {
                RunRecord[] writers = [.. Writers(decision)];
                foreach (RunRecord writer in writers)
                    if (HeldStill.TryHold(_layout, writer) is { } one) held.Add(one); // one that has ended is no writer any more, which is seen below
                DateTimeOffset time = clock.GetUtcNow();
                copier.Pass(isLast: true);
                // Who came meanwhile has written while the pass was taken, and so has who was let go.
                if (held.All(h => h.Holds) && Writers(decision).Select(w => (w.Name, w.Init)).SequenceEqual(writers.Select(w => (w.Name, w.Init))))
                    return (time, [.. writers.Select(w => w.Name)], writers.Length == 0 ? TimeSpan.Zero : length + clock.GetElapsedTime(start));
            }
            finally { held.ForEach(h => h.Dispose()); }
            length += clock.GetElapsedTime(start);
        }
        throw new CapsuleException(Problems.ForkKeepsChanging($"{import}"));
    }

    private static IEnumerable<Warning> Unknown(Decision decision, CapsuleName name)
    {
        ForkOwners owners = decision.Owners;
        if (owners.UnknownUsers.Count > 0) yield return Warnings.ForkKeepsNumber($"{name}", "user", "--as", owners.UnknownUsers.Select(owners.DescribeUser));
        if (owners.UnknownGroups.Count > 0) yield return Warnings.ForkKeepsNumber($"{name}", "group", "--as-group", owners.UnknownGroups.Select(owners.DescribeGroup));
    }

    private static string Megabytes(long bytes) => (bytes / 1_000_000.0).ToString("0.#", System.Globalization.CultureInfo.InvariantCulture);

    private static (int Files, long Bytes, long OnDisk) Count(RootTree tree, GuestPath path)
    {
        int files = 0;
        long bytes = 0, onDisk = 0;
        var met = new HashSet<(ulong, ulong)>();
        Walk(path);
        return (files, bytes, onDisk);

        void Walk(GuestPath directory)
        {
            using Descriptor? opened = tree.TryOpen(directory, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
            foreach (var (name, _) in opened is null ? [] : FileCalls.List(opened))
            {
                if (FileCalls.TryStat(opened, name.AsSpan()) is not { } status || status.Kind == FileKind.Socket) continue;
                if (status.IsDirectory) Walk(directory.Child(name));
                else if (met.Add((status.Device, status.Inode))) (files, bytes, onDisk) = (files + 1, bytes + status.Size, onDisk + status.AllocatedBytes);
            }
        }
    }
}
