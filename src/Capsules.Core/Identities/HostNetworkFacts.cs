using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>What a look at the host's network found, as far as it matters for a stack's identity.</summary>
public sealed record HostNetworkFacts
{
    /// <inheritdoc/>
    public override string ToString() => nameof(HostNetworkFacts);

    /// <summary>All links.</summary>
    public ImmutableArray<HostLink> Links { get; init; } = [];
    /// <summary>All addresses.</summary>
    public ImmutableArray<HostAddress> Addresses { get; init; } = [];
    /// <summary>All routes of the main table.</summary>
    public ImmutableArray<HostRoute> Routes { get; init; } = [];
    /// <summary>What other stacks hold.</summary>
    public ImmutableArray<IdentityLease> Leases { get; init; } = [];
    /// <summary>The pool of our own bridge at its last start.</summary>
    public AddressPool? LastPool { get; init; }
    /// <summary>Chains of other tables that decide what passes through this host.</summary>
    public ImmutableArray<ForwardChain> ForwardChains { get; init; } = [];
    /// <summary>/etc/resolv.conf.</summary>
    public string ResolvConf { get; init; } = "";
    /// <summary>/run/systemd/resolve/resolv.conf: the servers behind the stub at 127.0.0.53.</summary>
    public string? SystemdResolvConf { get; init; }
    /// <summary>The host's own name.</summary>
    public string HostName { get; init; } = "";
    /// <summary>Stacks that are up now.</summary>
    public ImmutableArray<CapsuleName> RunningStacks { get; init; } = [];
}

/// <summary>A link of the host.</summary>
public sealed record HostLink(string Name, string? Kind, MacAddress? Mac, bool IsUp, int Mtu)
{
    /// <summary>Wireless stations may send with one MAC address only: access points drop others.</summary>
    public bool IsWireless => Name.StartsWith("wl", StringComparison.Ordinal);
}

/// <summary>An address of the host.</summary>
public sealed record HostAddress(string Link, InterfaceAddress Address);

/// <summary>A route of the host; the destination is null for the default, the gateway for what is on the link.</summary>
public sealed record HostRoute(InterfaceAddress? Destination, IPAddress? Gateway, string Link);

/// <summary>
/// Something that has one holder, such as "10.20.0.15" or "52:54:00:6b:1f:02". A lease that is live belongs to a stack that runs; one that is
/// not only keeps an address of the pool from being given to another.
/// </summary>
public sealed record IdentityLease(string Subject, CapsuleName Stack, bool IsLive);

/// <summary>A chain of another program that packets pass on their way through the host, and what can be done there.</summary>
/// <param name="Family">ip, ip6 or inet.</param>
/// <param name="Table">The table.</param>
/// <param name="Chain">The chain.</param>
/// <param name="DropsByDefault">Whether what no rule of it accepts is dropped.</param>
public sealed record ForwardChain(string Family, string Table, string Chain, bool DropsByDefault);
