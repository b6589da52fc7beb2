using System.Diagnostics;
using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>What links are while their ends come, go, crash and are upgraded.</summary>
public sealed class LinkLifecycleTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done";

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private Result Start(params string[] capsules) => _sandbox.Run([Sandbox.Programs + "/capsule", "start", .. capsules], seconds: 120);

    private bool Runs(string capsule) => _sandbox.Capsule("status", capsule).Code == 0;

    private string StateOf(string capsule) => JsonDocument.Parse(_sandbox.Capsule("link", "list", capsule, "--json").Ok().Out).RootElement.GetProperty("links").EnumerateArray().Single().GetProperty("state").GetString()!;

    private string Init(string capsule) => JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();

    /// <summary>An owner that says in its /run who it is, and is offered whole.</summary>
    private void MakeOwner(string name, Func<ServiceManifest, ServiceManifest>? change = null)
    {
        ServiceManifest service = BusyBox.Script($"cat /proc/sys/kernel/random/uuid > /run/{name}/id; {Idle}") with { RuntimeDirectories = [new(GuestPath.Parse($"/run/{name}"), "root", "root", 0x1ED)] };
        BusyBox.MakeCapsule(_sandbox, name, null, change?.Invoke(service) ?? service);
        _sandbox.Capsule("share", "add", $"{name}/run", "--path", $"/run/{name}", "--preset", "client").Ok();
    }

    /// <summary>One who uses it.</summary>
    private void MakeUser(string name, string owner, string whenDown)
    {
        BusyBox.MakeCapsule(_sandbox, name, null, BusyBox.Script(Idle));
        _sandbox.Capsule("link", "add", name, $"{owner}/run", "--when-down", whenDown).Ok();
    }

    private string Id(string user, string owner = "db") => In(user, $"cat /run/{owner}/id").Out.Trim();

    /// <summary>Ends a capsule as the kernel's out-of-memory killer would: at its first process.</summary>
    private void Crash(string capsule)
    {
        _sandbox.Shell($"kill -9 {Init(capsule)}").Ok();
        Sandbox.Eventually(() => !Runs(capsule), capsule + " has ended");
    }

    private static readonly string[] s_words = ["require", "bind", "want", "wait:20", "degrade"];

    /// <summary>The name of who uses by a word.</summary>
    private static string User(string word) => word.Split(':')[0];

    [Theory]
    [InlineData("require", true, true)]
    [InlineData("bind", true, true)]
    [InlineData("want", true, true)]
    [InlineData("wait:2", false, false)]
    [InlineData("degrade", true, false)]
    public void An_owner_that_is_not_up_is_started_waited_for_or_done_without(string word, bool starts, bool startsOwner)
    {
        MakeOwner("db");
        MakeUser("app", "db", word);
        Result started = Start("app");
        (started.Code == 0, Runs("app"), Runs("db")).ShouldBe((starts, starts, startsOwner), started.Error);
        if (!starts) started.Error.ShouldContain("CAP4107");
        if (!starts) return;
        StateOf("app").ShouldBe(startsOwner ? "live" : "waiting");
        if (!startsOwner) Start("db").Ok();
        Sandbox.Eventually(() => Id("app").Length == 36, "what the owner has is seen");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("require", false)]
    [InlineData("bind", false)]
    [InlineData("want", true)]
    [InlineData("wait:1", false)]
    [InlineData("degrade", true)]
    public void An_owner_that_cannot_start_lets_only_those_start_that_can_be_without_it(string word, bool starts)
    {
        MakeOwner("db", s => s with { Command = ["/bin/sh", "-c", "exit 1"], Kind = ServiceKind.Notify, StartTimeout = 1000 });
        MakeUser("app", "db", word);
        Result started = Start("app");
        (started.Code == 0, Runs("app")).ShouldBe((starts, starts), started.Error);
        started.Error.ShouldContain(starts ? "CAP4121" : "CAP4107");
        _sandbox.Capsule("stop", "app", "db");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void An_owner_that_comes_late_is_there_for_those_that_wait_and_for_those_that_went_on()
    {
        MakeOwner("db");
        MakeUser("wait", "db", "wait:20");
        MakeUser("degrade", "db", "degrade");
        Start("degrade").Ok().Error.ShouldContain("CAP4121");
        using Process waits = _sandbox.Start([Sandbox.Programs + "/capsule", "start", "wait"]);
        Thread.Sleep(500);
        waits.HasExited.ShouldBeFalse("it waits");
        Runs("wait").ShouldBeFalse();
        Start("db").Ok();
        waits.WaitForExit(20_000).ShouldBeTrue();
        waits.ExitCode.ShouldBe(0, waits.StandardError.ReadToEnd());
        foreach (string user in (string[])["wait", "degrade"]) Sandbox.Eventually(() => Id(user).Length == 36 && StateOf(user) == "live", user);
        _sandbox.Capsule("stop", "wait", "degrade", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_owner_that_ends_by_itself_takes_those_with_it_that_cannot_be_without_and_brings_the_bound_back(bool crashes)
    {
        MakeOwner("db", s => s with { Command = ["/bin/sh", "-c", $"cat /proc/sys/kernel/random/uuid > /run/db/id; until [ -e /tmp/end ]; do sleep 0.1; done"] });
        foreach (string word in s_words) MakeUser(User(word), "db", word);
        Start("db").Ok();
        Start([.. s_words.Select(User)]).Ok();
        Sandbox.Eventually(() => s_words.All(w => Id(User(w)).Length == 36), "all see it");
        string before = Id("want");
        if (crashes) Crash("db");
        else In("db", "touch /tmp/end").Ok();
        Sandbox.Eventually(() => !Runs("require") && !Runs("bind"), "those that cannot be without it are stopped");
        JsonDocument.Parse(File.ReadAllText($"{_sandbox.Store}/capsules/require/last-run.json")).RootElement.GetProperty("reason").GetString().ShouldBe("stopped");
        foreach (string user in (string[])["want", "wait", "degrade"]) (user, Runs(user)).ShouldBe((user, true));

        Start("db").Ok();
        Sandbox.Eventually(() => Runs("bind"), "it comes again with its owner");
        Runs("require").ShouldBeFalse("it stays as it was left, as Requires= of systemd leaves it");
        foreach (string user in (string[])["bind", "want", "wait", "degrade"]) Sandbox.Eventually(() => Id(user) is { Length: 36 } id && id != before && StateOf(user) == "live", $"{user} sees the new one's");
        _sandbox.Capsule(["stop", .. s_words.Select(User), "db"]).Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void An_end_while_nobody_keeps_is_seen_by_the_next_keeper()
    {
        MakeOwner("db");
        MakeUser("require", "db", "require");
        MakeUser("bind", "db", "bind");
        Start("require", "bind").Ok();
        _sandbox.Shell($"for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule keeper' && kill -9 ${{p#/proc/}}; done; kill -9 {Init("db")}").Ok();
        Sandbox.Eventually(() => !Runs("require") && !Runs("bind"), "those that cannot be without it are stopped");
        Start("db").Ok();
        Sandbox.Eventually(() => Runs("bind") && Id("bind").Length == 36, "it comes again with its owner");
        _sandbox.Capsule("stop", "bind", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Who_was_stopped_with_its_owner_and_then_for_itself_does_not_come_again()
    {
        MakeOwner("db");
        MakeUser("bind", "db", "bind");
        MakeUser("far", "db", "bind");
        Start("bind", "far").Ok();
        Crash("db");
        Sandbox.Eventually(() => !Runs("bind") && !Runs("far") && _sandbox.Shell($"ls {_sandbox.RunDirectory}").Out.Split("starts.").Length == 3, "they stopped with it");
        _sandbox.Capsule("stop", "bind").Ok();
        Start("far").Ok(); // it needs its owner, which would start it in turn
        (Runs("db"), Runs("far"), Runs("bind")).ShouldBe((true, true, false));
        _sandbox.Capsule("stop", "db").Ok();
        Runs("far").ShouldBeFalse();
        Start("db").Ok();
        Runs("far").ShouldBeTrue("bound to it, it starts with it whenever that is");
        _sandbox.Capsule("stop", "far", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Services_that_are_started_again_and_data_without_services_take_nobody_with_them()
    {
        MakeOwner("db", s => s with { Restart = RestartPolicy.Always, RestartDelay = 100 });
        MakeUser("app", "db", "require");
        BusyBox.MakeCapsule(_sandbox, "files", m => m with { Volumes = [new() { Name = CapsuleName.Parse("site"), Path = GuestPath.Parse("/srv/www") }] });
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/files/volumes/site");
        _sandbox.Capsule("share", "add", "files/site", "--path", "/srv/www").Ok();
        _sandbox.Capsule("link", "add", "app", "files/site").Ok();
        Start("app").Ok();
        Sandbox.Eventually(() => Id("app").Length == 36, "it is up");
        string before = Id("app");
        _sandbox.Capsule("kill", "db", "-s", "KILL").Ok();
        Sandbox.Eventually(() => Id("app") is { Length: 36 } id && id != before, "its service was started again");
        Start("files").Ok();
        _sandbox.Shell($"kill -9 $(grep -oE '\"init\": *[0-9]+' {_sandbox.RunDirectory}/capsules/files/run.json | grep -oE '[0-9]+')"); // unless it has ended, having nothing to run
        Sandbox.Eventually(() => !Runs("files"), "it has ended");
        Thread.Sleep(1500);
        Runs("app").ShouldBeTrue("data is there without running");
        _sandbox.Capsule("stop", "app", "db", "files").Ok();
    }

    [Fact]
    public void A_member_without_links_that_starts_first_brings_the_stack_up_with_the_users_of_the_others()
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "first", m => m with { Volumes = [new() { Name = CapsuleName.Parse("first"), Path = GuestPath.Parse("/srv/first") }] }, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, "db", "shop", 998);
        BusyBox.SetUser(_sandbox, "app", "web", 33);
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/db/volumes; chown 998:998 data; chmod 700 data").Ok();
        _sandbox.Capsule("share", "add", "first/all", "--path", "/srv/first", "--preset", "same-machine").Ok();
        _sandbox.Capsule("link", "add", "app", "first/all", "--when-down", "degrade").Ok();
        Start("first").Ok(); // as a stack that is up when the link is made, so that its record has no such users yet
        _sandbox.Capsule("share", "add", "db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        _sandbox.Capsule("link", "add", "app", "db/data", "--as", "web=shop").Ok().Error.ShouldContain("CAP4120");
        _sandbox.Capsule("stop", "first").Ok();

        Start("first").Ok();
        In("first", "cat /proc/self/uid_map").Out.Split('\n').ShouldContain(l => l.Trim().StartsWith("33 ", StringComparison.Ordinal) && l.TrimEnd().EndsWith(" 1", StringComparison.Ordinal));
        Start("app").Ok();
        _sandbox.Capsule("exec", "--user", "web", "app", "sh", "-c", "echo mine > /var/lib/shop/file; stat -c %u /var/lib/shop/file").Ok().Out.ShouldBe("33\n");
        In("db", "stat -c %u /var/lib/shop/file").Out.ShouldBe("998\n");
        _sandbox.Capsule("stop", "app", "first", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void After_a_restart_of_the_host_all_links_are_there_again_with_the_start_of_their_capsules()
    {
        MakeOwner("db");
        BusyBox.MakeCapsule(_sandbox, "files", m => m with { Volumes = [new() { Name = CapsuleName.Parse("site"), Path = GuestPath.Parse("/srv/www") }] });
        _sandbox.Capsule("share", "add", "files/site", "--path", "/srv/www", "--preset", "reader").Ok();
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/files/volumes/site");
        File.WriteAllText($"{_sandbox.Store}/capsules/files/volumes/site/page", "page\n");
        foreach (string word in s_words)
        {
            MakeUser(User(word), "db", word);
            _sandbox.Capsule("link", "add", User(word), "files/site").Ok();
        }
        Start("db").Ok();
        string[] users = [.. s_words.Select(User)];
        Start(users).Ok();
        Sandbox.Eventually(() => users.All(u => Id(u).Length == 36), "all see it");
        string before = Id("want");

        // The power goes: a machine with the disk as it is at this moment, and nothing of processes, mounts and /run.
        using var after = new Sandbox();
        _sandbox.Shell($"cp -a {_sandbox.Store}/. {after.Store}/").Ok();

        Result started = after.Run([Sandbox.Programs + "/capsule", "start", .. users, "db"], seconds: 120); // in any order; those that need the owner bring it up
        after.Capsule("start", "db");
        foreach (string user in users)
        {
            after.Capsule("status", user).Code.ShouldBe(0, user + ": " + started.Error);
            Sandbox.Eventually(() => after.Capsule("exec", user, "cat", "/run/db/id").Out.Trim() is { Length: 36 } id && id != before, user + " sees the owner's new /run");
            after.Capsule("exec", user, "cat", "/srv/www/page").Out.ShouldBe("page\n");
        }
        JsonDocument links = JsonDocument.Parse(after.Capsule("link", "list", "--json").Ok().Out);
        links.RootElement.GetProperty("links").EnumerateArray().Select(l => l.GetProperty("state").GetString()).ShouldBe(Enumerable.Repeat("live", 10));
        after.Capsule("doctor").Out.ShouldNotContain("left ");
        after.Capsule(["stop", .. users, "db"]).Ok();
        after.Traces().ShouldBeEmpty();
    }
}
