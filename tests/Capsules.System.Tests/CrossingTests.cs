using System.Diagnostics;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Crossings;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>A program of one capsule that is run from another: at home, and as if it were here.</summary>
public sealed class CrossingTests : IDisposable
{
    private readonly Sandbox _sandbox = new();
    private readonly LinkedPair _pair;
    private static readonly ServiceManifest s_idle = BusyBox.Script("while :; do sleep 1; done");

    public CrossingTests() => _pair = new(_sandbox);

    public void Dispose() => _sandbox.Dispose();

    private void Begin(params string[] users)
    {
        _pair.Make("app", 105, null, s_idle);
        _pair.Make("db", 870, null, s_idle);
        _pair.Link("app", "db", null, users.Length == 0 ? ["web"] : users);
        _sandbox.Capsule("run", "db").Ok();
        StartApp();
    }

    private void StartApp() => _sandbox.Capsule("run", "app").Ok();

    private Result Tool(string script, params string[] arguments) => _pair.Run("app", [LinkedPair.Tool, script, .. arguments]);

    /// <summary>A script of the shell in the capsule that uses.</summary>
    private Result App(string script) => _pair.Run("app", "sh", "-c", script);

    /// <summary>Processes of the owner that are there for a crossing.</summary>
    private string Left() => _sandbox.Capsule("exec", "db", "sh", "-c", "for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = capsule-cross ] && echo $p; tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q MARK''ED && echo $p; done; true").Ok().Out;

    private string Groups() => _sandbox.Shell($"find /sys/fs/cgroup -type d -path '*{_sandbox.Id}*' -name 'crossing-*' 2>/dev/null").Out;

    private string Broker() => _sandbox.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule crossings' && echo ${p#/proc/}; done; true").Out.Trim();

    [Fact]
    public void It_runs_at_home_as_the_owners_user_and_ends_as_it_ended()
    {
        Begin();
        Result home = Tool("cat /etc/whose; id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SHELL; pwd; echo $0; echo \"$@\"; hostname", "one", "two words");
        home.Out.ShouldBe("db\n870\n872\n872 875\n/srv/db web web /bin/ash\n/\n/usr/bin/tool\none two words\ndb\n", home.Error);
        home.Code.ShouldBe(0);
        foreach (int status in (int[])[0, 1, 2, 69, 125, 126, 127, 128, 129, 200, 255]) Tool($"exit {status}").Code.ShouldBe(status);
        Sandbox.Eventually(() => Groups().Length == 0, "no group is left");
        Left().ShouldBeEmpty();
    }

    [Fact]
    public void Death_by_a_signal_is_death_by_that_signal()
    {
        Begin();
        foreach (int signal in (int[])[1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 24, 31, 34, 64])
            App($"{LinkedPair.Tool} '(usleep 100000; kill -{signal} $$) & exec sleep 10'; echo $?").Out.Trim().ShouldBe($"{128 + signal}", $"signal {signal}");
    }

    [Fact]
    public void Every_signal_that_can_be_caught_goes_on_to_the_program()
    {
        Begin();
        int[] signals = [.. Enumerable.Range(1, 31).Except([9, 17, 19, 32, 33]), 34, 50, 64];
        string traps = string.Concat(signals.Select(s => $"trap 'echo got {s}' {s}; "));
        string killer = "until grep -q ready /tmp/out; do usleep 10000; done; " + string.Concat(signals.Select(s => $"kill -{s} $p; n=0; until grep -q \"got {s}$\" /tmp/out || [ $n -gt 500 ]; do usleep 10000; n=$((n+1)); done; ")) + "kill -9 $p";
        Result result = App($"p=$$; ({killer}) & exec {LinkedPair.Tool} \"{traps} echo ready; while :; do usleep 20000; done\" > /tmp/out");
        result.Code.ShouldBe(137);
        result = App("cat /tmp/out");
        result.Out.Split('\n').Where(l => l.StartsWith("got", StringComparison.Ordinal)).ShouldBe(signals.Select(s => $"got {s}"), result.Error);
    }

