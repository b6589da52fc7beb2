using System.Diagnostics;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>
/// An open capsule on another host than its source: exported there, imported here, and filled by OpenSSH from a machine with a network, a process
/// tree and a root of its own, on which nothing of ours is.
/// </summary>
public sealed class OpenSshTests(JourneyTests.SourceTree source) : IDisposable, IClassFixture<JourneyTests.SourceTree>
{
    private const string Tree = "/mnt", Address = "10.99.0.2";

    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private string Archive => _sandbox.State + "/acme.tar";

    private Result Inside(params string[] command) => _sandbox.Capsule(["exec", "acme", .. command]);

    private void Run() => _sandbox.Capsule("run", "-d", "--network", "none", "acme").Ok();

    private JsonElement Miss(string path) => JsonDocument.Parse(_sandbox.Capsule("misses", "acme", "--json").Ok().Out).RootElement.EnumerateArray().Last(m => m.GetProperty("path").GetString() == path);

    private string Why(string path)
    {
        JsonElement miss = Miss(path);
        miss.GetProperty("what").GetString().ShouldBe("failed");
        return miss.GetProperty("reason").GetString()!;
    }

    /// <summary>A command on the old server.</summary>
    private Result There(string script, int seconds = 60) => _sandbox.Shell($"nsenter -t $(cat {_sandbox.State}/machine) -m -n -p sh -c '{script.Replace("'", "'\\''", StringComparison.Ordinal)}'", seconds);

    private void Serve()
    {
        There($"/usr/sbin/sshd -f /etc/ssh/sshd_config -E {_sandbox.State}/sshd.log").Ok();
        Sandbox.Eventually(() => _sandbox.Shell($"ssh root@{Address} -p 2222 true").Code == 0, "sshd answers: " + _sandbox.Shell($"cat {_sandbox.State}/sshd.log").Out, 10);
    }

    /// <summary>The old server with its application, exported there. Afterwards this host sees nothing of its tree but by ssh.</summary>
    private void Export(string further)
    {
        string upper = _sandbox.RunDirectory + "/source";
        _sandbox.Shell($"""
            set -e
            mkdir -p {upper}/u {upper}/w; mount -t overlay -o lowerdir={source.Tree},upperdir={upper}/u,workdir={upper}/w none {Tree}
            mount -t tmpfs -o mode=755 none /run; mkdir /run/sshd; mount -t tmpfs -o mode=755 none /etc/ssh; cd /etc/ssh
            ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user; cp user.pub authorized; printf '[{Address}]:2222 %s\n' "$(cat host.pub)" > known
            printf 'Host *\nIdentityFile /etc/ssh/user\nIdentitiesOnly yes\nUserKnownHostsFile /etc/ssh/known\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n' > ssh_config
            printf 'Port 2222\nListenAddress {Address}\nHostKey /etc/ssh/host\nAuthorizedKeysFile /etc/ssh/authorized\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile none\nChrootDirectory {Tree}\nLoginGraceTime 20\n' > sshd_config
            mount --bind /dev {Tree}/dev
            (cd {Tree}
            {further})
            unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private bash -c 'while :; do sleep 1 & wait $!; done' < /dev/null > /dev/null 2>&1 &
            for i in $(seq 100); do inner=$(cat /proc/$!/task/$!/children); [ -n "$inner" ] && [ "$(readlink /proc/$inner/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break; sleep 0.05; done
            echo $inner > {_sandbox.State}/machine
            ip link add here type veth peer name there netns $inner; ip addr add 10.99.0.1/24 dev here; ip link set here up
            nsenter -t $inner -n sh -c 'ip addr add {Address}/24 dev there; ip link set there up; ip link set lo up'
            """).Ok();
        There($"mount -t proc none {Tree}/proc").Ok();
        _sandbox.Shell($"""
            set -e; export CAPSULE_STATE={_sandbox.State}/old CAPSULE_RUN={_sandbox.RunDirectory}/old
            {Sandbox.Programs}/capsule-tools adopt path:/opt/acme/bin/billd --root {Tree} --name acme --open
            {Sandbox.Programs}/capsule-tools export acme -o /dev/null 2>&1 | grep CAP2034
            {Sandbox.Programs}/capsule-tools export acme --open -o {Archive}
            umount {Tree}/dev {Tree}; test ! -e {Tree}/opt/acme
            """, seconds: 180).Ok();
    }

