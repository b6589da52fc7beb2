using Capsules.Linux.Netlink;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Netlink;

public sealed class NetlinkBatchTests
{
    [Fact]
    public void An_address_is_encoded_as_the_kernel_reads_it() =>
        Convert.ToHexStringLower(new RouteBatch().AddAddress(7, System.Net.IPAddress.Parse("10.20.0.15"), 24).Messages.Bytes).ShouldBe(
            "30000000" + "1400" + "0506" + "01000000" + "00000000" + // length 48, RTM_NEWADDR, REQUEST|ACK|EXCL|CREATE, first message
            "02180000" + "07000000" +                                 // AF_INET, /24, link 7
            "08000200" + "0a14000f" +                                 // IFA_LOCAL
            "08000100" + "0a14000f" +                                 // IFA_ADDRESS
            "08000400" + "0a1400ff");                                 // IFA_BROADCAST

    [Fact]
    public void A_macvlan_nests_its_mode() =>
        Convert.ToHexStringLower(new RouteBatch().CreateMacvlan(new() { Name = "e", Parent = 2 }).Messages.Bytes).ShouldBe(
            "4c000000" + "1000" + "0506" + "01000000" + "00000000" +
            "00000000" + "00000000" + "00000000" + "00000000" +
            "06000300" + "65000000" +                                 // IFLA_IFNAME "e"
            "08000500" + "02000000" +                                 // IFLA_LINK 2
            "1c001200" + "0c000100" + "6d6163766c616e00" +            // IFLA_LINKINFO { IFLA_INFO_KIND "macvlan"
            "0c000200" + "08000100" + "04000000");                    //   IFLA_INFO_DATA { IFLA_MACVLAN_MODE bridge } }

    [Fact]
    public void Attributes_are_read_back_as_they_were_written() =>
        Gen.Select(Gen.Int[1, 0x3FFF], Gen.Byte.Array[0, 300]).Array[0, 20].Sample(attributes =>
        {
            var batch = new NetlinkBatch();
            batch.Begin(1, NetlinkFlags.Request, "x");
            foreach (var (type, value) in attributes) batch.Attribute(type, value);
            batch.End();
            NetlinkMessage message = NetlinkMessage.Split(batch.Bytes.ToArray()).Single();
            NetlinkAttribute.Split(message.Body).Select(a => (a.Type, Convert.ToHexString(a.Value.Span))).ShouldBe(attributes.Select(a => (a.Item1, Convert.ToHexString(a.Item2))));
        });

    [Fact]
    public void Bytes_that_lie_about_their_length_end_the_walk() =>
        Gen.Byte.Array[0, 200].Sample(bytes =>
        {
            foreach (NetlinkMessage message in NetlinkMessage.Split(bytes))
                foreach (NetlinkAttribute attribute in NetlinkAttribute.Split(message.Body))
                    attribute.Nested.Count().ShouldBeLessThan(200);
        });
}
