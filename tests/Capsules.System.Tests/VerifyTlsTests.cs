using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Encrypted traffic and sign-ins by challenge: replayed when the keys and passwords are there, and a wrong answer turns the verdict as it does in plain traffic.</summary>
public sealed class VerifyTlsTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private const int NotVerified = 5;

    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private Result Verify(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "verify", .. words], seconds: 120);

    private (string Recording, string Keys) Files => (_sandbox.State + "/recorded.pcap", _sandbox.State + "/keys.log");

    /// <summary>Adopts and runs an application, and records what clients say to it in its own network; how to get there.</summary>
    private string Run(string application, string name)
    {
        _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", application, "--root", source.Tree, "--name", name], seconds: 120).Ok();
        _sandbox.Capsule("run", name, "--fresh", "all").Ok();
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", name).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        return $"nsenter --net=/proc/{init}/ns/net";
    }

    private void Record(string enter, int port, string clients) => _sandbox.Shell($$"""
        for i in $(seq 300); do {{enter}} bash -c ': </dev/tcp/127.0.0.1/{{port}}' 2>/dev/null && break; sleep 0.1; done; sleep 1
        {{enter}} tcpdump -Z root -i lo -s 0 -U -w {{Files.Recording}} tcp port {{port}} >/dev/null 2>&1 & recorder=$!
        for i in $(seq 100); do [ -s {{Files.Recording}} ] && break; sleep 0.1; done
        export SSLKEYLOGFILE={{Files.Keys}}
        ( set -e
        {{clients}}
        ); code=$?
        sleep 1; kill $recorder; wait $recorder
        exit $code
        """, seconds: 120).Ok();

    private static (string Verdict, string[] Findings, int Connections) Read(Result result)
    {
        JsonElement report = JsonDocument.Parse(result.Out.Length > 0 ? result.Out : throw new InvalidOperationException(result.Error)).RootElement;
        return (report.GetProperty("verdict").GetString()!, [.. report.GetProperty("findings").EnumerateArray().Select(f => $"{f.GetProperty("kind").GetString()} {f.GetProperty("subject").GetString()}: {f.GetProperty("what").GetString()}; {(f.TryGetProperty("fix", out JsonElement fix) ? fix.GetString() : "")}")], report.GetProperty("compared").GetProperty("connections").GetInt32());
    }

    private static void IsVerified(Result result, int connections)
    {
        var (verdict, findings, count) = Read(result);
        findings.ShouldBeEmpty();
        verdict.ShouldBe("verified");
        count.ShouldBe(connections);
    }

    [Fact]
    public void Https_is_replayed_with_its_keys()
    {
        string enter = Run("nginx", "web"), curl = $"{enter} curl -fksS --connect-to shop.example:8443:127.0.0.1:8443";
        Record(enter, 8443, $"""
            {curl} --tls-max 1.2 https://shop.example:8443/ https://shop.example:8443/img/big.txt -o /dev/null -o /dev/null
            {curl} --tlsv1.3 https://shop.example:8443/ -o /dev/null
            head -c 100000 /dev/zero | {curl} --tlsv1.3 --data-binary @- https://shop.example:8443/up -o /dev/null
            """);
        var (recording, keys) = Files;
        var (verdict, findings, _) = Read(Verify("web", "--traffic", recording, "--json"));
        verdict.ShouldBe("verified-with-warnings");
        findings.ShouldHaveSingleItem().ShouldSatisfyAllConditions(f => f.ShouldContain("3 connections were not replayed, port 8443: it is encrypted (TLS), and its keys are not given"), f => f.ShouldContain("--keys FILE"));
        IsVerified(Verify("web", "--traffic", recording, "--keys", keys, "--json"), 3);

        string index = Directory.GetDirectories($"{_sandbox.Store}/capsules/web/volumes").Select(d => Directory.GetFiles(d, "index.html", SearchOption.AllDirectories).FirstOrDefault()).FirstOrDefault(f => f is not null && File.ReadAllText(f).StartsWith("hello")) ?? throw new InvalidOperationException("no page in the state");
        string page = File.ReadAllText(index);
        File.WriteAllText(index, "another page\n");
        Result wrong = Verify("web", "--traffic", recording, "--keys", keys);
        wrong.Code.ShouldBe(NotVerified);
        wrong.Out.ShouldContain("(http over tls), answer 1:");
        File.WriteAllText(index, page);

        _sandbox.Shell($"""
            cd {_sandbox.State}; openssl req -x509 -newkey rsa:2048 -nodes -keyout new.key -out new.pem -subj /CN=another -days 30 2>/dev/null
            up={_sandbox.Store}/capsules/web/writable/upper/etc/ssl; mkdir -p $up/certs $up/private; cp new.pem $up/certs/ssl-cert-snakeoil.pem; cp new.key $up/private/ssl-cert-snakeoil.key
            """).Ok();
        Result other = Verify("web", "--traffic", recording, "--keys", keys);
        other.Code.ShouldBe(NotVerified);
        other.Out.ShouldContain("port 8443 shows another certificate: CN=another in place of ");
        Verify("web", "--traffic", recording, "--keys", recording).Error.ShouldContain("error[CAP2040]");
    }

    [Fact]
    public void Postgresql_is_replayed_with_tls_and_a_sign_in_by_scram()
    {
        string enter = Run("postgresql", "db"), passwords = _sandbox.State + "/pgpass";
        _sandbox.Shell($"mount -t tmpfs none {source.Tree}/mnt && gcc -shared -fPIC -o {source.Tree}/mnt/keylog.so {source.Folder}/keylog.c && mount --bind {_sandbox.State} {source.Tree}/srv").Ok();
        string psql = $"{enter} chroot {source.Tree} env SSLKEYLOGFILE=/srv/keys.log LD_PRELOAD=/mnt/keylog.so PGPASSWORD=pw psql -At";
        Record(enter, 5432, $"""
            {psql} "host=127.0.0.1 user=shop dbname=shop sslmode=require" -c "select n from items where id = 77" -c "select count(*) from items"
            {psql} "host=127.0.0.1 user=shop dbname=shop sslmode=disable" -c "select n from items where id = 78"
            """);
        var (recording, keys) = Files;
        File.WriteAllText(passwords, "localhost:5432:shop:shop:pw\n");
        var (verdict, findings, _) = Read(Verify("db", "--traffic", recording, "--keys", keys, "--json"));
        verdict.ShouldBe("verified-with-warnings");
        findings.ShouldHaveSingleItem().ShouldContain("2 connections were not replayed, port 5432: the client proves itself by an answer to a random challenge (scram)");
        IsVerified(Verify("db", "--traffic", recording, "--keys", keys, "--pgpass", passwords, "--json"), 2);

        _sandbox.Shell($"{psql} 'host=127.0.0.1 user=shop dbname=shop' -qc \"update items set n = 'wrong' where id in (77, 78)\"").Ok();
        Result wrong = Verify("db", "--traffic", recording, "--keys", keys, "--pgpass", passwords);
        wrong.Code.ShouldBe(NotVerified);
        wrong.Out.ShouldContain("(postgresql over tls), answer");
        wrong.Out.ShouldContain("(postgresql), answer");
        wrong.Out.ShouldContain("wrong");
        File.WriteAllText(passwords, "*:*:*:shop:other\n");
        Verify("db", "--traffic", recording, "--keys", keys, "--pgpass", passwords).Out.ShouldContain("password authentication failed");
    }

    [Fact]
    public void Mail_is_replayed_after_starttls()
    {
        string enter = Run("postfix", "mail");
        Record(enter, 25, $$"""
            (sleep 1; printf 'EHLO client.test\r\n'; sleep 1; printf 'MAIL FROM:<a@b.test>\r\n'; sleep 1; printf 'RCPT TO:<nobody@elsewhere.test>\r\n'; sleep 1; printf 'quit\r\n'; sleep 1) | {{enter}} openssl s_client -connect 127.0.0.1:25 -starttls smtp -name client.test -quiet -keylogfile {{Files.Keys}}
            """);
        var (_, findings, connections) = Read(Verify("mail", "--traffic", Files.Recording, "--keys", Files.Keys, "--json"));
        findings.ShouldNotContain(f => f.StartsWith("answer ") || f.StartsWith("certificate ")); // its start looks for manual pages, which are left out
        connections.ShouldBe(1);
        _sandbox.Capsule("exec", "mail", "postconf", "-e", "smtpd_banner=another banner").Ok();
        Result wrong = Verify("mail", "--traffic", Files.Recording, "--keys", Files.Keys);
        wrong.Code.ShouldBe(NotVerified);
        wrong.Out.ShouldContain("(smtp over tls), answer 1:");
    }
}
