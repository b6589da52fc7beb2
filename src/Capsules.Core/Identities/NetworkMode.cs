namespace Capsules.Core.Identities;

/// <summary>How a stack is connected.</summary>
public enum NetworkKind
{
    /// <summary>Our own bridge, with the identity's own addresses where they are kept; outwards by NAT.</summary>
    Bridge,
    /// <summary>Our own bridge, always with an address of its own pool.</summary>
    Nat,
    /// <summary>Only a loopback.</summary>
    None,
    /// <summary>The host's own network.</summary>
    Host,
    /// <summary>Another station on the network of one of the host's links.</summary>
    Macvlan,
    /// <summary>A port of a bridge that somebody else made.</summary>
    HostBridge,
    /// <summary>The network of another stack.</summary>
    Stack,
}

/// <summary>The --network option: bridge, nat, none, host, macvlan:LINK, bridge:NAME or stack:NAME.</summary>
/// <param name="Kind">See <see cref="NetworkKind"/>.</param>
/// <param name="Subject">The link, bridge or stack that is named; null where the kind names none.</param>
public readonly record struct NetworkMode(NetworkKind Kind, string? Subject = null)
{
    /// <summary>Our own bridge.</summary>
    public static NetworkMode Bridge => default;

    /// <summary>Whether the stack is on our own bridge.</summary>
    public bool IsOwnBridge => Kind is NetworkKind.Bridge or NetworkKind.Nat;

    /// <summary>Whether the stack has links of its own beside the loopback.</summary>
    public bool HasLinks => Kind is not (NetworkKind.None or NetworkKind.Host or NetworkKind.Stack);

    /// <summary>Reads the option.</summary>
    /// <exception cref="FormatException">It is none of these.</exception>
    public static NetworkMode Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string kind = colon < 0 ? text : text[..colon];
        string? subject = colon < 0 ? null : text[(colon + 1)..];
        NetworkMode? mode = (kind, subject) switch
        {
            ("bridge", null) => new(NetworkKind.Bridge),
            ("nat", null) => new(NetworkKind.Nat),
            ("none", null) => new(NetworkKind.None),
            ("host", null) => new(NetworkKind.Host),
            ("macvlan", { Length: > 0 and < 16 }) => new(NetworkKind.Macvlan, subject),
            ("bridge", { Length: > 0 and < 16 }) => new(NetworkKind.HostBridge, subject),
            ("stack", { Length: > 0 }) when Model.CapsuleName.TryParse(subject, out _) => new(NetworkKind.Stack, subject),
            _ => null,
        };
        return mode ?? throw new FormatException($"'{text}' is not a network: bridge, nat, none, host, macvlan:LINK, bridge:NAME or stack:NAME");
    }

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        NetworkKind.HostBridge => $"bridge:{Subject}",
        NetworkKind.Macvlan or NetworkKind.Stack => $"{Kind.ToString().ToLowerInvariant()}:{Subject}",
        _ => Kind.ToString().ToLowerInvariant(),
    };
}
