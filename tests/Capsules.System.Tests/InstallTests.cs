using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Installers of five kinds in throw-away capsules, each twice with a shifted clock, a base of another release, and installers that fail (npm and dnf: tests/install-more).</summary>
public sealed class InstallTests(InstallTests.Machine machine) : IClassFixture<InstallTests.Machine>
{
    /// <summary>One machine for the class, with the network of this host and with bases and packages of earlier runs.</summary>
    public sealed class Machine : IDisposable
    {
        public Machine()
        {
            Cache = (Environment.GetEnvironmentVariable("CAPSULE_TEST_CACHE") ?? "/var/tmp/capsule-test-cache") + "/install";
            Directory.CreateDirectory(Cache + "/clock");
            Box = new(hostNetwork: true);
            if (Directory.Exists(Cache + "/machine")) Box.Shell($"cp -a --reflink=auto {Cache}/machine/. {Box.Store}/", 120).Ok();
            if (!File.Exists(Cache + "/clock/libfaketime.so.1")) Box.Shell($"cd {Cache}/clock && apt-get -q download libfaketime && dpkg -x libfaketime_*.deb x && cp x/usr/lib/*/faketime/libfaketime.so.1 . && rm -r x libfaketime_*.deb", 120).Ok();
            if (Directory.Exists(Cache + "/machine")) return;
            Box.Run([Sandbox.Programs + "/capsule", "install", "builders", "--", "/bin/sh", "-ec", "apt-get update -q && apt-get install -y -q --no-install-recommends make python3-pip"], seconds: 600).Ok();
            Box.Run([Sandbox.Programs + "/capsule", "install", "newer", "--base", "debian:trixie", "--", "/bin/sh", "-ec", "touch /etc/newer"], seconds: 600).Ok();
            Box.Shell($"mkdir -p {Cache}/half && cp -a {Box.Store}/bases {Box.Store}/layers {Box.Store}/images {Box.Store}/capsules {Box.Store}/downloads {Cache}/half/ && mv -T {Cache}/half {Cache}/machine", 120).Ok();
        }

        public Sandbox Box { get; }
        public string Cache { get; }

        public void Dispose() => Box.Dispose();
    }

    private readonly Sandbox _box = machine.Box;

    private string Folder(string name, params (string File, string Text)[] files)
    {
        string folder = $"{_box.State}/{name}";
        Directory.CreateDirectory(folder);
        File.Copy(machine.Cache + "/clock/libfaketime.so.1", folder + "/libfaketime.so.1", overwrite: true); // in both runs: it is part of what the installer finds
        foreach (var (file, text) in files)
        {
            File.WriteAllText($"{folder}/{file}", text);
            File.SetUnixFileMode($"{folder}/{file}", (UnixFileMode)0x1ED);
        }
        return folder;
    }

    private static readonly string[] Later = ["-e", "LD_PRELOAD=/run/capsule-from/libfaketime.so.1", "-e", "FAKETIME=+40d", "-e", "NO_FAKE_STAT=1"];

    private Result Install(params string[] words) => _box.Run([Sandbox.Programs + "/capsule", "install", .. words], seconds: 240);

    private static string Digest(Result result) => result.Ok().Out.Trim().Split('\t')[1];

    /// <summary>Installs, removes, and installs again forty days later; the capsule of the second time stays.</summary>
    private void TwiceAlike(string name, string[] options, string[] command)
    {
        string first = Digest(Install([name, .. options, "--", .. command]));
        _box.Capsule("rm", name, "--volumes", "-y").Ok();
        Thread.Sleep(1100); // the clock of file times, which nobody shifts
        Result second = Install([name, .. options, .. Later, "--", .. command]);
        Digest(second).ShouldBe(first, second.Error);
    }