    [Fact]
    public void What_nobody_foresaw_comes_from_the_old_server_at_its_first_open_and_the_capsule_is_sealed_at_last()
    {
        Export("""
            mkdir -p usr/share/odd var/lib/bits/sub usr/share/blobs
            printf 'odd content' > "usr/share/odd/$(printf 'new\nline\377\n_')"; printf 'dash' > usr/share/odd/-n; : > usr/share/odd/empty; echo fine > usr/share/odd/fine
            touch -d @1000000000.123456789 usr/share/odd/fine; echo was > usr/share/odd/changed; echo was > usr/share/odd/gone; echo was > usr/share/odd/moved; echo was > usr/share/odd/touched; touch -d @1000000000.5 usr/share/odd/touched
            echo one > var/lib/bits/a; echo two > var/lib/bits/sub/b; mkdir -p var/lib/pair; echo a > var/lib/pair/a; echo b > var/lib/pair/b
            cp usr/bin/sleep usr/bin/suid-sleep; chmod 4755 usr/bin/suid-sleep; echo hush > etc/hushed; chmod 600 etc/hushed
            cp usr/bin/sleep usr/bin/cap-sleep; python3 -c "import os; os.setxattr('usr/bin/cap-sleep', 'security.capability', bytes.fromhex('0000000200040000000000000000000000000000'))"
            """);
        Result wrong = _sandbox.Capsule("import", Archive, "--source", "ssh://-oProxyCommand=id/");
        wrong.Code.ShouldBe(2);
        wrong.Error.ShouldContain("a host is letters");
        Result early = _sandbox.Capsule("import", Archive, "--source", $"ssh://root@{Address}:2222/").Ok();
        early.Error.ShouldContain("warning", customMessage: "nobody serves there yet");
        early.Error.ShouldContain("Connection refused");
        _sandbox.Capsule("rm", "acme", "--yes").Ok();
        Serve();
        Result other = _sandbox.Capsule("import", Archive, "--name", "elsewhere", "--source", $"ssh://root@{Address}:2222/usr").Ok();
        other.Error.ShouldContain("is it the machine, and the directory", customMessage: "it is another tree");
        Result imported = _sandbox.Capsule("import", Archive, "--source", $"ssh://root@{Address}:2222/").Ok();
        imported.Error.ShouldNotContain("warning");
        imported.Error.ShouldContain($"filled from ssh://root@{Address}:2222/");
        Run();
        _sandbox.Capsule("status", "acme").Out.ShouldContain("open to its source");
        _sandbox.Capsule("verify", "acme").Code.ShouldBe(4);

        // Programs with their libraries, scripts with modules; natively the second time.
        Inside("redis-cli", "--version").Ok().Out.ShouldBe("redis-cli 7.0.15\n");
        Inside("perl", "-MPOSIX", "-e", "print POSIX::floor(3.7)").Ok().Out.ShouldBe("3");
        Miss("/usr/bin/redis-cli").GetProperty("what").GetString().ShouldBe("filled");
        Inside("suid-sleep", "0").Ok();
        Inside("stat", "-c", "%a", "/usr/bin/suid-sleep").Ok().Out.ShouldBe("4755\n");

        Inside("cap-sleep", "0").Ok();
        _sandbox.Shell($"python3 -c 'import os; print(sorted(a for a in os.listxattr(\"{_sandbox.Store}/capsules/acme/open/tree/usr/bin/cap-sleep\")))'").Ok().Out.ShouldBe("['security.capability']\n", "no stat(1) tells it, and it is there");

        // Names are bytes.
        Inside("sh", "-c", "cd /usr/share/odd; cat \"$(printf 'new\\nline\\377\\n_')\" ./-n empty fine").Ok().Out.ShouldBe("odd contentdashfine\n");

        // A data folder comes whole, or not at all.
        Inside("cat", "/var/lib/bits/a").Ok().Out.ShouldBe("one\n");
        Miss("/var/lib/bits/a").GetProperty("reason").GetString().ShouldBe("with all of /var/lib/bits");

        // What is not as it was is refused, with the reason.
        There($"cd {Tree}/usr/share/odd; echo more >> changed; rm gone; touch -d @1000000000.6 touched; mv moved /tmp/moved-away && ln -s fine moved; echo c > {Tree}/var/lib/pair/c").Ok();
        foreach (var (name, why) in ((string, string)[])[("changed", "has changed at the source"), ("touched", "has changed at the source"), ("gone", "does not have"), ("moved", "has changed at the source")])
        {
            Result read = Inside("cat", "/usr/share/odd/" + name);
            read.Out.ShouldBeEmpty();
            read.Error.ShouldContain("Input/output error");
            Why("/usr/share/odd/" + name).ShouldContain(why);
        }
        Inside("cat", "/var/lib/pair/a").Error.ShouldContain("Input/output error");
        Why("/var/lib/pair/a").ShouldContain("would not be whole");

        // Watched, it is filled the same, and look-ups are judged by what the plan says of a source that is not here.
        _sandbox.Capsule("stop", "acme").Ok();
        _sandbox.Capsule("run", "-d", "--watch", "--network", "none", "acme").Ok();
        Inside("sh", "-c", "cat /usr/share/odd/fine /usr/bin/nonesuch 2>/dev/null; redis-benchmark --version").Ok().Out.ShouldStartWith("fine\n");
        Miss("/usr/bin/redis-benchmark").GetProperty("what").GetString().ShouldBe("filled");

        // What was not shown can be asked about.
        _sandbox.Capsule("misses", "acme", "/usr/bin/nonesuch").Out.ShouldContain("the source does not have it either");
        Result hidden = _sandbox.Capsule("misses", "acme", "/etc/hushed");
        (hidden.Out + hidden.Error).ShouldContain("on " + Address);
        _sandbox.Capsule("doctor").Out.ShouldNotContain("acme");

        // The server goes: errors name the file; it comes back: all is well.
        There("kill $(pgrep -x sshd)").Ok();
        Inside("cat", "/usr/bin/redis-check-rdb").Error.ShouldContain("Input/output error");
        Why("/usr/bin/redis-check-rdb").ShouldContain("Connection refused");
        _sandbox.Capsule("misses", "acme", "/usr/bin/nonesuch").Out.ShouldContain("cannot be asked");
        Serve();
        Thread.Sleep(2100); // a machine that did not answer is left alone so long
        Inside("sha256sum", "/usr/bin/redis-check-rdb").Ok().Out.Split(' ')[0].ShouldBe(There($"sha256sum {Tree}/usr/bin/redis-check-rdb").Out.Split(' ')[0]);

        // Sealed, it needs nobody.
        There("kill $(pgrep -x sshd)").Ok();
        _sandbox.Capsule("stop", "acme").Ok();
        Sandbox.Eventually(() => _sandbox.Shell("pgrep -x ssh").Out.Length == 0, "no ssh outlives the capsule");
        _sandbox.Capsule("seal", "acme").Ok();
        Run();
        Inside("redis-cli", "--version").Ok();
        Inside("sh", "-c", "cat /var/lib/bits/sub/b; cd /usr/share/odd; set -- *; echo $#").Ok().Out.ShouldBe("two\n4\n", "what was not filled is not in it");
        _sandbox.Capsule("stop", "acme").Ok();
        _sandbox.Capsule("import", Archive, "--name", "closed").Ok().Error.ShouldContain("it is sealed, with 0 files");
        _sandbox.Capsule("export", "acme", "-o", _sandbox.State + "/sealed.tar").Ok();
        _sandbox.Capsule("import", _sandbox.State + "/sealed.tar", "--name", "again", "--source", $"ssh://{Address}").Error.ShouldContain("CAP2038");
    }

