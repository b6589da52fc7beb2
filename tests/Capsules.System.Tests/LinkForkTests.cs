using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Copies of another's state, for tests: `link add --fork`.</summary>
public sealed class LinkForkTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done";

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private Result Fork(params string[] words) => _sandbox.Capsule(["link", "add", .. words, "--fork"]);

    private JsonElement[] Listed(string capsule) => JsonDocument.Parse(_sandbox.Capsule("link", "list", capsule, "--json").Ok().Out).RootElement.TryGetProperty("links", out JsonElement links) ? [.. links.EnumerateArray()] : [];

    private string Data(string capsule, string volume) => $"{_sandbox.Store}/capsules/{capsule}/volumes/{volume}";

    /// <summary>The freezer of a capsule's control group, whichever version it is of.</summary>
    private string Freezer(string capsule) => _sandbox.Shell($"ls -d /sys/fs/cgroup/freezer/{_sandbox.Id}/{capsule}/freezer.state /sys/fs/cgroup{{,/unified}}/{_sandbox.Id}/{capsule}/cgroup.freeze 2>/dev/null | head -1").Out.Trim();

    /// <summary>db, whose state at /srv/app is of `shop` (998), and app, in which `web` is 33.</summary>
    private void MakeBoth(string script = Idle)
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/srv/app") }] }, BusyBox.Script(script));
        BusyBox.SetUser(_sandbox, "db", "shop", 998);
        MakeApp("app");
        _sandbox.Capsule("share", "add", "db/data", "--path", "/srv/app").Ok();
    }

    private void MakeApp(string name)
    {
        BusyBox.MakeCapsule(_sandbox, name, null, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, name, "web", 33);
    }

    [Fact]
    public void A_fork_is_labelled_state_of_the_capsules_own_with_owners_by_name_which_neither_changes_for_the_other()
    {
        MakeBoth();
        _sandbox.Shell($$"""
            cd {{Data("db", "data")}}; echo one > page; ln page same; truncate -s 100M hole; ln -s page link; mkdir -m 2750 in; echo deep > in/deep; echo other > of-other; echo root > of-root; chmod 4711 page
            python3 -c 'import os, socket; socket.socket(socket.AF_UNIX).bind("socket"); os.setxattr("in", "user.note", b"kept")'
            chown -Rh 998:998 .; chown 777:778 of-other; chown 0:0 of-root; chmod 4711 page; touch -d 2001-02-03 in/deep; chmod 750 .
            """).Ok();
        _sandbox.Capsule("start", "db", "app").Ok();

        Result warned = _sandbox.Capsule("link", "check", "app", "db/data", "--fork").Ok();
        warned.Out.ShouldContain("warn  files of the user 998 (shop) keep that number in the copy: app has no user of that name");
        warned.Out.ShouldContain("capsule link add app db/data --fork --as HERE=shop");
        warned.Out.ShouldContain("1 sockets are left out");
        JsonElement step = JsonDocument.Parse(_sandbox.Capsule("link", "add", "app", "db/data", "--fork", "--as", "web=shop", "--plan", "--json").Ok().Out).RootElement.GetProperty("steps").EnumerateArray().Single();
        (step.GetProperty("act").GetString(), step.GetProperty("when").GetString(), step.GetProperty("subject").GetString()).ShouldBe(("fork", "now", "/srv/app"));
        step.GetProperty("what").GetString()!.ShouldContain("6 files, 104.9 MB, 0 MB of them on disk; db held still");
        (_sandbox.Shell($"ls {_sandbox.Store}/capsules/app/volumes").Out, In("app", "ls /srv").Out).ShouldBe(("data\n", ""), "a plan changes nothing");
        foreach (string option in (string[])["--merge", "--preset=reader", "--when-down=want", "--private=/srv/app/in"]) Fork("app", "db/data", option).Code.ShouldBe(2, option);
        Fork("app", "db/none").Error.ShouldContain("CAP4101", customMessage: "what is not offered is not copied");
        Fork("app", "db/data", "--as", "web=nobody").Error.ShouldContain("CAP4150");

        Result made = Fork("app", "db/data", "--as", "web=shop").Ok();
        made.Out.ShouldBe("srv-app\n");
        made.Error.ShouldContain("db held still for");
        made.Error.ShouldContain("warning[CAP4176]: files of the user 777 keep that number in the copy: app has no user of that name");
        made.Error.ShouldContain("of the group 778 keep");
        // The capsule runs, and has it at once: the same files with the owners that have these names here.
        In("app", "cd /srv/app; stat -c '%n %u:%g %a' . page in in/deep of-other of-root link; [ page -ef same ] && cat page in/deep; readlink link; ls | wc -l; stat -c %Y in/deep").Ok().Out.ShouldBe("""
            . 33:33 750
            page 33:33 4711
            in 33:33 2750
            in/deep 33:33 644
            of-other 777:778 644
            of-root 0:0 644
            link 33:33 777
            one
            deep
            page
            7
            981158400

            """);
        _sandbox.Shell($"cd {Data("app", "srv-app")}; python3 -c 'import os; print(os.getxattr(\"in\", \"user.note\"))'; stat -c '%s %b' hole").Ok().Out.ShouldBe("b'kept'\n104857600 0\n");
        In("app", "echo mine > /srv/app/mine; echo changed > /srv/app/page").Ok();
        In("db", "cat /srv/app/page; ls /srv/app/mine; echo theirs > /srv/app/theirs").Out.ShouldBe("one\n");
        In("app", "ls /srv/app/theirs").Code.ShouldNotBe(0);

        // It says what it is wherever it is shown, and stays what it is.
        JsonElement listed = Listed("app").Single();
        (listed.GetProperty("from").GetString(), listed.GetProperty("to").GetString(), listed.GetProperty("path").GetString(), listed.GetProperty("state").GetString(), listed.GetProperty("volume").GetString()).ShouldBe(("app", "db/data", "/srv/app", "fork", "srv-app"));
        (DateTimeOffset.UtcNow - listed.GetProperty("time").GetDateTimeOffset()).TotalMinutes.ShouldBeInRange(0, 5);
        string label = $"fork of db/data at {listed.GetProperty("time").GetDateTimeOffset().UtcDateTime:yyyy-MM-dd'T'HH:mm:ss'Z'}";
        _sandbox.Capsule("link", "list").Ok().Out.ShouldContain(label);
        _sandbox.Capsule("why", "app", "/srv/app/page").Ok().Out.ShouldContain($"the volume srv-app, a {label}");
        Fork("app", "db/data").Error.ShouldContain("CAP4104");
        _sandbox.Capsule("link", "add", "app", "db/data").Error.ShouldContain("capsule link rm app db/data --volumes");
        _sandbox.Capsule("restart", "app").Ok();
        In("app", "cat /srv/app/page; echo again >> /srv/app/page").Ok().Out.ShouldBe("changed\n");
        _sandbox.Capsule("diff", "app").Ok().Out.ShouldNotContain("/srv/app");
        _sandbox.Capsule("share", "rm", "db/data").Ok(); // nobody uses it
        _sandbox.Capsule("share", "add", "db/data", "--path", "/srv/app").Ok();

        // Without its label it is state as any other; with --volumes it goes.
        _sandbox.Capsule("link", "rm", "app", "db/data", "--plan").Ok().Out.ShouldContain("stays its state");
        Listed("app").Length.ShouldBe(1);
        _sandbox.Capsule("link", "rm", "app", "db/data").Ok();
        Listed("app").ShouldBeEmpty();
        In("app", "cat /srv/app/page").Ok().Out.ShouldBe("changed\nagain\n");
        Fork("app", "db/data").Error.ShouldContain("/srv/app is state of app already");
        _sandbox.Capsule("stop", "app").Ok();
        MakeApp("second");
        Fork("second", "db/data").Ok();
        _sandbox.Capsule("start", "second").Ok();
        In("second", "cat /srv/app/page").Ok().Out.ShouldBe("one\n");
        _sandbox.Capsule("link", "rm", "second", "db", "--volumes", "--yes").Error.ShouldContain("CAP5009");
        _sandbox.Capsule("stop", "second").Ok();
        _sandbox.Capsule("link", "rm", "second", "db", "--volumes").Error.ShouldContain("CAP1008");
        _sandbox.Capsule("link", "rm", "second", "db", "--volumes", "--yes").Ok();
        _sandbox.Shell($"ls {_sandbox.Store}/capsules/second/volumes").Out.ShouldBe("data\n");
        _sandbox.Capsule("start", "second").Ok();
        In("second", "ls -A /srv/app").Out.ShouldBeEmpty("what it was mounted on may stay");
        _sandbox.Capsule("stop", "second", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Who_is_paused_stays_paused_who_does_not_run_is_copied_and_who_runs_goes_on()
    {
        MakeBoth("i=0; while :; do i=$((i+1)); echo $i > /srv/app/count.new; mv /srv/app/count.new /srv/app/count; done");
        string Count(string capsule = "db", string volume = "data") => _sandbox.Shell($"cat {Data(capsule, volume)}/count").Out.Trim();
        Fork("app", "db/data").Ok().Error.ShouldNotContain("held still");
        _sandbox.Capsule("start", "db").Ok();
        Sandbox.Eventually(() => Count().Length > 0, "it counts");
        string freezer = Freezer("db");
        freezer.ShouldNotBeEmpty();
        for (int i = 0; i < 5; i++)
        {
            MakeApp($"app{i}");
            Fork($"app{i}", "db/data").Ok().Error.ShouldContain("db held still");
            int copied = int.Parse(Count($"app{i}", "srv-app"));
            Sandbox.Eventually(() => int.Parse(Count()) > copied, "it goes on");
        }
        string frozen = freezer.EndsWith("freezer.state", StringComparison.Ordinal) ? "FROZEN" : "1", thawed = frozen == "1" ? "0" : "THAWED";
        _sandbox.Shell($"echo {frozen} > {freezer}; sleep 0.3").Ok();
        string stands = Count();
        MakeApp("last");
        Fork("last", "db/data").Ok();
        (File.ReadAllText(freezer).Trim(), Count("last", "srv-app")).ShouldBe((frozen, stands));
        _sandbox.Shell($"echo {thawed} > {freezer}").Ok();
        Sandbox.Eventually(() => Count() != stands, "until its administrator lets it go on");
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Who_was_held_still_when_the_copier_and_its_guard_were_killed_is_let_go_by_doctor_and_by_a_stop(bool byStop)
    {
        MakeBoth("trap 'echo ended > /srv/app/ended; exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i > /srv/app/count; done");
        // So much that the copier is met while it holds db.
        _sandbox.Shell($"mkdir {Data("db", "data")}/many; cd {Data("db", "data")}/many; for i in $(seq 1 5000); do echo $i > $i; done").Ok();
        _sandbox.Capsule("start", "db").Ok();
        string freezer = Freezer("db"), mark = $"{_sandbox.RunDirectory}/capsules/db/held";
        // Each is stopped first, so that neither does the other's part.
        _sandbox.Shell($$"""
            {{Sandbox.Programs}}/capsule-tools link add app db/data --fork >/dev/null 2>&1 &
            copier=$!
            until read -rN1 held 2>/dev/null < {{mark}} && [ $held = 1 ]; do kill -0 $copier || exit 1; done
            kill -STOP $copier
            guard=$(cat /proc/$copier/task/*/children | tr ' ' '\n' | while read p; do [ "$(cat /proc/$p/comm)" != capsule-tools ] && echo $p; done)
            kill -9 $guard $copier
            """).Ok();
        string[] frozen = ["FROZEN", "1"];
        Sandbox.Eventually(() => frozen.Contains(File.ReadAllText(freezer).Trim()), "it stands still", 5);
        if (byStop)
        {
            _sandbox.Capsule("stop", "db").Ok();
            File.ReadAllText(Data("db", "data") + "/ended").ShouldBe("ended\n", "it could end by itself");
            _sandbox.Capsule("doctor", "--fix").Ok();
            _sandbox.Traces().ShouldBeEmpty();
            return;
        }
        _sandbox.Capsule("doctor").Out.ShouldContain("`db`, held still for a copy that was cut off");
        _sandbox.Capsule("doctor", "--fix").Ok();
        string Count() => _sandbox.Shell($"cat {Data("db", "data")}/count").Out;
        string before = Count();
        Sandbox.Eventually(() => Count() is { Length: > 0 } now && now != before, "it goes on");
        _sandbox.Capsule("doctor").Out.ShouldNotContain("left ");
        Listed("app").ShouldBeEmpty();
        Fork("app", "db/data").Ok();
        _sandbox.Capsule("stop", "-t", "0", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Without_room_nothing_is_made_and_who_was_held_still_goes_on()
    {
        MakeBoth("i=0; while :; do i=$((i+1)); echo $i > /srv/app/count; done");
        _sandbox.Shell($"head -c 20M /dev/urandom > {Data("db", "data")}/large").Ok();
        _sandbox.Capsule("start", "db").Ok();
        _sandbox.Shell($"mkdir -p {_sandbox.Store}/tmp && mount -t tmpfs -o size=8M none {_sandbox.Store}/tmp").Ok();
        Fork("app", "db/data").Error.ShouldContain("CAP2008");
        _sandbox.Shell($"umount {_sandbox.Store}/tmp").Ok();
        _sandbox.Shell($"ls {_sandbox.Store}/capsules/app/volumes {_sandbox.Store}/tmp").Out.ShouldNotContain("srv-app");
        Listed("app").ShouldBeEmpty();
        string before = _sandbox.Shell($"cat {Data("db", "data")}/count").Out;
        Sandbox.Eventually(() => _sandbox.Shell($"cat {Data("db", "data")}/count").Out != before, "it goes on");
        Fork("app", "db/data").Ok();
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Copies_of_two_who_write_to_each_other_do_not_hold_each_other_up()
    {
        foreach (string name in (string[])["x", "y"])
        {
            BusyBox.MakeCapsule(_sandbox, name, m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse($"/srv/{name}") }] }, BusyBox.Script($"while :; do echo $((i=i+1)) > /srv/{name}/count; sleep 0.01; done"));
            _sandbox.Capsule("share", "add", $"{name}/data", "--path", $"/srv/{name}", "--preset", "partner", "--user", "web").Ok();
        }
        foreach (string name in (string[])["a", "b"]) MakeApp(name);
        _sandbox.Capsule("link", "add", "x", "y/data", "--when-down", "degrade").Ok();
        _sandbox.Capsule("link", "add", "y", "x/data", "--when-down", "degrade").Ok();
        _sandbox.Capsule("start", "x", "y").Ok();
        string capsule = Sandbox.Programs + "/capsule";
        for (int round = 0; round < 6; round++)
        {
            _sandbox.Run(["bash", "-c", $"timeout 60 {capsule} link add a x/data --fork & one=$!; timeout 60 {capsule} link add b y/data --fork & two=$!; wait $one && wait $two"], seconds: 90).Ok();
            foreach (string name in (string[])["x", "y"]) File.ReadAllText(Freezer(name)).Trim().ShouldBeOneOf("THAWED", "0");
            foreach (var (user, owner) in ((string, string)[])[("a", "x"), ("b", "y")]) _sandbox.Capsule("link", "rm", user, $"{owner}/data", "--volumes", "--yes").Ok();
        }
        _sandbox.Capsule("stop", "-t", "0", "x", "y").Ok();
    }
}
