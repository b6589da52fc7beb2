using System.Diagnostics;
using System.Text.Json;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Applications that are watched while they are used: nothing changes for them, nothing they touch is missed, and the capsule of it runs sealed.</summary>
public sealed class LearnTests(JourneyTests.SourceTree source) : IDisposable, IClassFixture<JourneyTests.SourceTree>
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    /// <summary>The lived-in tree, under a layer of this test's own: what is watched writes.</summary>
    private string Tree()
    {
        string tree = _sandbox.State + "/tree", upper = _sandbox.RunDirectory + "/learn";
        _sandbox.Shell($"mkdir -p {tree} {upper}/u {upper}/w && mount -t overlay -o lowerdir={source.Tree},upperdir={upper}/u,workdir={upper}/w none {tree}").Ok();
        return tree;
    }

    private string Compile()
    {
        string program = _sandbox.State + "/watched";
        _sandbox.Shell($"gcc -O1 -static -pthread -o {program} {AppContext.BaseDirectory}/watched.c && cp {program} {program}-suid && chmod 4755 {program}-suid").Ok();
        return program;
    }

    private string[] Logs(string name) => [.. Directory.GetFiles($"{_sandbox.Store}/learned/{name}").Order(StringComparer.Ordinal)];

    private ObservedRun Log(string name) => ObservationLog.Parse(File.ReadAllBytes(Logs(name)[^1]));

    private Result Learn(string name, params string[] command) => _sandbox.Run([Sandbox.Programs + "/capsule", "learn", name, "--plan", "--", .. command]);

    /// <summary>Starts a learner that goes on until it is interrupted; its pid inside the sandbox is in a file.</summary>
    private Process Start(string name, params string[] words)
    {
        string files = $"{_sandbox.State}/{name}";
        return _sandbox.Start(["bash", "-c", "echo $$ >\"$0.pid\"; exec \"$@\" >\"$0.out\" 2>\"$0.err\"", files, Sandbox.Programs + "/capsule-tools", "learn", name, .. words]);
    }

    private void Signal(string name, string signal) => _sandbox.Shell($"kill -{signal} $(cat {_sandbox.State}/{name}.pid)").Ok();

    private string Said(string name) => string.Concat(((string[])[".out", ".err"]).Select(end => _sandbox.State + "/" + name + end).Where(File.Exists).Select(File.ReadAllText));

    private int End(Process learner, string name, string signal = "INT")
    {
        Signal(name, signal);
        learner.WaitForExit(60_000).ShouldBeTrue($"it ends\n{Said(name)}");
        return learner.ExitCode;
    }

    private string Address(string name) => JsonDocument.Parse(_sandbox.Capsule("ps", "--json=name,address").Ok().Out).RootElement.EnumerateArray().Single(c => c.GetProperty("name").GetString() == name).GetProperty("address").GetString()!;

    private string Redis(params string[] command) => _sandbox.Capsule(["exec", "db", "redis-cli", "-a", "s3cret", "--no-auth-warning", .. command]).Out.Trim();

    [Fact]
    public void A_web_server_that_answered_one_request_answers_everything_from_its_sealed_capsule()
    {
        using Process learner = Start("web", "--root", Tree(), "--", "/usr/sbin/nginx", "-g", "daemon off;");
        Sandbox.Eventually(() => _sandbox.Shell("curl -fsS --max-time 5 http://127.0.0.1:8081/").Out == "hello-capsule\n", "it answers while it is watched", 60);
        End(learner, "web", "TERM").ShouldBe(0, Said("web"));

        ObservedRun run = Log("web");
        run.Exit.ShouldBe(0);
        run.Sockets.ShouldContain(s => s.Address.Port == 8081 && s.Protocol == "tcp");
        run.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/srv/site/index.html") && p.Use == Uses.Open);
        run.Paths.ShouldNotContain(p => p.Path == GuestPath.Parse("/srv/site/404.html"));

        _sandbox.Capsule("run", "web", "--fresh", "all").Ok();
        string address = Address("web");
        Sandbox.Eventually(() => _sandbox.Shell($"curl -fsS --max-time 5 http://{address}:8081/").Out == "hello-capsule\n", "it answers from its capsule");
        _sandbox.Shell($"curl -sS --max-time 5 http://{address}:8081/nope").Out.ShouldContain("oops-custom"); // never asked for while it was watched
        _sandbox.Shell($"curl -fksS --max-time 5 https://{address}:8443/").Out.ShouldBe("hello-capsule\n");
    }

    [Fact]
    public void A_database_that_was_learned_has_its_data_and_can_be_attached_to_in_its_capsule()
    {
        using Process learner = Start("db", "--root", Tree(), "--user", "redis", "--", "redis-server", "/etc/redis/redis.conf", "--daemonize", "no", "--supervised", "no");
        Sandbox.Eventually(() => _sandbox.Shell("exec 3<>/dev/tcp/127.0.0.1/6379 && printf 'AUTH s3cret\\r\\nGET k1\\r\\n' >&3 && timeout 5 head -n 3 <&3").Out.TrimEnd().EndsWith("v1"), "it answers while it is watched", 60);
        End(learner, "db").ShouldBe(0, Said("db"));
        _sandbox.Capsule("run", "db", "--fresh", "all").Ok();
        Sandbox.Eventually(() => Redis("GET", "k77") == "v77", "it answers from its capsule");

        using Process attached = Start("again", "--attach", "db", "--plan");
        Sandbox.Eventually(() => Said("again").Contains("watching process"), "it is attached", 60);
        Redis("SAVE").ShouldBe("OK");
        Thread.Sleep(300);
        End(attached, "again").ShouldBe(0);
        string said = Said("again");
        said.ShouldContain("not seen: failed look-ups, stats and links: no filter can be put on a process that runs already");
        said.ShouldContain("data → /var/lib/redis");
        ObservedRun run = Log("again");
        run.Paths.ShouldContain(p => p.Path.IsWithin(GuestPath.Parse("/var/lib/redis")) && p.Path.ToString().EndsWith(".rdb"));
        run.Paths.ShouldContain(p => p.Path.ToString().Contains("/libc.so.6"));
        Redis("GET", "k5").ShouldBe("v5"); // it runs on
    }

    [Theory]
    [InlineData("SUID", 7)]                                            // set-uid and static, started by a user
    [InlineData("PROGRAM threads", 0)]
    [InlineData("PROGRAM children 10000", 5)]
    [InlineData("PROGRAM traced", 8)]
    [InlineData("PROGRAM signals", 143)]
    [InlineData("PROGRAM ring", 6)]
    [InlineData("strace -f -o /dev/null sh -c 'cat /etc/hostname; exit 9'", 9)] // a program that is itself traced
    [InlineData("sh -c 'echo out; cat /nowhere; kill -9 $$'", 137)]
    [InlineData("env --default-signal=PIPE bash -c 'set -o pipefail; seq 1 3000000 | tac | tee >(tail -c 1000000 | cksum >&2) | gzip -1 | gunzip | sha256sum; seq 1 3000000 | head -n 1; echo ${PIPESTATUS[*]}; exit 11'", 11)]
    [InlineData("sh -c 'umask; pwd; ulimit -n; echo $0 $#; cat'", 0)]
    public void A_program_says_and_returns_the_same_watched_and_unwatched(string command, int code)
    {
        string program = Compile();
        command = command.Replace("SUID", $"setpriv --reuid 65534 --clear-groups {program}-suid").Replace("PROGRAM", program);
        Result native = _sandbox.Shell(command), watched = _sandbox.Shell($"exec {Sandbox.Programs}/capsule learn same --plan -- {command}", seconds: 150);
        (native.Code, watched.Code).ShouldBe((code, code), watched.Error);
        watched.Out.ShouldStartWith(native.Out);
        watched.Error.ShouldStartWith(native.Error);
        ObservedRun run = Log("same");
        run.Exit.ShouldBe(code);
        if (command.Contains("threads")) run.Paths.Count(p => p.Path.ToString().StartsWith("/etc/thread-") && p.IsMissing).ShouldBe(1600);
        if (command.Contains("children")) run.Paths.Count(p => p.Path.ToString().StartsWith("/etc/child-") && p.IsMissing).ShouldBe(10000);
        if (command.Contains("traced")) run.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/traced-none") && p.IsMissing);
        const string Unseen = "failed look-ups and stats that a program made by io_uring (what it opened so was seen)";
        if (command.Contains("ring"))
        {
            (watched.Out + watched.Error).ShouldContain("not seen: " + Unseen);
            run.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/debian_version") && p.Use == Uses.Open);
            run.Paths.ShouldNotContain(p => p.Path == GuestPath.Parse("/etc/ring-none"));
        }
        run.Unseen.Contains(Unseen).ShouldBe(command.Contains("ring"));
        if (command.Contains("suid")) run.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/shadow") && p.Use == Uses.Open && p.By == program + "-suid");
        if (command.Contains("strace")) run.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/hostname") && p.Use == Uses.Open);
    }

    [Fact]
    public void Signals_that_were_ignored_stay_so_for_what_is_watched()
    {
        const string Ignoring = "trap '' HUP INT QUIT USR1 TERM RTMIN+1; exec env --default-signal=PIPE", Command = "grep SigIgn /proc/self/status";
        string native = _sandbox.Shell($"{Ignoring} {Command}").Ok().Out;
        native.ShouldEndWith("0000000400004207\n");
        _sandbox.Shell($"{Ignoring} {Sandbox.Programs}/capsule learn ignoring --plan -- {Command}").Out.ShouldStartWith(native);
    }

    [Fact]
    public void What_the_kernel_opens_and_what_is_not_there_are_seen()
    {
        string script = _sandbox.State + "/script", folder = _sandbox.State + "/folder";
        Directory.CreateDirectory(folder + "/real");
        File.WriteAllText(folder + "/real/file", "x\n");
        File.CreateSymbolicLink(folder + "/link", "real");
        File.WriteAllText(script, $"#!/usr/bin/env -S sh\ncd {folder}\ncat link/file link/../real/none\nls . >/dev/null\nexit 3\n");
        File.SetUnixFileMode(script, (UnixFileMode)0x1ED);
        Learn("kernel", script).Code.ShouldBe(3);
        ObservedRun run = Log("kernel");
        Observation Of(string path, Uses use) => run.Paths.Single(p => p.Path == GuestPath.Parse(path) && p.Use == use);
        Of(script, Uses.Execute).IsMissing.ShouldBeFalse();
        foreach (string loaded in (string[])[script, "/usr/bin/env", "/usr/bin/dash"]) Of(loaded, Uses.Load).IsMissing.ShouldBeFalse(); // "#!" and what it names
        run.Paths.ShouldContain(p => p.Use == Uses.Load && p.Path.ToString().Contains("/ld-linux-x86-64.so.2"));
        Of($"{folder}/link/file", Uses.Open).LeadsTo.ShouldBe(GuestPath.Parse($"{folder}/real/file"));
        run.Paths.ShouldContain(p => p.Path.ToString().EndsWith("/real/none") && p.IsMissing);
        Of(folder, Uses.Enter).By.ShouldBe("/usr/bin/dash");
        run.Paths.ShouldContain(p => p.Path == GuestPath.Parse(folder) && p.Use == Uses.List);
    }

    [Fact]
    public void A_learner_that_is_killed_takes_its_program_along_and_leaves_a_log_that_counts()
    {
        string tree = Tree(), mark = _sandbox.State + "/mark";
        using Process learner = Start("cut", "--", "sh", "-c", $"cat /etc/hostname; sleep 3000 & echo $! >{mark}; cat /etc/debian_version; wait");
        Sandbox.Eventually(() => File.Exists(mark) && Logs("cut") is [var log] && File.ReadAllText(log).Contains("debian_version"), "it has begun");
        string sleeper = File.ReadAllText(mark).Trim();
        Signal("cut", "KILL");
        Sandbox.Eventually(() => _sandbox.Shell($"test -d /proc/{sleeper} && ! grep -q '^State:.Z' /proc/{sleeper}/status").Code != 0, "its program ends with it", 10);
        Log("cut").Exit.ShouldBeNull();
        _sandbox.Capsule("doctor", "--fix").Out.ShouldContain("of a learner that is gone");
        _sandbox.Capsule("doctor").Out.ShouldNotContain("learner");
        File.AppendAllText(Logs("cut")[0], "{\"path\":\"/usr/sh"); // torn while it was written

        _sandbox.Run([Sandbox.Programs + "/capsule", "learn", "cut", "--merge", "--root", tree, "--plan", "--", "cat", "/etc/hostname"]).Ok();
        Result made = _sandbox.Run([Sandbox.Programs + "/capsule", "learn", "cut", "--merge", "--root", tree]).Ok();
        made.Error.ShouldContain("in 2 runs");
        string uncertain = _sandbox.Capsule("diff", "cut", "--uncertain").Ok().Out;
        uncertain.ShouldContain("/etc/debian_version\tmet in one of 2 runs: /usr/bin/cat opened it while it was learned\n");
        uncertain.ShouldNotContain("/etc/hostname\t");
        JsonDocument.Parse(_sandbox.Capsule("diff", "cut", "--uncertain", "--json=path").Ok().Out).RootElement.EnumerateArray().Select(e => e.GetProperty("path").GetString()).ShouldContain("/etc/debian_version");
        _sandbox.Capsule("learn", "cut", "--", "true").Error.ShouldContain("CAP5014"); // the name is taken, and nothing was run
        _sandbox.Shell("ls -d /sys/fs/cgroup/*/*-learn-* 2>/dev/null | grep -c " + _sandbox.Id).Out.Trim().ShouldBe("0");
    }

    [Fact]
    public void A_daemon_outlives_its_command_and_is_watched_until_somebody_interrupts()
    {
        using Process learner = Start("daemon", "--plan", "--", "sh", "-c", "(trap 'cat /etc/debian_version; exit' TERM; while :; do sleep 0.05; done) & exit 4");
        Sandbox.Eventually(() => Said("daemon").Contains("run on and are watched"), "the command has ended", 20);
        End(learner, "daemon", "TERM").ShouldBe(4);
        Log("daemon").Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/debian_version") && p.Use == Uses.Open); // what it did at its end is seen, too
    }

    [Fact]
    public void Wrong_words_are_told_before_anything_is_run()
    {
        Learn("none", "no-such-program").Error.ShouldContain("error[CAP2021]");
        _sandbox.Capsule("learn", "none", "--merge").Error.ShouldContain("error[CAP2023]");
        File.WriteAllText(_sandbox.State + "/rules", "# capsule rules 1\nx red -> leave\n");
        _sandbox.Capsule("learn", "none", "--rules", _sandbox.State + "/rules", "--", "touch", _sandbox.State + "/ran").Error.ShouldContain("line 2: `red` is no condition");
        _sandbox.Capsule("learn", "none", "--attach", "999999999").Error.ShouldContain("error[CAP2002]");
        _sandbox.Capsule("learn", "none").Code.ShouldBe(2);
        File.Exists(_sandbox.State + "/ran").ShouldBeFalse();
        WideningRules.Parse(global::System.Text.Encoding.UTF8.GetBytes(_sandbox.Capsule("learn", "--show-rules").Ok().Out)).Rules.Length.ShouldBe(WideningRules.Default.Rules.Length);
    }
}
