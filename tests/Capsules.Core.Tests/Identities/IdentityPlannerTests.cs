using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Identities;

public sealed class IdentityPlannerTests
{
    private static readonly byte[] Random = [.. Enumerable.Range(1, IdentityPlanner.RandomLength).Select(i => (byte)i)];

    private static HostNetworkFacts Host => new()
    {
        Links = [new("lo", null, null, true, 65536), new("eth0", null, MacAddress.Parse("52:54:00:00:00:01"), true, 1500), new("wlan0", null, MacAddress.Parse("52:54:00:00:00:02"), true, 1500)],
        Addresses = [new("eth0", InterfaceAddress.Parse("192.0.2.1/24")), new("lo", InterfaceAddress.Parse("127.0.0.1/8"))],
        Routes = [new(null, IPAddress.Parse("192.0.2.254"), "eth0"), new(InterfaceAddress.Parse("192.0.2.0/24"), null, "eth0")],
        ResolvConf = "nameserver 192.0.2.53\nsearch example.org\n",
        HostName = "here",
    };

    private static Identity Source => new()
    {
        HostName = "bill",
        Domain = "example.net",
        MachineId = MachineId.Parse("0123456789abcdef0123456789abcdef"),
        HostId = 0x140a0f00,
        ProductUuid = "11111111-2222-4333-8444-555555555555",
        ProductSerial = "VMware-56",
        Dmi = ImmutableSortedDictionary<string, string>.Empty.Add("sys_vendor", "VMware, Inc.").Add("board_serial", "VMware-56"),
        NameServers = ["10.20.0.53"],
        Interfaces =
        [
            new() { Name = "ens3", Mac = MacAddress.Parse("52:54:00:6b:1f:02"), Addresses = [InterfaceAddress.Parse("10.20.0.15/24")], Routes = [new(null, IPAddress.Parse("10.20.0.1")), new(InterfaceAddress.Parse("10.77.0.0/16"), IPAddress.Parse("10.20.0.2"), 50)] },
            new() { Name = "ens4", Mac = MacAddress.Parse("52:54:00:6b:1f:03"), Addresses = [InterfaceAddress.Parse("10.30.0.15/24")] },
        ],
    };

    private static IdentityRequest Request => new() { Stack = CapsuleName.Parse("bill"), Source = Source };

    private static IdentityPlan Plan(IdentityRequest request, HostNetworkFacts? facts = null) => IdentityPlanner.Plan(request, facts ?? Host, Random);

    private static string FileIn(IdentityPlan plan, string path) => Encoding.UTF8.GetString(plan.Files.Single(f => f.Path == GuestPath.Parse(path)).Content.Span);

    private static string[] Codes(IdentityPlan plan) => [.. plan.Problems.Select(p => p.Code)];

    [Fact]
    public void A_kept_identity_on_our_own_bridge() => Golden.Check("kept-on-bridge.plan", Text(Plan(Request with { Ports = PublishedPort.Parse("443:8443") })));

    [Fact]
    public void A_fresh_identity() => Golden.Check("fresh.plan", Text(Plan(Request with { Fresh = MemberOption.Parse("all") })));

    [Fact]
    public void A_kept_identity_on_the_real_network() => Golden.Check("macvlan.plan", Text(Plan(Request with { Mode = NetworkMode.Parse("macvlan:eth0") })));

    [Fact]
    public void A_plan_is_the_same_after_a_journey_through_json()
    {
        foreach (NetworkMode mode in (NetworkMode[])[default, new(NetworkKind.Nat), new(NetworkKind.Macvlan, "eth0"), new(NetworkKind.None)])
        {
            NetworkPlan plan = Plan(Request with { Mode = mode, Ports = mode.IsOwnBridge ? PublishedPort.Parse("127.0.0.1:80-82:80-82/udp") : [] }).Network;
            NetworkPlan again = NetworkPlanJson.Read(NetworkPlanJson.Write(plan));
            again.ToString().ShouldBe(plan.ToString());
            again.Steps.Where(s => s.IsShared).ShouldBe(plan.Steps.Where(s => s.IsShared)); // what is shared is found again by being equal
        }
    }

