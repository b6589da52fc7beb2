using System.Collections.Immutable;
using Capsules.Core.Identities;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Engine.Store;

/// <summary>A stack on this host (stacks/NAME/stack.json): who it is, how it is connected, and which capsules share it.</summary>
public sealed record StackRecord
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>Its name.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>What its user asked for: kept and fresh members, network, addresses, ports.</summary>
    public required IdentityRequest Request { get; init; }
    /// <summary>The identity in force since its first start; null before.</summary>
    public Identity? Identity { get; init; }
    /// <summary>The first kernel id of its user namespace; null when it has none yet.</summary>
    public uint? IdBase { get; init; }
    /// <summary>Its capsules, in the order in which they joined.</summary>
    public ImmutableArray<CapsuleName> Members { get; init; } = [];

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("name", Name.ToString());
        w.Texts("members", [.. Members.Select(m => m.ToString())]);
        w.Integer("idBase", IdBase);
        w.Text("network", Request.Mode.ToString());
        w.Texts("keep", [.. Request.Keep.Order().Select(JsonReading.Dashed)]);
        w.Texts("fresh", [.. Request.Fresh.Order().Select(JsonReading.Dashed)]);
        w.Texts("addresses", [.. Request.Addresses.Select(a => a.PrefixLength is int length ? $"{a.Address}/{length}" : a.Address.ToString())]);
        w.Text("mac", Request.Mac?.ToString());
        w.Text("hostName", Request.HostName);
        w.Texts("ports", [.. Request.Ports.Select(p => p.ToString())]);
        w.WriteStartObject("source");
        ManifestJson.WriteIdentity(w, Request.Source);
        w.WriteEndObject();
        if (Identity is not { } identity) return;
        w.WriteStartObject("identity");
        ManifestJson.WriteIdentity(w, identity);
        w.WriteEndObject();
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static StackRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        using var document = ManifestJson.Parse(bytes);
        var e = document.RootElement;
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        CapsuleName name = CapsuleName.Parse(e.RequiredText("name"));
        Identity? identity = e.Member("identity") is { } inForce ? ManifestJson.ReadIdentity(inForce) : null;
        return new()
        {
            Name = name,
            Members = [.. e.Texts("members").Select(CapsuleName.Parse)],
            IdBase = e.Unsigned("idBase") is ulong idBase ? checked((uint)idBase) : null,
            Identity = identity,
            Request = new()
            {
                Stack = name,
                Source = e.Member("source") is { } source ? ManifestJson.ReadIdentity(source) : new(),
                Before = identity,
                Mode = e.Text("network") is { } network ? NetworkMode.Parse(network) : default,
                Keep = [.. e.Texts("keep").SelectMany(MemberOption.Parse)],
                Fresh = [.. e.Texts("fresh").SelectMany(MemberOption.Parse)],
                Addresses = [.. e.Texts("addresses").Select(AddressOption.Parse)],
                Mac = e.Text("mac") is { } mac ? MacAddress.Parse(mac) : null,
                HostName = e.Text("hostName"),
                Ports = [.. e.Texts("ports").SelectMany(p => PublishedPort.Parse(p))],
            },
        };
    }
}
