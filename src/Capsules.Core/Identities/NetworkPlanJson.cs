using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>A network plan as JSON: docs/formats/network.md. The same file is the record of what was made for a stack that is up.</summary>
public static class NetworkPlanJson
{
    /// <summary>The file's bytes.</summary>
    public static byte[] Write(NetworkPlan plan) => JsonWriting.Document(w => WriteMembers(w, plan));

    /// <summary>The members of a plan, inside an object.</summary>
    public static void WriteMembers(Utf8JsonWriter w, NetworkPlan plan)
    {
        w.WriteNumber("schemaVersion", NetworkPlan.CurrentSchemaVersion);
        w.Text("stack", plan.Stack.ToString());
        w.Text("mode", plan.Mode.ToString());
        w.Objects("steps", plan.Steps, step => WriteStep(w, step));
    }

    /// <summary>Reads a plan.</summary>
    /// <exception cref="FormatException">It is not such a file.</exception>
    public static NetworkPlan Read(ReadOnlyMemory<byte> bytes)
    {
        return ReadMembers(ManifestJson.Parse(bytes));
    }

    /// <summary>Reads the members of a plan.</summary>
    /// <exception cref="FormatException">They are not those of a plan.</exception>
    public static NetworkPlan ReadMembers(JsonElement e)
    {
        ManifestJson.CheckVersion(e, NetworkPlan.CurrentSchemaVersion);
        return new()
        {
            Stack = CapsuleName.Parse(e.RequiredText("stack")),
            Mode = NetworkMode.Parse(e.RequiredText("mode")),
            Steps = [.. e.Items("steps").Select(ReadStep)],
        };
    }

    private static void WriteStep(Utf8JsonWriter w, NetworkStep step)
    {
        w.Text("do", Verb(step));
        switch (step)
        {
            case NetworkStep.Bridge s:
                w.Text("link", s.Name);
                w.Text("address", s.Address.ToString());
                w.Text("mac", s.Mac.ToString());
                break;
            case NetworkStep.Forwarding s:
                w.WriteBoolean("ipv6", s.IPv6);
                break;
            case NetworkStep.Rules s:
                w.Text("bridge", s.BridgeName);
                break;
            case NetworkStep.Admission s:
                w.Text("family", s.Family);
                w.Text("table", s.Table);
                w.Text("chain", s.Chain);
                w.Text("bridge", s.BridgeName);
                break;
            case NetworkStep.GatewayAddress s:
                w.Text("bridge", s.BridgeName);
                w.Text("address", s.Address.ToString());
                break;
            case NetworkStep.ProxyArp s:
                w.Text("bridge", s.BridgeName);
                break;
            case NetworkStep.HostRoute s:
                w.Text("bridge", s.BridgeName);
                w.Text("to", s.Destination.ToString());
                w.Text("source", s.Source?.ToString());
                break;
            case NetworkStep.Veth s:
                w.Text("hostLink", s.HostName);
                w.Text("bridge", s.BridgeName);
                w.Text("link", s.GuestName);
                w.Text("mac", s.Mac.ToString());
                w.Integer("mtu", s.Mtu);
                break;
            case NetworkStep.Macvlan s:
                w.Text("parent", s.Parent);
                w.Text("link", s.GuestName);
                w.Text("mac", s.Mac.ToString());
                w.Integer("mtu", s.Mtu);
                break;
            case NetworkStep.GuestUp s:
                w.Text("link", s.Link);
                break;
            case NetworkStep.Probe s:
                w.Text("link", s.Link);
                w.Text("address", s.Address.ToString());
                w.WriteBoolean("inside", s.Inside);
                break;
            case NetworkStep.GuestAddress s:
                w.Text("link", s.Link);
                w.Text("address", s.Address.ToString());
                break;
            case NetworkStep.GuestRoute s:
                w.Text("link", s.Link);
                w.Text("to", s.Route.Destination?.ToString());
                w.Text("via", s.Route.Gateway?.ToString());
                w.Integer("metric", s.Route.Metric);
                w.WriteBoolean("onLink", s.OnLink);
                break;
            case NetworkStep.Publish s:
                w.Text("port", s.Port.ToString());
                w.Text("to", s.To.ToString());
                break;
            case NetworkStep.Announce s:
                w.Text("link", s.Link);
                w.Text("address", s.Address.ToString());
                break;
            default: throw new InvalidOperationException($"a step that the format does not know: {step.GetType().Name}");
        }
    }

