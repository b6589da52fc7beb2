using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>/dev/log: a capsule's own, one that a daemon takes over, and that of another capsule.</summary>
public sealed class SystemLogTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done", Daemon = "ln -sf /bin/busybox /tmp/syslogd; while :; do /tmp/syslogd -n -O /data/messages; sleep 1; done";

    private Result Capsule(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule", .. words], seconds: 120);

    private Result In(string capsule, string script, string user = "root") => Capsule("exec", "--user", user, capsule, "sh", "-c", script);

    private string Init(string capsule) => JsonDocument.Parse(Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();

    private string StateOf(string capsule) => JsonDocument.Parse(Capsule("link", "list", capsule, "--json").Ok().Out).RootElement.GetProperty("links").EnumerateArray().Single().GetProperty("state").GetString()!;

    private string Messages(string capsule = "log") => _sandbox.Shell($"cat {_sandbox.Store}/capsules/{capsule}/volumes/data/messages 2>/dev/null; true").Out;

    private string OwnLog(string capsule) => Capsule("logs", capsule, "--service", "syslog").Out;

    /// <summary>Logs a word, and waits until one of two logs has it.</summary>
    private void Logged(string capsule, string word, bool byDaemon, string daemon = "log")
    {
        In(capsule, $"logger -t test '{word}'").Ok();
        Sandbox.Eventually(() => (byDaemon ? Messages(daemon) : OwnLog(capsule)).Contains(word, StringComparison.Ordinal), $"{word}: {Messages(daemon)} / {OwnLog(capsule)}");
        (byDaemon ? OwnLog(capsule) : Messages(daemon)).ShouldNotContain(word);
    }

    private string[] Mounts() => [_sandbox.Shell("wc -l < /proc/self/mountinfo").Out, _sandbox.Shell($"wc -l < /proc/{Init("app")}/mountinfo").Out];

    private void MakeTwo()
    {
        BusyBox.MakeCapsule(_sandbox, "log", null, BusyBox.Script(Daemon));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
    }

    [Fact]
    public void A_capsules_own_log_goes_to_its_logs_until_a_daemon_in_it_takes_the_place_as_on_any_machine()
    {
        MakeTwo();
        Capsule("start", "app", "log").Ok();
        Logged("app", "of the capsule", byDaemon: false);
        In("app", "stat -c %a:%u /dev/log", user: "105").Ok().Out.ShouldBe("666:0\n", "everybody may log");
        In("app", "rm /dev/log", user: "105").Code.ShouldNotBe(0, "and only root may take its place");
        Sandbox.Eventually(() => In("log", "logger -t test 'to the daemon'").Code == 0 && Messages().Contains("to the daemon", StringComparison.Ordinal), "the daemon made /dev/log its own");
        Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void What_programs_log_goes_to_the_daemon_of_another_capsule_also_after_its_restart_and_its_owners_and_comes_home_with_the_end_of_the_link()
    {
        MakeTwo();
        Capsule("share", "add", "log/syslog", "--path", "/dev/log", "--preset", "reader").Error.ShouldContain("--preset client");
        Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok().Error.ShouldContain("log offers /dev/log to be logged to");
        Capsule("share", "list").Out.ShouldContain("/dev/log");
        Capsule("start", "log", "app").Ok();
        Logged("app", "before", byDaemon: false);
        Capsule("link", "add", "app", "log/syslog", "--when-down", "want", "--plan").Ok().Out.ShouldContain("/dev/log of app leads to that of log");
        Logged("app", "planned", byDaemon: false);
        string[] before = Mounts();

        Capsule("link", "add", "app", "log/syslog", "--when-down", "want").Ok().Error.ShouldContain("/dev/log");
        StateOf("app").ShouldBe("live");
        Capsule("link", "list", "app").Out.ShouldContain("/dev/log");
        Logged("app", "linked while both run", byDaemon: true);
        Capsule("link", "test", "app", "log/syslog").Ok().Out.ShouldContain("/dev/log of app is that of log");
        Capsule("why", "app", "/dev/log").Ok();
        In("app", "logger -t test 'by another user'", user: "105").Ok();
        Sandbox.Eventually(() => Messages().Contains("by another user", StringComparison.Ordinal), "everybody may log");

        // The daemon starts again: another socket at the same place.
        string socket = In("app", "stat -Lc %i /dev/log").Ok().Out;
        In("log", "kill -9 $(busybox pidof syslogd)").Ok();
        Sandbox.Eventually(() => In("app", "stat -Lc %i /dev/log").Out is { Length: > 0 } now && now != socket, "it is there again");
        Logged("app", "after the daemon", byDaemon: true);

        // The owner starts again; while it is down nobody takes it, as when the daemon of a machine is stopped.
        Capsule("stop", "log").Ok();
        StateOf("app").ShouldBe("waiting");
        Mounts()[1].ShouldBe(before[1], "nothing of the owner's is held");
        In("app", "logger -t test 'while nobody takes it'");
        Capsule("start", "log").Ok();
        Sandbox.Eventually(() => StateOf("app") == "live", "the owner is there");
        Logged("app", "after the owner", byDaemon: true);
        Capsule("restart", "log").Ok();
        Logged("app", "after another restart", byDaemon: true);
        // It is killed from outside.
        _sandbox.Shell($"kill -9 {Init("log")}").Ok();
        Sandbox.Eventually(() => StateOf("app") == "waiting", "its end was seen");
        Capsule("restart", "app").Ok();
        Sandbox.Eventually(() => StateOf("app") == "live", "it was started with it");
        Capsule("stop", "log").Ok();
        Capsule("start", "log").Ok();
        Logged("app", "and started", byDaemon: true);
        Capsule("restart", "app").Ok();
        Logged("app", "after a start of its own", byDaemon: true);

        OwnLog("app").ShouldNotContain("while nobody");
        Capsule("link", "rm", "app", "log", "--plan").Ok().Out.ShouldContain("/dev/log of app is its own again");
        Capsule("link", "rm", "app", "log").Ok();
        Logged("app", "at home", byDaemon: false);
        In("app", "ls -A /dev | grep log; ls /run/capsule").Out.ShouldBe("log\n");
        Mounts().ShouldBe(before);
        Capsule("share", "rm", "log/syslog").Ok();
        Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_capsule_that_starts_before_the_owner_of_its_log_logs_there_when_that_is_up()
    {
        MakeTwo();
        Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok();
        Capsule("link", "add", "app", "log/syslog", "--when-down", "degrade").Ok();
        Capsule("start", "app").Ok().Error.ShouldContain("CAP4121");
        StateOf("app").ShouldBe("waiting");
        In("app", "logger -t test 'nobody is there'");
        Capsule("link", "test", "app", "log/syslog").Code.ShouldNotBe(0);
        Capsule("start", "log").Ok();
        StateOf("app").ShouldBe("live");
        Logged("app", "the owner is there", byDaemon: true);
        OwnLog("app").ShouldNotContain("nobody is there", customMessage: "who had connected to the capsule's own would not leave it");
        Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Nothing_else_of_the_owners_dev_can_be_used_through_it_whatever_a_root_does()
    {
        MakeTwo();
        Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok();
        Capsule("start", "log", "app").Ok();
        In("log", "echo secret > /dev/shm/secret; chmod 777 /dev/shm/secret; mkdir /dev/more; mkdir -m 777 /dev/open; echo of log > /dev/open/file").Ok();
        Capsule("link", "add", "app", "log/syslog").Ok();
        const string There = "/run/capsule/log/app";
        In("app", $"ls {There}/log").Ok();
        foreach (string attack in (string[])[$"ls -A {There}/shm | grep .", $"cat {There}/shm/secret", $"ls -A {There}/pts | grep .", $"ls -A {There}/mqueue | grep .", $"head -c 1 {There}/zero", $"echo x > {There}/null", $"rm {There}/log", $"touch {There}/open/new", $"echo x > {There}/open/file", $"mount -o remount,rw,bind {There}", $"umount {There}/shm"])
            In("app", attack).Code.ShouldNotBe(0, attack);
        // With all rights in its own namespaces.
        Result inside = _sandbox.Shell($"nsenter -t {Init("app")} -U -m -p -S 0 -G 0 /bin/sh -c 'umount {There}/shm; umount -l {There}/shm; mount -o remount,rw,bind {There}; cat {There}/shm/secret; echo x > {There}/open/file'");
        inside.Out.ShouldNotContain("secret");
        inside.Code.ShouldNotBe(0);
        In("log", "cat /dev/open/file /dev/shm/secret").Ok().Out.ShouldBe("of log\nsecret\n");
        Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void The_owner_is_told_the_shared_users_number_and_no_process_and_of_others_nobody()
    {
        BusyBox.MakeCapsule(_sandbox, "log", null, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, "log", "shop", 998);
        BusyBox.SetUser(_sandbox, "app", "web", 33);
        Capsule("share", "add", "log/syslog", "--path", "/dev/log", "--user", "shop").Ok();
        Capsule("link", "add", "app", "log/syslog", "--as", "web=shop").Ok();
        Capsule("start", "log", "app").Ok();
        // A daemon in the namespaces of the owner, as the kernel tells it who sends.
        using var receiver = _sandbox.Start(["bash", "-c", "exec python3 -c \"$1\" > $0", $"{_sandbox.State}/received", Inside.As(Init("log"), 0, 0) + Inside.Receiver("/dev/log", 3)]);
        string Received() => File.Exists($"{_sandbox.State}/received") ? File.ReadAllText($"{_sandbox.State}/received") : "";
        Sandbox.Eventually(() => Received().Contains("ready", StringComparison.Ordinal), "it is there");
        int line = 1;
        foreach (string user in (string[])["web", "105", "root"])
        {
            In("app", $"logger -t test as-{user}", user: user).Ok();
            line++;
            Sandbox.Eventually(() => Received().Split('\n').Length > line, $"as {user}: {Received()}");
        }
        Received().ShouldBe("ready\nas-web 0 998 998\nas-105 0 65534 65534\nas-root 0 65534 65534\n");
        receiver.WaitForExit(10_000).ShouldBeTrue();
    }

    [Fact]
    public void One_link_leads_a_log_and_the_check_tells_beforehand_what_would_go_wrong()
    {
        MakeTwo();
        BusyBox.MakeCapsule(_sandbox, "other", null, BusyBox.Script(Daemon));
        BusyBox.MakeCapsule(_sandbox, "none", null, BusyBox.Script(Idle));
        foreach (string owner in (string[])["log", "other", "none"]) Capsule("share", "add", owner + "/syslog", "--path", "/dev/log").Ok();
        Capsule("link", "check", "app", "log/syslog").Ok().Out.ShouldContain("syslogd of log takes what app logs");
        Capsule("link", "check", "app", "none/syslog", "--strict").Out.ShouldContain("none has no daemon that takes what is logged at /dev/log");
        Result own = Capsule("link", "add", "other", "log/syslog");
        (own.Code, own.Error.Contains("other has syslogd that takes what is logged at /dev/log itself", StringComparison.Ordinal)).ShouldBe((4, true), own.Error);
        Capsule("link", "add", "app", "log/syslog").Ok();
        Capsule("link", "add", "app", "other/syslog").Error.ShouldContain("app logs to log already");
        Capsule("start", "log", "other", "app").Ok();
        Logged("app", "to the first", byDaemon: true);
        Capsule("link", "swap", "app", "log/syslog", "other/syslog").Ok();
        Logged("app", "to the second", byDaemon: true, "other");
        Capsule("link", "rm", "app", "other").Ok();

        // A daemon that an administrator started inside.
        Capsule("exec", "-d", "app", "sh", "-c", Daemon).Ok();
        Sandbox.Eventually(() => Capsule("link", "check", "app", "log/syslog").Out.Contains("app has a program that takes what is logged at /dev/log itself", StringComparison.Ordinal), "it is seen");
        Capsule("stop", "app", "log", "other").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Capsules_of_one_stack_each_have_a_log_of_their_own_and_can_share_that_of_one()
    {
        MakeTwo();
        BusyBox.MakeCapsule(_sandbox, "third", null, BusyBox.Script(Idle));
        Capsule("share", "add", "log/syslog", "--path", "/dev/log", "--preset", "same-machine").Ok();
        Capsule("link", "add", "app", "log/syslog").Ok();
        Capsule("link", "add", "third", "log/syslog").Ok();
        Capsule("start", "log", "app", "third").Ok();
        In("app", "readlink /proc/self/ns/net").Out.ShouldBe(In("log", "readlink /proc/self/ns/net").Out);
        Logged("app", "of the same machine", byDaemon: true);
        Logged("third", "of the third", byDaemon: true);
        Capsule("stop", "third").Ok();
        Logged("app", "still", byDaemon: true);
        Capsule("stop", "app", "log").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_member_of_a_stack_cannot_lead_the_log_of_another_onto_its_state_nor_keep_its_own_link()
    {
        const string Idle = "while :; do sleep 1; done";
        BusyBox.MakeCapsule(_sandbox, "takes", null, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/srv/db") }] }, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "bad", null, BusyBox.Script(Idle));
        _sandbox.Capsule("share", "add", "db/all", "--path", "/srv/db", "--preset", "same-machine").Ok();
        _sandbox.Capsule("link", "add", "bad", "db/all", "--when-down", "degrade").Ok();
        _sandbox.Capsule("share", "add", "takes/syslog", "--path", "/dev/log").Ok();
        _sandbox.Capsule("link", "add", "db", "takes/syslog", "--when-down", "degrade").Ok();
        _sandbox.Capsule("start", "takes", "db", "bad").Ok();
        _sandbox.Capsule("exec", "db", "sh", "-c", "echo kept > /srv/db/file").Ok();
        _sandbox.Capsule("exec", "bad", "sh", "-c", "mv /run/capsule/log /run/capsule/away; mkdir /run/capsule/log; ln -s /srv/db /run/capsule/log/db").Ok();
        _sandbox.Capsule("restart", "takes");
        _sandbox.Capsule("link", "add", "db", "takes/syslog", "--when-down", "degrade");
        _sandbox.Capsule("exec", "db", "sh", "-c", "cat /srv/db/file; echo more >> /srv/db/file").Ok().Out.ShouldBe("kept\n");
        File.ReadAllText($"{_sandbox.Store}/capsules/db/volumes/data/file").ShouldBe("kept\nmore\n", "it is its volume still");
        _sandbox.Capsule("link", "rm", "db", "takes/syslog").Ok();
        _sandbox.Capsule("exec", "bad", "sh", "-c", "rm /run/capsule/log/db").Ok();
        _sandbox.Capsule("link", "add", "db", "takes/syslog", "--when-down", "degrade").Ok();
        _sandbox.Capsule("exec", "db", "sh", "-c", "mkdir -p /dev/log.half/x").Ok();
        _sandbox.Capsule("link", "rm", "db", "takes/syslog").Ok();
        _sandbox.Capsule("exec", "db", "cat", "/srv/db/file").Ok().Out.ShouldBe("kept\nmore\n");
        _sandbox.Capsule("stop", "bad", "db", "takes").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }
}
