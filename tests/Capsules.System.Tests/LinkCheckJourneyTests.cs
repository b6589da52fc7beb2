using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>`capsule link check` and `capsule why` on real applications as Debian configures them.</summary>
public sealed class LinkCheckJourneyTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private void Adopt(string application, string name) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", application, "--root", source.Tree, "--name", name], seconds: 180).Ok();

    private (string Kind, string Level)[] Findings(params string[] words) =>
        [.. JsonDocument.Parse(_sandbox.Capsule(["link", "check", .. words, "--json"]).Out).RootElement.GetProperty("findings").EnumerateArray().Select(f => (f.GetProperty("kind").GetString()!, f.GetProperty("level").GetString()!))];

    [Fact]
    public void Real_servers_are_told_what_goes_and_what_does_not()
    {
        Adopt("postgresql@15-main", "db");
        Adopt("memcached", "shop");
        Adopt("postfix", "mail");
        Adopt("postfix", "mail2");
        _sandbox.Capsule("share", "add", "db/socket", "--path", "/run/postgresql", "--preset", "client", "--user", "postgres").Ok();
        _sandbox.Capsule("share", "add", "db/data", "--path", "/var/lib/postgresql/15/main", "--preset", "partner").Ok();
        _sandbox.Capsule("share", "add", "mail2/queue", "--path", "/var/spool/postfix", "--preset", "partner").Ok();

        _sandbox.Capsule("link", "check", "shop", "db/socket", "--as", "memcache=postgres", "--strict").Ok();
        Findings("shop", "db/data").ShouldContain(("database", "error"));
        Findings("shop", "db/data", "--preset", "reader").ShouldContain(("database", "warning"));
        Findings("mail", "mail2/queue").ShouldContain(("two-owners", "error"));
        Findings("shop", "mail2/queue").ShouldNotContain(("two-owners", "error"));

        // The same once it runs and is linked: the socket is there, with its owner's numbers and with ours.
        _sandbox.Capsule("link", "add", "shop", "db/socket", "--as", "memcache=postgres").Ok();
        _sandbox.Run([Sandbox.Programs + "/capsule", "start", "shop"], seconds: 120).Ok();
        _sandbox.Capsule("link", "check", "shop", "db/socket", "--as", "memcache=postgres", "--strict").Ok();
        JsonElement socket = JsonDocument.Parse(_sandbox.Capsule("why", "shop", "/run/postgresql/.s.PGSQL.5432", "--user", "www-data", "--json").Ok().Out).RootElement;
        string uid = _sandbox.Capsule("exec", "shop", "id", "-u", "memcache").Ok().Out.Trim(), theirs = _sandbox.Capsule("exec", "db", "id", "-u", "postgres").Ok().Out.Trim();
        (socket.GetProperty("kind").GetString(), socket.GetProperty("owner").GetProperty("number").ToString(), socket.GetProperty("ownerOnDisk").GetProperty("number").ToString()).ShouldBe(("socket", uid, theirs));
        socket.GetProperty("access").GetProperty("write").GetBoolean().ShouldBeTrue();
        _sandbox.Capsule("exec", "shop", "stat", "-c", "%u", "/run/postgresql/.s.PGSQL.5432").Ok().Out.Trim().ShouldBe(uid, "what why says is what the capsule sees");
        JsonElement data = JsonDocument.Parse(_sandbox.Capsule("why", "db", "/var/lib/postgresql/15/main/PG_VERSION", "--user", "www-data", "--json").Ok().Out).RootElement;
        (data.GetProperty("by").GetString(), data.GetProperty("access").GetProperty("read").GetBoolean()).ShouldBe(("volume", false));
    }
}
