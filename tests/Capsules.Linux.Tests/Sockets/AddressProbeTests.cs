using System.Net;
using System.Runtime.CompilerServices;
using Capsules.Linux.Netlink;
using Capsules.Linux.Sockets;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Sockets;

public sealed class AddressProbeTests
{
    private static readonly TimeSpan Time = TimeSpan.FromMilliseconds(250);

    private static LinkStatus Link(Descriptor space, string name)
    {
        using var route = RouteSocket.Open(space);
        return route.FindLink(name)!;
    }

    [Theory]
    [InlineData("10.1.0.1", "10.1.0.2", "10.1.0.3", 24)]
    [InlineData("fd01::1", "fd01::2", "fd01::3", 64)]
    public void An_address_that_is_held_is_seen_with_its_holder_and_a_free_one_is_free(string own, string held, string free, int prefixLength)
    {
        var (near, far) = PrivateNetwork.CreatePair(own, held, prefixLength);
        using (near)
        using (far)
        {
            using (var probe = AddressProbe.Start(near, Link(near, "near"), IPAddress.Parse(held))) probe.Wait(Time).ShouldBe(Link(far, "far").Address);
            using (var probe = AddressProbe.Start(near, Link(near, "near"), IPAddress.Parse(free))) probe.Wait(Time).ShouldBeNull();
        }
    }

    [Fact]
    public void Two_who_probe_for_the_same_address_see_each_other()
    {
        var (near, far) = PrivateNetwork.CreatePair("10.1.0.1", "10.1.0.2");
        using (near)
        using (far)
        using (var first = AddressProbe.Start(near, Link(near, "near"), IPAddress.Parse("10.1.0.9")))
        using (AddressProbe.Start(far, Link(far, "far"), IPAddress.Parse("10.1.0.9")))
            first.Wait(Time).ShouldBe(Link(far, "far").Address);
    }

    [Fact]
    public void An_announcement_corrects_the_neighbours_cache()
    {
        var (near, far) = PrivateNetwork.CreatePair("10.1.0.1", "10.1.0.2");
        using (near)
        using (far)
        {
            LinkStatus link = Link(far, "far");
            PrivateNetwork.Run(near, "ip", "neigh", "replace", "10.1.0.9", "lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "stale");
            AddressProbe.Announce(far, link, IPAddress.Parse("10.1.0.9"));
            using var route = RouteSocket.Open(near);
            SpinWait.SpinUntil(() => route.Neighbours().Any(n => n.Address.ToString() == "10.1.0.9" && n.Ethernet == link.Address), TimeSpan.FromSeconds(2)).ShouldBeTrue();
        }
    }

    [Fact]
    public void The_kernel_takes_our_neighbour_advertisement()
    {
        var (near, far) = PrivateNetwork.CreatePair("fd01::1", "fd01::2", 64);
        using (near)
        using (far)
        {
            LinkStatus link = Link(far, "far");
            PrivateNetwork.Run(near, "ip", "neigh", "replace", "fd01::9", "lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "stale");
            AddressProbe.Announce(far, link, IPAddress.Parse("fd01::9"));
            using var route = RouteSocket.Open(near);
            SpinWait.SpinUntil(() => route.Neighbours().Any(n => n.Address.ToString() == "fd01::9" && n.Ethernet == link.Address), TimeSpan.FromSeconds(2)).ShouldBeTrue();
        }
    }

    [Fact]
    public void Structures_have_the_sizes_that_C_gives_them()
    {
        Unsafe.SizeOf<PacketSocket.LinkAddress>().ShouldBe(20); // sizeof(struct sockaddr_ll), linux/if_packet.h
        Unsafe.SizeOf<PacketSocket.Membership>().ShouldBe(16); // sizeof(struct packet_mreq)
    }
}