    [Fact]
    public void A_server_installed_by_apt_from_a_recipe_runs_and_its_lock_is_honoured()
    {
        string folder = Folder("apt", ("redis.json", """
            { "schemaVersion": 1, "base": "debian:bookworm", "from": ".", "files": [{ "from": "extra.conf", "to": "/etc/redis/extra.conf", "mode": "640" }],
              "commands": ["apt-get update -q -o Acquire::Check-Valid-Until=false", ["apt-get", "install", "-y", "-q", "redis-server"]] }
            """), ("extra.conf", "maxclients 77\n"));
        string first = Digest(Install("redis", "--recipe", folder + "/redis.json"));
        string locked = File.ReadAllText(folder + "/redis.json.lock");
        JsonElement server = JsonDocument.Parse(locked).RootElement.GetProperty("packages").EnumerateArray().Single(p => p.GetProperty("name").GetString() == "redis-server");
        server.GetProperty("digest").GetString()!.ShouldStartWith("sha256:");
        _box.Capsule("rm", "redis", "--volumes", "-y").Ok();

        Result second = Install(["redis", "--recipe", folder + "/redis.json", .. Later]);
        Digest(second).ShouldBe(first, second.Error);
        File.ReadAllText(folder + "/redis.json.lock").ShouldBe(locked);

        _box.Capsule("run", "redis", "--network", "none").Ok();
        Sandbox.Eventually(() => _box.Capsule("exec", "redis", "redis-cli", "ping").Out == "PONG\n", "it answers", 10);
        _box.Capsule("exec", "redis", "redis-cli", "set", "a", "1").Ok();
        _box.Capsule("exec", "redis", "cat", "/etc/redis/extra.conf").Ok().Out.ShouldBe("maxclients 77\n");
        _box.Capsule("stop", "redis").Ok();
        _box.Capsule("misses", "redis", "/usr/bin/redis-server").Out.ShouldContain("part of package redis-server");
        _box.Capsule("misses", "redis", "/bin/tar").Out.ShouldContain("the base debian:bookworm has it");
        string layers = string.Join(' ', JsonDocument.Parse(_box.Capsule("inspect", "redis").Ok().Out).RootElement.GetProperty("manifest").GetProperty("layers").EnumerateArray().Select(l => $"{_box.Store}/layers/{l.GetString()![7..]}"));
        _box.Shell($"cd {_box.Store}/layers; for l in {layers}; do ls $l/usr/sbin/policy-rc.d $l/usr/local/sbin/systemctl $l/usr/sbin/systemctl $l/etc/resolv.conf $l/etc/hosts $l/etc/machine-id; ls $l/var/lib/apt/lists; grep -v '^#' $l/etc/apt/sources.list; done 2>/dev/null").Out.Trim().ShouldBeEmpty();

        File.WriteAllText(folder + "/redis.json.lock", locked.Replace(server.GetProperty("digest").GetString()!, "sha256:" + new string('0', 64)));
        Result broken = Install("other", "--recipe", folder + "/redis.json");
        broken.Code.ShouldBe(5);
        broken.Error.ShouldContain("CAP2105");
        _box.Capsule("inspect", "other").Code.ShouldBe(3);
    }

    [Fact]
    public void A_server_of_a_newer_release_than_the_hosts_is_installed_and_runs()
    {
        Install("cache", "--base", "debian:trixie", "--", "/bin/sh", "-ec", "apt-get update -q && apt-get install -y -q --no-install-recommends memcached").Ok();
        _box.Capsule("run", "cache", "--network", "none").Ok();
        string Say(string script) => _box.Capsule("exec", "cache", "bash", "-c", script).Out;
        Sandbox.Eventually(() => Say("exec 3<>/dev/tcp/127.0.0.1/11211 && printf 'set a 0 0 2\\r\\nok\\r\\nget a\\r\\nquit\\r\\n' >&3 && cat <&3").Contains("VALUE a 0 2\r\nok\r\n"), "it answers", 10);
        Say(". /etc/os-release; echo $VERSION_CODENAME").ShouldBe("trixie\n");
        _box.Capsule("misses", "cache", "/usr/bin/memcached").Out.ShouldContain("part of package memcached 1.6.3");
        _box.Capsule("stop", "cache").Ok();
    }

    private const string Server = """
        #!/usr/bin/perl
        use IO::Socket::INET;
        open(my $log, '>>', '/var/lib/tinyd/starts'); print $log "start\n"; close $log;
        open(my $conf, '<', '/etc/tinyd.conf'); my $word = <$conf>;
        my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 7070, Listen => 5, ReuseAddr => 1) or die;
        while (my $client = $listen->accept) { print $client "$word"; close $client; }
        """, Unit = """
        [Unit]
        Description=Tiny
        [Service]
        ExecStart=/opt/tinyd/bin/tinyd
        User=tinyd
        [Install]
        WantedBy=multi-user.target
        """;

    private const string Ask = "perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(q(127.0.0.1:7070))->getline'";