    [Fact]
    public void Beside_the_living_original_everything_is_fresh_and_it_says_so()
    {
        HostNetworkFacts facts = Host with { Addresses = [.. Host.Addresses, new("eth0", InterfaceAddress.Parse("10.20.0.15/24"))] };
        IdentityPlan plan = Plan(Request, facts);
        plan.Problems.ShouldBeEmpty();
        plan.Warnings.ShouldContain(w => w.Code == "CAP3202");
        plan.Decisions.ShouldAllBe(d => !d.IsKept);
        Codes(Plan(Request with { Keep = MemberOption.Parse("address") }, facts)).ShouldBe(["CAP3101"]);
    }

    [Fact]
    public void What_another_stack_holds_is_refused_while_it_runs()
    {
        IdentityLease address = new("10.20.0.15", CapsuleName.Parse("other"), true), mac = new("52:54:00:6b:1f:02", CapsuleName.Parse("other"), true);
        Codes(Plan(Request, Host with { Leases = [address, mac] })).ShouldBe(["CAP3102", "CAP3105"], ignoreOrder: true);
        Codes(Plan(Request, Host with { Leases = [address with { IsLive = false }] })).ShouldBeEmpty();
        Codes(Plan(Request, Host with { Leases = [address with { Stack = Request.Stack }] })).ShouldBeEmpty();
    }

    [Fact]
    public void All_problems_are_told_at_once() =>
        Codes(Plan(new() { Stack = Request.Stack, Mode = NetworkMode.Parse("macvlan:eth9"), Mac = MacAddress.Parse("01:00:00:00:00:01"), HostName = "a b" })).ShouldBe(["CAP3114", "CAP3117", "CAP3108", "CAP3106"], ignoreOrder: true);

    [Theory]
    [InlineData("macvlan:eth0", "52:54:00:00:00:01", "CAP3103")]
    [InlineData("bridge:eth0", null, "CAP3107")]
    [InlineData("stack:nobody", null, "CAP3113")]
    public void A_network_that_cannot_be(string mode, string? mac, string code) =>
        Codes(Plan(Request with { Mode = NetworkMode.Parse(mode), Mac = mac is null ? null : MacAddress.Parse(mac) })).ShouldBe([code]);

    [Theory]
    [InlineData("127.0.0.5/8")]
    [InlineData("224.0.0.5/4")]
    [InlineData("10.20.0.0/24")]
    [InlineData("10.20.0.255/24")]
    [InlineData("0.0.0.0/24")]
    [InlineData("ff02::1/64")]
    public void An_address_that_no_host_can_have(string address) => Codes(Plan(Request with { Addresses = [AddressOption.Parse(address)] })).ShouldBe(["CAP3118"]);

    [Fact]
    public void An_address_that_was_asked_for_finds_its_subnet_and_gateway()
    {
        IdentityPlan plan = Plan(new() { Stack = Request.Stack, Mode = NetworkMode.Parse("macvlan:eth0"), Addresses = [AddressOption.Parse("192.0.2.77")] });
        plan.Problems.ShouldBeEmpty();
        plan.Identity.Interfaces[0].Addresses.ShouldBe([InterfaceAddress.Parse("192.0.2.77/24")]);
        plan.Identity.Interfaces[0].Routes.ShouldBe([new(null, IPAddress.Parse("192.0.2.254"))]);
        Codes(Plan(Request with { Addresses = [AddressOption.Parse("203.0.113.5")] })).ShouldBe(["CAP3116"]);
    }

    [Fact]
    public void What_was_fresh_once_stays()
    {
        IdentityRequest request = Request with { Fresh = MemberOption.Parse("all") };
        Identity first = Plan(request).Identity;
        Identity second = IdentityPlanner.Plan(request with { Before = first }, Host, new byte[IdentityPlanner.RandomLength]).Identity;
        second.ShouldSatisfyAllConditions(i => i.MachineId.ShouldBe(first.MachineId), i => i.Interfaces[0].Mac.ShouldBe(first.Interfaces[0].Mac), i => i.ProductUuid.ShouldBe(first.ProductUuid),
            i => i.ProductSerial.ShouldBe(first.ProductSerial), i => i.Interfaces[0].Addresses.ShouldBe(first.Interfaces[0].Addresses));
        IdentityPlanner.Plan(Request with { Before = first }, Host, Random).Identity.MachineId.ShouldBe(Source.MachineId); // kept again when the wish for fresh is gone
    }

