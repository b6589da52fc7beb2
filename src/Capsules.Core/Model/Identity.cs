using System.Collections.Immutable;

namespace Capsules.Core.Model;

/// <summary>
/// What makes a server itself for programs inside and for others outside. As part of a manifest: what the source had. As part of a stack:
/// what is in force. A null member is made fresh when the stack is made.
/// </summary>
public sealed record Identity
{
    /// <inheritdoc/>
    public override string ToString() => nameof(Identity);

    /// <summary>Network interfaces, first the one with the default route.</summary>
    public ImmutableArray<NetworkInterface> Interfaces { get; init; } = [];
    /// <summary>gethostname(2).</summary>
    public string? HostName { get; init; }
    /// <summary>DNS domain; the fully qualified name is host.domain.</summary>
    public string? Domain { get; init; }
    /// <summary>/etc/machine-id and D-Bus's id.</summary>
    public MachineId? MachineId { get; init; }
    /// <summary>gethostid(3): eight hexadecimal digits' worth.</summary>
    public uint? HostId { get; init; }
    /// <summary>/sys/class/dmi/id/product_uuid.</summary>
    public string? ProductUuid { get; init; }
    /// <summary>/sys/class/dmi/id/product_serial.</summary>
    public string? ProductSerial { get; init; }
    /// <summary>Other DMI values that programs read, such as sys_vendor and product_name, by file name.</summary>
    public ImmutableSortedDictionary<string, string> Dmi { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Name servers and search domains, as resolv.conf(5).</summary>
    public ImmutableArray<string> NameServers { get; init; } = [];
    /// <summary>Search domains.</summary>
    public ImmutableArray<string> SearchDomains { get; init; } = [];
}

/// <summary>One interface of an identity.</summary>
public sealed record NetworkInterface
{
    /// <summary>The name inside, such as eth0.</summary>
    public required string Name { get; init; }
    /// <summary>Fresh when null.</summary>
    public MacAddress? Mac { get; init; }
    /// <summary>Addresses with prefix length, IPv4 and IPv6; allocated when empty.</summary>
    public ImmutableArray<InterfaceAddress> Addresses { get; init; } = [];
    /// <summary>Routes beyond those that addresses make.</summary>
    public ImmutableArray<Route> Routes { get; init; } = [];
    /// <summary>Maximum transmission unit in bytes; the kernel's own when null.</summary>
    public int? Mtu { get; init; }
}

/// <summary>An address and its prefix length, written 10.20.0.15/24.</summary>
public readonly record struct InterfaceAddress(System.Net.IPAddress Address, int PrefixLength)
{
    /// <summary>Reads ADDRESS/LENGTH.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static InterfaceAddress Parse(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash > 0 && System.Net.IPAddress.TryParse(text.AsSpan(0, slash), out var address) && int.TryParse(text.AsSpan(slash + 1), out int length) &&
            length >= 0 && length <= (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128))
            return new(address, length);
        throw new FormatException($"'{text}' is not an address with prefix length, such as 10.20.0.15/24");
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Address}/{PrefixLength}";
}

/// <summary>A route: to a destination (null: the default) by a gateway (null: on the link).</summary>
public sealed record Route(InterfaceAddress? Destination, System.Net.IPAddress? Gateway, int? Metric = null);