    private static string Verb(NetworkStep step) => step switch
    {
        NetworkStep.Bridge => "bridge",
        NetworkStep.Forwarding => "forwarding",
        NetworkStep.Rules => "rules",
        NetworkStep.Admission => "admission",
        NetworkStep.GatewayAddress => "gateway-address",
        NetworkStep.ProxyArp => "proxy-arp",
        NetworkStep.HostRoute => "host-route",
        NetworkStep.Veth => "veth",
        NetworkStep.Macvlan => "macvlan",
        NetworkStep.GuestUp => "up",
        NetworkStep.Probe => "probe",
        NetworkStep.GuestAddress => "address",
        NetworkStep.GuestRoute => "route",
        NetworkStep.Publish => "publish",
        NetworkStep.Announce => "announce",
        _ => throw new InvalidOperationException($"a step that the format does not know: {step.GetType().Name}"),
    };

    private static NetworkStep ReadStep(JsonElement e)
    {
        return e.RequiredText("do") switch
        {
            "bridge" => new NetworkStep.Bridge(Link(), Cidr("address"), Mac()),
            "forwarding" => new NetworkStep.Forwarding(e.Flag("ipv6") ?? false),
            "rules" => new NetworkStep.Rules(BridgeName()),
            "admission" => new NetworkStep.Admission(e.RequiredText("family"), e.RequiredText("table"), e.RequiredText("chain"), BridgeName()),
            "gateway-address" => new NetworkStep.GatewayAddress(BridgeName(), Cidr("address")),
            "proxy-arp" => new NetworkStep.ProxyArp(BridgeName()),
            "host-route" => new NetworkStep.HostRoute(BridgeName(), Ip("to"), e.Text("source") is null ? null : Ip("source")),
            "veth" => new NetworkStep.Veth(Name("hostLink"), BridgeName(), Link(), Mac(), e.SmallInteger("mtu")),
            "macvlan" => new NetworkStep.Macvlan(Name("parent"), Link(), Mac(), e.SmallInteger("mtu")),
            "up" => new NetworkStep.GuestUp(Link()),
            "probe" => new NetworkStep.Probe(Link(), Ip("address"), e.Flag("inside") ?? true),
            "address" => new NetworkStep.GuestAddress(Link(), Cidr("address")),
            "route" => new NetworkStep.GuestRoute(Link(), new(e.Text("to") is null ? null : Cidr("to"), e.Text("via") is null ? null : Ip("via"), e.SmallInteger("metric")), e.Flag("onLink") ?? false),
            "publish" => new NetworkStep.Publish(PublishedPort.Parse(e.RequiredText("port"))[0], Ip("to")),
            "announce" => new NetworkStep.Announce(Link(), Ip("address")),
            var other => throw new FormatException($"`do` is `{other}`, which is no step of a network plan"),
        };

        string Link() => Name("link");
        string BridgeName() => Name("bridge");
        MacAddress Mac() => MacAddress.Parse(e.RequiredText("mac"));
        InterfaceAddress Cidr(string member) => InterfaceAddress.Parse(e.RequiredText(member));
        IPAddress Ip(string member) => IPAddress.TryParse(e.RequiredText(member), out var address) ? address : throw new FormatException($"`{member}` must be an address");
        string Name(string member) => IsLinkName(e.RequiredText(member)) ? e.RequiredText(member) : throw new FormatException($"`{member}` must be the name of a link");
    }

    /// <summary>dev_valid_name of the kernel (net/core/dev.c): up to 15 bytes, no slash, colon or space, not "." or "..".</summary>
    public static bool IsLinkName(string name) =>
        name.Length is > 0 and < 16 && name is not ("." or "..") && name.All(c => c is > ' ' and < '\x7f' and not ('/' or ':'));
}
