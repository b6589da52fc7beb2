using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Engine.Stacks;

/// <summary>A stack on this host (stacks/NAME/stack.json): the owner of an identity, of the ids of its users and of its network.</summary>
public sealed record StackRecord
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>How many ids a stack has.</summary>
    public const uint IdCount = 65536;

    /// <summary>Its name.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>The kernel's id of its root; ids on disk do not depend on it.</summary>
    public required uint IdBase { get; init; }
    /// <summary>What the source had.</summary>
    public Identity Source { get; init; } = new();
    /// <summary>What was in force when it was up last, or is now.</summary>
    public Identity? Identity { get; init; }
    /// <summary>How it is connected.</summary>
    public NetworkMode Network { get; init; }
    /// <summary>Members to be kept.</summary>
    public ImmutableHashSet<IdentityMember> Keep { get; init; } = [];
    /// <summary>Members to be made fresh.</summary>
    public ImmutableHashSet<IdentityMember> Fresh { get; init; } = [];
    /// <summary>Addresses that the user asked for.</summary>
    public ImmutableArray<string> Addresses { get; init; } = [];
    /// <summary>The MAC address that the user asked for.</summary>
    public MacAddress? Mac { get; init; }
    /// <summary>The host name that the user asked for.</summary>
    public string? HostName { get; init; }
    /// <summary>Published ports.</summary>
    public ImmutableArray<PublishedPort> Ports { get; init; } = [];

    /// <summary>What the identity planner is asked.</summary>
    public IdentityRequest ToRequest(IEnumerable<(string Name, IPAddress Address)> others) => new()
    {
        Stack = Name,
        Source = Source,
        Before = Identity,
        Keep = Keep,
        Fresh = Fresh,
        Mode = Network,
        Addresses = [.. Addresses.Select(ParseAddress)],
        Mac = Mac,
        HostName = HostName,
        Ports = Ports,
        OtherStacks = [.. others],
    };

    /// <summary>"10.0.0.5" or "10.0.0.5/24".</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static (IPAddress Address, int? PrefixLength) ParseAddress(string text)
    {
        if (text.Contains('/', StringComparison.Ordinal))
        {
            InterfaceAddress address = InterfaceAddress.Parse(text);
            return (address.Address, address.PrefixLength);
        }
        return IPAddress.TryParse(text, out var alone) ? (alone, null) : throw new FormatException($"'{text}' is not an address");
    }

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("name", Name.ToString());
        w.WriteNumber("idBase", IdBase);
        w.Text("network", Network.ToString());
        w.Texts("keep", [.. Keep.Order().Select(JsonReading.Dashed)]);
        w.Texts("fresh", [.. Fresh.Order().Select(JsonReading.Dashed)]);
        w.Texts("addresses", Addresses);
        w.Text("mac", Mac?.ToString());
        w.Text("hostName", HostName);
        w.Texts("ports", [.. Ports.Select(p => p.ToString())]);
        w.WriteStartObject("source");
        ManifestJson.WriteIdentity(w, Source);
        w.WriteEndObject();
        if (Identity is null) return;
        w.WriteStartObject("identity");
        ManifestJson.WriteIdentity(w, Identity);
        w.WriteEndObject();
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static StackRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        using var document = ManifestJson.Parse(bytes);
        var e = document.RootElement;
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Name = CapsuleName.Parse(e.RequiredText("name")),
            IdBase = (uint)(e.Integer("idBase") ?? throw new FormatException("`idBase` is missing")),
            Network = NetworkMode.Parse(e.RequiredText("network")),
            Keep = [.. e.Texts("keep").Select(Member)],
            Fresh = [.. e.Texts("fresh").Select(Member)],
            Addresses = e.Texts("addresses"),
            Mac = e.Text("mac") is { } mac ? MacAddress.Parse(mac) : null,
            HostName = e.Text("hostName"),
            Ports = [.. e.Texts("ports").SelectMany(p => PublishedPort.Parse(p))],
            Source = e.Member("source") is { } source ? ManifestJson.ReadIdentity(source) : new(),
            Identity = e.Member("identity") is { } identity ? ManifestJson.ReadIdentity(identity) : null,
        };
    }

    /// <summary>"machine-id" and the like; "all" is every member.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static IEnumerable<IdentityMember> Members(string text) => text == "all" ? Enum.GetValues<IdentityMember>() : [Member(text == "hostid" ? "host-id" : text)];

    private static IdentityMember Member(string text)
    {
        foreach (IdentityMember member in Enum.GetValues<IdentityMember>())
            if (JsonReading.Dashed(member) == text) return member;
        throw new FormatException($"'{text}' is no part of an identity: {string.Join(", ", Enum.GetValues<IdentityMember>().Select(JsonReading.Dashed))}, all");
    }
}
