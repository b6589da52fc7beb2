using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Identities;

public sealed class AddressPoolTests
{
    private static readonly Gen<InterfaceAddress> AnySubnet =
        Gen.Select(Gen.Byte, Gen.Byte, Gen.Int[4, 32]).Select((second, third, length) => new InterfaceAddress(new([10, second, third, 1]), length));

    [Fact]
    public void The_chosen_subnet_touches_nothing_that_the_host_knows() =>
        AnySubnet.Array[0, 12].Sample(taken => (AddressPool.Choose(taken) is not { } pool || !taken.Any(t => t.Overlaps(pool.Gateway))).ShouldBeTrue());

    [Fact]
    public void Overlap_is_the_same_from_both_sides() => Gen.Select(AnySubnet, AnySubnet).Sample((a, b) => a.Overlaps(b).ShouldBe(b.Overlaps(a)));

    [Fact]
    public void An_address_is_free_and_in_the_subnet_and_not_special() =>
        Gen.Select(Gen.Int[20, 29], Gen.Int[0, 300]).Sample((length, count) =>
        {
            var pool = new AddressPool(new(IPAddress.Parse("10.144.0.1"), length));
            var taken = new HashSet<IPAddress>();
            for (int i = 0; i < count; i++)
            {
                if (pool.Allocate(taken) is not { } address)
                {
                    taken.Count.ShouldBe((1 << 32 - length) - 3); // all but the subnet's own, the gateway and the broadcast address
                    return;
                }
                taken.Add(address).ShouldBeTrue();
                pool.Holds(address).ShouldBeTrue();
                address.ShouldNotBe(pool.Gateway.Address);
            }
        });

    [Fact]
    public void The_pool_of_last_time_comes_first_while_it_is_free()
    {
        AddressPool last = AddressPool.Candidates[7];
        AddressPool.Choose([], last).ShouldBe(last);
        AddressPool.Choose([last.Gateway], last).ShouldBe(AddressPool.Candidates[0]);
    }

    [Fact]
    public void When_the_host_knows_all_of_10_the_rest_is_tried() =>
        AddressPool.Choose([InterfaceAddress.Parse("10.0.0.0/8")])!.Gateway.ToString().ShouldBe("172.28.0.1/16");

    [Fact]
    public void A_default_route_takes_nothing() => AddressPool.Choose([InterfaceAddress.Parse("0.0.0.0/0")]).ShouldBe(AddressPool.Candidates[0]);
}
