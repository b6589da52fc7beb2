using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>
/// kill -9 before each system call that has an effect, of whichever of our processes makes it: engine, world, tail, keeper. The calls of a life
/// that is not disturbed are counted first; each step that a plan lists is one or several of them. A run takes a sample, with a seed that it
/// prints (CAPSULE_STEP_SEED repeats it); CAPSULE_EVERY_STEP=1 takes all,
/// CAPSULE_STEPS=N,N,... those.
/// </summary>
public sealed class EveryStepTests(ITestOutputHelper output) : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private static readonly Lazy<string> s_killer = new(() =>
    {
        string program = AppContext.BaseDirectory + "/kill-at";
        using Process compiler = Process.Start("gcc", ["-O1", "-o", program, AppContext.BaseDirectory + "/kill-at.c"]);
        compiler.WaitForExit();
        return compiler.ExitCode == 0 ? program : throw new InvalidOperationException("kill-at.c does not compile");
    });

    /// <summary>Runs a program that is killed at a call; 0 for at none. The calls that it met.</summary>
    private (Result Result, string[] Calls) KilledAt(int number, params string[] words)
    {
        string log = _sandbox.State + "/calls";
        Result result = _sandbox.Run([s_killer.Value, log, $"{number}", .. words], seconds: 120);
        return (result, File.ReadAllLines(log));
    }

    /// <summary>Numbers of calls to kill at: all, or so many of them, one in each of as many equal parts.</summary>
    private IEnumerable<int> Sample(int[] calls, int most)
    {
        if (Environment.GetEnvironmentVariable("CAPSULE_EVERY_STEP") == "1") return calls;
        if (Environment.GetEnvironmentVariable("CAPSULE_STEPS") is { Length: > 0 } chosen) return chosen.Split(',').Select(c => int.Parse(c, CultureInfo.InvariantCulture));
        int seed = int.TryParse(Environment.GetEnvironmentVariable("CAPSULE_STEP_SEED"), CultureInfo.InvariantCulture, out int given) ? given : Environment.TickCount;
        var random = new Random(seed);
        output.WriteLine($"CAPSULE_STEP_SEED={seed}: {most} of {calls.Length} calls");
        return Enumerable.Range(0, most).Select(part => calls[(int)((part + random.NextDouble()) * calls.Length / most)]).Distinct();
    }

    private static int[] All(string[] calls) => [.. Enumerable.Range(1, calls.Length)];

    /// <summary>Of the thousands of calls that copy file after file every hundredth, and all others.</summary>
    private static int[] Telling(string[] calls) =>
        [.. All(calls).Where(number => number % 100 == 0 || !s_copying.Contains(calls[number - 1].Split(' ')[^1]))];

    private static readonly string[] s_copying = ["utimensat", "fchownat", "fchmodat", "openat", "ftruncate", "copy_file_range", "symlinkat", "mkdirat"];

    private void DoctorClears(string at)
    {
        Sandbox.Eventually(() => _sandbox.Capsule("doctor", "--fix").Code == 0 && !_sandbox.Capsule("doctor").Out.Contains("left ", StringComparison.Ordinal), $"{at}: doctor clears it", 20);
    }

    private string Running() => _sandbox.Capsule("ps", "-q").Out.Trim();

    [Theory]
    [InlineData(false, 40)]
    [InlineData(true, 25)]
    public void A_start_that_is_killed_before_any_call_leaves_nothing_that_doctor_cannot_clear(bool sharesProcesses, int most)
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo up; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "-p", "8080:80", "web").Ok(); // with a published port, which its record keeps
        _sandbox.Capsule("stop", "web").Ok();
        if (sharesProcesses) _sandbox.Capsule("stack", "set", "web", "--processes", "shared").Ok(); // PID 1 and the place on its board are made by another program
        string[] start = [Sandbox.Programs + "/capsule", "start", "web"];
        (Result whole, string[] calls) = KilledAt(0, start);
        whole.Ok();
        _sandbox.Capsule("stop", "web").Ok();
        foreach (string kind in (string[])["sendto", "fsmount", "move_mount", "mkdirat", "renameat", "clone3", "mount_setattr", "pivot_root", "seccomp", "sethostname", "setns", "flock", "execve"])
            calls.ShouldContain(c => c.EndsWith(' ' + kind), $"a start has no {kind} any more: is it followed?");
        var failures = new List<string>();
        int died = 0;
        foreach (int number in Sample(All(calls), most))
        {
            var (killed, met) = KilledAt(number, start);
            string at = $"killed at {(met.Length < number ? $"{number}, which did not come" : met[number - 1])}";
            if (killed.Code != 0) died++;
            try
            {
                DoctorClears(at);
                // All was done, or the keeper's part of it fell; or it was the service, and the keeper is just clearing away.
                if (Running().Length == 0) Sandbox.Eventually(() => _sandbox.Traces().Length == 0, at + ": nothing is left", 5);
                else _sandbox.Capsule("stop", "web").Ok();
                _sandbox.Capsule("start", "web").Ok();
                _sandbox.Capsule("exec", "web", "true").Ok();
                _sandbox.Capsule("stop", "web").Ok();
                _sandbox.Traces().ShouldBeEmpty(at + ", a life after it");
            }
            catch (Exception e)
            {
                string last = string.Join("; ", met.TakeLast(20)), end = _sandbox.Shell($"cat {_sandbox.Store}/capsules/web/last-run.json {_sandbox.RunDirectory}/keeper.log").Out;
                failures.Add($"{at} (exit {killed.Code}, {killed.Error.Trim()}): {e.Message}\n{last}\n{end}");
                _sandbox.Capsule("stop", "web");
                _sandbox.Capsule("doctor", "--fix");
                if (failures.Count == 10) break;
            }
        }
        output.WriteLine($"{calls.Length} calls, {died} starts ended by it");
        failures.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_stop_that_is_killed_before_any_call_can_be_made_again(bool sharesProcesses)
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo up; while :; do sleep 1; done"));
        string[] stop = [Sandbox.Programs + "/capsule", "stop", "web"];
        _sandbox.Capsule("run", "-p", "8080:80", "web").Ok();
        if (sharesProcesses)
        {
            _sandbox.Capsule("stop", "web").Ok();
            _sandbox.Capsule("stack", "set", "web", "--processes", "shared").Ok();
            _sandbox.Capsule("start", "web").Ok();
        }
        (Result whole, string[] calls) = KilledAt(0, stop);
        whole.Ok();
        foreach (int number in Sample(All(calls), 20))
        {
            _sandbox.Capsule("start", "web").Ok();
            string at = $"killed at {KilledAt(number, stop).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
            DoctorClears(at);
            _sandbox.Capsule("stop", "web").Ok();
            _sandbox.Traces().ShouldBeEmpty(at);
        }
        _sandbox.Capsule("start", "web").Ok();
    }

    [Fact]
    public void Of_a_verify_that_is_killed_before_any_call_nothing_is_left()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo up; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        string left = $"find {_sandbox.Store} {_sandbox.RunDirectory} -name '*verify-*'";
        string[] verify = [Sandbox.Programs + "/capsule-tools", "verify", "web", "--probe", "true"];
        (Result whole, string[] calls) = KilledAt(0, verify);
        whole.Ok();
        foreach (int number in Sample(All(calls), 20))
        {
            string at = $"killed at {KilledAt(number, verify).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
            DoctorClears(at);
            try { Sandbox.Eventually(() => _sandbox.Shell(left).Out.Length == 0, at, 5); } // the keeper may be just at it
            catch (TimeoutException e) { throw new TimeoutException($"{e.Message}: {_sandbox.Shell($"{left}; ls -lR $({left})").Out}"); }
            _sandbox.Capsule("exec", "web", "true").Ok(); // it is not held still
        }
    }

    [Theory]
    [InlineData("/var/lib/shop", null, 25)]
    [InlineData("/var/lib/shop", "/var/lib/shop/own", 15)]
    [InlineData("/dev/shm", null, 12)]
    public void A_link_whose_making_or_taking_away_is_killed_before_any_call_can_be_made_and_taken_away_again(string path, string? ownBelow, int most)
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script("while :; do sleep 1; done"));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script("while :; do sleep 1; done"));
        File.WriteAllText($"{_sandbox.Store}/capsules/db/volumes/data/file", "one\n");
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/db/volumes/data/own");
        _sandbox.Capsule("share", "add", "db/data", "--path", path, "--preset", path == "/dev/shm" ? "partner" : "client", "--user", "web").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        _sandbox.Capsule("exec", "db", "sh", "-c", $"echo one > {path}/file").Ok();
        string[] add = [Sandbox.Programs + "/capsule-tools", "link", "add", "app", "db/data", .. ownBelow is null ? Array.Empty<string>() : ["--private", ownBelow]], remove = [Sandbox.Programs + "/capsule-tools", "link", "rm", "app", "db"];
        Result See() => _sandbox.Capsule("exec", "app", "cat", path + "/file");
        string Mounts() => _sandbox.Shell("wc -l < /proc/self/mountinfo").Out + _sandbox.Capsule("exec", "app", "sh", "-c", "wc -l < /proc/self/mountinfo").Ok().Out;
        int made = 0;
        if (ownBelow is not null) // from the first time on it is state of its own
        {
            _sandbox.Run(add).Ok();
            _sandbox.Run(remove).Ok();
        }
        string before = Mounts();
        foreach (string[] words in (string[][])[add, remove])
        {
            if (words == remove) _sandbox.Run(add).Ok();
            (Result whole, string[] calls) = KilledAt(0, words);
            whole.Ok();
            if (words == add) calls.ShouldContain(c => c.EndsWith(" move_mount"), "an attach has no move_mount any more: is it followed?");
            foreach (int number in Sample(All(calls), most))
            {
                if (words == add) _sandbox.Run(remove);
                else _sandbox.Run(add);
                string at = $"{words[2]} killed at {KilledAt(number, words).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
                DoctorClears(at);
                See().Out.ShouldBeOneOf("one\n", "");
                _sandbox.Run(add);
                See().Out.ShouldBe("one\n", at + ": it is made whatever was left");
                made++;
                if (ownBelow is not null) _sandbox.Capsule("exec", "app", "sh", "-c", $"echo its >> {ownBelow}/kept").Ok();
                _sandbox.Run(remove).Ok();
                See().Code.ShouldNotBe(0, at);
                Mounts().ShouldBe(before, at);
            }
        }
        if (ownBelow is not null)
        {
            _sandbox.Capsule("exec", "db", "ls", ownBelow).Ok().Out.ShouldBe("");
            _sandbox.Run(add).Ok();
            _sandbox.Capsule("exec", "app", "sh", "-c", $"wc -l < {ownBelow}/kept").Ok().Out.ShouldBe($"{made}\n", "nothing that was written there is lost");
            _sandbox.Run(remove).Ok();
        }
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
        _sandbox.Capsule("rm", "--volumes", "--yes", "db").Ok();
    }

    [Fact]
    public void A_link_of_the_log_whose_making_or_taking_away_is_killed_before_any_call_can_be_made_and_taken_away_again()
    {
        foreach (string capsule in (string[])["log", "app"]) BusyBox.MakeCapsule(_sandbox, capsule, null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok();
        _sandbox.Capsule("start", "log", "app").Ok();
        string[] add = [Sandbox.Programs + "/capsule-tools", "link", "add", "app", "log/syslog"], remove = [Sandbox.Programs + "/capsule-tools", "link", "rm", "app", "log"];
        string Socket(string capsule) => _sandbox.Capsule("exec", capsule, "stat", "-Lc", "%d:%i", "/dev/log").Ok().Out;
        string own = Socket("app"), owners = Socket("log"), mounts = _sandbox.Shell("wc -l < /proc/self/mountinfo").Out;
        foreach (string[] words in (string[][])[add, remove])
        {
            if (words == remove) _sandbox.Run(add).Ok();
            (Result whole, string[] calls) = KilledAt(0, words);
            whole.Ok();
            foreach (int number in Sample(All(calls), 25))
            {
                if (words == add) _sandbox.Run(remove);
                else _sandbox.Run(add);
                string at = $"{words[2]} killed at {KilledAt(number, words).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
                DoctorClears(at);
                Socket("app").ShouldBeOneOf([own, owners], at); // at no moment without one
                _sandbox.Run(add);
                Socket("app").ShouldBe(owners, at);
                _sandbox.Run(remove).Ok();
                Socket("app").ShouldBe(own, at);
                _sandbox.Shell("wc -l < /proc/self/mountinfo").Out.ShouldBe(mounts, at);
            }
        }
        _sandbox.Capsule("exec", "app", "sh", "-c", "ls -A /dev | grep log").Out.ShouldBe("log\n");
        _sandbox.Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_link_of_ports_whose_making_or_taking_away_is_killed_before_any_call_is_led_again_and_nothing_stays()
    {
        BusyBox.MakeCapsule(_sandbox, "db", null, BusyBox.Script("mkdir -p /srv/www; echo of db > /srv/www/index.html; exec busybox httpd -f -p 127.0.0.1:8080 -h /srv/www"));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("share", "add", "db/web", "--port", "8080").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        string[] add = [Sandbox.Programs + "/capsule-tools", "link", "add", "app", "db/web"], remove = [Sandbox.Programs + "/capsule-tools", "link", "rm", "app", "db"];
        string Fetch() => _sandbox.Capsule("exec", "app", "sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 127.0.0.1 8080 | tail -n 1").Out;
        string Listening() => _sandbox.Shell($"cat /proc/{Init("app")}/net/tcp /proc/{Init("app")}/net/tcp6 | grep -c ' 0A '; true").Out.Trim();
        string[] Forwarders() => _sandbox.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule forwarder' && [ \"$(cat $p/comm)\" != capsule-guard ] && echo ${p#/proc/}; done; true").Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        foreach (string[] words in (string[][])[add, remove])
        {
            if (words == remove) _sandbox.Run(add).Ok();
            (Result whole, string[] calls) = KilledAt(0, words);
            whole.Ok();
            foreach (int number in Sample(All(calls), 20))
            {
                if (words == add) _sandbox.Run(remove);
                else _sandbox.Run(add);
                string at = $"{words[2]} killed at {KilledAt(number, words).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
                DoctorClears(at);
                _sandbox.Run(add);
                Sandbox.Eventually(() => Fetch() == "of db\n", at + ": it is led whatever was left");
                Forwarders().Length.ShouldBe(1, at);
                Listening().ShouldBe("2", at + ": 127.0.0.1 and ::1, once");
                _sandbox.Run(remove).Ok();
                Sandbox.Eventually(() => Listening() == "0" && Forwarders().Length == 0, $"{at}: {Listening()} listen, {string.Join(' ', Forwarders())} lead");
            }
        }
        // Whoever leads is killed at any moment, with connections through it.
        _sandbox.Run(add).Ok();
        for (int i = 0; i < 10; i++)
        {
            Sandbox.Eventually(() => Fetch() == "of db\n", $"{i}: it is led");
            using Process busy = _sandbox.Start([Sandbox.Programs + "/capsule", "exec", "app", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 1 127.0.0.1 8080 >/dev/null; done"]);
            Thread.Sleep(i * 7);
            foreach (string pid in Forwarders()) _sandbox.Shell($"kill -9 {pid}");
            busy.WaitForExit(30_000).ShouldBeTrue();
        }
        Sandbox.Eventually(() => Fetch() == "of db\n" && Forwarders().Length == 1 && Listening() == "2", "one leads, on each address once");
        _sandbox.Run(remove).Ok();
        Sandbox.Eventually(() => Listening() == "0" && Forwarders().Length == 0, "nothing is left");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    private string Init(string capsule) => JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();

    [Fact]
    public void A_swap_of_links_that_is_killed_before_any_call_shows_the_old_or_the_new_and_can_be_made_again()
    {
        foreach (string owner in (string[])["db", "new"])
        {
            BusyBox.MakeCapsule(_sandbox, owner, m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script("while :; do sleep 1; done"));
            File.WriteAllText($"{_sandbox.Store}/capsules/{owner}/volumes/data/file", owner + "\n");
            _sandbox.Capsule("share", "add", $"{owner}/data", "--path", "/var/lib/shop", "--preset", "client").Ok();
        }
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("start", "db", "new", "app").Ok();
        Result Tool(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "link", .. words]);
        Result See() => _sandbox.Capsule("exec", "app", "cat", "/var/lib/shop/file");
        string Mounts() => _sandbox.Shell("wc -l < /proc/self/mountinfo").Out;
        string without = Mounts();
        string[] swap = [Sandbox.Programs + "/capsule-tools", "link", "swap", "app", "db/data", "new/data"];
        Tool("add", "app", "db/data").Ok();
        (Result whole, string[] calls) = KilledAt(0, swap);
        whole.Ok();
        calls.ShouldContain(c => c.EndsWith(" move_mount"), "a swap has no move_mount any more: is it followed?");
        foreach (int number in Sample(All(calls), 30))
        {
            Tool("rm", "app", "new");
            Tool("rm", "app", "db");
            Mounts().ShouldBe(without);
            Tool("add", "app", "db/data").Ok();
            string at = $"killed at {KilledAt(number, swap).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
            See().Out.ShouldBeOneOf("db\n", "new\n");
            DoctorClears(at);
            if (Tool("swap", "app", "db/data", "new/data").Code != 0) Tool("add", "app", "new/data"); // its record had it already
            See().Out.ShouldBe("new\n", at);
            _sandbox.Capsule("link", "list", "app").Ok().Out.ShouldContain("live", customMessage: at);
        }
        _sandbox.Capsule("stop", "app", "db", "new").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_merge_beside_another_that_is_killed_before_any_call_can_be_made_and_taken_away_again_and_the_other_stays()
    {
        var pair = new LinkedPair(_sandbox);
        ServiceManifest idle = BusyBox.Script("while :; do sleep 1; done");
        foreach (string name in (string[])["app", "one", "two"])
        {
            pair.Make(name, 100, null, idle);
            Directory.CreateDirectory($"{pair.TreeOf(name)}/usr/lib/plugins");
            foreach (string file in (string[])["both", "of-" + name]) File.WriteAllText($"{pair.TreeOf(name)}/usr/lib/plugins/{file}", name + "\n");
            if (name != "app") _sandbox.Capsule("share", "add", $"{name}/plugins", "--path", "/usr/lib/plugins").Ok();
        }
        File.Delete($"{pair.TreeOf("app")}/usr/lib/plugins/both");
        _sandbox.Capsule("start", "app").Ok();
        string[] add = [Sandbox.Programs + "/capsule-tools", "link", "add", "app", "two/plugins", "--merge", "--priority", "1"], remove = [Sandbox.Programs + "/capsule-tools", "link", "rm", "app", "two"];
        string See() => _sandbox.Capsule("exec", "app", "sh", "-c", "cd /usr/lib/plugins; cat both of-app of-one of-two 2>/dev/null").Out.Trim().Replace('\n', ' ');
        const string Alone = "one app one", Both = "two app one two";
        string Mounts() => _sandbox.Shell("wc -l < /proc/self/mountinfo").Out;
        _sandbox.Capsule("link", "add", "app", "one/plugins", "--merge").Ok();
        string before = Mounts();
        foreach (string[] words in (string[][])[add, remove])
        {
            if (words == remove) _sandbox.Run(add).Ok();
            (Result whole, string[] calls) = KilledAt(0, words);
            whole.Ok();
            calls.ShouldContain(c => c.EndsWith(" move_mount"), "an attach has no move_mount any more: is it followed?");
            foreach (int number in Sample(All(calls), 25))
            {
                if (words == add) _sandbox.Run(remove);
                else _sandbox.Run(add);
                string at = $"{words[2]} killed at {KilledAt(number, words).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}";
                DoctorClears(at);
                See().ShouldBeOneOf(Alone, Both);
                _sandbox.Run(add);
                See().ShouldBe(Both, at + ": it is made whatever was left");
                _sandbox.Capsule("link", "list", "app").Ok().Out.ShouldNotContain("waiting", customMessage: at);
                _sandbox.Run(remove).Ok();
                See().ShouldBe(Alone, at);
                Mounts().ShouldBe(before, at);
            }
        }
        _sandbox.Capsule("stop", "-t", "0", "app").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_fork_that_is_killed_before_any_call_is_made_or_not_and_whoever_was_held_still_goes_on()
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script("i=0; while :; do i=$((i+1)); echo $i > /var/lib/shop/count.new; mv /var/lib/shop/count.new /var/lib/shop/count; usleep 10000; done"));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script("while :; do sleep 1; done"));
        string data = $"{_sandbox.Store}/capsules/db/volumes/data", volumes = $"{_sandbox.Store}/capsules/app/volumes";
        _sandbox.Shell($"cd {data}; for i in 1 2 3 4 5; do echo $i > $i; done; ln 1 same").Ok();
        _sandbox.Capsule("share", "add", "db/data", "--path", "/var/lib/shop").Ok();
        _sandbox.Capsule("start", "db").Ok();
        string[] add = [Sandbox.Programs + "/capsule-tools", "link", "add", "app", "db/data", "--fork"], remove = [Sandbox.Programs + "/capsule-tools", "link", "rm", "app", "db/data", "--volumes", "--yes"];
        string Count() => _sandbox.Shell($"cat {data}/count").Out;
        bool IsFork() => _sandbox.Capsule("link", "list", "app").Ok().Out.Contains("fork of db/data", StringComparison.Ordinal);
        int made = 0, not = 0;
        foreach (string[] words in (string[][])[add, remove])
        {
            if (words == remove && !IsFork()) _sandbox.Run(add).Ok();
            (Result whole, string[] calls) = KilledAt(0, words);
            whole.Ok();
            foreach (string kind in words == add ? (string[])["renameat", "syncfs", "flock", "setsid"] : ["renameat", "unlinkat"]) calls.ShouldContain(c => c.EndsWith(' ' + kind), $"a fork has no {kind} any more: is it followed?\n{string.Join('\n', calls)}");
            foreach (int number in Sample(All(calls), words == add ? 35 : 15))
            {
                if (words == add) _sandbox.Run(remove);
                else if (!IsFork()) _sandbox.Run(add).Ok();
                string at = $"{words[2]} killed at {KilledAt(number, words).Calls.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}", before = Count();
                Sandbox.Eventually(() => Count() != before, at + ": db goes on", 10);
                DoctorClears(at);
                if (IsFork())
                {
                    made++;
                    _sandbox.Shell($"cd {volumes}/var-lib-shop && cat 1 2 3 4 5 && [ same -ef 1 ] && [ -s count ]").Ok().Out.ShouldBe("1\n2\n3\n4\n5\n", at + ": whole");
                }
                else
                {
                    not++;
                    _sandbox.Shell($"ls {volumes}").Out.ShouldBe("data\n", at + ": nothing");
                    _sandbox.Run(add).Ok();
                }
                _sandbox.Capsule("run", "app").Ok();
                _sandbox.Capsule("exec", "app", "cat", "/var/lib/shop/5").Ok().Out.ShouldBe("5\n", at);
                _sandbox.Capsule("stop", "-t", "0", "app").Ok();
                _sandbox.Shell($"ls {_sandbox.Store}/tmp").Out.ShouldBeEmpty(at);
            }
        }
        output.WriteLine($"{made} were there, {not} were not");
        made.ShouldBeGreaterThan(0);
        not.ShouldBeGreaterThan(0);
        _sandbox.Capsule("stop", "-t", "0", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_crossing_that_is_killed_before_any_call_leaves_nobody_and_the_next_one_works()
    {
        var pair = new LinkedPair(_sandbox);
        ServiceManifest idle = BusyBox.Script("while :; do sleep 1; done");
        pair.Make("app", 105, null, idle);
        pair.Make("db", 870, null, idle);
        pair.Link("app", "db", null, "web");
        _sandbox.Capsule("run", "db").Ok();
        _sandbox.Capsule("run", "app").Ok();
        string Left() => _sandbox.Shell("""
            for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in capsule-cross) echo witness ${p#/proc/};; esac; tr '\0' ' ' < $p/cmdline 2>/dev/null | grep -q 'MARK[E]D' && echo left ${p#/proc/}; done; true
            """).Out + _sandbox.Shell($"find /sys/fs/cgroup -type d -path '*{_sandbox.Id}*' -name 'crossing-*' 2>/dev/null").Out;
        string Broker() => _sandbox.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule crossings' && echo ${p#/proc/}; done; true").Out.Trim();
        string Mounts() => _sandbox.Shell("wc -l < /proc/self/mountinfo").Out;
        // From a broker that is started, under its guard, to the end of one program with a child.
        string script = $"{Sandbox.Programs}/capsule-tools crossings app; timeout -s KILL 20 {Sandbox.Programs}/capsule exec -i --user web app {LinkedPair.Tool} 'sh -c \": MARKED; usleep 50000\"; echo done'";
        void EndBroker()
        {
            for (string broker = Broker(); broker.Length > 0; broker = Broker())
                _sandbox.Shell($"g=$(cut -d' ' -f4 /proc/{broker}/stat); [ \"$(cat /proc/$g/comm)\" = capsule-guard ] && kill -9 $g; kill -9 {broker}; sleep 0.1");
        }
        EndBroker();
        pair.Follow("app");
        string before = Mounts();
        EndBroker();
        var (whole, calls) = KilledAt(0, "/bin/bash", "-c", script);
        whole.Out.ShouldBe("done\n", whole.Error);
        foreach (string who in (string[])["capsule-tools", "capsule-guard", "capsule-cross"])
            output.WriteLine($"{who}: {calls.Count(c => c.Split(' ')[2].StartsWith(who, StringComparison.Ordinal))} of {calls.Length} calls");
        var killed = new Dictionary<string, int>();
        foreach (int number in Sample(All(calls), 30))
        {
            EndBroker();
            var (_, met) = KilledAt(number, "/bin/bash", "-c", script);
            string at = $"killed at {met.ElementAtOrDefault(number - 1) ?? $"{number}, which did not come"}", who = met.ElementAtOrDefault(number - 1)?.Split(' ')[2] ?? "nobody";
            killed[who] = killed.GetValueOrDefault(who) + 1;
            if (pair.Run("app", LinkedPair.Tool, "echo again").Code != 0) pair.Follow("app"); // without a guard the next link brings the broker back
            Sandbox.Eventually(() => pair.Run("app", LinkedPair.Tool, "echo again") == new Result(0, "again\n", ""), at + ": the next one works", 10);
            try { Sandbox.Eventually(() => Left().Length == 0, at + ": nobody is left", 10); }
            catch (TimeoutException e) { throw new TimeoutException(e.Message + "\n" + Left()); }
            DoctorClears(at);
            Mounts().ShouldBe(before, at);
        }
        output.WriteLine(string.Join(", ", killed.Select(k => $"{k.Key}: {k.Value}")));
        _sandbox.Capsule("stop", "app", "db").Ok();
        Sandbox.Eventually(() => Broker().Length == 0 && _sandbox.Traces().Length == 0, "nothing is left: " + _sandbox.Traces());
    }

    [Fact]
    public void A_commit_that_is_killed_before_any_call_leaves_the_old_or_the_new_state_and_no_change_is_lost()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000")); // without a service it ends by itself
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo new > /srv/file; mkdir /opt; for i in 1 2 3; do echo $i > /opt/$i; done; rm /etc/group; echo root:x:1 > /etc/shadow; echo data > /data/file").Ok();
        _sandbox.Capsule("stop", "-t", "0", "web").Ok();
        const string Changes = "A /etc/shadow\nD /etc/group\nA /opt\nA /opt/1\nA /opt/2\nA /opt/3\nA /srv/file\n";
        static string Sorted(string text) => string.Concat(text.Split('\n').Select(l => l.Split('\t')[0]).Order(StringComparer.Ordinal));
        Sorted(_sandbox.Capsule("diff", "web").Out).ShouldBe(Sorted(Changes));
        string kept = _sandbox.State + "/before";
        _sandbox.Shell($"cp -a {_sandbox.Store} {kept}").Ok();
        string[] commit = [Sandbox.Programs + "/capsule-tools", "commit", "web"];
        (Result whole, string[] calls) = KilledAt(0, commit);
        whole.Ok();
        foreach (string kind in (string[])["renameat", "syncfs", "fsync", "unlinkat"]) calls.ShouldContain(c => c.EndsWith(' ' + kind), $"a commit has no {kind} any more: is it followed?");
        int first = Array.FindIndex(calls, c => c.EndsWith(" syncfs", StringComparison.Ordinal)) + 1, old = 0, done = 0;
        first.ShouldBeGreaterThan(1);
        // What counts is at the end, from the first sync on; the calls before only fill tmp.
        int[] numbers = [.. Sample([.. All(calls).Where(n => n < first)], 3), .. Sample([.. All(calls).Where(n => n >= first)], 17)];
        foreach (int number in numbers)
        {
            _sandbox.Shell($"rm -rf {_sandbox.Store}/* && cp -a {kept}/. {_sandbox.Store}/").Ok();
            var (_, met) = KilledAt(number, commit);
            string at = $"killed at {(met.Length < number ? $"{number}, which did not come" : met[number - 1])}", diff = Sorted(_sandbox.Capsule("diff", "web").Out);
            if (diff.Length == 0) done++;
            else old++;
            if (diff.Length != 0) diff.ShouldBe(Sorted(Changes), at);
            if (number % 2 == 0) DoctorClears(at); // else the start has to
            _sandbox.Capsule("run", "web").Ok();
            _sandbox.Capsule("exec", "web", "sh", "-c", "cat /srv/file /opt/1 /opt/2 /opt/3 /etc/shadow /data/file; [ -e /etc/group ] || echo gone").Ok().Out.ShouldBe("new\n1\n2\n3\nroot:x:1\ndata\ngone\n", at);
            _sandbox.Capsule("stop", "-t", "0", "web").Ok();
            Sorted(_sandbox.Capsule("diff", "web").Out).ShouldBe(diff, at);
            DoctorClears(at);
            _sandbox.Traces().ShouldBeEmpty(at);
            _sandbox.Shell($"ls -d {_sandbox.Store}/capsules/web/*.new; find {_sandbox.Store}/layers -name shadow").Out.ShouldBeEmpty(at);
        }
        output.WriteLine($"{calls.Length} calls; of {numbers.Length} commits that were killed {old} did not count, {done} did");
        old.ShouldBeGreaterThan(0);
        done.ShouldBeGreaterThan(0);
    }

    [Fact]
    public void An_adopt_that_is_killed_before_any_call_leaves_its_source_running_and_nothing_half_made()
    {
        string tree = _sandbox.State + "/source";
        _sandbox.Shell($$"""
            mkdir -p {{tree}}/opt/web {{tree}}/srv/www && cp /bin/busybox {{tree}}/opt/web/busybox && echo page > {{tree}}/srv/www/index.html
            mount --bind {{tree}}/opt /opt && mount --bind {{tree}}/srv /srv && mkdir -p /srv/www
            setsid sh -c 'exec /opt/web/busybox httpd -f -p 8090 -h /srv/www' >/dev/null 2>&1 & sleep 0.3; echo $! > {{tree}}/pid
            """).Ok();
        string[] adopt = [Sandbox.Programs + "/capsule-tools", "adopt", "port:8090", "--name", "web", "--yes", "--leave", "/usr/share", "--leave", "/usr/lib"];
        (Result whole, string[] calls) = KilledAt(0, adopt);
        output.WriteLine($"{calls.Length} calls");
        whole.Ok();
        whole.Error.ShouldContain("paused");
        _sandbox.Capsule("rm", "--volumes", "--yes", "web").Ok();
        foreach (int number in Sample(Telling(calls), 12))
        {
            var (killed, met) = KilledAt(number, adopt);
            string at = $"killed at {(met.Length < number ? $"{number}, which did not come" : met[number - 1])}";
            Sandbox.Eventually(() => _sandbox.Shell("for p in /proc/[0-9]*; do grep -q httpd $p/cmdline 2>/dev/null && grep State $p/status; done").Out is { Length: > 0 } states && !states.Contains('T'), at + ": the source goes on", 10);
            _sandbox.Shell("curl -fsS --max-time 5 http://127.0.0.1:8090/").Out.ShouldBe("page\n", at);
            DoctorClears(at);
            _sandbox.Traces().ShouldBeEmpty(at);
            if (_sandbox.Capsule("ps", "-a", "-q").Out.Length > 0) _sandbox.Capsule("rm", "--volumes", "--yes", "web").Ok(); // killed when all was done
            _sandbox.Shell($"ls {_sandbox.Store}/capsules 2>/dev/null").Out.ShouldBeEmpty(at);
        }
        _sandbox.Run(adopt).Ok();
        _sandbox.Capsule("run", "web", "--fresh", "all").Ok();
    }
}
