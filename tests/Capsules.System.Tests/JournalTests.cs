using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>The journal of writes to a directory that two capsules share, on the real kernel. The user `web` is 33 in the owner and 4321 in the other.</summary>
public sealed class JournalTests : IDisposable
{
    private readonly Sandbox _sandbox = new();
    private readonly LinkedPair _pair;

    public JournalTests() => _pair = new(_sandbox);

    public void Dispose() => _sandbox.Dispose();

    private string Data => $"{_sandbox.Store}/capsules/db/volumes/data";

    private void MakeTwo(bool started = true)
    {
        _pair.Make("db", 33, m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/data") }] }, BusyBox.Script("while :; do sleep 1; done"));
        _pair.Make("app", 4321, m => m with { Volumes = [] }, BusyBox.Script("while :; do sleep 1; done"));
        Directory.CreateDirectory(Data + "/old/below");
        File.WriteAllText(Data + "/nested", "");
        _sandbox.Shell($"chmod -R 777 {Data}").Ok();
        _sandbox.Capsule("share", "add", "db/data", "--path", "/data", "--preset", "partner", "--user", "web").Ok();
        _sandbox.Capsule("link", "add", "app", "db/data").Ok();
        if (!started) return;
        _sandbox.Capsule("journal", "add", "db").Ok();
        _sandbox.Capsule("start", "app").Ok().Error.ShouldNotContain("CAP");
        StateOf("db").ShouldBe("noting");
    }

    private string StateOf(string capsule) => JsonDocument.Parse(_sandbox.Capsule("journal", "list", capsule, "--json").Ok().Out).RootElement.GetProperty("journals").EnumerateArray().Single().GetProperty("state").GetString()!;

    private JsonElement Ask(string path, string capsule = "db") => JsonDocument.Parse(_sandbox.Capsule("who-wrote", capsule, path, "--json").Out).RootElement;

    /// <summary>What is known, the newest first: did, path, capsule, user.</summary>
    private string[] Known(string path, string capsule = "db") => [.. Ask(path, capsule).GetProperty("writes").EnumerateArray().Select(w =>
        $"{Text(w, "did")} {Text(w, "path")} {(w.GetProperty("host").GetBoolean() ? "this-host" : Text(w, "capsule"))} {Text(w, "userName")}")];

    private static string Text(JsonElement e, string name) => e.TryGetProperty(name, out JsonElement value) ? value.ToString() : "?";

    private void Eventually(string path, params string[] expected)
    {
        string[] known = [];
        for (int attempt = 0; attempt < 100 && !expected.All((known = Known(path)).Contains); attempt++) Thread.Sleep(100);
        known.Distinct().ShouldBe(expected, ignoreOrder: true);
    }

    private int Scribe()
    {
        string found = _sandbox.Shell("for p in /proc/[0-9]*; do grep -qzx scribe $p/cmdline 2>/dev/null && [ \"$(cat $p/comm)\" != capsule-guard ] && basename $p; done; true").Out.Trim();
        return found.Length == 0 ? 0 : int.Parse(found.Split('\n')[0]);
    }

    [Fact]
    public void Each_write_is_told_with_its_capsule_user_and_program()
    {
        MakeTwo();
        _pair.Run("db", "sh", "-c", "echo one > /data/of-owner; sleep 0.3").Ok();
        _pair.Run("app", "sh", "-c", "echo two > /data/of-other; sleep 0.3").Ok();
        _sandbox.Shell($"echo three > {Data}/of-host; sleep 0.3").Ok();
        Eventually("/data/of-owner", "created /data/of-owner db web", "written /data/of-owner db web");
        Eventually("/data/of-other", "created /data/of-other app web", "written /data/of-other app web");
        Eventually("/data/of-host", "created /data/of-host this-host root", "written /data/of-host this-host root");
        _sandbox.Shell($"unshare --user --map-root-user sh -c 'echo four > {Data}/of-another; sleep 0.3'").Ok();
        Sandbox.Eventually(() => Known("/data/of-another").Any(k => k.StartsWith("written", StringComparison.Ordinal)), "it is noted");
        Known("/data/of-another").ShouldAllBe(k => !k.Contains("this-host", StringComparison.Ordinal), "in another user namespace it may be anybody's");
        JsonElement write = Ask("/data/of-other").GetProperty("writes")[0];
        Text(write, "user").ShouldBe("4321", "as its capsule numbers it");
        Text(write, "program").ShouldBe("/bin/busybox");
        Ask("/data/of-other", "app").GetProperty("owner").GetString().ShouldBe("db", "a link's path is its owner's");
        Known("/data/of-other", "app").ShouldBe(Known("/data/of-other"));

        string text = _sandbox.Capsule("who-wrote", "db", "/data/of-other").Ok().Out;
        text.ShouldContain("app");
        text.ShouldContain("web (4321)");
        Result nothing = _sandbox.Capsule("who-wrote", "db", "/data/never");
        nothing.Code.ShouldBe(3);
        nothing.Error.ShouldContain("not known: what was before");
        _sandbox.Capsule("who-wrote", "db", "/etc/passwd").Error.ShouldContain("CAP4161");
        _sandbox.Capsule("who-wrote", "app", "/etc/passwd").Error.ShouldContain("CAP4161");
    }

    [Fact]
    public void A_writer_that_is_gone_is_still_its_capsules()
    {
        MakeTwo();
        _pair.Run("app", "sh", "-c", "i=0; while [ $i -lt 40 ]; do sh -c \"echo x > /data/short.$i\"; i=$((i+1)); done").Ok();
        Sandbox.Eventually(() => Known("/data").Count(k => k.StartsWith("written /data/short.", StringComparison.Ordinal)) >= 40, "all are told");
        Known("/data").Where(k => k.StartsWith("written", StringComparison.Ordinal)).ShouldAllBe(k => k.Contains(" app ", StringComparison.Ordinal), "the mount tells it, not the process");
        Known("/data").ShouldAllBe(k => !k.Contains("this-host", StringComparison.Ordinal), "one who is not known is not this host");
    }

    [Fact]
    public void Names_that_come_go_and_change_are_told_and_followed_also_in_directories_that_are_new()
    {
        MakeTwo();
        _pair.Run("app", "sh", "-c", "mkdir /data/new; sleep 0.5; echo x > /data/new/a.tmp; mv /data/new/a.tmp /data/new/a; sleep 0.3").Ok();
        Sandbox.Eventually(() => Known("/data/new/a").Length >= 3, "three things happened to it");
        string[] known = [.. Known("/data/new/a").Distinct()];
        known[1..].ShouldBe(["written /data/new/a.tmp app web", "created /data/new/a.tmp app web"]);
        known[0].ShouldBeOneOf("renamed /data/new/a app web", "renamed /data/new/a ? ?"); // mv may have ended before it was asked
        _sandbox.Shell($"mv {Data}/new {Data}/old/below/moved; sleep 0.2; echo y > {Data}/old/below/moved/a; sleep 0.2").Ok();
        Sandbox.Eventually(() => Known("/data/old/below/moved/a").Contains("written /data/old/below/moved/a this-host root"), "by its new path");
        Known("/data/old/below/moved/a").ShouldContain("written /data/new/a.tmp app web", "and what was before under the old ones");
        _pair.Run("db", "sh", "-c", "rm -r /data/old/below; sleep 0.3").Ok();
        Sandbox.Eventually(() => Known("/data/old/below/moved/a").Any(k => k is "removed /data/old/below/moved/a db web" or "removed /data/old/below/moved/a ? ?"), "who removed it");
    }

    [Fact]
    public void Directories_that_change_places_are_told_by_their_new_paths()
    {
        MakeTwo();
        _pair.Run("app", "sh", "-c", "mkdir -p /data/left/deep /data/right/deep; sleep 0.5").Ok();
        _sandbox.Run(["python3", "-c", "import ctypes, sys\nif ctypes.CDLL(None, use_errno=True).renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2): raise OSError(ctypes.get_errno(), 'renameat2')", Data + "/left", Data + "/right"]).Ok();
        _sandbox.Shell($"sleep 0.3; mv {Data}/left {Data}/third; sleep 0.3").Ok(); // what was the right one
        _pair.Run("app", "sh", "-c", "for d in right third; do echo x > /data/$d/of-$d; echo x > /data/$d/deep/below-$d; done; sleep 0.3").Ok();
        foreach (string path in (string[])["/data/right/of-right", "/data/right/deep/below-right", "/data/third/of-third", "/data/third/deep/below-third"])
            Sandbox.Eventually(() => Known(path) is var known && known.Contains($"created {path} app web") && known.Contains($"written {path} app web"), path);
    }

    [Fact]
    public void A_mount_namespace_that_was_made_inside_is_told_by_its_processes()
    {
        MakeTwo();
        string init = $"{_pair.Init("app")}";
        // In the capsule's control group, as its own processes are, with all rights in its namespaces.
        _sandbox.Shell($$"""
            group=$(sed -n 's/^[0-9]*:freezer://p' /proc/{{init}}/cgroup); at=/sys/fs/cgroup/freezer
            [ "$group" ] || { group=$(sed -n 's/^0:://p' /proc/{{init}}/cgroup); at=/sys/fs/cgroup; }
            echo $$ > $at$group/cgroup.procs
            nsenter -t {{init}} -U -m -p -S 0 -G 0 /bin/busybox unshare -m /bin/busybox sh -c 'echo x > /data/nested; sleep 1'
            """).Ok();
        Eventually("/data/nested", "written /data/nested app root");
    }

    [Fact]
    public void A_scribe_that_was_killed_comes_again_and_the_gap_is_told()
    {
        MakeTwo();
        _pair.Run("app", "sh", "-c", "echo x > /data/before; sleep 0.3").Ok();
        Eventually("/data/before", "created /data/before app web", "written /data/before app web");
        int first = Scribe();
        first.ShouldNotBe(0);
        _sandbox.Shell($"kill -9 {first}").Ok();
        Sandbox.Eventually(() => Scribe() is var again && again != 0 && again != first && StateOf("db") == "noting", "its guard starts the next one");
        _pair.Run("app", "sh", "-c", "echo x > /data/after; sleep 0.3").Ok();
        Eventually("/data/after", "created /data/after app web", "written /data/after app web");
        Ask("/data").GetProperty("gaps").EnumerateArray().Select(g => Text(g, "why")).ShouldBe(["interrupted"]);
        _sandbox.Capsule("who-wrote", "db", "/data").Ok().Error.ShouldContain("the noting was interrupted");
    }

    [Fact]
    public void The_journal_goes_on_over_restarts_and_nothing_is_left_when_nobody_runs()
    {
        MakeTwo();
        _pair.Run("db", "sh", "-c", "echo x > /data/first; sleep 0.3").Ok();
        _sandbox.Capsule("restart", "db").Ok();
        _pair.Run("db", "sh", "-c", "echo x > /data/second; sleep 0.3").Ok();
        Eventually("/data/first", "created /data/first db web", "written /data/first db web");
        Eventually("/data/second", "created /data/second db web", "written /data/second db web");
        _sandbox.Capsule("stop", "app", "db").Ok();
        Sandbox.Eventually(() => Scribe() == 0, "it ends by itself");
        StateOf("db").ShouldBe("waiting");
        Known("/data/second").ShouldContain("written /data/second db web");
        Ask("/data").GetProperty("gaps")[0].GetProperty("why").GetString().ShouldBe("nobody-ran");
        Sandbox.Eventually(() => _sandbox.Shell($"ls {_sandbox.RunDirectory}/journals {_sandbox.RunDirectory}/journals-asked").Out.Split('\n').All(l => l.Length == 0 || l.EndsWith(':')), "no marks are left");
    }

    [Fact]
    public void It_is_on_when_it_is_said_and_gone_when_it_is_not()
    {
        MakeTwo(started: false);
        _sandbox.Capsule("start", "app").Ok();
        Scribe().ShouldBe(0, "nobody asked for it");
        _sandbox.Capsule("who-wrote", "db", "/data").Error.ShouldContain("CAP4160");
        _sandbox.Capsule("journal", "add", "app").Error.ShouldContain("CAP4163");
        _sandbox.Capsule("journal", "add", "db").Ok(); // while both run
        _sandbox.Capsule("journal", "add", "db").Error.ShouldContain("CAP4162");
        _pair.Run("app", "sh", "-c", "echo x > /data/file; sleep 0.3").Ok();
        Eventually("/data/file", "created /data/file app web", "written /data/file app web");
        _sandbox.Capsule("journal", "rm", "db").Ok();
        Sandbox.Eventually(() => Scribe() == 0, "it ends");
        Directory.Exists($"{_sandbox.Store}/capsules/db/journal").ShouldBeFalse();
        _sandbox.Capsule("journal", "rm", "db").Error.ShouldContain("CAP4160");
    }

    [Fact]
    public void The_journal_does_not_grow_over_its_bound_and_lines_by_half_are_skipped()
    {
        MakeTwo(started: false);
        const int half = 4 << 20;
        string journal = $"{_sandbox.Store}/capsules/db/journal";
        Directory.CreateDirectory(journal);
        string line = """{"time":"2026-01-31T12:00:00.000Z","did":"written","path":"/data/filler","capsule":"db","pid":7}""" + "\n";
        File.WriteAllText(journal + "/old.jsonl", "{\"time\":\"2025-01-31T12:00:00.000Z\",\"did\":\"began\"}\n");
        File.WriteAllText(journal + "/new.jsonl", string.Concat(Enumerable.Repeat(line, (half - 2000) / line.Length)) + line[..50]);
        _sandbox.Capsule("journal", "add", "db").Ok();
        _sandbox.Capsule("start", "app").Ok();
        _pair.Run("app", "sh", "-c", "i=0; while [ $i -lt 100 ]; do echo x > /data/many.$i; i=$((i+1)); done; sleep 0.3").Ok();
        Sandbox.Eventually(() => Known("/data/many.99").Length == 2, "it goes on in the other half");
        new FileInfo(journal + "/new.jsonl").Length.ShouldBeLessThan(half);
        new FileInfo(journal + "/old.jsonl").Length.ShouldBeInRange(half - 4000, half);
        Ask("/data").GetProperty("since").GetString().ShouldStartWith("2026-01-31", customMessage: "what was in the older half went");
    }

    [Fact]
    public void A_queue_that_was_full_is_told()
    {
        MakeTwo();
        int scribe = Scribe();
        _sandbox.Shell($"kill -STOP {scribe}").Ok();
        int most = int.Parse(File.ReadAllText("/proc/sys/fs/fanotify/max_queued_events"));
        _pair.Run("app", "sh", "-c", $"mkdir /data/many; cd /data/old; i=0; while [ $i -lt {most} ]; do : > f$i; i=$((i+1)); done").Ok();
        _sandbox.Shell($"kill -CONT {scribe}").Ok();
        Sandbox.Eventually(() => Ask("/data").GetProperty("gaps").EnumerateArray().Any(g => Text(g, "why") == "overflow"), "events were lost");
    }
}
