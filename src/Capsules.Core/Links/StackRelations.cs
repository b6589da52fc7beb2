using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>How one capsule needs another.</summary>
public enum RelationKind
{
    /// <summary>Its configuration names a socket of the other, by its file.</summary>
    Socket,
    /// <summary>Its configuration names a port of the loopback network, where the other listens.</summary>
    Port,
    /// <summary>Its configuration names a socket of the other that has no file.</summary>
    AbstractSocket,
    /// <summary>It sees a volume of the other.</summary>
    State,
    /// <summary>The configuration of both names one file of a directory that one of them makes below /run.</summary>
    RunPath,
    /// <summary>Each has a copy of a directory that was one.</summary>
    Copies,
}

/// <summary>One capsule needs another.</summary>
/// <param name="From">Who needs.</param>
/// <param name="To">Who is needed.</param>
/// <param name="Kind">How.</param>
/// <param name="Subject">The socket, port or directory.</param>
/// <param name="NamedBy">The file that names it.</param>
public sealed record Relation(CapsuleName From, CapsuleName To, RelationKind Kind, string Subject, GuestPath? NamedBy = null)
{
    /// <summary>A line for people.</summary>
    public override string ToString() => Kind switch
    {
        RelationKind.State => $"{From} sees {Subject} of {To}",
        RelationKind.RunPath => $"{From} and {To} both name {Subject} ({NamedBy})",
        RelationKind.Copies => $"{From} and {To} each have a copy of {Subject}",
        RelationKind.Port => $"{From} names port {Subject} of {To} ({NamedBy})",
        _ => $"{From} names the socket {Subject} of {To} ({NamedBy})",
    };
}

/// <summary>What is known of a capsule that may be related to others.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Listeners">Where it listens.</param>
/// <param name="Mentions">What its configuration names.</param>
/// <param name="Borrowed">Volumes of others that it sees.</param>
public sealed record RelationSide(CapsuleName Name, ImmutableArray<Listener> Listeners, ImmutableArray<Mention> Mentions, ImmutableArray<(CapsuleName Owner, GuestPath Path)> Borrowed)
{
    /// <summary>Directories that its services make below /run.</summary>
    public ImmutableArray<GuestPath> Runtime { get; init; } = [];
    /// <summary>Where its own state is.</summary>
    public ImmutableArray<GuestPath> State { get; init; } = [];
}

/// <summary>Which capsules need each other, as their configuration says. Pure.</summary>
public static class StackRelations
{
    /// <summary>All relations, each once, in order.</summary>
    public static ImmutableArray<Relation> Of(IReadOnlyList<RelationSide> sides)
    {
        var found = new Dictionary<(CapsuleName, CapsuleName, RelationKind, string), Relation>();
        void Add(Relation relation) => found.TryAdd((relation.From, relation.To, relation.Kind, relation.Subject), relation);
        foreach (RelationSide from in sides)
        {
            foreach (var (owner, path) in from.Borrowed.Where(b => sides.Any(s => s.Name == b.Owner))) Add(new(from.Name, owner, RelationKind.State, $"{path}"));
            foreach (RelationSide to in sides.Where(s => s.Name.CompareTo(from.Name) > 0)) // the same for both: once
            {
                foreach (GuestPath path in from.State.Intersect(to.State)) Add(new(from.Name, to.Name, RelationKind.Copies, $"{path}"));
                foreach (Mention mention in from.Mentions)
                    if (mention.Path is { } path && from.Runtime.Concat(to.Runtime).Any(r => path.IsWithin(r) && path != r) && to.Mentions.Any(m => m.Path == path)) Add(new(from.Name, to.Name, RelationKind.RunPath, $"{path}", mention.File));
            }
            foreach (RelationSide to in sides.Where(s => s.Name != from.Name))
                foreach (Listener listener in to.Listeners)
                {
                    if (from.Listeners.Any(l => l.Protocol == listener.Protocol && l.Address == listener.Address && l.Port == listener.Port)) continue; // it has one of its own there
                    foreach (Mention mention in from.Mentions)
                        if (listener.Protocol != "unix" && mention.Port == listener.Port) Add(new(from.Name, to.Name, RelationKind.Port, listener.Protocol == "tcp" ? $"{listener.Port}" : $"{listener.Port}/{listener.Protocol}", mention.File));
                        else if (listener.Protocol == "unix" && mention.Path?.ToString() == listener.Address) Add(new(from.Name, to.Name, RelationKind.Socket, listener.Address, mention.File));
                        else if (listener.Protocol == "unix" && listener.Address.StartsWith('@') && mention.Abstract == listener.Address) Add(new(from.Name, to.Name, RelationKind.AbstractSocket, listener.Address, mention.File));
                }
        }
        // Who listens is known: that both name it says no more.
        return [.. found.Values.Where(r => r.Kind != RelationKind.RunPath || !found.Values.Any(f => f.Kind == RelationKind.Socket && f.Subject == r.Subject)).OrderBy(r => r.From).ThenBy(r => r.To).ThenBy(r => r.Kind).ThenBy(r => r.Subject, StringComparer.Ordinal)];
    }

    /// <summary>Those from which a way of relations leads to some, whatever its direction; with these. Copies alone make nobody need another.</summary>
    public static ImmutableHashSet<CapsuleName> Related(IEnumerable<Relation> relations, IEnumerable<CapsuleName> some)
    {
        Relation[] all = [.. relations.Where(r => r.Kind != RelationKind.Copies)];
        var reached = some.ToHashSet();
        for (int before = -1; before != reached.Count;)
        {
            before = reached.Count;
            foreach (Relation relation in all)
                if (reached.Contains(relation.From) || reached.Contains(relation.To)) reached.UnionWith([relation.From, relation.To]);
        }
        return [.. reached];
    }

    /// <summary>For programs: docs/formats/link-check.md.</summary>
    public static byte[] Json(string stack, ImmutableArray<Relation> relations, ImmutableArray<LinkStep> steps) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", LinkReport.CurrentSchemaVersion);
        w.WriteString("stack", stack);
        w.Objects("relations", relations, r =>
        {
            w.Text("from", $"{r.From}");
            w.Text("to", $"{r.To}");
            w.Text("kind", JsonReading.Dashed(r.Kind));
            w.Text("subject", r.Subject);
            w.Text("namedBy", r.NamedBy?.ToString());
        });
        LinkPlanner.Write(w, steps);
    });

    /// <summary>For people.</summary>
    public static string Text(ImmutableArray<Relation> relations, ImmutableArray<LinkStep> steps)
    {
        var text = new StringBuilder();
        foreach (Relation relation in relations) text.Append($"{relation}\n");
        return text.Append(LinkPlanner.Text(steps)).ToString();
    }
}
