using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;

namespace Capsules.Engine.Links;

/// <summary>What makes related capsules find each other again.</summary>
/// <param name="Relations">Who needs whom.</param>
/// <param name="Steps">What is done.</param>
public sealed record StackLinkPlan(ImmutableArray<Relation> Relations, ImmutableArray<LinkStep> Steps);

/// <summary>Makes of capsules that were applications of one machine one stack, or links between them, as their configuration needs it.</summary>
/// <param name="store">The store.</param>
public sealed class StackLinker(CapsuleStore store)
{
    private readonly CapsuleRunner _runner = new(store);
    private readonly LinkRunner _links = new(store);

    /// <summary>What would be done; nothing is changed.</summary>
    /// <param name="stack">The stack; the capsule of this name, or those that are in it, are where it begins.</param>
    /// <param name="named">The capsules; none stands for those of the same source that are related.</param>
    /// <param name="asLinks">Whether each keeps an identity of its own, and links are made.</param>
    /// <exception cref="CapsuleException">One runs, numbers or ports clash, or nothing is related.</exception>
    public StackLinkPlan Plan(CapsuleName stack, IReadOnlyList<CapsuleName> named, bool asLinks)
    {
        Decision decision = Decide(stack, named, asLinks);
        return new(decision.Relations, decision.Steps);
    }

    /// <summary>What is decided: of whom, and the links or who joins.</summary>
    private sealed record Decision(ImmutableArray<CapsuleRecord> Capsules, ImmutableArray<Relation> Relations, ImmutableArray<PlannedLink> Links, ImmutableArray<CapsuleRecord> Joining, ImmutableArray<LinkStep> Steps);

    private sealed record PlannedLink(CapsuleName From, CapsuleName To, Export Export, CapsuleLink Link, LinkStep Step);

    private Decision Decide(CapsuleName stack, IReadOnlyList<CapsuleName> named, bool asLinks)
    {
        var (capsules, relations) = Find(stack, named);
        if (asLinks)
        {
            ImmutableArray<PlannedLink> links = [.. LinksOf(capsules, relations)];
            return new(capsules, relations, links, [], [.. links.Select(l => l.Step)]);
        }
        ImmutableArray<CapsuleRecord> joining = [.. capsules.Where(c => c.Stack != stack)];
        foreach (CapsuleRecord joins in joining) CheckJoin(joins, capsules);
        return new(capsules, relations, [], joining, [.. joining.Select(c => new LinkStep(LinkAct.JoinStack, LinkMoment.Now, $"{stack}", $"{c.Name} joins the stack {stack}"))]);
    }

    /// <summary>Does it; what was done.</summary>
    public StackLinkPlan Apply(CapsuleName stack, IReadOnlyList<CapsuleName> named, bool asLinks)
    {
        var (capsules, relations, links, joining, steps) = Decide(stack, named, asLinks);
        using var rollback = new Rollback();
        foreach (var (from, to, export, link, _) in links)
        {
            if (store.Offered(link.Import) is null)
            {
                _links.Share(to, export);
                rollback.Add(() => _links.Unshare(to, export.Name));
            }
            _links.Add(from, link);
            rollback.Add(() => _links.Remove(from, link.Import));
        }
        if (joining.Length > 0)
        {
            CapsuleRecord first = capsules.FirstOrDefault(c => c.Stack == stack) ?? capsules.FirstOrDefault(c => c.Name == stack) ?? capsules[0];
            if (_runner.Stacks.Find(stack) is null) rollback.Add(() => _runner.Stacks.Remove(stack));
            _runner.Stacks.Ensure(stack, store.Manifest(first.Image).Identity);
            foreach (CapsuleRecord joins in joining)
            {
                Move(joins.Name, joins.Stack, stack);
                rollback.Add(() => Move(joins.Name, stack, joins.Stack));
            }
        }
        if (joining.Length > 0 && Host.IsInitial) new StackSeats(store).Share(stack, shared: true);
        rollback.Commit();
        foreach (CapsuleName left in joining.Select(c => c.Stack).Distinct())
            _runner.RemoveStackOfNobody(left);
        return new(relations, steps);
    }

    /// <summary>From one stack into another, if it is still in that, and does not run.</summary>
    private void Move(CapsuleName name, CapsuleName from, CapsuleName to)
    {
        using Descriptor held = store.Lock(name, wait: true)!;
        CapsuleRecord now = store.Get(name.ToString());
        if (_runner.Running(name) is not null || now.Stack != from) throw new CapsuleException(Problems.AlreadyRunning($"{name}"));
        store.Save(now with { Stack = to });
    }