    [Fact]
    public void A_tarballs_install_sh_sets_up_a_service_that_runs_where_it_is_expected()
    {
        string folder = Folder("sh", ("tinyd", Server), ("tinyd.service", Unit), ("install.sh", """
            #!/bin/sh
            set -e
            useradd --system --home-dir /var/lib/tinyd --shell /usr/sbin/nologin tinyd
            install -d -o tinyd /var/lib/tinyd
            install -D -m 755 tinyd /opt/tinyd/bin/tinyd
            echo "hello from tinyd" >/etc/tinyd.conf
            install -m 644 tinyd.service /etc/systemd/system/
            rm -f /etc/issue
            date >/var/log/tinyd-install.log; date >/tmp/left
            systemctl daemon-reload
            PATH=/sbin:/bin:/usr/sbin:/usr/bin systemctl enable --now tinyd # the PATH of rpm's scriptlets
            """));
        TwiceAlike("tinyd", ["--from", folder], ["./install.sh"]);
        _box.Capsule("run", "tinyd", "--network", "none").Ok();
        Sandbox.Eventually(() => _box.Capsule("exec", "tinyd", "sh", "-c", Ask).Out == "hello from tinyd\n", "it answers", 10);
        _box.Capsule("exec", "tinyd", "ls", "/etc/issue").Code.ShouldNotBe(0); // removed by the installer, though the base has it
        _box.Capsule("stop", "tinyd").Ok();
        File.ReadAllText($"{_box.Store}/capsules/tinyd/volumes/data/starts").ShouldBe("start\n");
        _box.Capsule("misses", "tinyd", "/opt/tinyd/bin/tinyd").Out.ShouldContain("written by the installer");
        _box.Capsule("misses", "tinyd", "/var/log/tinyd-install.log").Out.ShouldContain("logs:");
        _box.Capsule("misses", "tinyd", "/etc/issue").Out.ShouldContain("the installer removed it");
    }

    [Fact]
    public void Make_install_on_a_capsule_as_base_gives_the_same_digest_on_another_day()
    {
        string folder = Folder("make", ("answer", "#!/bin/sh\necho 42\n"), ("Makefile", "install:\n\tdate >built\n\tinstall -D -m 755 answer /usr/local/bin/answer\n\tln -sf answer /usr/local/bin/reply\n"));
        TwiceAlike("answer", ["--base", "builders", "--from", folder], ["make", "install"]);
        _box.Capsule("run", "answer", "--rm", "--network", "none", "--", "reply").Ok().Out.ShouldBe("42\n");
        File.Exists(folder + "/built").ShouldBeFalse(); // the installer has a copy of the folder
    }

