using System.Net;
using Capsules.Linux.Netlink;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Netlink;

public sealed class RouteSocketTests
{
    private static readonly EthernetAddress Mac = new(0x0242_0A90_0005);

    [Fact]
    public void A_veth_pair_is_named_enslaved_and_moved_by_one_message()
    {
        using Descriptor host = PrivateNetwork.Create(), guest = PrivateNetwork.Create();
        using var outer = RouteSocket.Open(host);
        using var inner = RouteSocket.Open(guest);
        outer.Apply(new RouteBatch().CreateBridge("br", new(0x0242_0A90_0001)));
        int bridge = outer.FindLink("br")!.Index;

        outer.Apply(new RouteBatch()
            .CreateVeth(new() { Name = "cap-x", Master = bridge, PeerName = "eth0", PeerAddress = Mac, PeerNamespace = guest, Mtu = 1400 })
            .ChangeLink("cap-x", new() { Alias = "a text" }));

        LinkStatus near = outer.FindLink("cap-x")!, far = inner.FindLink("eth0")!;
        near.ShouldSatisfyAllConditions(l => l.Kind.ShouldBe("veth"), l => l.Master.ShouldBe(bridge), l => l.IsUp.ShouldBeTrue(), l => l.Alias.ShouldBe("a text"), l => l.Mtu.ShouldBe(1400));
        far.ShouldSatisfyAllConditions(l => l.Address.ShouldBe(Mac), l => l.Mtu.ShouldBe(1400), l => l.Parent.ShouldBe(near.Index), l => l.ParentNamespace.ShouldBeGreaterThanOrEqualTo(0));
        outer.FindLink("br")!.Address.ShouldBe(new EthernetAddress(0x0242_0A90_0001));
    }

    [Fact]
    public void Addresses_and_routes_are_listed_as_they_were_added()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var route = RouteSocket.Open(host);
        route.Apply(new RouteBatch().CreateBridge("br", null));
        int link = route.FindLink("br")!.Index;
        route.Apply(new RouteBatch()
            .AddAddress(link, IPAddress.Parse("10.20.0.15"), 24)
            .AddAddress(link, IPAddress.Parse("fd00::15"), 64)
            .AddRoute(new() { IsIPv6 = false, Gateway = IPAddress.Parse("10.20.0.1"), Metric = 50 })
            .AddRoute(new() { IsIPv6 = false, Destination = IPAddress.Parse("10.99.0.0"), PrefixLength = 16, Gateway = IPAddress.Parse("192.0.2.1"), Link = link, OnLink = true })
            .AddRoute(new() { IsIPv6 = false, Destination = IPAddress.Parse("10.77.0.9"), PrefixLength = 32, Link = link, Source = IPAddress.Parse("10.20.0.15") })
            .AddRoute(new() { IsIPv6 = true, Gateway = IPAddress.Parse("fd00::1") }));

        route.Addresses().Where(a => a.Link == link && !a.IsLinkLocal).Select(a => $"{a.Address}/{a.PrefixLength}").ShouldBe(["10.20.0.15/24", "fd00::15/64"], ignoreOrder: true);
        var routes = route.Routes();
        routes.ShouldContain(r => !r.IsIPv6 && r.Destination == null && r.Gateway!.ToString() == "10.20.0.1" && r.Metric == 50 && r.Link == link);
        routes.ShouldContain(r => r.PrefixLength == 16 && r.OnLink && r.Gateway!.ToString() == "192.0.2.1");
        routes.ShouldContain(r => r.PrefixLength == 32 && r.Source!.ToString() == "10.20.0.15");
        routes.ShouldContain(r => r.IsIPv6 && r.Destination == null && r.Gateway!.ToString() == "fd00::1");
        PrivateNetwork.Run(host, "ip", "-o", "address", "show", "dev", "br").ShouldContain("10.20.0.15/24 brd 10.20.0.255");

        route.Apply(new RouteBatch().RemoveAddress(link, IPAddress.Parse("10.20.0.15"), 24).DeleteLink(link));
        route.FindLink("br").ShouldBeNull();
    }

    [Fact]
    public void A_macvlan_is_made_in_the_other_namespace_with_its_own_address()
    {
        var (host, far) = PrivateNetwork.CreatePair("10.1.0.1", "10.1.0.2");
        using Descriptor guest = PrivateNetwork.Create();
        using (host)
        using (far)
        {
            using var outer = RouteSocket.Open(host);
            using var inner = RouteSocket.Open(guest);
            outer.Apply(new RouteBatch().CreateMacvlan(new() { Name = "eth0", Parent = outer.FindLink("near")!.Index, Address = Mac, Namespace = guest }));
            LinkStatus link = inner.FindLink("eth0")!;
            link.ShouldSatisfyAllConditions(l => l.Kind.ShouldBe("macvlan"), l => l.Address.ShouldBe(Mac), l => l.IsUp.ShouldBeFalse());
            inner.Apply(new RouteBatch().ChangeLink(link.Index, new() { Up = true }).AddAddress(link.Index, IPAddress.Parse("10.1.0.9"), 24));
            using var listener = PrivateNetwork.Listen(far, 80);
            PrivateNetwork.Connect(guest, "10.1.0.2", 80, listener).ShouldBe("10.1.0.9");
        }
    }

    [Fact]
    public void A_refusal_carries_the_subject_and_the_kernels_own_words()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var route = RouteSocket.Open(host);
        SyscallException e = Should.Throw<SyscallException>(() => route.Apply(new RouteBatch()
            .ChangeLink(1, new() { Up = true })
            .AddRoute(new() { IsIPv6 = false, Gateway = IPAddress.Parse("203.0.113.1") })));
        e.ShouldSatisfyAllConditions(x => x.Errno.ShouldBe(101), x => x.Detail.ShouldBe("Nexthop has invalid gateway"), x => x.Message.ShouldContain("route default via 203.0.113.1"));
    }

    [Fact]
    public void A_link_that_is_not_there_is_not_found()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var route = RouteSocket.Open(host);
        route.FindLink("eth7").ShouldBeNull();
        route.Links().Select(l => l.Name).ShouldBe(["lo"]);
    }

    [Fact]
    public void A_neighbour_is_listed_once_it_was_spoken_to()
    {
        var (near, far) = PrivateNetwork.CreatePair("10.1.0.1", "10.1.0.2");
        using (near)
        using (far)
        {
            using var listener = PrivateNetwork.Listen(far, 80);
            PrivateNetwork.Connect(near, "10.1.0.2", 80, listener).ShouldBe("10.1.0.1");
            using var route = RouteSocket.Open(near);
            using var other = RouteSocket.Open(far);
            route.Neighbours().ShouldContain(n => n.Address.ToString() == "10.1.0.2" && n.Ethernet == other.FindLink("far")!.Address);
        }
    }
}