    [Fact]
    public void A_connection_that_breaks_or_hangs_in_the_middle_gives_the_content_or_an_error_and_never_zeros()
    {
        Export("mkdir -p usr/share/blobs; for i in 1 2 3 4; do head -c 400000000 /dev/urandom > usr/share/blobs/$i; done; for i in $(seq 41); do head -c 2000000 /dev/urandom > usr/share/blobs/s$i; done");
        Serve();
        _sandbox.Capsule("import", Archive, "--source", $"ssh://root@{Address}:2222/").Ok();
        Run();
        Inside("sha256sum", "--version").Ok();
        Inside("sh", "-c", "seq 1").Ok();
        string[] known = There($"cd {Tree}/usr/share/blobs; sha256sum *", 120).Ok().Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string hollow = _sandbox.Store + "/capsules/acme/open/tree/usr/share/blobs";

        // ssh is killed in the middle.
        using Process reads = Reader("killed", "sha256sum < /usr/share/blobs/1");
        Sandbox.Eventually(() => int.Parse(_sandbox.Shell($"stat -c %b {hollow}/1").Out) > 0, "the fill has begun");
        _sandbox.Shell("kill -KILL $(pgrep -x ssh)").Ok();
        reads.WaitForExit(60_000).ShouldBeTrue();
        Judge(Said("killed"), "1");
        Said("killed").ShouldContain("Input/output error", customMessage: "it was killed in the middle");
        Inside("sha256sum", "/usr/share/blobs/1").Ok().Out.Split(' ')[0].ShouldBe(Sum("1"), "the next open makes a connection");

        // The session at the other end is killed.
        using Process second = Reader("session", "sha256sum < /usr/share/blobs/2");
        Sandbox.Eventually(() => int.Parse(_sandbox.Shell($"stat -c %b {hollow}/2").Out) > 0, "the fill has begun");
        There("kill -KILL $(pgrep -x cat)");
        second.WaitForExit(60_000).ShouldBeTrue();
        Judge(Said("session"), "2");
        Inside("sha256sum", "/usr/share/blobs/2").Ok().Out.Split(' ')[0].ShouldBe(Sum("2"));

        // Again and again.
        Inside("sleep", "0").Ok();
        using Process all = Reader("all", "cd /usr/share/blobs; for round in $(seq 12); do for i in $(seq 40); do sha256sum s$i; sleep 0.03; done; done");
        _sandbox.Shell("for i in $(seq 60); do kill -KILL $(pgrep -x ssh) 2>/dev/null; sleep 0.$((i % 5 + 1)); done", seconds: 120); // a connection takes about as long
        all.WaitForExit(120_000).ShouldBeTrue();
        string[] lines = Said("all").Split('\n', StringSplitOptions.RemoveEmptyEntries), sums = [.. lines.Where(l => !l.Contains("Input/output error", StringComparison.Ordinal))];
        foreach (string line in sums) known.ShouldContain(line);
        sums.ShouldNotBeEmpty();
        lines.Length.ShouldBeGreaterThan(sums.Length, "some were killed");

        Sandbox.Eventually(() => Inside("sha256sum", "/usr/share/blobs/s41").Out.Split(' ')[0] == Sum("s41"), "a source whose login was killed is asked again after a pause");

        // It hangs: nobody waits for ever.
        using Process hangs = Reader("hangs", "sha256sum < /usr/share/blobs/3");
        Sandbox.Eventually(() => int.Parse(_sandbox.Shell($"stat -c %b {hollow}/3").Out) > 0, "the fill has begun");
        _sandbox.Shell("kill -STOP $(pgrep -x ssh)").Ok();
        hangs.WaitForExit(60_000).ShouldBeTrue("it ends by itself");
        Said("hangs").ShouldContain("Input/output error");
        Why("/usr/share/blobs/3").ShouldContain("did not answer in time");
        Sandbox.Eventually(() => Inside("sha256sum", "/usr/share/blobs/3").Out.Split(' ')[0] == Sum("3"), "the next open makes a connection");

        // The filler is killed, and its successor goes on.
        using Process last = Reader("filler", "sha256sum < /usr/share/blobs/4");
        Sandbox.Eventually(() => int.Parse(_sandbox.Shell($"stat -c %b {hollow}/4").Out) > 0, "the fill has begun");
        _sandbox.Shell("kill -KILL $(pgrep -xf 'capsule filler acme')").Ok();
        last.WaitForExit(60_000).ShouldBeTrue();
        Judge(Said("filler"), "4");
        _sandbox.Capsule("stop", "acme").Ok();
        Sandbox.Eventually(() => _sandbox.Shell("pgrep -x ssh").Out.Length == 0, "no ssh outlives the capsule and its filler");

        string Sum(string name) => known.Single(l => l.EndsWith("  " + name, StringComparison.Ordinal)).Split(' ')[0];

        void Judge(string said, string name)
        {
            if (!said.Contains("Input/output error", StringComparison.Ordinal)) said.Split(' ')[0].ShouldBe(Sum(name));
        }
    }

    /// <summary>A reader inside the capsule, in the background.</summary>
    private Process Reader(string name, string script) => _sandbox.Start(["bash", "-c", "exec \"$@\" >\"$0\" 2>\"$0.err\"", $"{_sandbox.State}/{name}", Sandbox.Programs + "/capsule", "exec", "acme", "sh", "-c", script]);

    private string Said(string name) => File.ReadAllText($"{_sandbox.State}/{name}") + File.ReadAllText($"{_sandbox.State}/{name}.err");
}