    [Fact]
    public void Pip_without_a_network_gives_the_same_digest_on_another_day()
    {
        string folder = Folder("pip");
        using (ZipArchive wheel = ZipFile.Open(folder + "/greeter-1.0-py3-none-any.whl", ZipArchiveMode.Create))
        {
            void Add(string name, string text)
            {
                ZipArchiveEntry entry = wheel.CreateEntry(name);
                entry.LastWriteTime = new DateTimeOffset(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);
                using Stream content = entry.Open();
                content.Write(Encoding.UTF8.GetBytes(text));
            }
            Add("greeter/__init__.py", "NAMES = {'a', 'b', 'c'}\ndef main():\n    print('hello', len(NAMES))\n");
            Add("greeter-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n");
            Add("greeter-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
            Add("greeter-1.0.dist-info/entry_points.txt", "[console_scripts]\ngreet = greeter:main\n");
            Add("greeter-1.0.dist-info/RECORD", "greeter/__init__.py,,\ngreeter-1.0.dist-info/METADATA,,\ngreeter-1.0.dist-info/WHEEL,,\ngreeter-1.0.dist-info/entry_points.txt,,\ngreeter-1.0.dist-info/RECORD,,\n");
        }
        TwiceAlike("greeter", ["--base", "builders", "--from", folder], ["python3", "-m", "pip", "install", "--no-index", "--break-system-packages", "./greeter-1.0-py3-none-any.whl"]);
        _box.Capsule("run", "greeter", "--name", "greeting", "--network", "none", "--", "greet").Ok().Out.ShouldBe("hello 3\n");
        _box.Capsule("diff", "greeting").Ok().Out.ShouldNotContain("pyc"); // the compiled files fit their sources
    }

    [Fact]
    public void An_interactive_installer_asks_on_its_terminal()
    {
        string folder = Folder("ask", ("setup", """
            #!/bin/sh
            exec </dev/tty >/dev/tty
            printf 'Colour? '; read colour
            stty -echo; printf 'Password? '; read password; stty echo
            echo "colour=$colour" >/etc/paint.conf
            echo "$password" >/etc/paint.pass
            """));
        string Run(string options) => _box.Shell($"(sleep 3; echo green; sleep 0.5; echo hidden) | script -qec '{Sandbox.Programs}/capsule install paint --from {folder} {options} -- ./setup' /dev/null", 60).Ok().Out;
        Run("").ShouldContain("Colour?");
        string Image() => JsonDocument.Parse(_box.Capsule("inspect", "paint").Ok().Out).RootElement.GetProperty("capsule").GetProperty("image").GetString()!;
        string first = Image();
        _box.Capsule("rm", "paint", "--volumes", "-y").Ok();
        Run(string.Join(' ', Later)).ShouldContain("Installed paint");
        Image().ShouldBe(first);
        _box.Capsule("run", "paint", "--rm", "--network", "none", "--", "cat", "/etc/paint.conf").Ok().Out.ShouldBe("colour=green\n");
        File.ReadAllText($"{_box.Store}/capsules/paint/secrets/etc/paint.pass").ShouldBe("hidden\n"); // apart from the image
    }

    [Fact]
    public void A_capsule_on_an_installed_capsule_runs_though_both_have_the_same_empty_layer()
    {
        Install("under", "--base", "builders", "--", "/bin/sh", "-c", "mkdir -p /opt/pile; echo one >/opt/pile/one").Ok();
        Install("over", "--base", "under", "--", "/bin/sh", "-c", "echo two >/opt/pile/two; rm /opt/pile/one").Ok();
        string[] layers = [.. JsonDocument.Parse(_box.Capsule("inspect", "over").Ok().Out).RootElement.GetProperty("manifest").GetProperty("layers").EnumerateArray().Select(l => l.GetString()!)];
        layers.Distinct().Count().ShouldBeLessThan(layers.Length, "nothing is tested when they differ");
        _box.Capsule("run", "over", "--rm", "--", "ls", "/opt/pile").Ok().Out.ShouldBe("two\n");

        _box.Capsule("capture", "export", "under", _box.State + "/exported").Ok().Error.ShouldNotContain("capsule apply");
        Result applied = _box.Capsule("apply", _box.State + "/exported");
        applied.Error.ShouldContain("error[CAP2031]"); // not that its name is taken: no other name would help
    }

    [Theory]
    [InlineData("mkfifo", "it is no regular file")]
    [InlineData("mkdir", "it is no regular file")]
    [InlineData(": ", "it is not there")]
    public void A_recipe_that_brings_what_is_no_file_is_refused(string make, string said)
    {
        string folder = Folder("odd-" + make.Trim(' ', ':'));
        _box.Shell($"{make} {folder}/odd").Ok();
        File.WriteAllText(folder + "/recipe", """{"schemaVersion": 1, "base": "builders", "files": [{"from": "odd", "to": "/etc/odd"}], "commands": ["true"]}""");
        Result refused = Install("odd", "--recipe", folder + "/recipe");
        refused.Error.ShouldContain("error[CAP1004]");
        refused.Error.ShouldContain(said);
    }

    [Fact]
    public void Nothing_stays_of_an_installer_that_fails_or_whose_capsule_is_killed()
    {
        Result failed = Install("bad", "--", "/bin/sh", "-c", "echo first; echo the disk is on fire >&2; touch /etc/half; exit 7");
        failed.Code.ShouldBe(1);
        failed.Error.ShouldContain("CAP2101");
        failed.Error.ShouldContain("ended with status 7");
        failed.Error[failed.Error.IndexOf("CAP2101", StringComparison.Ordinal)..].ShouldContain("the disk is on fire");
        _box.Capsule("inspect", "bad").Code.ShouldBe(3);
        Install("bad", "--base", "no-such-base", "--", "true").Error.ShouldContain("CAP2104");

        using var running = _box.Start([Sandbox.Programs + "/capsule", "install", "bad", "--", "/bin/sh", "-c", "echo going; sleep 600"]);
        Sandbox.Eventually(() => _box.Capsule("ps").Out.Contains("install-", StringComparison.Ordinal), "the installer runs", 20);
        _box.Shell("kill -9 $(pgrep -f '[c]apsule install bad')");
        running.WaitForExit(10_000).ShouldBeTrue();
        Sandbox.Eventually(() => !_box.Capsule("ps", "-a").Out.Contains("install-", StringComparison.Ordinal), "the throw-away capsule is gone", 30);
        _box.Capsule("doctor", "--fix");
        _box.Shell($"ls {_box.Store}/tmp {_box.Store}/stacks").Out.ShouldNotContain("install-");
        _box.Capsule("inspect", "bad").Code.ShouldBe(3);
    }

    [Fact]
    public void An_interrupt_reaches_what_the_installer_waits_for()
    {
        using var running = _box.Start([Sandbox.Programs + "/capsule", "install", "waits", "--base", "builders", "--", "/bin/sh", "-c", "sleep 601; echo it went on; exit 0"]);
        Sandbox.Eventually(() => _box.Shell("pgrep -f '^sleep 60[1]'").Code == 0, "the installer waits", 60);
        _box.Shell("kill -INT $(pgrep -f '[c]apsule install waits')").Ok();
        running.WaitForExit(30_000).ShouldBeTrue();
        running.ExitCode.ShouldBe(1);
        running.StandardError.ReadToEnd().ShouldContain("CAP2101");
        _box.Shell("pgrep -f '^sleep 60[1]'").Code.ShouldNotBe(0);
        _box.Shell($"ls {_box.Store}/tmp {_box.Store}/stacks").Out.ShouldNotContain("install-");
        _box.Capsule("inspect", "waits").Code.ShouldBe(3);
    }
}