    private (ImmutableArray<CapsuleRecord> Capsules, ImmutableArray<Relation> Relations) Find(CapsuleName stack, IReadOnlyList<CapsuleName> named)
    {
        CapsuleRecord[] all = [.. store.Names().Order().Select(store.TryFind).OfType<CapsuleRecord>()], anchors = [.. all.Where(c => c.Stack == stack || c.Name == stack)];
        CapsuleRecord[] candidates;
        if (named.Count > 0) candidates = [.. named.Select(n => store.Get(n.ToString())).Concat(anchors.Where(a => a.Stack == stack)).DistinctBy(c => c.Name)];
        else if (anchors.Length == 0) throw new CapsuleException(Problems.NothingRelated($"{stack}", $"there is neither a stack nor a capsule `{stack}` where it could begin"));
        else
        {
            SourceDescription?[] sources = [.. anchors.Select(a => store.Manifest(a.Image).Source)];
            candidates = [.. all.Where(c => anchors.Contains(c) || store.Manifest(c.Image).Source is { } source && sources.Contains(source))];
        }
        ImmutableArray<string> abstracts = [.. candidates.SelectMany(c => store.Manifest(c.Image).Listeners).Where(l => l.Protocol == "unix" && l.Address.StartsWith('@')).Select(l => l.Address)];
        ImmutableArray<Relation> relations = StackRelations.Of([.. candidates.Select(c => Side(c, abstracts))]);
        ImmutableHashSet<CapsuleName> related = named.Count > 0 ? [.. candidates.Select(c => c.Name)] : StackRelations.Related(relations, anchors.Select(a => a.Name));
        ImmutableArray<CapsuleRecord> capsules = [.. candidates.Where(c => related.Contains(c.Name))];
        if (capsules.Length < 2) throw new CapsuleException(Problems.NothingRelated($"{stack}", "no other capsule of the same source names its sockets or ports, or sees its state"));
        return (capsules, [.. relations.Where(r => related.Contains(r.From))]);
    }

    private RelationSide Side(CapsuleRecord capsule, ImmutableArray<string> abstracts)
    {
        CapsuleManifest manifest = capsule.Folded(store.Manifest(capsule.Image));
        using CapsuleTree tree = CapsuleTree.Open(store, capsule);
        return new(capsule.Name, manifest.Listeners, LinkFactsReader.Mentions(manifest, tree, abstracts),
            [.. capsule.SharedVolumes.Select(s => (s.Owner, manifest.Volumes.FirstOrDefault(v => v.Name == s.Name)?.Path ?? GuestPath.Root))])
        {
            Runtime = [.. manifest.Services.SelectMany(s => s.RuntimeDirectories).Select(d => d.Path)],
            State = [.. manifest.Volumes.Where(v => !capsule.SharedVolumes.Any(s => s.Name == v.Name)).Select(v => v.Path)],
        };
    }

    /// <summary>As one machine they have one numbering and one set of ports: what a link of `same-machine` would refuse is refused here.</summary>
    private void CheckJoin(CapsuleRecord joins, ImmutableArray<CapsuleRecord> others)
    {
        if (_runner.Running(joins.Name) is not null) throw new CapsuleException(Problems.AlreadyRunning($"{joins.Name}"));
        // A link of `same-machine` holds two in one stack: both come along, or it goes first.
        foreach (CapsuleRecord user in store.Names().Select(store.TryFind).OfType<CapsuleRecord>())
            foreach (Import import in user.Links.Where(l => l.Preset == LinkPreset.SameMachine).Select(l => l.Import))
                if ((user.Name == joins.Name && !others.Any(o => o.Name == import.From)) || (import.From == joins.Name && !others.Any(o => o.Name == user.Name))) throw new CapsuleException(Problems.StillLinked($"{import}", $"{user.Name} {import}"));
        foreach (CapsuleRecord other in others.Where(o => o.Name != joins.Name))
        {
            var everything = new Export { Name = other.Name, Preset = LinkPreset.SameMachine };
            var link = new CapsuleLink { Import = new(other.Name, other.Name), Preset = LinkPreset.SameMachine, WhenDown = WhenDown.Want };
            ImmutableArray<LinkFinding> findings = [.. LinkChecker.Check(new LinkFactsReader(store).Read(joins, other, link, everything)).Where(f => f.Concern is LinkConcern.Accounts or LinkConcern.Port)];
            if (LinkReport.Refuses(findings, strict: false)) throw new CapsuleException(Problems.LinkRefused($"{joins.Name}", $"{other.Name}", LinkReport.Reasons(findings, strict: false)));
        }
    }

