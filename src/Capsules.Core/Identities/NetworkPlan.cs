using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>What is done, in order, so that a stack has its network. Undone in the opposite order, it is also the record of what was made.</summary>
public sealed record NetworkPlan
{
    /// <summary>The version of the format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The name of our own bridge.</summary>
    public const string OwnBridge = "capsule0";

    /// <summary>Whose network it is.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>How it is connected.</summary>
    public required NetworkMode Mode { get; init; }
    /// <summary>See <see cref="NetworkStep"/>.</summary>
    public ImmutableArray<NetworkStep> Steps { get; init; } = [];

    /// <summary>One line for each step.</summary>
    public override string ToString() => string.Concat(Steps.Select((s, i) => $"{i + 1,3}  {s}\n"));

    /// <summary>Addresses that the stack will answer for.</summary>
    public IEnumerable<IPAddress> Addresses => Steps.OfType<NetworkStep.GuestAddress>().Select(a => a.Address.Address);

    /// <summary>
    /// The name of the host's end of a veth pair: "cap-" and the stack's name where it fits into the kernel's fifteen characters, else a
    /// hash of it; further links have "+1" and so on, which no name of a stack can hold.
    /// </summary>
    public static string HostLinkName(CapsuleName stack, int index)
    {
        string name = stack.ToString(), suffix = index == 0 ? "" : $"+{index}";
        if (name.Length + suffix.Length <= 11) return $"cap-{name}{suffix}";
        uint hash = 2166136261; // FNV-1a: only has to differ
        foreach (char c in name) hash = (hash ^ c) * 16777619;
        return $"cap={hash:x8}{suffix}";
    }
}

/// <summary>One step. What is said to be shared belongs to all stacks that name it, and goes with the last of them.</summary>
public abstract record NetworkStep
{
    private NetworkStep() { }

    /// <summary>Whether other stacks may have the same step.</summary>
    public virtual bool IsShared => false;

    /// <summary>Our own bridge with its address.</summary>
    public sealed record Bridge(string Name, InterfaceAddress Address, MacAddress Mac) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => $"bridge {Name} with {Address}";
    }

    /// <summary>The host passes packets on (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding). Left on: others may rely on it by then.</summary>
    public sealed record Forwarding(bool IPv6) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => IPv6 ? "host forwards IPv4 and IPv6" : "host forwards IPv4";
    }

    /// <summary>Our own nf_tables table: what leaves the bridge is masqueraded, and published ports lead to their stacks.</summary>
    public sealed record Rules(string BridgeName) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => $"table inet capsule: masquerade what leaves {BridgeName}, published ports";
    }

    /// <summary>Another program's chain lets the bridge's packets pass, by two rules at its front that are marked as ours.</summary>
    public sealed record Admission(string Family, string Table, string Chain, string BridgeName) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => $"accept {BridgeName} in {Family} {Table} {Chain}";
    }

    /// <summary>A kept gateway's address on the bridge, where nobody on the host's links has it.</summary>
    public sealed record GatewayAddress(string BridgeName, InterfaceAddress Address) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => $"address {Address} on {BridgeName}, as gateway";
    }

    /// <summary>The host answers ARP and NDP on the bridge for what it can reach elsewhere: a kept subnet's other stations, its gateway among them.</summary>
    public sealed record ProxyArp(string BridgeName) : NetworkStep
    {
        /// <inheritdoc/>
        public override bool IsShared => true;
        /// <inheritdoc/>
        public override string ToString() => $"{BridgeName} answers for what lies behind the host";
    }

    /// <summary>The host finds a kept address on the bridge, and speaks to it from <paramref name="Source"/>.</summary>
    public sealed record HostRoute(string BridgeName, IPAddress Destination, IPAddress? Source) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"route to {Destination} by {BridgeName}" + (Source is null ? "" : $" from {Source}");
    }

    /// <summary>A veth pair: one end is a port of the bridge, the other the stack's link.</summary>
    public sealed record Veth(string HostName, string BridgeName, string GuestName, MacAddress Mac, int? Mtu) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"link {GuestName} ({Mac}), by {HostName} on {BridgeName}";
    }

    /// <summary>A macvlan of one of the host's links.</summary>
    public sealed record Macvlan(string Parent, string GuestName, MacAddress Mac, int? Mtu) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"link {GuestName} ({Mac}), macvlan on {Parent}";
    }

    /// <summary>A link of the stack is up, the loopback among them. Coming up, it announces the addresses that it has by then.</summary>
    public sealed record GuestUp(string Link) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"{Link} up";
    }

    /// <summary>Nobody on the link answers for the address: asked from inside, or from the host by a link of its own.</summary>
    public sealed record Probe(string Link, IPAddress Address, bool Inside) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"probe for {Address} {(Inside ? "from" : "on the host's")} {Link}";
    }

    /// <summary>An address of a link of the stack.</summary>
    public sealed record GuestAddress(string Link, InterfaceAddress Address) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"{Link} has {Address}";
    }

    /// <summary>A route of the stack.</summary>
    public sealed record GuestRoute(string Link, Route Route, bool OnLink) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"route to {Route.Destination?.ToString() ?? "default"}{(Route.Gateway is { } via ? $" via {via}" : "")} by {Link}";
    }

    /// <summary>A port of the host leads to the stack.</summary>
    public sealed record Publish(PublishedPort Port, IPAddress To) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"port {Port} leads to {To}";
    }

    /// <summary>Everybody on a real network hears where the address is now, once it was probed for and taken.</summary>
    public sealed record Announce(string Link, IPAddress Address) : NetworkStep
    {
        /// <inheritdoc/>
        public override string ToString() => $"announce {Address} on {Link}";
    }
}
