using System.Diagnostics;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Capsules that are watched and compared with their source: equal ones have no finding, and whatever differs turns the verdict.</summary>
public sealed class VerifyTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private const int NotVerified = 5;

    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private Result Tools(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", .. words], seconds: 120);

    private void Adopt(string application, string name, params string[] options) => Tools(["adopt", application, "--root", source.Tree, "--name", name, .. options]).Ok();

    private string Address(string name) => JsonDocument.Parse(_sandbox.Capsule("ps", "--json=name,address").Ok().Out).RootElement.EnumerateArray().Single(c => c.GetProperty("name").GetString() == name).GetProperty("address").GetString()!;

    private static (string Verdict, string[] Findings) Read(Result result)
    {
        JsonElement report = JsonDocument.Parse(result.Out).RootElement;
        return (report.GetProperty("verdict").GetString()!, [.. report.GetProperty("findings").EnumerateArray().Select(f => $"{f.GetProperty("kind").GetString()} {f.GetProperty("subject").GetString()}: {f.GetProperty("what").GetString()}")]);
    }

    /// <summary>Hides a file of a capsule's layers, as its root would by removing it.</summary>
    private void Hide(string capsule, string path)
    {
        string upper = $"{_sandbox.Store}/capsules/{capsule}/writable/upper";
        _sandbox.Shell($"mkdir -p {upper}{Path.GetDirectoryName(path)} && mknod {upper}{path} c 0 0").Ok();
    }

    [Theory]
    [InlineData("nginx")]
    [InlineData("redis")]
    public void Each_lost_file_turns_the_verdict_and_none_does_when_nothing_is_lost(string name)
    {
        int seed = Random.Shared.Next(1_000_000);
        Result result = _sandbox.Run(["env", $"PATH={Sandbox.Programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "python3", $"{source.Folder}/lost-files", $"{source.Folder}/{name}.json", source.Tree, _sandbox.State + "/lost", $"{seed}", "6"], seconds: 200);
        TestContext.Current.TestOutputHelper?.WriteLine(result.Out);
        result.Code.ShouldBe(0, $"seed {seed}\n{result.Out}{result.Error}");
    }

    [Fact]
    public void What_was_left_at_the_source_is_named_with_the_command_that_takes_it_in()
    {
        Adopt("nginx", "web", "--leave", "/etc/nginx/mime.types");
        Result result = Tools("verify", "web");
        result.Code.ShouldBe(NotVerified);
        result.Out.ShouldContain("/etc/nginx/mime.types is missing: /usr/sbin/nginx of nginx looked for it, and the source had it");
        result.Out.ShouldContain("--add /etc/nginx/mime.types");
        result.Out.ShouldContain("web: not verified");
    }

    [Fact]
    public void A_watched_capsule_notes_each_miss_once_and_goes_on_when_its_watcher_is_killed()
    {
        Adopt("nginx", "web");
        Hide("web", "/etc/nginx/conf.d/nothing"); // was never there: no miss
        Hide("web", "/etc/nginx/.htpasswd");
        _sandbox.Capsule("run", "web", "--watch", "--fresh", "all").Ok();
        string page = $"http://{Address("web")}:8081";
        string Ask(string what) => _sandbox.Shell($"curl -sS --max-time 10 -o /dev/null -w '%{{http_code}}' {what}").Ok().Out;
        Ask($"-u bob:secret {page}/private/big.txt").ShouldBe("403");
        Ask($"-u bob:secret {page}/private/big.txt").ShouldBe("403");
        string misses = _sandbox.Capsule("misses", "web").Ok().Out;
        misses.Split('\n', StringSplitOptions.RemoveEmptyEntries).ShouldHaveSingleItem().Split('\t')[1..5].ShouldBe(["missing", "/etc/nginx/.htpasswd", "/usr/sbin/nginx", "nginx"]);

        string watcher = _sandbox.Shell($"pgrep -f '^capsule watcher web$'").Ok().Out.Trim();
        _sandbox.Shell($"for i in $(seq 300); do curl -sS --max-time 10 -o /dev/null -w '%{{http_code}}\\n' {page}/lost-$i.txt; done >{_sandbox.State}/codes & sleep 0.3; kill -9 {watcher}; wait").Ok();
        File.ReadAllLines(_sandbox.State + "/codes").ShouldAllBe(code => code == "404"); // no request failed while nobody watched
        Sandbox.Eventually(() => _sandbox.Shell("pgrep -f '^capsule watcher web$'").Out.Trim() is { Length: > 0 } next && next != watcher, "another watcher is there");

        _sandbox.Capsule("restart", "web").Ok();
        _sandbox.Shell("pgrep -f '^capsule watcher web$'").Code.ShouldBe(0, "a restart keeps watching");
        _sandbox.Capsule("stop", "web").Ok();
        Sandbox.Eventually(() => _sandbox.Shell("pgrep -f '^capsule watcher'").Code != 0, "the watcher ends with its capsule");
        _sandbox.Capsule("misses", "web", "--json").Ok().Out.ShouldContain("\"what\": \"missing\"");
    }

    [Fact]
    public void Recorded_traffic_is_answered_the_same_and_a_wrong_answer_turns_the_verdict()
    {
        Adopt("nginx", "web");
        Adopt("redis-server", "db");
        _sandbox.Capsule("run", "web", "--fresh", "all").Ok();
        _sandbox.Capsule("run", "db", "--fresh", "all").Ok();
        string web = Address("web"), recording = _sandbox.State + "/recorded.pcap", inside = _sandbox.State + "/inside.pcap";
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "db").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        string enter = $"nsenter --net=/proc/{init}/ns/net", redis = $"{enter} chroot {source.Tree} redis-cli -a s3cret --no-auth-warning"; // it listens on its loopback
        _sandbox.Shell($$"""
            tcpdump -i any -s 0 -U -w {{recording}} tcp >/dev/null 2>&1 & first=$!
            {{enter}} tcpdump -i lo -s 0 -U -w {{inside}} tcp >/dev/null 2>&1 & second=$!
            for i in $(seq 50); do [ -s {{recording}} ] && [ -s {{inside}} ] && break; sleep 0.1; done
            curl -fsS http://{{web}}:8081/ http://{{web}}:8081/img/big.txt -o /dev/null -o /dev/null; curl -sS http://{{web}}:8081/nope >/dev/null
            head -c 300000 /dev/zero | curl -fsS --data-binary @- http://{{web}}:8081/up >/dev/null; curl -fsSI http://{{web}}:8081/ >/dev/null
            curl -fksS https://{{web}}:8443/ >/dev/null
            {{redis}} get k77; {{redis}} eval "return redis.call('get','k5')" 0; {{redis}} info server >/dev/null; {{redis}} set new value; {{redis}} get new
            sleep 1; kill $first $second; wait $first $second
            """).Ok();

        foreach (string[] against in (string[][])[[], ["--against", web]])
        {
            var (verdict, findings) = Read(Tools(["verify", "web", "--traffic", recording, "--json", .. against]));
            findings.ShouldHaveSingleItem().ShouldContain("encrypted"); // and nothing else
            verdict.ShouldBe("verified-with-warnings");
        }
        Result equal = Tools("verify", "db", "--traffic", inside, "--json");
        Read(equal).ShouldSatisfyAllConditions(r => r.Findings.ShouldBeEmpty(), r => r.Verdict.ShouldBe("verified"));
        JsonDocument.Parse(equal.Out).RootElement.GetProperty("compared").GetProperty("connections").GetInt32().ShouldBe(5);

        _sandbox.Shell($"{redis} set k77 wrong; {redis} del new").Ok();
        Result wrong = Tools("verify", "db", "--traffic", inside);
        wrong.Code.ShouldBe(NotVerified);
        wrong.Out.ShouldContain("reply to GET: `$5  wrong");
        string index = Directory.GetDirectories($"{_sandbox.Store}/capsules/web/volumes").Select(d => Directory.GetFiles(d, "index.html", SearchOption.AllDirectories).FirstOrDefault()).FirstOrDefault(f => f is not null && File.ReadAllText(f).StartsWith("hello")) ?? throw new InvalidOperationException("no page in the state");
        File.WriteAllText(index, "another page\n");
        Result page = Tools("verify", "web", "--traffic", recording);
        page.Code.ShouldBe(NotVerified);
        page.Out.ShouldContain("(http), answer 1:");
    }

    [Fact]
    public void A_probe_is_judged_by_its_status_and_by_what_the_original_says()
    {
        Adopt("nginx", "web");
        Tools("verify", "web", "--probe", "curl -fsS http://$CAPSULE_ADDRESS:8081/ | grep -q hello && test -d $CAPSULE_ROOT/etc/nginx").Ok().Out.ShouldContain("web: verified (1 checks");
        Tools("verify", "web", "--probe", "curl -fsS http://$CAPSULE_ADDRESS:8081/nope").Code.ShouldBe(NotVerified);
        _sandbox.Capsule("run", "web", "--fresh", "all").Ok();
        Tools("verify", "web", "--probe", "curl -sS http://$CAPSULE_ADDRESS:8081/nope", "--against", Address("web")).Ok();
        Result other = Tools("verify", "web", "--probe", "echo asked $CAPSULE_ADDRESS", "--against", Address("web"));
        other.Code.ShouldBe(NotVerified);
        other.Out.ShouldContain("another output than from the original");
        Tools("verify", "web", "--checks", "/nowhere").Error.ShouldContain("error[CAP2040]");
    }

    [Fact]
    public void A_verify_that_is_killed_leaves_nothing_and_touches_nothing()
    {
        Adopt("redis-server", "db");
        _sandbox.Capsule("run", "db", "--fresh", "all").Ok();
        foreach (int milliseconds in (int[])[20, 80, 150, 250, 400, 900])
        {
            using Process verify = _sandbox.Start(["bash", "-c", "echo $$ >\"$0\"; exec \"$@\" >/dev/null 2>&1", _sandbox.State + "/verify.pid", Sandbox.Programs + "/capsule-tools", "verify", "db", "--probe", "sleep 30"]);
            Thread.Sleep(milliseconds);
            _sandbox.Shell($"kill -9 $(cat {_sandbox.State}/verify.pid)").Ok();
            verify.WaitForExit(30_000).ShouldBeTrue();
            string left = $"find {_sandbox.Store} {_sandbox.RunDirectory} -name '*verify-*'";
            try
            {
                Sandbox.Eventually(() =>
                {
                    _sandbox.Capsule("doctor", "--fix").Ok(); // or the keeper, which is at it at the same time
                    return _sandbox.Shell(left).Out.Length == 0;
                }, $"nothing is left of a verify that was killed after {milliseconds} ms", 20);
            }
            catch (TimeoutException e) { throw new TimeoutException($"{e.Message}: {_sandbox.Shell($"ls -ldR $({left}); cat {_sandbox.RunDirectory}/keeper.log").Out}"); }
            _sandbox.Capsule("doctor").Out.ShouldNotContain("left ", customMessage: $"killed after {milliseconds} ms");
        }
        _sandbox.Shell("pgrep -f 'capsule watcher'").Code.ShouldNotBe(0);
        _sandbox.Capsule("exec", "db", "redis-cli", "-a", "s3cret", "--no-auth-warning", "get", "k77").Ok().Out.Trim().ShouldBe("v77");
    }
}