    [Fact]
    public void Bytes_go_both_ways_through_pipes_and_other_descriptors()
    {
        Begin();
        Result digest = App($"dd if=/dev/urandom of=/tmp/in bs=1M count=100 2>/dev/null; cat /tmp/in | {LinkedPair.Tool} cat | sha256sum; sha256sum < /tmp/in; cat /tmp/in | {LinkedPair.Tool} sha256sum");
        string[] digests = [.. digest.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        digests.Length.ShouldBe(3, digest.Error);
        digests.Distinct().Count().ShouldBe(1);
        App($"{LinkedPair.Tool} 'cat 0<&-; [ -e /proc/self/fd/0 ] || echo closed' 0<&-").Out.ShouldBe("closed\n");
        App($"echo in > /tmp/a; {LinkedPair.Tool} 'cat <&3; echo out >&5; ls /proc/self/fd | tr \"\\n\" \" \"' 3< /tmp/a 5> /tmp/b 7<&3 0</dev/null 2>/dev/null; cat /tmp/b").Out.ShouldContain("in\n");
        App($"{LinkedPair.Tool} 'echo written >&5' 5> /tmp/b; cat /tmp/b").Out.ShouldBe("written\n");
        App($"{LinkedPair.Tool} 'for f in /proc/$$/fd/*; do echo ${{f##*/}}; done' 4</dev/null 9</dev/null </dev/null").Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Except(["3", "10"]).ShouldBe(["0", "1", "2", "4", "9"]);
    }

    [Fact]
    public void Variables_umask_limits_and_ignored_signals_are_the_callers_as_far_as_they_may_be()
    {
        Begin();
        Result result = _sandbox.Capsule("exec", "--user", "web", "-e", "LANG=de_AT.UTF-8", "-e", "LC_TIME=C", "-e", "TZ=UTC", "-e", "TERM=vt52", "-e", "PASSED=yes", "-e", "LD_PRELOAD=/x", "-e", "SECRET=no", "-e", "PATH=/evil", "-e", "HOME=/evil", "-e", "SHELL=/evil",
            "app", LinkedPair.Tool, "env");
        result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Except(["PWD=/", "SHLVL=1", "SHLVL=0", "OLDPWD=/"]).Order(StringComparer.Ordinal).ShouldBe(
            ["HOME=/srv/db", "LANG=de_AT.UTF-8", "LC_TIME=C", "LOGNAME=web", "PASSED=yes", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SHELL=/bin/ash", "TERM=vt52", "TZ=UTC", "USER=web"]);
        App($"umask 0027; {LinkedPair.Tool} umask").Out.ShouldBe("0027\n");
        App($"ulimit -n 77; ulimit -c 0; {LinkedPair.Tool} 'ulimit -n; ulimit -Hn; ulimit -c'").Out.ShouldBe("77\n77\n0\n");
        Result tooLong = App($"ulimit -s unlimited; set -- $(seq 1 350000); {LinkedPair.Tool} true \"$@\"; echo $?");
        (tooLong.Out, tooLong.Error.Contains("error[CAP4131]", StringComparison.Ordinal)).ShouldBe(("126\n", true), tooLong.Error);
        App($"trap '' HUP; {LinkedPair.Tool} 'kill -1 $$; echo alive'").Out.ShouldBe("alive\n");
    }

    [Fact]
    public void It_starts_where_the_caller_is_when_both_see_that_directory()
    {
        Begin();
        _pair.Change("db", r => r with { Exports = [.. r.Exports!.Value, new() { Name = CapsuleName.Parse("files"), Preset = LinkPreset.Partner, Path = GuestPath.Parse("/run/files"), Users = ["web"] }] });
        _sandbox.Capsule("exec", "db", "mkdir", "-p", "/run/files/below").Ok();
        _sandbox.Capsule("link", "add", "app", "db/files").Ok();
        App($"cd /run/files/below; {LinkedPair.Tool} pwd").ShouldBe(new Result(0, "/run/files/below\n", ""));
        Result own = App($"cd /srv; {LinkedPair.Tool} pwd");
        own.Out.ShouldBe("/\n");
        own.Error.ShouldStartWith("warning[CAP4143]: `/usr/bin/tool` starts in / of its capsule: /srv is not shown");
        App($"cd /; {LinkedPair.Tool} pwd").ShouldBe(new Result(0, "/\n", ""));
    }

    [Fact]
    public void Nothing_is_left_when_the_shim_is_killed_not_even_of_what_the_program_started()
    {
        Begin();
        App($"{LinkedPair.Tool} 'setsid sh -c \"sleep 1000; : MARKED\" & sh -c \"sleep 1000; : MARKED\" & echo there; sleep 1000; : MARKED' > /tmp/out & p=$!; until grep -q there /tmp/out; do usleep 10000; done; kill -9 $p").Ok();
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
        App($"{LinkedPair.Tool} 'setsid sh -c \"sleep 1000; : MARKED\" > /dev/null 2>&1 & exit 3'; echo $?").Out.ShouldBe("3\n");
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of what it left behind");
    }

    [Fact]
    public void A_killed_broker_costs_what_ran_and_is_there_again()
    {
        Begin();
        var running = Background("setsid sh -c \"sleep 1000; : MARKED\" & echo there; sleep 1000; : MARKED");
        string first = Broker();
        _sandbox.Shell($"kill -9 {first}").Ok();
        Result ended = Ended(running);
        ended.Code.ShouldBe(69);
        ended.Error.ShouldContain("error[CAP4132]: `/usr/bin/tool` was ended in the other capsule");
        Sandbox.Eventually(() => Broker() is { Length: > 0 } now && now != first, "there is a broker again");
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
        Tool("echo again").ShouldBe(new Result(0, "again\n", ""));
    }

    [Fact]
    public void Without_broker_and_guard_what_ran_ends_and_the_next_link_brings_them_back()
    {
        Begin();
        var running = Background("setsid sh -c \"sleep 1000; : MARKED\" > /dev/null 2>&1 & echo there; exec sleep 1000");
        _sandbox.Shell($"kill -9 $(cut -d' ' -f4 /proc/{Broker()}/stat) {Broker()}").Ok();
        Ended(running).Code.ShouldBe(69);
        Result nobody = Tool("echo hi");
        (nobody.Code, nobody.Error.Contains("error[CAP4130]: `/usr/bin/tool` is a program of another capsule, which cannot be reached", StringComparison.Ordinal)).ShouldBe((69, true), nobody.Error);
        _pair.Follow("app");
        Tool("echo hi").ShouldBe(new Result(0, "hi\n", ""));
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "what the program had started is cleared by the next broker");
    }

    [Fact]
    public void A_killed_witness_ends_its_program()
    {
        Begin();
        var running = Background("setsid sh -c \"sleep 1000; : MARKED\" & echo there; sleep 1000; : MARKED");
        _sandbox.Shell("for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = capsule-cross ] && kill -9 ${p#/proc/}; done; true").Ok();
        Result ended = Ended(running);
        (ended.Code, ended.Error.Contains("error[CAP4132]", StringComparison.Ordinal)).ShouldBe((69, true), ended.Error);
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
    }

    [Fact]
    public void When_its_capsule_stops_the_program_ends_with_a_word_about_it()
    {
        Begin();
        var running = Background("trap '' TERM; echo there; while :; do sleep 1; done");
        _sandbox.Capsule("stop", "db").Ok();
        Result ended = Ended(running);
        ended.Code.ShouldBe(69);
        ended.Error.ShouldContain("error[CAP4138]: `/usr/bin/tool` was ended: its capsule `db` has stopped");
        Result down = Tool("echo hi");
        down.Code.ShouldBe(69);
        down.Error.ShouldContain("error[CAP4137]: `/usr/bin/tool` cannot be run: its capsule `db` does not run");
        _sandbox.Capsule("run", "db").Ok();
        Tool("echo hi").ShouldBe(new Result(0, "hi\n", ""));
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Capsule("stop", "app").Ok();
        Sandbox.Eventually(() => Broker().Length == 0, "the broker ends with the last capsule that it answers for");
    }

    /// <summary>Starts a program of the owner's, which says "there" when it runs.</summary>
    private (Process Process, Task<string> Error) Background(string script)
    {
        Process process = _sandbox.Start([Sandbox.Programs + "/capsule", "exec", "-i", "--user", "web", "app", LinkedPair.Tool, script]);
        Task<string> error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadLine().ShouldBe("there");
        return (process, error);
    }

    private static Result Ended((Process Process, Task<string> Error) running)
    {
        running.Process.WaitForExit(20_000).ShouldBeTrue();
        return new(running.Process.ExitCode, "", running.Error.Result);
    }

    [Fact]
    public void What_is_not_offered_is_refused()
    {
        _pair.Make("app", 105, null, s_idle);
        _pair.Make("db", 870, null, s_idle);
        _pair.Make("third", 300, null, s_idle);
        _pair.Link("app", "db", e => e with { Arguments = ["echo *", "ok", "-?"] }, "web");
        _sandbox.Capsule("run", "db").Ok();
        _sandbox.Capsule("run", "third").Ok();
        StartApp();
        _pair.Attach("app", CrossingDoor.ShimOf(_pair.Layout), LinkedPair.Other, "ro");

        Tool("echo hi", "ok", "-v").ShouldBe(new Result(0, "hi\n", ""));
        Refused(Tool("echo hi", "rm"), "CAP4134");
        Refused(Tool("id"), "CAP4134");
        Refused(_pair.Run("app", LinkedPair.Other, "echo hi"), "CAP4133");
        Refused(_sandbox.Capsule("exec", "--user", "other", "app", LinkedPair.Tool, "echo hi"), "CAP4135");
        Refused(_sandbox.Capsule("exec", "--user", "web:root", "app", LinkedPair.Tool, "echo hi"), "CAP4135");
        Refused(_sandbox.Capsule("exec", "app", LinkedPair.Tool, "echo hi"), "CAP4135");
        App($"cp {LinkedPair.Tool} /srv/tool 2>/dev/null || cp {LinkedPair.Tool} /tmp/tool; /tmp/tool 'echo hi'; /srv/tool 'echo hi'; echo").Out.Trim().ShouldBeEmpty(); // a name of its own choice

        _pair.Change("db", r => r with { Exports = [.. r.Exports!.Value.Select(e => e with { RunAs = "other", Arguments = [] })] });
        Result asOther = _sandbox.Capsule("exec", "--user", "other", "app", "sh", "-c", "true");
        asOther.Code.ShouldBe(0);
        _sandbox.Capsule("exec", "--user", "other", "app", LinkedPair.Tool, "id -u").Out.ShouldBe("880\n");

        _pair.Change("app", r => r with { Links = [] });
        Refused(Tool("id"), "CAP4133");
    }

    [Fact]
    public void Links_bring_shims_and_take_them_away_while_capsules_run()
    {
        _pair.Make("app", 105, null, s_idle);
        _pair.Make("db", 870, null, s_idle);
        _sandbox.Capsule("share", "add", "db/tools", "--preset", "partner", "--exec", $"{LinkedPair.Tool},/usr/bin/of-db", "--user", "web").Ok();
        _sandbox.Capsule("run", "app").Ok();
        _sandbox.Capsule("run", "db").Ok();
        _sandbox.Capsule("share", "add", "db/shell", "--preset", "partner", "--exec", "/bin/cat", "--argument", "/etc/*", "--user", "web").Ok();
        _sandbox.Capsule("link", "add", "app", "db/shell").Ok();
        App("/bin/cat /etc/whose; /bin/busybox cat /etc/whose; readlink /bin/tac").ShouldBe(new Result(0, "db\napp\nbusybox\n", "")); // the link is covered, and not what it leads to, nor its other names
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        App("/bin/cat /etc/whose; readlink /bin/cat").Out.ShouldBe("app\nbusybox\n");
        string own = _pair.Run("app", LinkedPair.Tool, "cat /etc/whose").Out;
        _sandbox.Capsule("link", "add", "app", "db/tools", "--as", "web").Ok();
        Result live = _pair.Run("app", LinkedPair.Tool, "cat /etc/whose; id -u");
        _sandbox.Capsule("link", "rm", "app", "db/tools").Ok();
        (own, live.Out, live.Error, _pair.Run("app", LinkedPair.Tool, "cat /etc/whose").Out).ShouldBe(("app\n", "db\n870\n", "", "app\n"));
        Sandbox.Eventually(() => Broker().Length == 0, "without links there is no broker");

        _sandbox.Capsule("link", "add", "app", "db/tools", "--as", "web").Ok();
        _sandbox.Capsule("stop", "app").Ok();
        _sandbox.Capsule("start", "app").Ok();
        _pair.Run("app", "/usr/bin/of-db", "cat /etc/whose; id -u").ShouldBe(new Result(0, "db\n870\n", ""));
        _sandbox.Capsule("stop", "app").Ok();
        _sandbox.Capsule("stop", "db").Ok();
        Sandbox.Eventually(() => _sandbox.Traces().Length == 0, "nothing is left");
    }

    [Fact]
    public void A_file_with_a_set_id_bit_lends_nothing()
    {
        _pair.Make("app", 105, null, BusyBox.Script("until [ -e /tmp/go ]; do usleep 20000; done; /usr/bin/other 'echo hi' > /tmp/out 2>&1; echo $? >> /tmp/out; touch /tmp/done; sleep 1000") with { User = "other", NoNewPrivileges = false });
        _pair.Make("db", 870, null, s_idle);
        _pair.Link("app", "db", e => e, "web");
        string copy = Directory.GetDirectories(_sandbox.Store + "/layers").Single(l => File.Exists(l + "/etc/whose") && File.ReadAllText(l + "/etc/whose") == "app\n") + LinkedPair.Other;
        File.Copy(CrossingDoor.ShimOf(_pair.Layout), copy, overwrite: true);
        _sandbox.Shell($"chown 105:107 {copy}; chmod 6755 {copy}").Ok();
        _sandbox.Capsule("run", "db").Ok();
        StartApp();
        _pair.Change("db", r => r with { Exports = [.. r.Exports!.Value.Select(e => e with { Programs = [.. e.Programs, GuestPath.Parse(LinkedPair.Other)] })] }); // which is not covered by a shim, since the capsule runs already
        _pair.Run("app", LinkedPair.Other, "echo as web").Out.ShouldBe("as web\n"); // with no ids to lend it is a shim like any other
        _sandbox.Capsule("exec", "app", "touch", "/tmp/go").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("exec", "app", "test", "-e", "/tmp/done").Code == 0, "the service has tried");
        string said = _sandbox.Capsule("exec", "app", "cat", "/tmp/out").Out;
        said.ShouldContain("error[CAP4136]");
        said.ShouldEndWith("\n126\n");
    }

    [Fact]
    public void A_terminal_is_one_of_the_owners_with_size_keys_and_job_control()
    {
        Begin();
        Result result = Terminal(
            [
                "wait $ ", $"type {LinkedPair.Tool} 'trap \"stty size\" 28; stty size; tty; echo by the te''rminal > /dev/tty; read line; echo got $line; while :; do usleep 20000; done'; echo status=$?\\n",
                "wait 33 101", "wait /dev/pts/", "wait by the terminal", "type wo\\x7ford\\n", "wait got word", "size 44 121", "wait 44 121",
                "type \\x1a", "wait Stopped", "wait $ ", "type stty -a\\n", "wait icanon", "wait $ ", "type echo in the she''ll\\n", "wait in the shell", "wait $ ",
                "size 45 122", "type fg\\n", "wait 45 122", "type \\x03", "wait $ ", "type echo status=$?\\n", "wait status=130", "wait $ ", "type exit 7\\n",
            ]);
        result.Code.ShouldBe(7, result.Out);
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
    }

    [Fact]
    public void A_terminal_in_a_pipeline_stays_the_callers()
    {
        Begin();
        Result result = Terminal(
            [
                "wait $ ", $"type {LinkedPair.Tool} 'read line; echo got $line; [ -t 1 ] || echo a pi''pe' | cat\\n", "type word\\n", "wait got word", "wait a pipe",
                "wait $ ", $"type {LinkedPair.Tool} 'echo sta''rted >&2; sleep 100' | cat; echo sta''tus\\n", "wait started", "type \\x03", "wait $ ", "type exit 7\\n",
            ]);
        result.Code.ShouldBe(7, result.Out);
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
    }

    private Result Terminal(string[] steps) =>
        _sandbox.Run(["python3", AppContext.BaseDirectory + "/terminal.py", "33", "101", .. steps, "--", Sandbox.Programs + "/capsule", "exec", "-i", "-t", "--user", "web", "app", "sh", "-i"], seconds: 120);

    [Fact]
    public void A_stopped_program_stops_its_shim_and_goes_on_with_it()
    {
        Begin();
        string script = "echo sta''rted; i=0; while [ $i -lt 30 ]; do usleep 20000; i=$((i+1)); done; echo fini''shed";
        Result result = Terminal(
            [
                "wait $ ", $"type {LinkedPair.Tool} '{script}' < /etc/whose\\n", "wait started", "type \\x1a", "wait Stopped", "wait $ ", "type sleep 2; echo sle''pt\\n", "wait slept", "wait $ ",
                "type fg\\n", "wait finished", "wait $ ", "type exit 7\\n",
            ]);
        result.Code.ShouldBe(7, result.Out);
        result.Out.IndexOf("finished", StringComparison.Ordinal).ShouldBeGreaterThan(result.Out.IndexOf("slept", StringComparison.Ordinal));

        // A group that nobody could let go on is not stopped (setpgid(2), orphaned process groups): here neither.
        App($"{LinkedPair.Tool} 'echo started; usleep 700000; echo done' > /tmp/out & p=$!; until grep -q started /tmp/out; do usleep 10000; done; kill -20 $p; wait $p; echo $?; cat /tmp/out").Out.ShouldBe("0\nstarted\ndone\n");
    }

    [Fact]
    public void Programs_of_several_capsules_may_run_each_other_eight_deep()
    {
        string[] names = ["a", "b", "c"];
        for (int i = 0; i < names.Length; i++) _pair.Make(names[i], 200 + (uint)i * 100, null, s_idle);
        for (int i = 0; i < names.Length; i++)
        {
            string next = names[(i + 1) % names.Length];
            _pair.Link(names[i], next, e => e with { Programs = [GuestPath.Parse("/usr/bin/of-" + next)] }, "web");
            _sandbox.Capsule("run", names[i]).Ok();
        }
        const string script = "n=$1; echo $n $(cat /etc/whose); [ $n = 0 ] && exit 5; case $(cat /etc/whose) in a) t=b;; b) t=c;; c) t=a;; esac; /usr/bin/of-$t \"$script\" $((n-1))";
        Result eight = _pair.Run("a", "/usr/bin/of-b", script, "7");
        eight.Out.ShouldBe("7 b\n6 c\n5 a\n4 b\n3 c\n2 a\n1 b\n0 c\n", eight.Error);
        eight.Code.ShouldBe(5);
        Result nine = _pair.Run("a", "/usr/bin/of-b", script, "8");
        nine.Code.ShouldBe(126);
        nine.Error.ShouldContain("error[CAP4139]");
        Sandbox.Eventually(() => Groups().Length == 0, "no group is left");
    }

    [Fact]
    public void Two_hundred_at_once_each_get_their_own()
    {
        Begin();
        Result result = App($"for i in $(seq 200); do {LinkedPair.Tool} \"read x; echo $i \\$x\" < /etc/whose & done; wait");
        result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal).ShouldBe(Enumerable.Range(1, 200).Select(i => $"{i} app").Order(StringComparer.Ordinal), result.Error);
        Sandbox.Eventually(() => Groups().Length == 0, "no group is left");
        string usage = "";
        Sandbox.Eventually(() => (usage = _sandbox.Shell($"cat {CrossingDoor.UsageOf(_pair.Layout, CapsuleName.Parse("app"))}").Out).Contains("\"count\": 200", StringComparison.Ordinal), "what was used is written down");
        global::System.Text.Json.JsonDocument.Parse(_sandbox.Capsule("link", "list", "app", "--json").Ok().Out).RootElement.GetProperty("links")[0].GetProperty("used")[0].GetProperty("count").GetInt64().ShouldBe(200);
        usage.ShouldContain("\"owner\": \"db\"");
        usage.ShouldNotContain("\"cpuNanoseconds\": 0,");
    }