    [Theory]
    [InlineData("nameserver 127.0.0.53\n", "nameserver 192.0.2.9\nnameserver 192.0.2.10\n", "192.0.2.9,192.0.2.10")]
    [InlineData("nameserver 127.0.0.1\nnameserver 192.0.2.53\n", null, "192.0.2.53")]
    [InlineData("nameserver 127.0.0.53\n", null, "10.20.0.53")]
    [InlineData("nameserver fe80::1%eth0\nnameserver ::1\n# nameserver 1.2.3.4\nnameserver\n", null, "10.20.0.53")]
    public void Name_servers_are_those_that_can_be_reached(string resolvConf, string? behindTheStub, string expected) =>
        Plan(Request, Host with { ResolvConf = resolvConf, SystemdResolvConf = behindTheStub }).Identity.NameServers.ShouldBe(expected.Split(','));

    [Fact]
    public void Without_any_name_server_it_warns() =>
        Plan(Request with { Source = new() }, Host with { ResolvConf = "nameserver 127.0.0.1\n" }).Warnings.ShouldContain(w => w.Code == "CAP3203");

    [Fact]
    public void Programs_read_who_they_are()
    {
        IdentityPlan plan = Plan(Request);
        FileIn(plan, "/etc/machine-id").ShouldBe("0123456789abcdef0123456789abcdef\n");
        FileIn(plan, "/var/lib/dbus/machine-id").ShouldBe(FileIn(plan, "/etc/machine-id"));
        FileIn(plan, "/etc/hostname").ShouldBe("bill\n");
        FileIn(plan, "/etc/hosts").ShouldContain("10.20.0.15\tbill.example.net bill\n");
        plan.Files.Single(f => f.Path == GuestPath.Parse("/etc/hostid")).Content.ToArray().ShouldBe([0x00, 0x0f, 0x0a, 0x14]);
        plan.Dmi.ShouldContain(new DmiFile("product_serial", "VMware-56\n", 0x100));
        plan.Dmi.ShouldContain(new DmiFile("sys_vendor", "VMware, Inc.\n", 0x124));
    }

    [Fact]
    public void A_fresh_serial_does_not_let_the_original_shine_through() =>
        Plan(Request with { Fresh = MemberOption.Parse("serial") }).Dmi.ShouldNotContain(d => d.Content.Contains("VMware-56", StringComparison.Ordinal));

    [Fact]
    public void The_host_id_is_derived_as_glibc_derives_it() => IdentityPlanner.DerivedHostId(IPAddress.Parse("10.20.0.15")).ShouldBe(0x140a0f00u);

    [Fact]
    public void Firewalls_of_others_are_met_where_they_allow_it()
    {
        IdentityPlan plan = Plan(Request, Host with { ForwardChains = [new("ip", "filter", "FORWARD", true), new("ip", "filter", "DOCKER-USER", false), new("ip6", "filter", "FORWARD", true), new("inet", "firewalld", "filter_FORWARD", false), new("inet", "mine", "fwd", false)] });
        plan.Network.Steps.OfType<NetworkStep.Admission>().Select(a => $"{a.Family} {a.Table} {a.Chain}").ShouldBe(["inet firewalld filter_FORWARD", "ip filter DOCKER-USER", "ip6 filter FORWARD"]);
        plan.Warnings.ShouldContain(w => w.Code == "CAP3205" && w.Fix!.Contains("--zone=trusted", StringComparison.Ordinal));
    }

    [Fact]
    public void Names_of_links_are_short_and_differ()
    {
        CapsuleName shortName = CapsuleName.Parse("bill"), longName = CapsuleName.Parse(new string('a', 63));
        string[] names = [NetworkPlan.HostLinkName(shortName, 0), NetworkPlan.HostLinkName(shortName, 1), NetworkPlan.HostLinkName(longName, 0), NetworkPlan.HostLinkName(longName, 12)];
        names.ShouldAllBe(n => NetworkPlanJson.IsLinkName(n));
        names.Distinct().Count().ShouldBe(4);
    }

    private static string Text(IdentityPlan plan) =>
        string.Concat(plan.Decisions.Select(d => $"{d.Member,-10} {d.Value}  ({d.Reason})\n")) + plan.Network + string.Concat(plan.Problems.Select(p => $"{p}\n")) + string.Concat(plan.Warnings.Select(w => $"{w}\n"));
}
