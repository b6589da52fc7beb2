using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>One numbering of processes for the capsules of a stack: seen and signalled as on one machine, and yet each capsule is started, counted and ended for itself.</summary>
public sealed class StackProcessesTests : IDisposable
{
    private const string Idle = "while :; do sleep 1; done";
    private const string Server = "trap 'echo turned >> /run/turned' USR1; trap 'exit 3' USR2; echo $$ > /run/db.pid; while :; do sleep 0.1; done";

    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    /// <summary>Two capsules of one stack that share processes, both up.</summary>
    private void Two(params ServiceManifest[] further)
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/srv/db") }] }, [BusyBox.Script(Server), .. further]);
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        _sandbox.Capsule("share", "add", "db/all", "--path", "/srv/db", "--preset", "same-machine").Ok();
        _sandbox.Capsule("link", "add", "app", "db/all", "--when-down", "degrade").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        Sandbox.Eventually(() => In("app", "cat /run/db.pid").Code == 0, "the pid file");
    }

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private JsonElement Run(string capsule) => JsonDocument.Parse(_sandbox.Shell($"cat {_sandbox.RunDirectory}/capsules/{capsule}/run.json").Ok().Out).RootElement;

    private string State(string capsule) => JsonDocument.Parse(_sandbox.Capsule("status", "--json", capsule).Out).RootElement.GetProperty("state").GetString()!;

    [Fact]
    public void A_number_in_a_pid_file_is_the_same_process_in_both_and_signals_reach_it()
    {
        Two();
        In("app", "kill -USR1 $(cat /run/db.pid)").Ok();
        Sandbox.Eventually(() => In("db", "cat /run/turned").Out == "turned\n", "the signal of the other capsule");
        foreach (string side in (string[])["app", "db"])
        {
            string[] processes = In(side, "for p in /proc/[0-9]*; do echo ${p#/proc/} $(cat $p/comm); done").Ok().Out.Split('\n');
            processes.ShouldContain("1 capsule-init");
            processes.Count(p => p.EndsWith(" capsule-init", StringComparison.Ordinal)).ShouldBe(3, "the stack's, and one for the descriptors of each");
        }
        In("app", "readlink /proc/self/ns/pid").Out.ShouldBe(In("db", "readlink /proc/self/ns/pid").Out);
        In("app", "readlink /proc/self/ns/mnt").Out.ShouldNotBe(In("db", "readlink /proc/self/ns/mnt").Out, "roots are two all the same");
        _sandbox.Capsule("stack", "list").Ok().Out.ShouldContain("\tshared\t");

        // One stops, and the other goes on.
        _sandbox.Capsule("stop", "app").Ok();
        In("db", "kill -0 $(cat /run/db.pid)").Ok();
        In("db", "for p in /proc/[0-9]*; do cat $p/comm; done").Out.Split('\n').Count(n => n == "capsule-init").ShouldBe(2);
        _sandbox.Capsule("start", "app").Ok();
        In("app", "kill -0 $(cat /run/db.pid)").Ok();
        _sandbox.Capsule("stop", "db").Ok();
        In("app", "cat /proc/1/comm").Ok().Out.ShouldBe("capsule-init\n");
        _sandbox.Capsule("stop", "app").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void How_a_service_ended_is_told_by_its_own_capsule_and_it_is_started_again()
    {
        Two();
        int before = int.Parse(In("app", "cat /run/db.pid").Out);
        In("app", $"kill -USR2 {before}").Ok();
        Sandbox.Eventually(() => State("db") == "exited (3)", "the capsule ends with its service, and tells its status");
        State("app").ShouldBe("ready");
        _sandbox.Capsule("start", "db").Ok();
        Sandbox.Eventually(() => In("app", "cat /run/db.pid").Out is { Length: > 1 } now && int.Parse(now) != before, "a new one");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Restarts_and_daemons_that_fork_work_beside_each_other()
    {
        Two(BusyBox.Script("echo $$ > /run/again.pid; " + Idle) with { Name = "again", Restart = RestartPolicy.Always, RestartDelay = 50 },
            BusyBox.Script("setsid sh -c 'while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &") with { Name = "daemon", Kind = ServiceKind.Forking });
        for (int round = 0; round < 3; round++)
        {
            string before = In("app", "cat /run/again.pid").Out;
            In("app", "kill -9 $(cat /run/again.pid)").Ok();
            Sandbox.Eventually(() => In("app", "cat /run/again.pid").Out is { Length: > 1 } now && now != before, "started again");
        }
        string[] services = [.. JsonDocument.Parse(_sandbox.Capsule("status", "--json", "db").Ok().Out).RootElement.GetProperty("services").EnumerateArray().Select(s => s.GetProperty("state").GetString()!)];
        services.ShouldAllBe(s => s == "running");
        services.Length.ShouldBe(3);
        _sandbox.Capsule("stop", "db", "app").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Whose_process_is_killed_from_outside_that_capsule_ends_and_a_stack_whose_PID_1_is_gone_comes_up_anew()
    {
        Two();
        int holder = Run("app").GetProperty("init").GetInt32(), first = Run("app").GetProperty("stackInit").GetInt32();
        first.ShouldBe(Run("db").GetProperty("stackInit").GetInt32());
        _sandbox.Shell($"kill -9 {holder}").Ok();
        Sandbox.Eventually(() => State("app") == "crashed", "app is cleared away");
        State("db").ShouldBe("ready");
        In("db", "for p in /proc/[0-9]*; do cat $p/comm; done").Out.Split('\n').Count(n => n == "capsule-init").ShouldBe(2, "and its processes with it");
        _sandbox.Capsule("start", "app").Ok();
        _sandbox.Shell($"kill -9 {first}").Ok();
        Sandbox.Eventually(() => State("app") == "crashed" && State("db") == "crashed", "all end with PID 1");
        Sandbox.Eventually(() => _sandbox.Traces().Length == 0, "what they left is cleared away");
        _sandbox.Capsule("start", "db", "app").Ok();
        Sandbox.Eventually(() => In("app", "kill -USR1 $(cat /run/db.pid)").Code == 0, "again");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Shared_memory_is_one_in_a_stack_with_its_users_and_limits_and_new_when_the_stack_is()
    {
        Two();
        BusyBox.MakeCapsule(_sandbox, "else", null, BusyBox.Script(Idle));
        _sandbox.Capsule("start", "else").Ok();
        _sandbox.Capsule("exec", "--user", "web", "db", "sh", "-c", "echo counted > /dev/shm/sem.jobs; chmod 600 /dev/shm/sem.jobs").Ok();
        In("app", "cat /dev/shm/sem.jobs; stat -c '%u %a %i' /dev/shm/sem.jobs").Ok().Out.ShouldBe("counted\n" + In("db", "stat -c '%u %a %i' /dev/shm/sem.jobs").Out);
        In("app", "stat -c %u /dev/shm/sem.jobs; stat -c '%u %a' /dev/shm").Out.ShouldBe("105\n0 1777\n");
        In("else", "ls /dev/shm").Ok().Out.ShouldBe("", "another stack has its own");
        In("app", "grep ' /dev/shm ' /proc/self/mounts").Out.ShouldMatch("^shm /dev/shm tmpfs rw,nosuid,nodev,noexec,.*size=[0-9]+k[, ]");
        _sandbox.Capsule("restart", "db").Ok();
        In("db", "cat /dev/shm/sem.jobs").Ok();
        _sandbox.Capsule("stop", "db", "app", "else").Ok();
        _sandbox.Traces().ShouldBeEmpty();
        _sandbox.Capsule("start", "db").Ok();
        In("db", "ls /dev/shm").Ok().Out.ShouldBe("");
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("shared")]
    [InlineData("own")]
    public void Members_that_start_and_stop_at_the_same_time_are_in_one_stack(string processes)
    {
        Two();
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Capsule("stack", "set", "db", "--processes", processes).Ok();
        string capsule = Sandbox.Programs + "/capsule";
        for (int round = 0; round < 6; round++)
        {
            _sandbox.Shell($"{capsule} start db & one=$!; sleep 0.{round * 3:00}; {capsule} start app & two=$!; wait $one && wait $two").Ok();
            foreach (string kind in (string[])["user", "net", .. processes == "shared" ? ["pid"] : Array.Empty<string>()])
                In("app", $"readlink /proc/self/ns/{kind}").Ok().Out.ShouldBe(In("db", $"readlink /proc/self/ns/{kind}").Ok().Out, $"{kind}, round {round}");
            _sandbox.Capsule("stop", "app").Ok();
            _sandbox.Shell($"{capsule} stop db & one=$!; {capsule} start app & two=$!; wait $one && wait $two").Ok();
            In("app", "true").Ok();
            _sandbox.Shell($"{capsule} stop app & one=$!; {capsule} stop db & two=$!; wait $one && wait $two").Ok();
            _sandbox.Traces().ShouldBeEmpty($"round {round}");
        }
    }

    [Fact]
    public void A_stack_whose_run_is_kept_for_others_comes_up_as_is_set()
    {
        Two();
        BusyBox.MakeCapsule(_sandbox, "else", null, BusyBox.Script(Idle));
        _sandbox.Capsule("exec", "db", "mkdir", "/run/sock").Ok();
        _sandbox.Capsule("share", "add", "db/sock", "--path", "/run/sock", "--preset", "client").Ok();
        _sandbox.Capsule("start", "else").Ok();
        _sandbox.Capsule("link", "add", "else", "db/sock", "--when-down", "degrade").Ok();
        _sandbox.Capsule("stack", "stop", "db").Ok();
        _sandbox.Capsule("stack", "set", "db", "--processes", "own").Ok();
        _sandbox.Capsule("stack", "start", "db").Ok();
        In("app", "readlink /proc/self/ns/pid").Ok().Out.ShouldNotBe(In("db", "readlink /proc/self/ns/pid").Ok().Out);
        _sandbox.Capsule("stop", "app", "db", "else").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void What_keeps_the_stack_cannot_be_looked_into_nor_ended_by_PID_1s_number()
    {
        Two();
        foreach (string look in (string[])["ls /proc/1/root/", "ls /proc/1/fd/", "cat /proc/1/maps", "cat /proc/1/environ", "ls /proc/1/cwd/"])
            In("app", look).Code.ShouldNotBe(0, look);
        In("app", "kill -9 1; kill -TERM 1; kill -INT 1; sleep 0.3; kill -0 $(cat /run/db.pid)").Ok();
        // The holders are no more than processes of root's: whoever is root there ends its own capsule, and what it was is cleared away.
        string holder = In("app", "for p in /proc/[0-9]*; do [ $(cat $p/comm) = capsule-init ] && [ $p != /proc/1 ] && echo ${p#/proc/}; done").Out.Split('\n')[0];
        foreach (string look in (string[])["root/", "fd/"]) In("app", $"ls /proc/{holder}/{look}").Code.ShouldNotBe(0, look);
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void It_is_asked_for_counts_from_the_next_start_of_the_stack_and_is_taken_back()
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/srv/db") }] }, BusyBox.Script(Server));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        _sandbox.Capsule("share", "add", "db/all", "--path", "/srv/db", "--preset", "same-machine").Ok();
        _sandbox.Capsule("start", "db").Ok();
        _sandbox.Capsule("link", "add", "app", "db/all").Ok().Error.ShouldContain("CAP4180");
        _sandbox.Capsule("start", "app").Ok();
        string Space(string capsule) => In(capsule, "readlink /proc/self/ns/pid").Ok().Out;
        Space("app").ShouldNotBe(Space("db"));
        _sandbox.Capsule("stack", "stop", "db").Ok();
        _sandbox.Capsule("stack", "start", "db").Ok();
        Space("app").ShouldBe(Space("db"));
        _sandbox.Capsule("stack", "set", "db", "--processes", "own").Ok().Error.ShouldContain("runs");
        Space("app").ShouldBe(Space("db"));
        _sandbox.Capsule("restart", "app").Ok();
        Space("app").ShouldBe(Space("db"), "as long as the stack is up");
        _sandbox.Capsule("stack", "stop", "db").Ok();
        _sandbox.Capsule("stack", "start", "db").Ok();
        Space("app").ShouldNotBe(Space("db"));
        _sandbox.Capsule("stack", "set", "db", "--processes", "all").Error.ShouldContain("write shared or own");
        _sandbox.Capsule("stack", "set", "none", "--processes", "own").Code.ShouldNotBe(0);
        _sandbox.Capsule("stack", "stop", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }
}
