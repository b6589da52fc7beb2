using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>The parts of an identity that are kept from the source or made fresh, each on its own.</summary>
public enum IdentityMember
{
    /// <summary>IPv4 and IPv6 addresses with their routes.</summary>
    Address,
    /// <summary>MAC addresses.</summary>
    Mac,
    /// <summary>Host name and domain.</summary>
    Hostname,
    /// <summary>machine-id and D-Bus id.</summary>
    MachineId,
    /// <summary>gethostid(3).</summary>
    HostId,
    /// <summary>DMI product UUID and serial.</summary>
    Serial,
}

/// <summary>What is asked for when a stack is started.</summary>
public sealed record IdentityRequest
{
    /// <inheritdoc/>
    public override string ToString() => nameof(IdentityRequest);

    /// <summary>The stack.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>What the source had: the manifest's identity.</summary>
    public Identity Source { get; init; } = new();
    /// <summary>What the stack had when it was up last; what it got fresh then stays its own.</summary>
    public Identity? Before { get; init; }
    /// <summary>Members to be kept though the default says fresh (--keep).</summary>
    public ImmutableHashSet<IdentityMember> Keep { get; init; } = [];
    /// <summary>Members to be made fresh (--fresh).</summary>
    public ImmutableHashSet<IdentityMember> Fresh { get; init; } = [];
    /// <summary>--network.</summary>
    public NetworkMode Mode { get; init; }
    /// <summary>--ip, each with its prefix length or null for the one that fits.</summary>
    public ImmutableArray<(IPAddress Address, int? PrefixLength)> Addresses { get; init; } = [];
    /// <summary>--mac-address.</summary>
    public MacAddress? Mac { get; init; }
    /// <summary>--hostname, with or without a domain.</summary>
    public string? HostName { get; init; }
    /// <summary>-p.</summary>
    public ImmutableArray<PublishedPort> Ports { get; init; } = [];
    /// <summary>Names of further stacks for /etc/hosts.</summary>
    public ImmutableArray<(string Name, IPAddress Address)> OtherStacks { get; init; } = [];
}

/// <summary>What one member of the identity will be, and why.</summary>
public sealed record IdentityDecision(IdentityMember Member, string Value, bool IsKept, string Reason);

/// <summary>A file that programs read, with the content that they are to see.</summary>
public sealed record IdentityFile(GuestPath Path, ReadOnlyMemory<byte> Content, int Mode = 0x1A4);

/// <summary>A file of /sys/class/dmi/id; some are for root only.</summary>
public sealed record DmiFile(string Name, string Content, int Mode);

/// <summary>Everything that is decided about a stack's identity. With problems in it, it is not to be applied.</summary>
public sealed record IdentityPlan
{
    /// <inheritdoc/>
    public override string ToString() => nameof(IdentityPlan);

    /// <summary>The identity in force: every member that the stack has is set.</summary>
    public required Identity Identity { get; init; }
    /// <summary>How the network is made.</summary>
    public required NetworkPlan Network { get; init; }
    /// <summary>What was kept and what is fresh.</summary>
    public ImmutableArray<IdentityDecision> Decisions { get; init; } = [];
    /// <summary>Files inside, to be bound over what the layers have.</summary>
    public ImmutableArray<IdentityFile> Files { get; init; } = [];
    /// <summary>Files of /sys/class/dmi/id.</summary>
    public ImmutableArray<DmiFile> Dmi { get; init; } = [];
    /// <summary>/proc/sys/kernel/random/boot_id, fresh at each start.</summary>
    public string BootId { get; init; } = "";
    /// <summary>What has one holder and belongs to the stack while it is up.</summary>
    public ImmutableArray<string> LeaseSubjects { get; init; } = [];
    /// <summary>Addresses that were taken from the pool, and stay the stack's own while it is down.</summary>
    public ImmutableArray<IPAddress> Allocated { get; init; } = [];
    /// <summary>The pool of our own bridge, if the stack is on it.</summary>
    public AddressPool? Pool { get; init; }
    /// <summary>Why it cannot be.</summary>
    public ImmutableArray<Problems.Problem> Problems { get; init; } = [];
    /// <summary>What will not be as expected.</summary>
    public ImmutableArray<Problems.Warning> Warnings { get; init; } = [];
}
