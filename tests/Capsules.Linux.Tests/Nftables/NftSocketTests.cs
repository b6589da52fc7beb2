using System.Net;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Nftables;

public sealed class NftSocketTests
{
    private static readonly byte[] HttpKey = [6, 0, 0, 0, 0x1F, 0x90, 0, 0]; // tcp, 8080

    private static NftBatch Published(string address) => new NftBatch()
        .AddTable(NftFamily.Inet, "t")
        .AddMap(NftFamily.Inet, "t", "ports", [NftType.Protocol, NftType.Port], [NftType.IPv4Address, NftType.Port])
        .AddChain(NftFamily.Inet, "t", "pre", "nat", NftHook.Prerouting, -100)
        .AddChain(NftFamily.Inet, "t", "post", "nat", NftHook.Postrouting, 100)
        .AddRule(NftFamily.Inet, "t", "pre", new NftRule().LoadDestinationType(NftRegister.R0).IsEqual(NftRegister.R0, [2, 0, 0, 0])
            .Load(NftMeta.Protocol, NftRegister.R0).LoadPayload(2, 2, 2, NftRegister.R1).Lookup("ports", NftRegister.R0, NftRegister.R0)
            .DestinationNat(NftFamily.IPv4, NftRegister.R0, NftRegister.R1))
        .AddRule(NftFamily.Inet, "t", "post", new NftRule().Load(NftMeta.OutputName, NftRegister.R0).IsEqual(NftRegister.R0, NftRule.LinkName("out")).Masquerade(), "a comment")
        .AddElement(NftFamily.Inet, "t", "ports", HttpKey, [.. IPAddress.Parse(address).GetAddressBytes(), 0, 80, 0, 0], "web");

    [Fact]
    public void The_nft_program_reads_what_we_wrote()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var nft = NftSocket.Open(host);
        nft.Apply(Published("10.0.0.5"));
        string listing = PrivateNetwork.Run(host, "nft", "list", "ruleset");
        listing.ShouldContain("type inet_proto . inet_service : ipv4_addr . inet_service");
        listing.ShouldContain("tcp . 8080 comment \"web\" : 10.0.0.5 . 80");
        listing.ShouldContain("fib daddr type local dnat ip to meta l4proto . th dport map @ports");
        listing.ShouldContain("oifname \"out\" masquerade comment \"a comment\"");
    }

    [Fact]
    public void What_is_listed_is_what_was_added_and_goes_exactly()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var nft = NftSocket.Open(host);
        nft.HasTable(NftFamily.Inet, "t").ShouldBeFalse();
        nft.Apply(Published("10.0.0.5"));
        nft.HasTable(NftFamily.Inet, "t").ShouldBeTrue();
        nft.Chains().ShouldContain(new NftChain(NftFamily.Inet, "t", "pre", NftHook.Prerouting, -100, "nat", false));
        NftElement element = nft.Elements(NftFamily.Inet, "t", "ports").ShouldHaveSingleItem();
        element.ShouldSatisfyAllConditions(e => e.Key.ShouldBe(HttpKey), e => e.Comment.ShouldBe("web"));
        nft.Apply(new NftBatch().DeleteElement(NftFamily.Inet, "t", "ports", HttpKey));
        nft.Elements(NftFamily.Inet, "t", "ports").ShouldBeEmpty();
        NftRuleStatus rule = nft.Rules(NftFamily.Inet, "t", "post").ShouldHaveSingleItem();
        rule.Comment.ShouldBe("a comment");
        nft.Apply(new NftBatch().DeleteRule(NftFamily.Inet, "t", "post", rule.Handle).DeleteTable(NftFamily.Inet, "t"));
        PrivateNetwork.Run(host, "nft", "list", "ruleset").ShouldBeEmpty();
    }

    [Fact]
    public void A_batch_with_one_wrong_change_changes_nothing()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var nft = NftSocket.Open(host);
        SyscallException e = Should.Throw<SyscallException>(() => nft.Apply(new NftBatch().AddTable(NftFamily.Inet, "t").DeleteElement(NftFamily.Inet, "t", "absent", HttpKey)));
        e.ShouldSatisfyAllConditions(x => x.Errno.ShouldBe(Errno.ENOENT), x => x.Subject.ShouldBe("element of t absent"));
        nft.HasTable(NftFamily.Inet, "t").ShouldBeFalse();
    }

    [Fact]
    public void A_port_that_is_taken_is_refused()
    {
        using Descriptor host = PrivateNetwork.Create();
        using var nft = NftSocket.Open(host);
        nft.Apply(Published("10.0.0.5"));
        Should.Throw<SyscallException>(() => nft.Apply(new NftBatch().AddElement(NftFamily.Inet, "t", "ports", HttpKey, [10, 0, 0, 6, 0, 80, 0, 0], "other"))).Errno.ShouldBe(Errno.EEXIST);
    }
}
