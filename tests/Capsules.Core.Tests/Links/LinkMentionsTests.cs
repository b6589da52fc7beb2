using System.Text;
using Capsules.Core.Links.Checking;
using Shouldly;
using Xunit;
using static Capsules.Core.Tests.Links.TwoCapsules;

namespace Capsules.Core.Tests.Links;

/// <summary>Ports of this machine as configuration files of servers write them.</summary>
public sealed class LinkMentionsTests
{
    [Theory]
    [InlineData("proxy_pass http://127.0.0.1:8080/;", 8080)]
    [InlineData("content_filter = smtp-amavis:[127.0.0.1]:10024", 10024)]
    [InlineData("smtpd_milters = inet:localhost:8891", 8891)]
    [InlineData("Socket inet:8891@localhost", 8891)]
    [InlineData("sentinel monitor mymaster 127.0.0.1 6379 2", 6379)]
    [InlineData("url = http://[::1]:9090", 9090)]
    public void A_port_is_found(string line, int port) => Ports(line).ShouldBe([port]);

    [Fact]
    public void Comments_over_several_lines_say_nothing() => Ports("/*\n  a 127.0.0.1:1\n*/ b 127.0.0.1:2\n<!-- c\n127.0.0.1:3 -->\nd 127.0.0.1:4").ShouldBe([4]);

    [Fact]
    public void The_old_name_of_run_is_run() => LinkMentions.In(P("/etc/x"), "pidfile /var/run/db/db.pid"u8).ShouldContain(m => m.Path == P("/run/db/db.pid"));

    [Theory]
    [InlineData("# proxy_pass http://127.0.0.1:8080/;")]
    [InlineData("allow 127.0.0.1;")]
    [InlineData("server 10.127.0.0.1:80")]
    [InlineData("127.0.0.1 10.0.0.1")]
    [InlineData("mylocalhost:80")]
    [InlineData("localhost:99999")]
    public void What_is_no_port_is_none(string line) => Ports(line).ShouldBeEmpty();

    private static IEnumerable<int> Ports(string line) => LinkMentions.In(P("/etc/x"), Encoding.UTF8.GetBytes(line)).Where(m => m.Port is not null).Select(m => m.Port!.Value);
}
