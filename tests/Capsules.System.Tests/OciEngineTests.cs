using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>What engines ask of the OCI door beside a container's plain life: hooks, pauses, changed limits, mount options of theirs; and podman itself.</summary>
public sealed class OciEngineTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private Result Oci(params string[] words) => _sandbox.Capsule(["oci", "--root", _sandbox.RunDirectory + "/oci", .. words]);

    private string Bundle(string[] arguments, params (string Old, string New)[] changes) => BusyBox.MakeBundle(_sandbox, "b", arguments, text =>
        changes.Aggregate(text.Replace("\"linux\": {", $"\"linux\": {{\"cgroupsPath\": \"{_sandbox.Id}/a\",", StringComparison.Ordinal), (t, c) => t.Replace(c.Old, c.New, StringComparison.Ordinal)));

    private static string Hook(string script, int? timeout = null) => $$"""{"path":"/bin/sh","args":["sh","-c",{{JsonSerializer.Serialize(script)}}]{{(timeout is null ? "" : $",\"timeout\":{timeout}")}}}""";

    [Fact]
    public void Hooks_run_at_their_points_in_their_namespaces_with_the_state()
    {
        string log = _sandbox.State + "/hooks";
        string Note(string point) => Hook($"echo {point} $(sed -n 's/.*\"status\": *\"\\([a-z]*\\)\".*/\\1/p') >> {log}");
        string bundle = Bundle(["sh", "-c", "cat /hooked; sleep 1000"], ("\"hostname\"", $$"""
            "hooks": {
              "prestart": [{{Note("prestart")}}],
              "createRuntime": [{{Note("createRuntime")}}, {{Hook($"readlink /proc/self/ns/net > {_sandbox.State}/net.host; pwd > {_sandbox.State}/cwd")}}],
              "createContainer": [{{Hook($"echo createContainer >> {log}; readlink /proc/self/ns/net > {_sandbox.State}/net.inside")}}],
              "startContainer": [{"path":"/bin/sh","args":["sh","-c","echo by a hook > /hooked"]}],
              "poststart": [{{Note("poststart")}}, {{Hook("exit 3")}}],
              "poststop": [{{Note("poststop")}}]
            }, "hostname"
            """), ("\"readonly\": true", "\"readonly\": false"));
        Oci("create", "--bundle", bundle, "a").Ok();
        File.ReadAllText(log).ShouldBe("prestart creating\ncreateRuntime creating\ncreateContainer\n");
        File.ReadAllText(_sandbox.State + "/net.inside").ShouldNotBe(File.ReadAllText(_sandbox.State + "/net.host"));
        File.ReadAllText(_sandbox.State + "/cwd").Trim().ShouldBe(bundle);
        Oci("start", "a").Ok().Error.ShouldContain("poststart");
        File.ReadAllText(bundle + "/rootfs/hooked").ShouldBe("by a hook\n");
        Oci("delete", "--force", "a").Ok();
        File.ReadAllText(log).ShouldBe("prestart creating\ncreateRuntime creating\ncreateContainer\npoststart running\npoststop stopped\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("prestart", "echo no luck >&2; exit 4", null, "no luck")]
    [InlineData("createRuntime", "exit 4", null, "ended with 4")]
    [InlineData("createContainer", "exit 4", null, "ended with 4")]
    [InlineData("createRuntime", "sleep 100", 1, "longer than its 1 s")]
    public void A_hook_that_fails_before_the_start_ends_the_container(string point, string script, int? timeout, string says)
    {
        string bundle = Bundle(["sleep", "1000"], ("\"hostname\"", $$"""
            "hooks": { "{{point}}": [{{Hook(script, timeout)}}], "poststop": [{{Hook($"echo poststop > {_sandbox.State}/after")}}] }, "hostname"
            """));
        Result result = Oci("create", "--bundle", bundle, "a");
        result.Code.ShouldBe(1);
        result.Error.ShouldContain("CAP5018");
        result.Error.ShouldContain(says);
        File.ReadAllText(_sandbox.State + "/after").ShouldBe("poststop\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_start_hook_that_fails_stops_the_container()
    {
        string bundle = Bundle(["sleep", "1000"], ("\"hostname\"", """ "hooks": { "startContainer": [{"path":"/bin/false"}] }, "hostname" """));
        Oci("create", "--bundle", bundle, "a").Ok();
        Oci("start", "a").Error.ShouldContain("CAP5018");
        Sandbox.Eventually(() => Oci("state", "a").Out.Contains("\"stopped\"", StringComparison.Ordinal), "it is stopped");
        Oci("delete", "a").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_container_is_paused_resumed_and_its_limits_are_changed()
    {
        Oci("run", "--detach", "--bundle", Bundle(["sleep", "1000"]), "a").Ok();
        string group = $"/sys/fs/cgroup/memory/{_sandbox.Id}/a";
        File.Exists(group + "/memory.usage_in_bytes").ShouldBeTrue("engines read it without a limit, too");
        Directory.Exists($"/sys/fs/cgroup/pids/{_sandbox.Id}/a").ShouldBeTrue();
        Oci("pause", "a").Ok();
        Oci("state", "a").Out.ShouldContain("\"paused\"");
        Oci("pause", "a").Error.ShouldContain("CAP5007");
        Oci("exec", "a", "true").Error.ShouldContain("CAP5007");
        Oci("resume", "a").Ok();
        Oci("state", "a").Out.ShouldContain("\"running\"");

        File.WriteAllText(_sandbox.State + "/r.json", """{"memory":{"limit":67108864,"swap":134217728},"pids":{"limit":30},"cpu":{"quota":50000,"period":100000}}""");
        Oci("update", "--resources", _sandbox.State + "/r.json", "a").Ok();
        Oci("update", "--resources", _sandbox.State + "/r.json", "a").Ok();
        File.ReadAllText(group + "/memory.limit_in_bytes").Trim().ShouldBe("67108864");
        _sandbox.Run([Sandbox.Programs + "/capsule", "oci", "--root", _sandbox.RunDirectory + "/oci", "update", "--resources", "-", "a"], """{"memory":{"limit":268435456,"swap":268435456}}""").Ok();
        File.ReadAllText(group + "/memory.limit_in_bytes").Trim().ShouldBe("268435456");
        File.ReadAllText($"/sys/fs/cgroup/pids/{_sandbox.Id}/a/pids.max").Trim().ShouldBe("30");
        Oci("ps", "--format", "json", "a").Out.ShouldMatch(@"^\[\d+\]");
        Oci("pause", "a").Ok();
        Oci("delete", "--force", "a").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void What_runs_on_behind_the_first_process_is_ended_with_the_container()
    {
        string bundle = Bundle(["sh", "-c", "sleep 1001 & echo $! > /left; exec sleep 0.2"], ("{\n        \"type\": \"pid\"\n      },", ""), ("\"readonly\": true", "\"readonly\": false"));
        Oci("create", "--bundle", bundle, "a").Ok();
        Oci("start", "a").Ok();
        Sandbox.Eventually(() => Oci("state", "a").Out.Contains("\"stopped\"", StringComparison.Ordinal), "the first process ends");
        string left = File.ReadAllText(bundle + "/rootfs/left").Trim();
        _sandbox.Shell($"kill -0 {left}").Code.ShouldBe(0);
        Oci("delete", "a").Ok();
        _sandbox.Shell($"kill -0 {left}").Code.ShouldNotBe(0);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("/bin/nothing", "executable file not found in $PATH: No such file or directory")]
    [InlineData("nothing", "executable file not found in $PATH: No such file or directory")]
    [InlineData("/etc/passwd", "permission denied")]
    [InlineData("/etc", "permission denied")]
    public void Create_tells_in_words_that_engines_know_that_a_program_cannot_be_started(string program, string says)
    {
        string log = _sandbox.State + "/log";
        string bundle = Bundle([program]);
        _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "--log", log, "--log-format", "json", "create", "--bundle", bundle, "a").Code.ShouldBe(1);
        JsonDocument.Parse(File.ReadAllText(log)).RootElement.GetProperty("msg").GetString()!.ShouldContain(says);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_tmpfs_begins_with_what_it_covers_when_the_engine_says_so()
    {
        string bundle = Bundle(["sh", "-c", "stat -c '%a %u:%g' /srv /srv/below /srv/below/file; cat /srv/below/file; readlink /srv/link; echo x > /srv/new && echo writable"],
            ("\"mounts\": [", """ "mounts": [{"destination":"/srv","type":"tmpfs","source":"tmpfs","options":["rw","rprivate","nosuid","nodev","tmpcopyup"]}, """));
        _sandbox.Shell($"cd {bundle}/rootfs/srv && mkdir -m 711 below && echo content > below/file && chmod 644 below/file && chown 5:6 below below/file && ln -s below/file link && chmod 1750 .").Ok();
        Oci("run", "--bundle", bundle, "a").Ok().Out.ShouldBe("1750 0:0\n711 5:6\n644 5:6\ncontent\nbelow/file\nwritable\n");
        File.Exists(bundle + "/rootfs/srv/new").ShouldBeFalse();
    }

    [Theory]
    [InlineData("/")]
    [InlineData("x/../..")]
    public void A_control_group_that_is_not_its_own_is_refused(string path) =>
        Oci("create", "--bundle", BusyBox.MakeBundle(_sandbox, "b", ["true"], text => text.Replace("\"linux\": {", $"\"linux\": {{\"cgroupsPath\": \"{path}\",", StringComparison.Ordinal)), "a").Error.ShouldContain("CAP5019");

    [Fact]
    public void Podman_uses_it_as_its_runtime()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/podman"), "needs podman");
        BusyBox.MakeRoot(_sandbox.State + "/image");
        File.WriteAllText(_sandbox.State + "/containers.conf", """
            [containers]
            default_ulimits = ["nofile=20000:20000","nproc=32768:32768"]
            [engine]
            cgroup_manager = "cgroupfs"
            events_logger = "file"
            """);
        Result result = _sandbox.Shell($$"""
            cd {{_sandbox.State}}
            export CONTAINERS_CONF=$PWD/containers.conf CAPSULE_RUN={{_sandbox.RunDirectory}}
            podman() { command podman --root $PWD/podman/root --runroot $PWD/podman/run --tmpdir $PWD/podman/tmp --storage-driver vfs --runtime {{Sandbox.Programs}}/capsule-oci "$@"; }
            run() { podman run --network none --cgroup-parent /{{_sandbox.Id}}/podman "$@"; }
            tar -C image -c . | podman import -q - busy >/dev/null 2>&1 || echo import failed
            run --rm --read-only busy sh -c 'echo read-only; touch /tmp/x && echo tmp; touch /x 2>/dev/null || echo refused'
            run --rm busy nothing 2>/dev/null; echo code $?
            run --rm busy /etc/passwd 2>/dev/null; echo code $?
            run -d --name one busy sleep 1000 >/dev/null; echo started $?
            podman exec one echo inside
            podman exec one nothing 2>/dev/null; echo exec $?
            podman exec one /etc/passwd 2>/dev/null; echo exec $?
            podman pause one >/dev/null && podman ps -a --format '{{"{{.Status}}"}}' | cut -d' ' -f1
            podman unpause one >/dev/null && echo unpaused
            podman stats --no-stream --format '{{"{{.PIDs}}"}}' one
            podman update --memory 128m one >/dev/null && cat /sys/fs/cgroup/memory/{{_sandbox.Id}}/podman/libpod-*/memory.limit_in_bytes
            podman stop -t 1 one >/dev/null; podman rm one >/dev/null && echo removed
            run -d --name two --pid host busy sh -c 'sleep 1003 & exec sleep 1000' >/dev/null
            podman rm -f -t 0 two >/dev/null; pgrep -f '^sleep 1003' || echo nobody left
            """, seconds: 240);
        result.Out.ShouldBe("""
            read-only
            tmp
            refused
            code 127
            code 126
            started 0
            inside
            exec 127
            exec 126
            Paused
            unpaused
            1
            134217728
            removed
            nobody left

            """, result.Error);
    }
}
