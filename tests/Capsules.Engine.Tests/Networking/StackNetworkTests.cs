using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Linux.Netlink;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Networking;

public sealed class StackNetworkTests
{
    private static IdentityRequest Fresh(string stack, params string[] ports) =>
        new() { Stack = CapsuleName.Parse(stack), Ports = [.. ports.SelectMany(p => PublishedPort.Parse(p))] };

    private static IdentityRequest Kept(string stack, string address = "10.20.0.15/24", string gateway = "10.20.0.1", string mac = "52:54:00:6b:1f:02") => new()
    {
        Stack = CapsuleName.Parse(stack),
        Source = new()
        {
            HostName = "bill", Domain = "example.net",
            Interfaces = [new() { Name = "ens3", Mac = MacAddress.Parse(mac), Addresses = [InterfaceAddress.Parse(address)], Routes = [new(null, IPAddress.Parse(gateway))] }],
        },
    };

    private static string AddressOf(IdentityPlan plan) => plan.Identity.Interfaces[0].Addresses[0].Address.ToString();

    [Fact]
    public void A_fresh_stack_reaches_the_world_as_its_host_and_is_reached_by_its_ports()
    {
        using var host = new TestHost();
        string before = host.Picture();
        var (web, plan) = host.Start(Fresh("web", "8080:80", "127.0.0.1:9090:80"));
        var (other, _) = host.Start(Fresh("other"));
        string address = AddressOf(plan);

        using (var outside = TestHost.Listen(host.Outside, 80)) TestHost.Connect(web, "192.0.2.254", 80, outside).ShouldBe("192.0.2.1");
        using (var listener = TestHost.Listen(web, 80))
        {
            TestHost.Connect(host.Outside, "192.0.2.1", 8080, listener).ShouldBe("192.0.2.254");
            TestHost.Connect(host.Space, "127.0.0.1", 8080, listener).ShouldBe("10.144.0.1");
            TestHost.Connect(host.Space, "192.0.2.1", 8080, listener).ShouldNotBeNull();
            TestHost.Connect(host.Space, "127.0.0.1", 9090, listener).ShouldNotBeNull();
            TestHost.Connect(host.Outside, "192.0.2.1", 9090, listener, 300).ShouldBeNull();
            TestHost.Connect(host.Space, address, 80, listener).ShouldBe("10.144.0.1");
            TestHost.Connect(other, address, 80, listener).ShouldBe("10.144.0.3");
            TestHost.Connect(other, "192.0.2.1", 8080, listener).ShouldNotBeNull();
            TestHost.Connect(web, "192.0.2.1", 8080, listener).ShouldNotBeNull();
        }
        using (var secret = TestHost.Listen(host.Space, 7070)) TestHost.Connect(web, "10.144.0.1", 7070, secret).ShouldBe(address);
        host.Stop("web");
        host.Stop("other");
        host.Stop("other");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void A_capsule_cannot_reach_what_listens_on_the_hosts_loopback()
    {
        using var host = new TestHost();
        var (web, _) = host.Start(Fresh("web"));
        using var secret = TestHost.Listen(host.Space, 7070);
        TestHost.Run(web, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local");
        TestHost.Run(web, "ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local");
        TestHost.Run(web, "ip", "address", "del", "127.0.0.1/8", "dev", "lo");
        TestHost.Run(web, "ip", "route", "add", "127.0.0.1/32", "via", "10.144.0.1");
        TestHost.Connect(web, "127.0.0.1", 7070, secret, 400).ShouldBeNull();
    }

    [Fact]
    public void A_kept_address_of_another_network_is_the_capsules_own_and_the_host_reaches_it()
    {
        using var host = new TestHost();
        string before = host.Picture();
        var (bill, plan) = host.Start(Kept("bill"));
        var (db, _) = host.Start(Kept("db", "10.20.0.16/24", mac: "52:54:00:6b:1f:03"));
        plan.Warnings.ShouldContain(w => w.Code == "CAP3201");
        TestHost.Run(bill, "ip", "route").ShouldContain("default via 10.20.0.1 dev ens3");
        TestHost.Run(bill, "ip", "link", "show", "ens3").ShouldContain("52:54:00:6b:1f:02");
        using (var listener = TestHost.Listen(bill, 80))
        {
            TestHost.Connect(host.Space, "10.20.0.15", 80, listener).ShouldBe("10.20.0.1");
            TestHost.Connect(db, "10.20.0.15", 80, listener).ShouldBe("10.20.0.16");
        }
        using (var outside = TestHost.Listen(host.Outside, 80)) TestHost.Connect(bill, "192.0.2.254", 80, outside).ShouldBe("192.0.2.1");
        host.Stop("db");
        using (var outside = TestHost.Listen(host.Outside, 81)) TestHost.Connect(bill, "192.0.2.254", 81, outside).ShouldBe("192.0.2.1"); // the gateway that both had is still there
        host.Stop("bill");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void A_kept_address_of_the_hosts_own_network_leaves_the_real_gateway_alone()
    {
        using var host = new TestHost();
        var (bill, _) = host.Start(Kept("bill", "192.0.2.15/24", "192.0.2.254"));
        using var outside = TestHost.Listen(host.Outside, 80);
        TestHost.Connect(bill, "192.0.2.254", 80, outside).ShouldBe("192.0.2.1");
        TestHost.Connect(host.Space, "192.0.2.254", 80, outside).ShouldBe("192.0.2.1");
        using var listener = TestHost.Listen(bill, 80);
        TestHost.Connect(host.Space, "192.0.2.15", 80, listener).ShouldBe("10.144.0.1");
    }

    [Fact]
    public void IPv6_is_kept_too()
    {
        using var host = new TestHost();
        string before = host.Picture();
        var request = Kept("bill");
        request = request with
        {
            Source = request.Source with
            {
                Interfaces = [request.Source.Interfaces[0] with { Addresses = [InterfaceAddress.Parse("10.20.0.15/24"), InterfaceAddress.Parse("fd20::15/64")],
                    Routes = [new(null, IPAddress.Parse("10.20.0.1")), new(null, IPAddress.Parse("fe80::1"))] }],
            },
        };
        var (bill, _) = host.Start(request);
        using (var listener = TestHost.Listen(bill, 80)) TestHost.Connect(host.Space, "fd20::15", 80, listener).ShouldNotBeNull();
        host.Stop("bill");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void An_address_that_somebody_answers_for_is_refused_and_nothing_is_left()
    {
        using var host = new TestHost();
        TestHost.Run(host.Outside, "ip", "address", "add", "192.0.2.15/24", "dev", "lan");
        string before = host.Picture();
        Should.Throw<CapsuleException>(() => host.Start(Kept("bill", "192.0.2.15/24", "192.0.2.254"))).Problem.Code.ShouldBe("CAP3104");
        host.Picture().ShouldBe(before);
        Should.Throw<CapsuleException>(() => host.Start(Kept("bill", "192.0.2.15/24", "192.0.2.254") with { Mode = new(NetworkKind.Macvlan, "out") })).Problem.Code.ShouldBe("CAP3104");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void A_macvlan_is_present_on_the_real_network()
    {
        using var host = new TestHost();
        var (bill, plan) = host.Start(Kept("bill", "192.0.2.15/24", "192.0.2.254") with { Mode = new(NetworkKind.Macvlan, "out") });
        using var listener = TestHost.Listen(bill, 80);
        TestHost.Connect(host.Outside, "192.0.2.15", 80, listener).ShouldBe("192.0.2.254");
        TestHost.Run(host.Outside, "ip", "neigh").ShouldContain("192.0.2.15 dev lan lladdr 52:54:00:6b:1f:02");
        using var outside = TestHost.Listen(host.Outside, 80);
        TestHost.Connect(bill, "192.0.2.254", 80, outside).ShouldBe("192.0.2.15");
        plan.Network.Steps.OfType<NetworkStep.Bridge>().ShouldBeEmpty();
    }

    [Fact]
    public void A_port_of_a_bridge_of_the_host_is_present_there()
    {
        using var host = new TestHost();
        TestHost.Run(host.Space, "ip", "link", "add", "br7", "type", "bridge");
        TestHost.Run(host.Space, "ip", "link", "set", "br7", "up");
        TestHost.Run(host.Space, "ip", "link", "set", "out", "master", "br7");
        var (bill, _) = host.Start(Kept("bill", "192.0.2.15/24", "192.0.2.254") with { Mode = new(NetworkKind.HostBridge, "br7") });
        using var outside = TestHost.Listen(host.Outside, 80);
        TestHost.Connect(bill, "192.0.2.254", 80, outside).ShouldBe("192.0.2.15");
    }

    [Fact]
    public void An_identity_has_one_live_holder()
    {
        using var host = new TestHost();
        host.Start(Kept("bill"));
        Should.Throw<CapsuleException>(() => host.Start(Kept("copy"))).Problem.Code.ShouldBe("CAP3102");
        host.Stop("bill");
        host.Start(Kept("copy"));
    }

    [Fact]
    public void A_stack_finds_its_address_again_and_nobody_else_gets_it()
    {
        using var host = new TestHost();
        string first = AddressOf(host.Start(Fresh("web")).Plan);
        host.Stop("web");
        AddressOf(host.Start(Fresh("other")).Plan).ShouldNotBe(first);
        AddressOf(host.Start(Fresh("web")).Plan).ShouldBe(first);
        host.Stop("web");
        host.On(n => { n.Forget(CapsuleName.Parse("web")); return 0; });
        AddressOf(host.Start(Fresh("third")).Plan).ShouldBe(first);
    }

    [Fact]
    public void A_port_leads_to_one_place()
    {
        using var host = new TestHost();
        host.Start(Fresh("web", "8080:80"));
        var taken = Should.Throw<CapsuleException>(() => host.Start(Fresh("other", "8080:80"))).Problem;
        taken.ShouldSatisfyAllConditions(p => p.Code.ShouldBe("CAP3111"), p => p.Cause!.ShouldContain("web"));
        using var listener = TestHost.Listen(host.Space, 7000);
        Should.Throw<CapsuleException>(() => host.Start(Fresh("third", "7000:80"))).Problem.Cause!.ShouldContain("listens");
    }

    [Fact]
    public void A_start_after_a_crash_begins_anew()
    {
        using var host = new TestHost();
        host.Start(Fresh("web", "8080:80"));
        var (web, _) = host.Start(Fresh("web", "8080:80"));
        using var listener = TestHost.Listen(web, 80);
        TestHost.Connect(host.Outside, "192.0.2.1", 8080, listener).ShouldBe("192.0.2.254");
    }

    [Fact]
    public void The_bridge_takes_a_subnet_that_the_host_does_not_know()
    {
        using var host = new TestHost();
        TestHost.Run(host.Space, "ip", "route", "add", "10.144.0.0/14", "via", "192.0.2.254");
        AddressOf(host.Start(Fresh("web")).Plan).ShouldBe("10.148.0.2");
    }

    [Fact]
    public void Twenty_stacks_start_at_once_with_addresses_of_their_own()
    {
        using var host = new TestHost();
        string before = host.Picture();
        string?[] addresses = new string?[20];
        Thread[] threads = [.. Enumerable.Range(0, 20).Select(i => new Thread(() => addresses[i] = AddressOf(host.Start(Fresh($"s{i}", $"{8000 + i}:80")).Plan)))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        addresses.Distinct().Count().ShouldBe(20);
        addresses.ShouldNotContain((string?)null);
        for (int i = 0; i < 20; i++) host.Stop($"s{i}");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void A_source_is_read_with_its_links_addresses_and_routes()
    {
        using var host = new TestHost();
        var (bill, plan) = host.Start(Kept("bill"));
        NetworkInterface link = Engine.Networking.InterfaceReader.Read(bill).ShouldHaveSingleItem();
        link.ShouldSatisfyAllConditions(l => l.Name.ShouldBe("ens3"), l => l.Mac.ShouldBe(MacAddress.Parse("52:54:00:6b:1f:02")), l => l.Addresses.ShouldBe([InterfaceAddress.Parse("10.20.0.15/24")]),
            l => l.Routes.ShouldBe([new(null, IPAddress.Parse("10.20.0.1"))]), l => l.Mtu.ShouldBeNull());
    }
}