    /// <summary>A link for each directory of sockets and each port of the loopback network, one offer for all that use it.</summary>
    private IEnumerable<PlannedLink> LinksOf(ImmutableArray<CapsuleRecord> capsules, ImmutableArray<Relation> relations) => SocketLinksOf(capsules, relations).Concat(PortLinksOf(capsules, relations));

    private IEnumerable<PlannedLink> PortLinksOf(ImmutableArray<CapsuleRecord> capsules, ImmutableArray<Relation> relations)
    {
        CapsuleRecord Of(CapsuleName name) => capsules.First(c => c.Name == name);
        foreach (var group in relations.Where(r => r.Kind == RelationKind.Port).GroupBy(r => (r.To, r.Subject)))
        {
            CapsuleRecord to = Of(group.Key.To);
            LoopbackPort port = LoopbackPort.Parse(group.Key.Subject)[0];
            Export export = store.Offered(to).FirstOrDefault(e => e.Preset >= LinkPreset.Client && e.Ports is [var only] && only == $"{port}")
                ?? new() { Name = CapsuleName.Parse($"port-{port.Number}{(port.Protocol == "tcp" ? "" : "-" + port.Protocol)}"), Preset = LinkPreset.Client, Ports = [$"{port}"] };
            foreach (CapsuleRecord from in group.Select(r => Of(r.From)).DistinctBy(c => c.Name).Where(c => c.Stack != to.Stack && !c.Links.Any(l => l.Import.From == to.Name && store.Offered(l.Import)?.Ports.Contains($"{port}") == true)))
            {
                var link = new CapsuleLink { Import = new(to.Name, export.Name), Preset = LinkPreset.Client, WhenDown = WhenDown.Want };
                yield return new(from.Name, to.Name, export, link, new(LinkAct.Forward, _runner.Running(from.Name) is null ? LinkMoment.NextStart : LinkMoment.Now, $"{port}", $"{from.Name} is linked to {link.Import}: 127.0.0.1:{port}"));
            }
        }
    }

    private IEnumerable<PlannedLink> SocketLinksOf(ImmutableArray<CapsuleRecord> capsules, ImmutableArray<Relation> relations)
    {
        LinkAccounts accounts = new(store, _runner);
        var names = new HashSet<(CapsuleName, CapsuleName)>();
        foreach (var group in relations.Where(r => r.Kind == RelationKind.Socket).GroupBy(r => (r.To, Path: GuestPath.Parse(r.Subject).Parent)))
        {
            CapsuleRecord to = capsules.First(c => c.Name == group.Key.To);
            if (ShareablePaths.WhyNot(group.Key.Path) is not null) continue;
            CapsuleRecord[] users = [.. group.Select(r => r.From).Distinct().Select(n => capsules.First(c => c.Name == n)).Where(c => c.Stack != to.Stack && !c.Links.Any(l => store.Offered(l.Import)?.Path == group.Key.Path))];
            string[] Shared(CapsuleRecord from) => [.. store.Manifest(from.Image).Services.Select(s => s.User).OfType<string>().Distinct().Where(u => u is not ("root" or "0") && accounts.HasUser(to, u))];
            Export export = store.Offered(to).FirstOrDefault(e => e.Path == group.Key.Path) ?? new Export { Name = NameOf(to, group.Key.Path, names), Preset = LinkPreset.Client, Path = group.Key.Path, Users = [.. users.SelectMany(Shared).Distinct()] };
            foreach (CapsuleRecord from in users)
            {
                var link = new CapsuleLink { Import = new(to.Name, export.Name), Preset = LinkPreset.Client, WhenDown = WhenDown.Want, Users = [.. export.Users.Intersect(Shared(from)).Select(u => new SharedName(u, u))] };
                yield return new(from.Name, to.Name, export, link, new(LinkAct.Attach, _runner.Running(from.Name) is null ? LinkMoment.NextStart : LinkMoment.Now, $"{group.Key.Path}", $"{from.Name} is linked to {link.Import}: {group.Key.Path}"));
            }
        }
    }

    private CapsuleName NameOf(CapsuleRecord owner, GuestPath path, HashSet<(CapsuleName, CapsuleName)> taken)
    {
        string word = new([.. BytePicture.Of(path.Name).ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')]);
        if (!CapsuleName.TryParse(word, out _)) word = "sockets";
        for (int i = 1; ; i++)
        {
            CapsuleName name = CapsuleName.Parse(i == 1 ? word : $"{word}-{i}");
            if (!store.Offered(owner).Any(e => e.Name == name) && taken.Add((owner.Name, name))) return name;
        }
    }
}
