using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>The daily verbs on capsules that were put into the store by hand.</summary>
public sealed class CapsuleTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private string State(string name) => JsonDocument.Parse(_sandbox.Capsule("ps", "-a", "--json").Ok().Out).RootElement.EnumerateArray().First(c => c.GetProperty("name").GetString() == name).GetProperty("state").GetString()!;

    [Fact]
    public void A_capsule_lives_its_life_and_leaves_nothing()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo hello; trap 'echo bye; exit 0' TERM; while :; do sleep 1; done"));
        State("web").ShouldBe("created");
        _sandbox.Capsule("status", "web").Code.ShouldBe(3);
        _sandbox.Capsule("run", "web").Ok();
        State("web").ShouldBe("ready");
        _sandbox.Capsule("status", "web").Code.ShouldBe(0);
        _sandbox.Capsule("run", "web").Error.ShouldContain("CAP5009");
        _sandbox.Capsule("start", "web").Ok();

        _sandbox.Capsule("exec", "web", "sh", "-c", "exit 9").Code.ShouldBe(9);
        _sandbox.Capsule("exec", "web", "nothing").Code.ShouldBe(127);
        _sandbox.Capsule("exec", "web", "/etc/passwd").Code.ShouldBe(126);
        _sandbox.Capsule("exec", "-u", "web", "-w", "/srv", "-e", "A=b", "web", "sh", "-c", "id; pwd; echo $A $HOME").Out.ShouldBe("uid=105(web) gid=107(web) groups=4(adm),107(web)\n/srv\nb /srv\n");
        _sandbox.Run([Sandbox.Programs + "/capsule", "exec", "-i", "web", "cat"], input: "through").Out.ShouldBe("through");

        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Capsule("stop", "web").Ok();
        State("web").ShouldBe("stopped");
        _sandbox.Capsule("logs", "web").Out.ShouldBe("hello\nbye\n");
        _sandbox.Traces().ShouldBeEmpty();

        _sandbox.Capsule("start", "web").Ok();
        _sandbox.Capsule("rm", "web").Code.ShouldBe(4);
        _sandbox.Capsule("rm", "-f", "web").Ok();
        _sandbox.Capsule("ps", "-a", "-q").Out.ShouldBeEmpty();
        Directory.Exists(_sandbox.Store + "/kept/web/data").ShouldBeTrue();
        _sandbox.Traces().ShouldBeEmpty();
        _sandbox.Capsule("status", "web").Code.ShouldBe(4);
        _sandbox.Capsule("stop", "wbe").Error.ShouldContain("CAP1001");
    }

    [Fact]
    public void Programs_inside_see_the_identity_by_every_usual_way()
    {
        BusyBox.MakeCapsule(_sandbox, "web", m => m with
        {
            Identity = m.Identity with
            {
                HostId = 0x12345678,
                ProductUuid = "11111111-2222-3333-4444-555555555555",
                ProductSerial = "VMware-56 4d",
                Interfaces = [new() { Name = "ens3", Mac = MacAddress.Parse("52:54:00:6b:1f:02"), Addresses = [InterfaceAddress.Parse("10.20.0.15/24"), InterfaceAddress.Parse("fd00:20::15/64")], Routes = [new(null, global::System.Net.IPAddress.Parse("10.20.0.1"))] }],
            },
        }, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        string seen = _sandbox.Capsule("exec", "web", "sh", "-c", "hostname; hostname -f; cat /etc/machine-id /var/lib/dbus/machine-id /sys/class/dmi/id/product_uuid /sys/class/dmi/id/product_serial; hostid; ip -o link show ens3; ip -o addr show ens3; ip route; cat /proc/sys/kernel/random/boot_id").Ok().Out;
        seen.ShouldStartWith("web\nweb.example.net\n0123456789abcdef0123456789abcdef\n0123456789abcdef0123456789abcdef\n11111111-2222-3333-4444-555555555555\nVMware-56 4d\n12345678\n");
        seen.ShouldContain("52:54:00:6b:1f:02");
        seen.ShouldContain("10.20.0.15/24");
        seen.ShouldContain("fd00:20::15/64");
        seen.ShouldContain("default via 10.20.0.1 dev ens3");
        string boot = seen.TrimEnd().Split('\n')[^1];
        boot.ShouldNotBe(File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim());

        // From outside: the address answers, with that MAC.
        _sandbox.Shell("(exec 3<>/dev/tcp/10.20.0.15/9) 2>/dev/null; ip neigh show 10.20.0.15").Out.ShouldContain("52:54:00:6b:1f:02");
        _sandbox.Capsule("restart", "web").Ok();
        _sandbox.Capsule("exec", "web", "cat", "/proc/sys/kernel/random/boot_id").Out.Trim().ShouldNotBe(boot);
    }

    [Fact]
    public void One_address_has_one_live_holder()
    {
        CapsuleManifest Kept(CapsuleManifest m) => m with { Identity = m.Identity with { Interfaces = [new() { Name = "eth0", Addresses = [InterfaceAddress.Parse("10.20.0.15/24")] }] } };
        BusyBox.MakeCapsule(_sandbox, "one", Kept, BusyBox.Script("while :; do sleep 1; done"));
        BusyBox.MakeCapsule(_sandbox, "two", Kept, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "one").Ok();
        Result second = _sandbox.Capsule("run", "two");
        second.Code.ShouldBe(125);
        second.Error.ShouldContain("10.20.0.15");
        _sandbox.Capsule("run", "two", "--fresh", "address").Ok();
        _sandbox.Capsule("stop", "two").Ok();
        _sandbox.Capsule("stop", "one").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Ids_on_disk_are_the_capsules_whatever_the_map_is()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "touch /data/file /srv/stray; chown 105:107 /data/file /srv/stray").Ok();
        _sandbox.Capsule("stop", "web").Ok();
        string Owners() => _sandbox.Shell($"stat -c %u:%g {_sandbox.Store}/capsules/web/volumes/data/file {_sandbox.Store}/capsules/web/writable/upper/srv/stray").Out;
        Owners().ShouldBe("105:107\n105:107\n");

        string record = _sandbox.Store + "/stacks/web/stack.json";
        string text = File.ReadAllText(record);
        text.ShouldContain("\"idBase\": 1073741824");
        File.WriteAllText(record, text.Replace("1073741824", "1342177280", StringComparison.Ordinal));
        _sandbox.Capsule("start", "web").Ok();
        _sandbox.Capsule("exec", "web", "stat", "-c", "%u:%g", "/data/file", "/srv/stray").Out.ShouldBe("105:107\n105:107\n");
        _sandbox.Capsule("exec", "web", "cat", "/proc/self/uid_map").Out.ShouldContain("1342177280");
        Owners().ShouldBe("105:107\n105:107\n");
    }

    [Fact]
    public void A_stray_write_survives_and_is_reported()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo x > /etc/new; echo y >> /etc/passwd; rm /etc/group; echo state > /data/f").Ok();
        _sandbox.Capsule("restart", "web").Ok();
        _sandbox.Capsule("diff", "web").Out.Split('\n').Select(line => line.Split('\t')[0]).ShouldBe(["D /etc/group", "A /etc/new", "C /etc/passwd", ""]);
        _sandbox.Capsule("exec", "web", "cat", "/etc/new", "/data/f").Out.ShouldBe("x\nstate\n");
    }

    [Fact]
    public void A_stray_write_tells_which_program_and_service_made_it()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null,
            BusyBox.Script("exec 3>/srv/early.log; echo early >&3; exec 4>/srv/name.new; echo x >&4; mv /srv/name.new /srv/name; echo s > /data/state; while :; do sleep 1; done"),
            BusyBox.Script("sleep 0.5; exec 3>>/etc/passwd; echo '#' >&3; while :; do sleep 1; done", "second"));
        _sandbox.Capsule("run", "web").Ok();
        string[] wanted = ["C /etc/passwd\t/bin/busybox\tsecond", "A /srv/early.log\t/bin/busybox\tmain", "A /srv/name\t/bin/busybox\tmain", ""];
        Sandbox.Eventually(() => _sandbox.Capsule("diff", "web").Out.Split('\n').SequenceEqual(wanted), "each is told", 10);
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Capsule("diff", "web").Out.Split('\n').ShouldBe(wanted);
        _sandbox.Capsule("diff", "--json", "web").Out.ShouldContain("\"service\": \"second\"");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Chosen_fields_are_all_that_the_JSON_of_a_listing_has()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        string Short(params string[] words) => _sandbox.Capsule(words).Ok().Out.Replace(" ", "").Replace("\n", "");
        Short("ps", "--json", "state,name").ShouldBe("""[{"state":"ready","name":"web"}]""");
        Short("status", "--json=name,exitCode", "web").ShouldBe("""{"name":"web","exitCode":null}""");
        Short("stack", "list", "--json", "capsules").ShouldBe("""[{"capsules":["web"]}]""");
        _sandbox.Capsule("images", "--json", "name").Ok().Out.ShouldContain("\"name\": \"web\"");
        _sandbox.Capsule("ps", "--json=nmae").Code.ShouldBe(2);
        // What the table of verbs offers is what there is.
        foreach (string line in (string[])["ps --json", "status --json web", "identity show --json web", "identity list --json", "stack list --json", "inspect web"])
        {
            ParsedCommand command = CommandLineParser.Parse(line.Split(' '));
            JsonElement all = JsonDocument.Parse(_sandbox.Capsule(line.Split(' ')).Ok().Out).RootElement;
            ImmutableArray<string> fields = command.Verb.Options.Single(o => o.Name == "--json").Fields;
            foreach (JsonProperty member in (all.ValueKind == JsonValueKind.Array ? all[0] : all).EnumerateObject()) fields.ShouldContain(member.Name, line);
        }
    }

    [Theory]
    [InlineData("bash", "-n")]
    [InlineData("zsh", "-n")]
    [InlineData("fish", "--no-execute")]
    public void A_completion_script_is_one_of_its_shell(string shell, string check)
    {
        string script = _sandbox.State + "/completion";
        File.WriteAllText(script, _sandbox.Capsule("completion", shell).Ok().Out);
        Result result = _sandbox.Shell($"command -v {shell} >/dev/null || exit 0; {shell} {check} {script}"); // a host without that shell has nothing to show
        (result.Code, result.Error).ShouldBe((0, ""));
    }

    [Fact]
    public void Bash_completes_verbs_options_and_names_of_capsules()
    {
        BusyBox.MakeCapsule(_sandbox, "web-one", null);
        string Completed(params string[] words) =>
            _sandbox.Shell($"PATH={Sandbox.Programs}:$PATH; source <(capsule completion bash); COMP_WORDS=({string.Join(' ', words)} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _capsule; echo ${{COMPREPLY[@]}}").Ok().Out.Trim();
        Completed("capsule", "start").ShouldBe("web-one");
        Completed("capsule", "identity").ShouldBe("show list set check");
        Completed("capsule").Split(' ').ShouldContain("adopt");
    }

    [Fact]
    public void Clocks_of_a_capsule_can_be_shifted_and_stay_so()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("cat /proc/uptime > /data/new; mv /data/new /data/uptime; while :; do sleep 1; done"));
        double Host() => double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], CultureInfo.InvariantCulture);
        double Inside(string text) => double.Parse(text.Split(' ', '\n')[0], CultureInfo.InvariantCulture);
        _sandbox.Capsule("run", "--boot-offset", "864000", "--monotonic-offset", "60", "web").Ok();
        Inside(_sandbox.Capsule("exec", "web", "cat", "/proc/uptime").Ok().Out).ShouldBeInRange(864000 + Host() - 10, 864000 + Host() + 1);
        _sandbox.Capsule("exec", "web", "cat", "/proc/self/timens_offsets").Out.Split(default(char[]), StringSplitOptions.RemoveEmptyEntries).ShouldBe(["monotonic", "60", "0", "boottime", "864000", "0"]);
        _sandbox.Capsule("restart", "web").Ok();
        Sandbox.Eventually(() => File.Exists($"{_sandbox.Store}/capsules/web/volumes/data/uptime") && Inside(File.ReadAllText($"{_sandbox.Store}/capsules/web/volumes/data/uptime")) > 864000, "its services see it, too");
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Capsule("run", "--plan", "web").Ok().Out.ShouldContain("clocks    monotonic +60 s, boot +864000 s");
        _sandbox.Capsule("run", "--boot-offset", "0", "--monotonic-offset", "0", "web").Ok();
        Inside(_sandbox.Capsule("exec", "web", "cat", "/proc/uptime").Ok().Out).ShouldBeLessThan(Host() + 1);
        _sandbox.Capsule("run", "--boot-offset", "soon", "web").Code.ShouldBe(125);
    }

    [Fact]
    public void A_capsule_of_sixty_layers_starts()
    {
        BusyBox.MakeCapsule(_sandbox, "web", manifest => manifest with
        {
            Layers = [.. manifest.Layers, .. Enumerable.Range(0, 60).Select(number =>
            {
                Digest layer = Digest.FromSha256(SHA256.HashData(BitConverter.GetBytes(number)));
                Directory.CreateDirectory($"{_sandbox.Store}/layers/{layer.Hex}/srv");
                File.WriteAllText($"{_sandbox.Store}/layers/{layer.Hex}/srv/{number}", "");
                File.WriteAllText($"{_sandbox.Store}/layers/{layer.Hex}/srv/last", $"{number}\n");
                return layer;
            })],
        }, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "cat /srv/last; ls /srv | wc -l").Out.ShouldBe("59\n61\n");
    }

    [Fact]
    public void Services_start_in_order_and_stop_in_the_opposite_one()
    {
        ServiceManifest Named(string name, params string[] after) => BusyBox.Script($"echo up >> /data/order; echo {name} >> /data/order; trap 'echo {name}-down >> /data/order; exit 0' TERM; touch /run/{name}; while :; do sleep 0.1; done", name) with { After = [.. after], Ready = new() { Command = ["/bin/test", "-e", $"/run/{name}"] } };
        BusyBox.MakeCapsule(_sandbox, "web", null, Named("front", "middle"), Named("middle", "back"), Named("back"));
        _sandbox.Capsule("run", "web").Ok();
        Sandbox.Eventually(() => File.Exists($"{_sandbox.Store}/capsules/web/volumes/data/order") && File.ReadAllLines($"{_sandbox.Store}/capsules/web/volumes/data/order").Length == 6, "all are up");
        _sandbox.Capsule("stop", "web").Ok();
        File.ReadAllText($"{_sandbox.Store}/capsules/web/volumes/data/order").Replace("up\n", "", StringComparison.Ordinal).ShouldBe("back\nmiddle\nfront\nfront-down\nmiddle-down\nback-down\n");
    }

    [Fact]
    public void A_service_that_fails_to_start_stops_the_start_with_its_reason()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo about to fail; exit 4") with { Kind = ServiceKind.Oneshot });
        Result result = _sandbox.Capsule("run", "web");
        result.Code.ShouldBe(125);
        result.Error.ShouldContain("CAP5011");
        result.Error.ShouldContain("status 4");
        _sandbox.Capsule("logs", "web").Out.ShouldContain("about to fail");
        State("web").ShouldBe("exited (4)");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    public void A_signal_ends_a_start_and_nothing_of_it_runs_on(string signal, int code)
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("trap 'echo bye > /data/bye; exit 0' TERM; echo up > /data/up; while :; do sleep 0.1; done", "first"), BusyBox.Script("sleep 1000") with { After = ["first"], Ready = new() { Port = 1 } });
        _sandbox.Shell($"set -m; {Sandbox.Programs}/capsule run web & p=$!; until [ -e {_sandbox.Store}/capsules/web/volumes/data/up ]; do sleep 0.1; done; kill -{signal} $p; wait $p").Code.ShouldBe(code);
        State("web").ShouldNotBe("ready");
        File.Exists($"{_sandbox.Store}/capsules/web/volumes/data/bye").ShouldBeTrue("what is up is asked to stop");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_stop_ends_a_start_that_is_under_way()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000") with { StartPre = [["/bin/sleep", "1000"]] });
        _sandbox.Shell($"{Sandbox.Programs}/capsule start web 2> {_sandbox.State}/start.err & until [ -e {_sandbox.RunDirectory}/capsules/web/run.json ]; do sleep 0.1; done");
        long begin = Environment.TickCount64;
        _sandbox.Capsule("stop", "-t", "3", "web").Ok();
        (Environment.TickCount64 - begin).ShouldBeLessThan(5000);
        Sandbox.Eventually(() => File.ReadAllText(_sandbox.State + "/start.err").Contains("CAP5017", StringComparison.Ordinal), "the start says why it ended");
        _sandbox.Traces().ShouldBeEmpty();
        _sandbox.Capsule("rm", "web").Ok();
    }

    [Fact]
    public void Commands_before_the_start_run_as_their_signs_say()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000") with
        {
            User = "1000",
            Group = "1000",
            StartPre = [["+/bin/sh", "-c", "id -u > /data/as-root"], ["/bin/sh", "-c", "id -u; mkdir /data/mine 2>/dev/null || echo refused"], ["-/bin/sh", "-c", "exit 3"], ["-+/bin/sh", "-c", "id -u >> /data/as-root; exit 3"]],
        });
        _sandbox.Capsule("run", "web").Ok();
        File.ReadAllText($"{_sandbox.Store}/capsules/web/volumes/data/as-root").ShouldBe("0\n0\n");
        _sandbox.Capsule("logs", "web").Out.ShouldBe("1000\nrefused\n");
        _sandbox.Capsule("stop", "-t", "0", "web").Ok();
    }

    [Fact]
    public void A_stop_that_has_to_wait_says_so()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        _sandbox.Shell($"flock {_sandbox.Store}/capsules/web/lock sleep 1 & sleep 0.3; {Sandbox.Programs}/capsule stop web").Ok().Error.ShouldContain("Another command is at work on web");
    }

    [Fact]
    public void A_stop_command_that_hangs_is_ended_with_the_time()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000") with { Stop = [["/bin/sleep", "1000"]] });
        _sandbox.Capsule("run", "web").Ok();
        long begin = Environment.TickCount64;
        _sandbox.Capsule("stop", "-t", "1", "web").Ok();
        (Environment.TickCount64 - begin).ShouldBeLessThan(10_000);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_forking_service_is_followed_by_its_pid_file()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("(echo daemon; exec sleep 1000) & echo $! > /run/web.pid") with { Kind = ServiceKind.Forking, PidFile = GuestPath.Parse("/run/web.pid") });
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("status", "web").Out.ShouldContain("running");
        _sandbox.Capsule("exec", "web", "sh", "-c", "kill $(cat /run/web.pid)").Ok();
        Sandbox.Eventually(() => State("web").StartsWith("exited", StringComparison.Ordinal), "the capsule ends with its daemon");
    }

    [Fact]
    public void A_notify_service_is_up_when_it_says_so()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 0.5; printf 'READY=1' | nc -w1 -u local:$NOTIFY_SOCKET 2>/dev/null; sleep 1000") with { Kind = ServiceKind.Notify, StartTimeout = 1500 });
        Result result = _sandbox.Capsule("run", "web"); // busybox's nc has no unix sockets: the time is over, and it says which service
        result.Code.ShouldBe(125);
        result.Error.ShouldContain("`main`");
        result.Error.ShouldContain("ready");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_service_starts_again_as_it_says()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo start >> /data/starts; sleep 0.2; exit 1") with { Restart = RestartPolicy.OnFailure, RestartDelay = 50 });
        _sandbox.Capsule("run", "web").Ok();
        Sandbox.Eventually(() => State("web").StartsWith("exited", StringComparison.Ordinal), "it gives up after a burst");
        File.ReadAllLines($"{_sandbox.Store}/capsules/web/volumes/data/starts").Length.ShouldBe(6); // the start, and five in ten seconds
        _sandbox.Capsule("wait", "web").Out.ShouldBe("1\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_services_own_filters_stand_beside_the_capsules()
    {
        ServiceManifest service = new()
        {
            Name = "main",
            Command = ["/bin/sh", "-c", "mkdir /tmp/refused || echo refused; cat /proc/self/status | grep -E 'NoNewPrivs|Seccomp_filters'; sleep 1000"],
            NoNewPrivileges = false,
            Filters = [new("SCMP_ACT_ALLOW", null, ["SCMP_ARCH_X86_64"], [], [new(["mkdir", "mkdirat"], "SCMP_ACT_ERRNO", 1, [])]), new("SCMP_ACT_ALLOW", null, ["SCMP_ARCH_X86_64"], [], [])],
        };
        BusyBox.MakeCapsule(_sandbox, "web", null, service);
        _sandbox.Capsule("run", "web").Ok();
        string log = "";
        Sandbox.Eventually(() => (log = _sandbox.Capsule("logs", "web").Ok().Out).Contains("Seccomp_filters", StringComparison.Ordinal), "it has said what it sees");
        log.ShouldContain("refused");
        log.ShouldContain("NoNewPrivs:\t1");
        log.ShouldContain("Seccomp_filters:\t3");
        _sandbox.Capsule("exec", "web", "mkdir", "/tmp/allowed").Ok(); // the service's filters are its own
        _sandbox.Capsule("rm", "-f", "web").Ok();
    }

    [Fact]
    public void Many_services_that_fail_at_the_same_time_all_get_their_restarts()
    {
        string[] names = [.. Enumerable.Range(0, 15).Select(i => $"r{i}")];
        foreach (string name in names) BusyBox.MakeCapsule(_sandbox, name, null, BusyBox.Script("echo start >> /data/starts; exit 1") with { Restart = RestartPolicy.OnFailure, RestartDelay = 10 });
        _sandbox.Shell($"for n in {string.Join(' ', names)}; do {Sandbox.Programs}/capsule start $n & done; wait");
        Sandbox.Eventually(() => _sandbox.Capsule("ps", "-q").Out.Length == 0 && _sandbox.Traces().Length == 0, "all have given up");
        foreach (string name in names) File.ReadAllLines($"{_sandbox.Store}/capsules/{name}/volumes/data/starts").Length.ShouldBe(6, name);
    }

    [Theory]
    [InlineData("--ip", "bad")]
    [InlineData("--mac-address", "zz")]
    [InlineData("-p", "99999:80")]
    [InlineData("--keep", "nothing")]
    [InlineData("--cpus", "nan")]
    [InlineData("--cpus", "-1")]
    [InlineData("--memory", "1")]
    [InlineData("--pids-limit", "-3")]
    public void A_bad_option_makes_nothing(string option, string value)
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        _sandbox.Capsule("run", "--rm", option, value, "web", "true").Code.ShouldBe(125);
        _sandbox.Capsule("ps", "-a", "-q").Out.ShouldBe("web\n");
        _sandbox.Shell($"ls {_sandbox.Store}/stacks 2>/dev/null").Out.ShouldBeEmpty();
    }

    [Fact]
    public void The_smallest_limits_that_are_taken_let_a_command_run()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        _sandbox.Capsule("run", "--rm", "--memory", "6M", "--pids-limit", "4", "--cpus", "0.01", "web", "echo", "ran").Ok().Out.ShouldBe("ran\n");
        _sandbox.Capsule("run", "--memory", "6M", "--pids-limit", "4", "--cpus", "0.05", "web").Ok();
    }

    [Theory]
    [InlineData("stop", "-t", "-5", "web")]
    [InlineData("stop", "--time", "1e99", "web")]
    [InlineData("logs", "--tail", "-5", "web")]
    [InlineData("logs", "--since", "99999999999d", "web")]
    public void A_number_out_of_range_is_wrong_usage(params string[] words)
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        Result result = _sandbox.Capsule(words);
        result.Code.ShouldBe(2);
        result.Error.ShouldMatch("CAP501[36]");
    }

    [Fact]
    public void No_error_shows_a_key_of_the_framework()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        string record = _sandbox.Store + "/capsules/web/capsule.json";
        File.WriteAllText(record, File.ReadAllText(record).Replace("2026-01-01T00:00:00Z", "yesterday", StringComparison.Ordinal));
        Result broken = _sandbox.Capsule("inspect", "web");
        broken.Error.ShouldContain("CAP1004");
        broken.Error.ShouldContain("`created` must be a time");
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["sleep", "1000"]);
        _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "run", "-d", "--bundle", bundle, "a").Ok();
        Result missing = _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "exec", "--process", "/nowhere/process.json", "a");
        missing.Error.ShouldContain("no such file");
        (missing.Error + broken.Error).ShouldNotMatch("[A-Za-z]+_[A-Z][A-Za-z]+");
    }

    [Fact]
    public void What_a_capsule_does_to_its_own_files_cannot_keep_it_from_being_stopped()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done") with { User = "web", Stop = [["/bin/true"]] });
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "-u", "0", "web", "sh", "-c", "echo > /etc/passwd").Ok();
        _sandbox.Capsule("exec", "-u", "4294967295", "web", "id").Code.ShouldBe(125);
        _sandbox.Capsule("rm", "-f", "web").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_broken_capsule_does_not_hide_the_others()
    {
        BusyBox.MakeCapsule(_sandbox, "good", null, BusyBox.Script("sleep 1000"));
        BusyBox.MakeCapsule(_sandbox, "bad", null, BusyBox.Script("sleep 1001"));
        string image = JsonDocument.Parse(File.ReadAllText($"{_sandbox.Store}/capsules/bad/capsule.json")).RootElement.GetProperty("image").GetString()!["sha256:".Length..];
        File.WriteAllText($"{_sandbox.Store}/images/{image}/manifest.json", "{");
        Result listed = _sandbox.Capsule("ps", "-a", "-q").Ok();
        listed.Out.ShouldBe("good\n");
        listed.Error.ShouldContain("CAP1004");
        _sandbox.Capsule("run", "--rm", "--name", "once", "good").Ok();
        _sandbox.Capsule("rm", "-f", "once").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_command_runs_in_a_new_capsule_that_is_gone_afterwards()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        Result result = _sandbox.Capsule("run", "--rm", "web", "sh", "-c", "hostname; exit 6");
        result.Code.ShouldBe(6);
        result.Out.ShouldStartWith("web-");
        _sandbox.Capsule("run", "--rm", "web", "nothing").Code.ShouldBe(127);
        _sandbox.Capsule("ps", "-a", "-q").Out.ShouldBe("web\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_capsule_joins_the_stack_of_another_and_shares_its_loopback_and_run()
    {
        BusyBox.MakeCapsule(_sandbox, "db", null, BusyBox.Script("echo shared > /run/mark; while :; do echo answer | nc -l -p 5000; done"));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "db").Ok();
        _sandbox.Capsule("run", "--network", "stack:db", "app").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("exec", "app", "sh", "-c", "cat /run/mark; nc 127.0.0.1 5000 </dev/null").Out == "shared\nanswer\n", "loopback and /run are shared");
        _sandbox.Capsule("stack", "list").Out.ShouldContain("app,db");
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Capsule("exec", "app", "true").Ok(); // the stack outlives its first member
        _sandbox.Capsule("stack", "stop", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_published_port_leads_to_the_capsule_and_goes_with_it()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do echo answer | nc -l -p 80; done"));
        _sandbox.Capsule("run", "-p", "8080:80", "web").Ok();
        Sandbox.Eventually(() => _sandbox.Shell("exec 3<>/dev/tcp/127.0.0.1/8080 && timeout 2 cat <&3").Out.Contains("answer", StringComparison.Ordinal), "the port answers");
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Shell("exec 3<>/dev/tcp/127.0.0.1/8080").Code.ShouldNotBe(0);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Limits_hold_and_are_told()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "--memory", "64M", "--pids-limit", "20", "web").Ok();
        _sandbox.Capsule("exec", "web", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max").Out.ShouldBe("67108864\n20\n");
        _sandbox.Capsule("run", "--memory", "lots", "web").Code.ShouldBe(125);
    }

    [Fact]
    public void What_goes_to_the_system_log_is_kept_with_the_logs()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo own; logger -t web said by syslog; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "-u", "web", "web", "logger", "-t", "user", "said by another user").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("logs", "--service", "syslog", "web").Out.Contains("user: said by another user", StringComparison.Ordinal), "both messages are there");
        string logs = _sandbox.Capsule("logs", "web").Out;
        logs.ShouldContain("main: own");
        logs.ShouldContain("web: said by syslog");
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Following_a_log_ends_when_nobody_reads_it_any_more()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo one; sleep 1000"));
        _sandbox.Capsule("run", "web").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("logs", "web").Out == "one\n", "the line is there");
        _sandbox.Shell($"{Sandbox.Programs}/capsule logs -f web | head -1", seconds: 10).Out.ShouldBe("one\n");
    }

    [Fact]
    public void Large_logs_of_several_services_are_merged_in_bounded_memory()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, [.. "abcdef".Select(n => BusyBox.Script("sleep 1000", $"{n}"))]);
        string logs = $"{_sandbox.Store}/capsules/web/logs";
        Directory.CreateDirectory(logs);
        foreach (char name in "abcdef")
            foreach (string part in (string[])[".log", ".log.1"])
                _sandbox.Shell($"seq -f '{name} %.0f' 1 1200000 > {logs}/{name}{part}", 60).Ok();
        _sandbox.Shell($"{Sandbox.Programs}/capsule logs web > {_sandbox.State}/all", 300).Ok();
        _sandbox.Shell($"wc -l < {_sandbox.State}/all").Out.ShouldBe("14400000\n");
        _sandbox.Shell($"{Sandbox.Programs}/capsule logs --tail 3 web").Ok().Out.ShouldBe("f: f 1199998\nf: f 1199999\nf: f 1200000\n");
        _sandbox.Shell($"{Sandbox.Programs}/capsule logs --tail 100000 web | wc -l", 300).Out.ShouldBe("100000\n");
    }

    [Fact]
    public void Accounts_that_a_capsule_has_made_too_large_keep_nobody_out()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done") with { User = "web" });
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "-u", "0", "web", "sh", "-c", "for f in passwd group; do dd if=/dev/zero bs=1M count=30 >> /etc/$f; done 2>&1").Ok();
        _sandbox.Capsule("exec", "web", "id", "-u").Ok().Out.ShouldBe("0\n");
        _sandbox.Capsule("exec", "-u", "7:8", "web", "sh", "-c", "echo in").Ok().Out.ShouldBe("in\n");
        _sandbox.Capsule("exec", "-u", "web", "web", "sh", "-c", "echo $HOME").Ok().Out.ShouldBe("/srv\n");
        _sandbox.Capsule("restart", "web").Ok();
    }

    [Fact]
    public void Two_capsules_of_a_stack_see_one_volume_and_its_owner_is_not_removed_alone()
    {
        BusyBox.MakeCapsule(_sandbox, "php", null, BusyBox.Script("while :; do sleep 1; done"));
        BusyBox.MakeCapsule(_sandbox, "web", m => m with { Volumes = [new() { Name = CapsuleName.Parse("pages"), Path = GuestPath.Parse("/data") }] }, BusyBox.Script("while :; do sleep 1; done"));
        string record = _sandbox.Store + "/capsules/web/capsule.json";
        File.WriteAllText(record, File.ReadAllText(record).Replace("\"stack\":\"web\"", "\"stack\":\"php\",\"sharedVolumes\":[{\"name\":\"pages\",\"owner\":\"php\",\"volume\":\"data\"}]", StringComparison.Ordinal));
        _sandbox.Capsule("start", "php", "web").Ok();
        _sandbox.Capsule("exec", "-u", "105:107", "php", "sh", "-c", "id").Ok();
        _sandbox.Capsule("exec", "php", "sh", "-c", "echo page > /data/page; chown 105:107 /data/page").Ok();
        _sandbox.Capsule("exec", "-u", "105:107", "web", "sh", "-c", "cat /data/page; echo more >> /data/page").Ok().Out.ShouldBe("page\n");
        File.ReadAllText(_sandbox.Store + "/capsules/php/volumes/data/page").ShouldBe("page\nmore\n");
        Result refused = _sandbox.Capsule("rm", "-f", "php");
        refused.Code.ShouldBe(4);
        refused.Error.ShouldContain("CAP5020");
        _sandbox.Capsule("stack", "rm", "-f", "php").Ok();
        File.ReadAllText(_sandbox.Store + "/kept/php/data/page").ShouldBe("page\nmore\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_volume_of_kind_image_is_mounted_from_its_file_and_goes_with_the_capsule()
    {
        BusyBox.MakeCapsule(_sandbox, "web", m => m with { Volumes = [new() { Name = CapsuleName.Parse("disk"), Path = GuestPath.Parse("/data"), Kind = VolumeKind.Image }] }, BusyBox.Script("while :; do sleep 1; done"));
        string image = $"{_sandbox.Store}/capsules/web/volumes/disk.img";
        _sandbox.Capsule("run", "web").Error.ShouldContain("CAP5022");
        _sandbox.Shell($"truncate -s 16M {image} && mkfs.ext4 -q {image}").Ok();
        string Attached() => _sandbox.Shell($"grep -l {image} /sys/block/loop*/loop/backing_file").Out;

        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "stat -f -c %T /data; echo kept > /data/file; chown 105:107 /data/file").Ok().Out.ShouldContain("ext");
        Attached().ShouldNotBeEmpty();
        _sandbox.Capsule("restart", "web").Ok();
        _sandbox.Capsule("exec", "-u", "web", "web", "sh", "-c", "cat /data/file; stat -c %u:%g /data/file; echo more >> /data/file").Ok().Out.ShouldBe("kept\n105:107\n");
        _sandbox.Capsule("stop", "web").Ok();
        Sandbox.Eventually(() => Attached().Length == 0, "the loop device goes with the mount");
        _sandbox.Traces().ShouldBeEmpty();

        File.WriteAllText(image + ".guest", "");
        Result refused = _sandbox.Capsule("run", "web");
        refused.Error.ShouldContain("CAP5023");
        File.Delete(image + ".guest");
        _sandbox.Shell($"e2fsck -fn {image}").Code.ShouldBe(0);
        _sandbox.Capsule("start", "web").Ok();
        _sandbox.Capsule("stop", "web").Ok();
    }

    [Fact]
    public void A_further_capsule_begins_with_what_the_image_has_in_its_volumes()
    {
        BusyBox.MakeCapsule(_sandbox, "web", m => m with { Volumes = [new() { Name = CapsuleName.Parse("site"), Path = GuestPath.Parse("/srv") }] }, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Shell($"cd {_sandbox.Store}/layers/*/srv && echo seeded > index && chown 105:107 index").Ok();
        _sandbox.Capsule("run", "web", "--name", "other").Ok();
        _sandbox.Capsule("exec", "other", "sh", "-c", "cat /srv/index; stat -c %u:%g /srv/index; echo more >> /srv/index").Ok().Out.ShouldBe("seeded\n105:107\n");
        _sandbox.Shell($"cat {_sandbox.Store}/layers/*/srv/index").Out.ShouldBe("seeded\n");
    }

    [Fact]
    public void A_plan_has_no_effect()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"));
        Result result = _sandbox.Capsule("run", "--plan", "web").Ok();
        result.Out.ShouldContain("overlay");
        result.Out.ShouldContain("pivot_root");
        _sandbox.Traces().ShouldBeEmpty();
        State("web").ShouldBe("created");
    }

    [Fact]
    public void A_capsules_root_is_not_the_hosts()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        // Controls beside each refusal: the same call works where it may.
        _sandbox.Capsule("exec", "web", "sh", "-c", "mount -t tmpfs none /srv 2>&1 || echo refused").Out.ShouldContain("refused");
        _sandbox.Capsule("exec", "web", "sh", "-c", "hostname other 2>&1 || echo refused").Out.ShouldContain("refused");
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo x > /proc/sys/kernel/panic || echo refused").Out.ShouldContain("refused");
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo x > /proc/sysrq-trigger || echo refused").Out.ShouldContain("refused");
        _sandbox.Capsule("exec", "web", "sh", "-c", "kill -TERM 1; ls /proc/1/root 2>&1 || echo refused").Out.ShouldContain("refused");
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo y > /data/ok && cat /data/ok").Out.ShouldBe("y\n");
        State("web").ShouldBe("ready");
        int init = JsonDocument.Parse(_sandbox.Shell($"cat {_sandbox.RunDirectory}/capsules/web/run.json").Ok().Out).RootElement.GetProperty("init").GetInt32();
        _sandbox.Shell($"grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/{init}/status").Out.ShouldBe("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n");
    }
}