    [Fact]
    public void A_frozen_capsule_lets_its_callers_wait_and_no_others()
    {
        Begin();
        _pair.Make("third", 300, null, s_idle);
        _pair.Link("app", "third", e => e with { Programs = [GuestPath.Parse(LinkedPair.Other)] }, "web");
        _sandbox.Capsule("run", "third").Ok();
        _pair.Follow("app");
        string Freeze(bool frozen) => $"f=$(find /sys/fs/cgroup -path '*/{_sandbox.Id}/db/freezer.state'); if [ -n \"$f\" ]; then echo {(frozen ? "FROZEN" : "THAWED")} > $f; else echo {(frozen ? 1 : 0)} > /sys/fs/cgroup/{_sandbox.Id}/db/cgroup.freeze; fi";
        _sandbox.Shell(Freeze(true)).Ok();
        App($"{LinkedPair.Tool} 'echo late' > /tmp/out & p=$!; {LinkedPair.Other} 'cat /etc/whose'; usleep 500000; cat /tmp/out; {LinkedPair.Tool} 'sleep 100' & q=$!; usleep 300000; kill -15 $q; wait $q; echo $?").Out.ShouldBe("third\n143\n");
        _sandbox.Shell(Freeze(false)).Ok();
        Sandbox.Eventually(() => App("cat /tmp/out").Out == "late\n", "it goes on when it is thawed");
        Sandbox.Eventually(() => Left().Length == 0 && Groups().Length == 0, "nothing is left of it");
    }

