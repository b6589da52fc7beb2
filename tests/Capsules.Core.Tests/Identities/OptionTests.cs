using Capsules.Core.Identities;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Identities;

public sealed class OptionTests
{
    [Theory]
    [InlineData("8080:80", "8080:80/tcp")]
    [InlineData("80", "80:80/tcp")]
    [InlineData("53:53/udp", "53:53/udp")]
    [InlineData("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp")]
    [InlineData("[fd00::1]:8080:80", "[fd00::1]:8080:80/tcp")]
    [InlineData("0.0.0.0:8080:80", "8080:80/tcp")]
    [InlineData("8000-8002:80-82", "8000:80/tcp 8001:81/tcp 8002:82/tcp")]
    public void A_port_is_read_and_written(string text, string means) => string.Join(' ', PublishedPort.Parse(text)).ShouldBe(means);

    [Theory]
    [InlineData("")]
    [InlineData("0:80")]
    [InlineData("70000:80")]
    [InlineData("8080:80/sctp")]
    [InlineData("a:b")]
    [InlineData("8000-8002:80")]
    [InlineData("9-8:9-8")]
    [InlineData("::1:80:80")]
    [InlineData("host:80:80")]
    [InlineData("+80:80")]
    public void What_is_no_port_is_refused(string text) => Should.Throw<FormatException>(() => PublishedPort.Parse(text));

    [Theory]
    [InlineData("bridge")]
    [InlineData("nat")]
    [InlineData("none")]
    [InlineData("host")]
    [InlineData("macvlan:eth0")]
    [InlineData("bridge:br0")]
    [InlineData("stack:bill")]
    public void A_network_is_read_and_written(string text) => NetworkMode.Parse(text).ToString().ShouldBe(text);

    [Theory]
    [InlineData("")]
    [InlineData("Bridge")]
    [InlineData("macvlan")]
    [InlineData("macvlan:")]
    [InlineData("host:eth0")]
    [InlineData("stack:../a")]
    [InlineData("macvlan:a-name-much-too-long")]
    public void What_is_no_network_is_refused(string text) => Should.Throw<FormatException>(() => NetworkMode.Parse(text));

    [Fact]
    public void Members_are_named_in_the_words_of_the_command_line()
    {
        MemberOption.Parse("address,machine-id").ShouldBe([IdentityMember.Address, IdentityMember.MachineId], ignoreOrder: true);
        MemberOption.Parse("all").Count.ShouldBe(6);
        Should.Throw<FormatException>(() => MemberOption.Parse("adress")).Message.ShouldContain("host-id");
    }
}
