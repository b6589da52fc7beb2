using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>The OCI door: `capsule oci …` on a bundle.</summary>
public sealed class OciTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private Result Run(string id, string bundle) => _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "run", "--bundle", bundle, id);
    private Result Oci(params string[] words) => _sandbox.Capsule(["oci", "--root", _sandbox.RunDirectory + "/oci", .. words]);

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 7", 7)]
    [InlineData("kill -9 $$", 137)]
    [InlineData("exec /bin/false", 1)]
    public void The_exit_code_is_the_programs(string script, int code)
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", script]);
        Run("a", bundle).Code.ShouldBe(code == 137 ? 0 : code, customMessage: "PID 1 ignores its own SIGKILL");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_container_sees_its_own_world_only()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "echo pid $$; hostname; ls /proc | grep -c '^[0-9]'; cat /proc/self/status | grep -E '^(CapEff|NoNewPrivs|SigIgn|SigBlk)'; ls /dev | tr '\\n' ' '; ls /proc/self/fd | wc -l; ip -o link | wc -l; touch /x 2>&1"]);
        Result result = Run("a", bundle);
        result.Out.ShouldContain("pid 1\ncrun\n");
        result.Out.ShouldContain("CapEff:\t0000000020000420");
        result.Out.ShouldContain("NoNewPrivs:\t1");
        result.Out.ShouldContain("SigIgn:\t0000000000000000");
        result.Out.ShouldContain("SigBlk:\t0000000000000000");
        result.Out.ShouldContain("core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero");
        result.Out.ShouldContain("Read-only file system");
    }

    [Theory]
    [InlineData("/bin/nothing", 127, "CAP5002")]
    [InlineData("/etc/passwd", 126, "CAP5003")]
    public void A_program_that_cannot_run_has_podmans_exit_codes(string program, int code, string problem)
    {
        Result result = Run("a", BusyBox.MakeBundle(_sandbox, "b", [program]));
        result.Code.ShouldBe(code);
        result.Error.ShouldContain(problem);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Create_start_state_kill_and_delete_follow_the_specification()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "trap 'exit 3' TERM; echo started > /dev/null; while :; do sleep 1; done"]);
        Oci("create", "--bundle", bundle, "--pid-file", _sandbox.State + "/pid", "a").Ok();
        JsonElement state = JsonDocument.Parse(Oci("state", "a").Ok().Out).RootElement;
        state.GetProperty("status").GetString().ShouldBe("created");
        state.GetProperty("pid").GetInt32().ShouldBe(int.Parse(File.ReadAllText(_sandbox.State + "/pid")));

        Oci("create", "--bundle", bundle, "a").Error.ShouldContain("CAP5005");
        Oci("exec", "a", "true").Error.ShouldContain("CAP5007");
        Oci("start", "a").Ok();
        Oci("start", "a").Error.ShouldContain("CAP5007");
        Oci("state", "a").Out.ShouldContain("\"running\"");
        Oci("delete", "a").Error.ShouldContain("CAP5007");
        Oci("exec", "a", "sh", "-c", "exit 5").Code.ShouldBe(5);
        Oci("list", "--quiet").Out.ShouldBe("a\n");

        Oci("kill", "a", "TERM").Ok();
        Sandbox.Eventually(() => Oci("state", "a").Out.Contains("\"stopped\"", StringComparison.Ordinal), "it stops");
        Oci("kill", "a", "TERM").Error.ShouldContain("CAP5007");
        Oci("delete", "a").Ok();
        Oci("state", "a").Error.ShouldContain("CAP5006");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_created_container_can_be_deleted_with_force_and_leaves_nothing()
    {
        Oci("create", "--bundle", BusyBox.MakeBundle(_sandbox, "b", ["true"]), "a").Ok();
        Oci("delete", "--force", "a").Ok();
        Oci("delete", "--force", "a").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_link_in_the_root_never_leads_out_of_it()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "readlink /dev || ls /dev/null"]);
        string trap = _sandbox.State + "/trap";
        Directory.CreateDirectory(trap);
        File.CreateSymbolicLink(bundle + "/rootfs/dev", trap); // CVE-2026-41579: the runtime follows it onto the host
        Run("a", bundle);
        Directory.GetFileSystemEntries(trap).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("", "not JSON")]
    [InlineData("{}", "ociVersion")]
    [InlineData("""{"ociVersion":"1.0.2"}""", "root")]
    [InlineData("""{"ociVersion":"2.0.0","root":{"path":"rootfs"}}""", "2.0.0")]
    [InlineData("""{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":[]}}""", "args")]
    [InlineData("""{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["true"]},"hooks":{"prestart":[{"path":"true"}]}}""", "absolute")]
    [InlineData("""{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["true"]},"mounts":[{"destination":"/","type":"tmpfs"}]}""", "mounted on /")]
    public void A_bundle_that_cannot_be_followed_is_refused_with_the_reason(string config, string says)
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["true"], _ => config);
        Result result = Run("a", bundle);
        result.Code.ShouldNotBe(0);
        result.Error.ShouldContain("CAP5004");
        result.Error.ShouldContain(says);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("../x")]
    [InlineData(".x")]
    [InlineData("a/b")]
    public void An_id_that_is_a_path_is_refused(string id) => Oci("state", id).Error.ShouldContain("CAP5008");

    [Fact]
    public void Errors_go_to_the_engines_log_as_json()
    {
        string log = _sandbox.State + "/log";
        _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "--log", log, "--log-format", "json", "start", "nobody").Code.ShouldBe(1);
        JsonDocument.Parse(File.ReadAllText(log)).RootElement.GetProperty("msg").GetString()!.ShouldContain("nobody");
    }

    [Fact]
    public void A_user_namespace_with_the_clone_maps_ids()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "id -u; cat /proc/self/uid_map"], text => text
            .Replace("\"type\": \"pid\"", "\"type\": \"user\"}, {\"type\": \"pid\"", StringComparison.Ordinal)
            .Replace("\"linux\": {", "\"linux\": {\"uidMappings\": [{\"containerID\":0,\"hostID\":100000,\"size\":65536}], \"gidMappings\": [{\"containerID\":0,\"hostID\":100000,\"size\":65536}],", StringComparison.Ordinal));
        Result result = Run("a", bundle);
        result.Out.ShouldStartWith("0\n");
        result.Out.ShouldContain("100000");
    }

    [Fact]
    public void A_seccomp_filter_refuses_what_it_names()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "mkdir /tmp/x 2>&1; true"], text => text
            .Replace("\"readonly\": true", "\"readonly\": false", StringComparison.Ordinal)
            .Replace("\"linux\": {", """
            "linux": {"seccomp": {"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]},
            """, StringComparison.Ordinal));
        Run("a", bundle).Out.ShouldContain("No space left on device");
    }

    [Fact]
    public void Limits_of_the_control_group_are_set()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>&1; true"], text => text
            .Replace("\"resources\": {", "\"cgroupsPath\": \"" + _sandbox.Id + "/a\", \"resources\": {\"pids\": {\"limit\": 4}, \"memory\": {\"limit\": 67108864},", StringComparison.Ordinal));
        Result result = Run("a", bundle);
        (result.Out + result.Error).ShouldContain("fork");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Clocks_of_a_time_namespace_have_the_offsets_of_the_bundle()
    {
        BusyBox.MakeBundle(_sandbox, "clocks", ["cat", "/proc/self/timens_offsets"], config => config.Replace("\"namespaces\": [", "\"timeOffsets\": { \"monotonic\": { \"secs\": 5, \"nanosecs\": 7 }, \"boottime\": { \"secs\": 86400 } }, \"namespaces\": [ { \"type\": \"time\" },", StringComparison.Ordinal));
        _sandbox.Capsule("oci", "run", "--bundle", _sandbox.State + "/clocks", "clocks").Ok().Out.Split(default(char[]), StringSplitOptions.RemoveEmptyEntries).ShouldBe(["monotonic", "5", "7", "boottime", "86400", "0"]);
    }

    [Fact]
    public void Limits_hold_where_control_groups_are_of_version_1_alone()
    {
        _sandbox.Shell("! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; ! grep -q ' cgroup2 ' /proc/self/mounts").Ok();
        _sandbox.Capsule("doctor").Out.ShouldContain("control groups: version 1");
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "--cpus", "0.5", "--memory", "64M", "--pids-limit", "33", "web").Ok();
        string Of(string controller, string file) => _sandbox.Shell($"cat /sys/fs/cgroup/{controller}/{_sandbox.Id}/web/{file}").Ok().Out.Trim();
        Of("cpu", "cpu.cfs_quota_us").ShouldBe("50000");
        Of("cpu", "cpu.cfs_period_us").ShouldBe("100000");
        Of("memory", "memory.limit_in_bytes").ShouldBe("67108864");
        Of("pids", "pids.max").ShouldBe("33");
        // A busy program gets half a processor: cpuacct counts nanoseconds.
        _sandbox.Capsule("exec", "-d", "web", "sh", "-c", "while :; do :; done").Ok();
        long before = long.Parse(Of("cpuacct", "cpuacct.usage")), start = Environment.TickCount64;
        Thread.Sleep(1500);
        double share = (long.Parse(Of("cpuacct", "cpuacct.usage")) - before) / 1e6 / (Environment.TickCount64 - start);
        share.ShouldBeLessThan(0.65);
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Traces().ShouldBeEmpty();

        BusyBox.MakeBundle(_sandbox, "io", ["true"], config => config.Replace("\"linux\": {", "\"linux\": { \"resources\": { \"blockIO\": { \"weight\": 200 } },", StringComparison.Ordinal));
        Result io = _sandbox.Capsule("oci", "run", "--bundle", _sandbox.State + "/io", "io");
        bool hasWeight = _sandbox.Shell("ls /sys/fs/cgroup/blkio/*weight*").Code == 0;
        io.Code.ShouldBe(hasWeight ? 0 : io.Code, io.Error); // without a scheduler that weighs, the kernel has no such file
    }
}