    [Fact]
    public void Who_is_not_of_the_capsule_or_speaks_otherwise_is_not_heard()
    {
        Begin();
        _pair.Make("third", 105, null, s_idle);
        _sandbox.Capsule("run", "third").Ok();
        _pair.Show("third", CrossingDoor.DirectoryOf(_pair.Layout, CapsuleName.Parse("app")), LinkedPair.Tool); // as if the directory had been handed on
        Refused(_pair.Run("third", LinkedPair.Tool, "echo hi"), "CAP4142");

        string Speak(string what) =>
            _sandbox.Run(["python3", AppContext.BaseDirectory + "/speak.py", CrossingDoor.DirectoryOf(_pair.Layout, CapsuleName.Parse("app")) + "/socket", _sandbox.Id + "/app", what]).Ok().Out;
        Speak("garbage").Split("error[CAP4141]").Length.ShouldBe(11);
        Speak("descriptors").ShouldContain("error[CAP4141]");
        Speak("right").ShouldContain("error[CAP4133]"); // all is right but what it executes
        Speak("slow").ShouldContain("True");
        Speak("many").ShouldContain("error[CAP4140]");
        Tool("echo hi").ShouldBe(new Result(0, "hi\n", ""));
        Speak("gone").ShouldBeEmpty();
        Tool("echo hi").ShouldBe(new Result(0, "hi\n", ""));
    }

    private static void Refused(Result result, string code)
    {
        result.Error.ShouldContain($"error[{code}]: ");
        result.Out.ShouldBeEmpty();
        result.Code.ShouldBe(126);
    }
}
