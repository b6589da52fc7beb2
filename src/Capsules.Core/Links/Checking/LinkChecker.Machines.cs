using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>Configuration of the one that means the other by an address of this machine.</summary>
    private static IEnumerable<LinkFinding> Loopback(Asked a)
    {
        if (a.AreTogether) yield break;
        var ports = a.There.Manifest.Listeners.Where(l => l.Protocol is "tcp" or "udp" && IsReachedByLoopback(l.Address)).Select(l => l.Port).ToHashSet();
        var own = a.Here.Manifest.Listeners.Where(l => l.Protocol is "tcp" or "udp").Select(l => l.Port).ToHashSet();
        own.UnionWith(a.Here.Links.Where(l => l.Link.Import.From == a.There.Name).SelectMany(l => l.Ports).Concat(a.Ports).Select(p => p.Number)); // they are led there
        foreach (var port in a.Here.Mentions.Where(m => m.Port is int p && ports.Contains(p) && !own.Contains(p)).GroupBy(m => m.Port!.Value).OrderBy(g => g.Key))
            yield return new(LinkLevel.Warning, LinkConcern.Loopback, $"{port.Key}", $"{a.Here.Name}'s configuration names 127.0.0.1:{port.Key}, where {a.There.Name} listens, and they have different networks", $"{Some(port.Select(m => m.File.ToString()).Distinct())}",
                $"let {a.There.Name} offer the port: capsule share add {a.There.Name}/port-{port.Key} --port {port.Key}; or use its socket if the program can");
        var abstracts = a.There.Manifest.Listeners.Where(l => l.Protocol == "unix" && l.Address.StartsWith('@')).Select(l => l.Address).ToHashSet();
        foreach (var socket in a.Here.Mentions.Where(m => m.Abstract is { } s && abstracts.Contains(s)).GroupBy(m => m.Abstract!).OrderBy(g => g.Key, StringComparer.Ordinal))
            yield return new(LinkLevel.Warning, LinkConcern.Loopback, socket.Key, $"{a.Here.Name} names the socket {socket.Key} of {a.There.Name}, and they have different networks", $"a socket without a file is seen in its own network only; {Some(socket.Select(m => m.File.ToString()).Distinct())}",
                $"let the server listen on a file, or link as one machine: {a.LinkWith("--preset same-machine")}");
    }

    private static bool IsReachedByLoopback(string address) => address is "*" or "0.0.0.0" or "::" or "[::]" or "::1" or "[::1]" or "localhost" || address.StartsWith("127.", StringComparison.Ordinal);

    /// <summary>What both would listen on as one machine.</summary>
    private static IEnumerable<LinkFinding> Ports(Asked a)
    {
        if (!a.Joins) yield break;
        foreach (Listener here in a.Here.Manifest.Listeners.OrderBy(l => l.Protocol, StringComparer.Ordinal).ThenBy(l => l.Port).ThenBy(l => l.Address, StringComparer.Ordinal).DistinctBy(l => (l.Protocol, l.Port, l.Protocol == "unix" ? l.Address : "")))
        {
            Listener? there = a.There.Manifest.Listeners.FirstOrDefault(l => l.Protocol == here.Protocol && l.Port == here.Port && (here.Protocol == "unix" ? l.Address == here.Address : Overlap(l.Address, here.Address)));
            if (there is null) continue;
            string what = here.Protocol == "unix" ? here.Address : $"{here.Protocol} port {here.Port}";
            yield return new(LinkLevel.Error, LinkConcern.Port, what, $"{a.Here.Name} and {a.There.Name} both listen on {what}", "on one machine only one of them can", $"give one of them another, or link as {Word(LinkPreset.Partner)}: each keeps its own network then");
        }

        static bool Overlap(string one, string other) => one == other || IsAny(one) || IsAny(other);
        static bool IsAny(string address) => address is "*" or "0.0.0.0" or "::" or "[::]";
    }

    /// <summary>Ports of the loopback network that are led to the owner's.</summary>
    private static IEnumerable<LinkFinding> Forwards(Asked a)
    {
        if (a.Export.Ports.IsEmpty) yield break;
        if (a.IsOneStack || a.Joins)
        {
            yield return new(LinkLevel.Ok, LinkConcern.Port, a.Export.Ports[0], $"{Some(a.Export.Ports)}: both have one network, and nothing is to be led");
            yield break;
        }
        if (a.Ports.IsEmpty)
        {
            yield return new(LinkLevel.Note, LinkConcern.Port, a.Export.Ports[0], $"{a.Here.Name} does not reach {Some(a.Export.Ports)} as {Word(a.Preset)}", null, a.Export.Preset < LinkPreset.Client ? null : a.LinkWith("--preset client"));
            yield break;
        }
        foreach (LinkSide side in (LinkSide[])[a.Here, a.There])
            if (side.HasHostNetwork)
                yield return new(LinkLevel.Error, LinkConcern.Port, $"{a.Ports[0]}", $"{side.Name} has the network of the host", "its loopback network is that of all programs of the host, and a port in it is not one capsule's", $"capsule run --network bridge, or let both have the host's network");
        foreach (LoopbackPort port in a.Ports)
        {
            if (a.Here.Links.FirstOrDefault(l => l.Link.Import.From != a.There.Name && l.Ports.Contains(port)) is { } other)
                yield return new(LinkLevel.Error, LinkConcern.Port, $"{port}", $"{port} of {a.Here.Name} is led to {other.Link.Import.From} already", "a port has one listener", $"capsule link rm {a.Here.Name} {other.Link.Import}, or let one of the owners listen on another port");
            else if (a.Here.Manifest.Listeners.FirstOrDefault(l => l.Protocol == port.Protocol && l.Port == port.Number && IsReachedByLoopback(l.Address)) is { } own)
                yield return new(LinkLevel.Error, LinkConcern.Port, $"{port}", $"{a.Here.Name} itself listens on {port}{(own.Service is { } service ? $" ({service})" : "")}", "a port has one listener", $"give the server of {a.Here.Name} or that of {a.There.Name} another port");
            else if (a.Here.Listening.Contains(port))
                yield return new(LinkLevel.Error, LinkConcern.Port, $"{port}", $"a program of {a.Here.Name} listens on {port} now", "a port has one listener", $"end it, or let {a.There.Name} listen on another port");
            else if (a.There.IsRunning && !a.There.Listening.Contains(port))
                yield return new(LinkLevel.Note, LinkConcern.Port, $"{port}", $"nobody of {a.There.Name} listens on {port} of its loopback network now", "until then connections are refused, as on one machine");
            else yield return new(LinkLevel.Ok, LinkConcern.Port, $"{port}", $"127.0.0.1:{port} of {a.Here.Name} leads to that of {a.There.Name}");
        }
    }

    /// <summary>Who the two are for others.</summary>
    private static IEnumerable<LinkFinding> Identities(Asked a)
    {
        if (a.Here.Identity is not { } here || a.There.Identity is not { } there) yield break;
        string[] addresses = [.. here.Interfaces.SelectMany(i => i.Addresses).Select(i => i.Address.ToString())], others = [.. there.Interfaces.SelectMany(i => i.Addresses).Select(i => i.Address.ToString())];
        if (a.Joins)
        {
            string[] lost = [.. addresses.Except(others)];
            if (lost.Length > 0)
                yield return new(LinkLevel.Warning, LinkConcern.Identity, lost[0], $"{a.Here.Name} is no longer reached at {Some(lost)}, but at {(others.Length > 0 ? Some(others) : $"the address of {a.There.Name}")}", "one machine has one identity: the owner's", $"tell its clients, or give {a.There.Name} the address as well: capsule identity set {a.There.Name}");
            if (here.HostName is { } name && there.HostName is { } other && name != other)
                yield return new(LinkLevel.Note, LinkConcern.Identity, name, $"{a.Here.Name} has the host name {other} then, not {name}");
        }
        else if (!a.IsOneStack && addresses.Intersect(others).ToArray() is { Length: > 0 } both)
            yield return new(LinkLevel.Error, LinkConcern.Identity, both[0], $"{a.Here.Name} and {a.There.Name} both have the address {both[0]}", "only one of them can be up at a time, and a link needs both", $"capsule identity set {a.Here.Name} --address OTHER, or make them one stack");
    }

    /// <summary>Capsules that would wait for each other.</summary>
    private static IEnumerable<LinkFinding> Cycles(Asked a)
    {
        // Where does the owner's start lead to? Only a wait that the start cannot go on without makes a circle that never begins.
        var reached = new Dictionary<CapsuleName, (CapsuleName From, bool IsHard)> { [a.There.Name] = (a.There.Name, true) };
        var open = new Queue<CapsuleName>([a.There.Name]);
        while (open.TryDequeue(out CapsuleName at))
            foreach (Waiting wait in a.Question.Waiting.Where(w => w.Capsule == at).OrderBy(w => w.For.ToString(), StringComparer.Ordinal))
            {
                bool hard = reached[at].IsHard && IsHard(wait.WhenDown);
                if (reached.TryGetValue(wait.For, out var before) && (before.IsHard || !hard)) continue;
                reached[wait.For] = (at, hard);
                open.Enqueue(wait.For);
            }
        if (!reached.TryGetValue(a.Here.Name, out var end)) yield break;
        var way = new List<string> { a.Here.Name.ToString() };
        for (CapsuleName at = end.From; way.Count < 10; at = reached[at].From)
        {
            way.Insert(0, at.ToString());
            if (at == a.There.Name) break;
        }
        way.Insert(0, a.Here.Name.ToString());
        string circle = string.Join(" → ", way);
        yield return end.IsHard && IsHard(a.Question.WhenDown)
            ? new(LinkLevel.Error, LinkConcern.Cycle, a.There.Name.ToString(), $"{a.Here.Name} and {a.There.Name} would each wait for the other to be up: {circle}", "each is required by the other, so that none can be the first", $"let one go on alone: {a.LinkWith("--when-down degrade")}")
            : new(LinkLevel.Note, LinkConcern.Cycle, a.There.Name.ToString(), $"{a.Here.Name} and {a.There.Name} use each other; one of them starts without the other, and the link comes when that is up");

        static bool IsHard(WhenDown whenDown) => whenDown is WhenDown.Require or WhenDown.Bind or WhenDown.Wait;
    }
}
