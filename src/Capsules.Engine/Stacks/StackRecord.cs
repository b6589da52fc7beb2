using System.Text.Json;
using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Stacks;

/// <summary>A stack on this host (stacks/NAME/stack.json): the owner of an identity, of the ids of its users and of its network.</summary>
public sealed record StackRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

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

    /// <summary>Its users that are another stack's, by the links of its capsules; in force since it came up last.</summary>
    public ImmutableArray<SharedId> SharedUsers { get; init; } = [];
    /// <summary>Its groups that are another stack's.</summary>
    public ImmutableArray<SharedId> SharedGroups { get; init; } = [];

    /// <summary>Whether its capsules see and signal each other's processes, by one numbering; from the next time that it comes up.</summary>
    public bool SharesProcesses { get; init; }

    /// <summary>The map of its users, as /proc/PID/uid_map is written.</summary>
    internal IReadOnlyList<IdExtent> UserMap => Host.MapOf(IdBase, IdCount, SharedUsers);

    /// <summary>The map of its groups.</summary>
    internal IReadOnlyList<IdExtent> GroupMap => Host.MapOf(IdBase, IdCount, SharedGroups);

    /// <summary>What the identity planner is asked.</summary>
    public IdentityRequest ToRequest(IEnumerable<(string Name, IPAddress Address)> others) => new()
    {
        Stack = Name,
        Source = Source,
        Before = Identity,
        Keep = Keep,
        Fresh = Fresh,
        Mode = Network,
        Addresses = [.. Addresses.Select(AddressOption.Parse)],
        Mac = Mac,
        HostName = HostName,
        Ports = Ports,
        OtherStacks = [.. others],
    };

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("name", Name.ToString());
        w.WriteNumber("idBase", IdBase);
        w.Text("network", Network.ToString());
        w.Texts("keep", Words(Keep));
        w.Texts("fresh", Words(Fresh));
        w.Texts("addresses", Addresses);
        w.Text("mac", Mac?.ToString());
        w.Text("hostName", HostName);
        w.Texts("ports", [.. Ports.Select(p => p.ToString())]);
        if (SharesProcesses) w.WriteBoolean("sharesProcesses", true);
        w.Objects("sharedUsers", SharedUsers, i => WriteShared(w, i));
        w.Objects("sharedGroups", SharedGroups, i => WriteShared(w, i));
        w.WriteStartObject("source");
        ManifestJson.WriteIdentity(w, Source);
        w.WriteEndObject();
        if (Identity is null) return;
        w.WriteStartObject("identity");
        ManifestJson.WriteIdentity(w, Identity);
        w.WriteEndObject();
    });

    private static void WriteShared(Utf8JsonWriter w, SharedId id)
    {
        w.WriteNumber("inside", id.Inside);
        w.WriteNumber("outside", id.Outside);
    }

    private static ImmutableArray<SharedId> ReadShared(JsonElement e, string member) =>
        [.. e.Items(member).Select(i => new SharedId((uint)(i.Integer("inside") ?? throw new FormatException("`inside` is missing")), (uint)(i.Integer("outside") ?? throw new FormatException("`outside` is missing"))))];

    private static List<string> Words(ImmutableHashSet<IdentityMember> members)
    {
        var words = new List<string>();
        foreach (IdentityMember member in members.Order()) words.Add(JsonReading.Dashed(member));
        return words;
    }

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static StackRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Name = CapsuleName.Parse(e.RequiredText("name")),
            IdBase = (uint)(e.Integer("idBase") ?? throw new FormatException("`idBase` is missing")),
            Network = NetworkMode.Parse(e.RequiredText("network")),
            Keep = [.. e.Texts("keep").SelectMany(MemberOption.Parse)],
            Fresh = [.. e.Texts("fresh").SelectMany(MemberOption.Parse)],
            Addresses = e.Texts("addresses"),
            Mac = e.Text("mac") is { } mac ? MacAddress.Parse(mac) : null,
            HostName = e.Text("hostName"),
            Ports = [.. e.Texts("ports").SelectMany(p => PublishedPort.Parse(p))],
            SharesProcesses = e.Flag("sharesProcesses") ?? false,
            SharedUsers = ReadShared(e, "sharedUsers"),
            SharedGroups = ReadShared(e, "sharedGroups"),
            Source = e.Member("source") is { } source ? ManifestJson.ReadIdentity(source) : new(),
            Identity = e.Member("identity") is { } identity ? ManifestJson.ReadIdentity(identity) : null,
        };
    }
}
