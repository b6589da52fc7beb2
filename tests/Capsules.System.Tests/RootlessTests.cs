using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Capsules of a user who is not root, on the real kernel: in a realm of his own, with subordinate ids.</summary>
public sealed class RootlessTests : IDisposable
{
    private readonly UserBox _user = new();

    public void Dispose() => _user.Dispose();

    private static ServiceManifest Forever => BusyBox.Script("echo up; while :; do sleep 1; done");

    [Fact]
    public void A_users_command_has_its_exit_code_and_leaves_nothing()
    {
        _user.Import("web", Forever);
        Result result = _user.Capsule("run", "--rm", "web", "sh", "-c", "id -u; echo said; exit 7");
        (result.Code, result.Out).ShouldBe((7, "0\nsaid\n"));
        _user.Capsule("run", "--rm", "web", "no-such-program").Code.ShouldBe(127);
        _user.Capsule("run", "--rm", "web", "/etc/passwd").Code.ShouldBe(126);
        _user.Capsule("ps", "-a", "-q").Out.ShouldBe("web\n");
        Leftovers().ShouldBeEmpty();
    }

    [Fact]
    public void A_users_capsules_run_each_others_programs()
    {
        _user.Import("app", Forever);
        _user.Import("db", Forever);
        _user.Capsule("share", "add", "db/tools", "--preset", "partner", "--exec", "/bin/hostname,/bin/env", "--user", "web").Ok();
        _user.Capsule("run", "-d", "app").Ok();
        _user.Capsule("run", "-d", "db").Ok();
        _user.Capsule("link", "add", "app", "db/tools").Ok();
        _user.Capsule("exec", "-u", "web", "app", "/bin/hostname").ShouldBe(new Result(0, "db\n", ""));
        _user.Capsule("exec", "-u", "web", "app", "/bin/env", "sh", "-c", "exit 7").Code.ShouldBe(7);
        _user.Capsule("exec", "app", "/bin/hostname").Code.ShouldBe(126);
        _user.Capsule("exec", "-u", "web", "app", "busybox", "sh", "-c", "/bin/env sh -c 'busybox setsid busybox sleep 999 & busybox sleep 999' & p=$!; busybox usleep 700000; kill -9 $p").Code.ShouldBe(0);
        Sandbox.Eventually(() => _user.Pids("capsule-cross").Length == 0 && !_user.Root.Shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").Out.Contains("sleep 999", StringComparison.Ordinal), "nothing is left of it");
    }

    [Fact]
    public void A_users_capsules_reach_each_others_ports()
    {
        _user.Import("app", Forever);
        _user.Import("db", BusyBox.Script("mkdir -p /srv/www; echo of db > /srv/www/index.html; exec busybox httpd -f -p 127.0.0.1:80 -h /srv/www"));
        _user.Capsule("share", "add", "db/web", "--port", "80").Ok();
        _user.Capsule("run", "-d", "app").Ok();
        _user.Capsule("run", "-d", "db").Ok();
        _user.Capsule("link", "add", "app", "db/web").Ok();
        string Fetch() => _user.Capsule("exec", "-u", "web", "app", "busybox", "sh", "-c", "busybox printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 127.0.0.1 80 | busybox tail -n 1").Out;
        Sandbox.Eventually(() => Fetch() == "of db\n", "it answers");
        _user.Capsule("stop", "db").Ok();
        Fetch().ShouldBeEmpty();
        _user.Capsule("link", "rm", "app", "db").Ok();
    }

    [Fact]
    public void A_users_capsules_log_to_the_daemon_of_one_of_them()
    {
        _user.Import("app", Forever);
        _user.Import("log", BusyBox.Script("exec busybox syslogd -n -O /data/messages"));
        _user.Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok();
        _user.Capsule("run", "-d", "app").Ok();
        _user.Capsule("run", "-d", "log").Ok();
        _user.Capsule("exec", "app", "busybox", "logger", "at home").Ok();
        Sandbox.Eventually(() => _user.Capsule("logs", "app", "--service", "syslog").Out.Contains("at home", StringComparison.Ordinal), "its own log");
        _user.Capsule("link", "add", "app", "log/syslog", "--when-down", "want").Ok();
        string Messages() => _user.Capsule("exec", "log", "cat", "/data/messages").Out;
        void Logged(string word)
        {
            _user.Capsule("exec", "-u", "web", "app", "busybox", "logger", word).Ok();
            Sandbox.Eventually(() => Messages().Contains(word, StringComparison.Ordinal), $"{word}: {Messages()}");
        }
        Logged("to the other");
        _user.Capsule("restart", "log").Ok();
        Logged("after a restart");
        _user.Capsule("exec", "app", "sh", "-c", "ls -A /run/capsule/log/app/shm /run/capsule/log/app/pts").Out.ShouldNotContain("ptmx");
        _user.Capsule("link", "rm", "app", "log").Ok();
        _user.Capsule("exec", "app", "busybox", "logger", "at home again").Ok();
        Messages().ShouldNotContain("at home");
        _user.Capsule("stop", "app", "log").Ok();
    }

    [Fact]
    public void A_users_capsule_gets_a_copy_of_anothers_state_while_that_writes()
    {
        _user.Import("app", Forever);
        _user.Import("db", BusyBox.Script("mkdir -p /srv/shop; chown web /srv/shop; i=0; while :; do i=$((i+1)); echo $i > /srv/shop/new; chown web /srv/shop/new; mv /srv/shop/new /srv/shop/count; sleep 0.01; done"));
        _user.Capsule("run", "-d", "db").Ok();
        Sandbox.Eventually(() => _user.Capsule("exec", "db", "cat", "/srv/shop/count").Code == 0, "it counts");
        _user.Capsule("stop", "-t", "0", "db").Ok();
        _user.Capsule("state", "add", "db", "/srv/shop").Ok();
        _user.Capsule("run", "-d", "db").Ok();
        _user.Capsule("run", "-d", "app").Ok();
        _user.Capsule("share", "add", "db/shop", "--path", "/srv/shop").Ok();
        _user.Capsule("link", "add", "app", "db/shop", "--fork").Ok().Error.ShouldContain("db held still");
        string Count(string capsule) => _user.Capsule("exec", "-u", "web", capsule, "cat", "/srv/shop/count").Ok().Out;
        string copied = Count("app"), before = Count("db");
        Sandbox.Eventually(() => Count("db") != before, "it goes on");
        Count("app").ShouldBe(copied);
        _user.Capsule("exec", "app", "stat", "-c", "%u", "/srv/shop/count").Out.ShouldBe("105\n");
        _user.Capsule("link", "list").Ok().Out.ShouldContain("fork of db/shop");
        _user.Capsule("stop", "-t", "0", "app").Ok();
        _user.Capsule("link", "rm", "app", "db", "--volumes", "--yes").Ok();
        _user.Capsule("link", "list").Ok().Out.ShouldNotContain("fork");
    }

    [Fact]
    public void A_users_capsule_lives_its_life()
    {
        _user.Import("web", BusyBox.Script("echo up; echo kept >> /data/file; chown web:web /data/file; while :; do sleep 1; done"), Forever with { Name = "second" });
        _user.Capsule("run", "-d", "web").Ok();
        _user.Capsule("ps", "--json").Out.ShouldContain("\"ready\"");
        Sandbox.Eventually(() => _user.Capsule("logs", "web").Out.Contains("up\n", StringComparison.Ordinal), "the log is there");

        // Who it is inside: its own names, ids and address, no process of the outside, a null device that is one.
        _user.Capsule("exec", "web", "hostname").Out.ShouldBe("web\n");
        _user.Capsule("exec", "web", "cat", "/etc/machine-id").Out.ShouldBe("0123456789abcdef0123456789abcdef\n");
        _user.Capsule("exec", "-u", "web", "web", "id").Out.ShouldContain("uid=105");
        _user.Capsule("exec", "web", "sh", "-c", "echo x > /dev/null; stat -c %t:%T /dev/null; head -c 4 /dev/urandom | wc -c").Ok().Out.ShouldBe("1:3\n4\n");
        string mac = _user.Capsule("identity", "show", "web", "--json").Out;
        mac.ShouldContain(_user.Capsule("exec", "web", "cat", "/sys/class/net/eth0/address").Ok().Out.Trim());
        _user.Capsule("exec", "web", "ps").Out.Split('\n').Length.ShouldBeLessThan(12);

        // On disk: the user's own ids and subordinate ones.
        _user.Root.Shell($"stat -c %u {_user.Store} {_user.Store}/capsules/web/volumes/data {_user.Store}/capsules/web/volumes/data/file").Out
            .ShouldBe($"{UserBox.Uid}\n{UserBox.Uid}\n{UserBox.FirstSubordinate + 104}\n"); // uid 105 inside is the 105th of his range
        _user.Root.Shell($"stat -c %a {_user.Store}").Out.ShouldBe("700\n");

        _user.Capsule("stop", "web").Ok();
        _user.Capsule("start", "web").Ok();
        _user.Capsule("exec", "web", "cat", "/data/file").Out.ShouldBe("kept\nkept\n");
        _user.Capsule("restart", "web").Ok();
        _user.Capsule("stop", "web").Ok();
        _user.Capsule("rm", "--yes", "--volumes", "web").Ok();
        _user.Capsule("ps", "-a", "-q").Out.ShouldBeEmpty();
        Leftovers().ShouldBeEmpty();
    }

    [Fact]
    public void What_a_user_exports_is_what_was_imported()
    {
        _user.Import("web", Forever);
        _user.Capsule("run", "-d", "web").Ok();
        _user.Capsule("exec", "web", "sh", "-c", "rm -r /srv; mkdir /srv; echo new > /srv/page; chown 105:107 /srv/page").Ok();
        _user.Capsule("diff", "web").Ok().Out.ShouldContain("/srv/page");
        _user.Capsule("stop", "web").Ok();
        _user.Capsule("state", "add", "web", "/srv").Ok();
        _user.Capsule("export", "web", "-o", "out.tar", "--with-state").Ok();
        _user.Root.Shell($"cp {_user.Home}/out.tar {_user.Root.State}/out.tar").Ok();
        _user.Root.Capsule("import", $"{_user.Root.State}/out.tar", "--name", "back").Ok();
        _user.Root.Capsule("run", "back").Ok();
        _user.Root.Capsule("exec", "back", "stat", "-c", "%u:%g", "/srv/page").Ok().Out.ShouldBe("105:107\n");
    }

    [Fact]
    public void What_a_users_capsule_wrote_goes_into_its_image()
    {
        _user.Import("web", Forever);
        _user.Capsule("run", "web").Ok();
        _user.Capsule("exec", "web", "sh", "-c", "echo new > /srv/new; chown web:web /srv/new; rm /etc/group; rm -r /root; mkdir /root; echo in > /root/in").Ok();
        _user.Capsule("stop", "web").Ok();
        _user.Capsule("commit", "web").Ok();
        _user.Capsule("diff", "web").Out.ShouldBeEmpty();
        _user.Capsule("run", "web").Ok();
        _user.Capsule("exec", "web", "sh", "-c", "cat /srv/new; stat -c %U /srv/new; ls /etc/group 2>/dev/null; ls /root").Out.ShouldBe("new\nweb\nin\n");
        _user.Capsule("stop", "web").Ok();
    }

    [Fact]
    public void What_only_root_can_have_is_refused_with_a_code()
    {
        _user.Import("web", Forever);
        foreach (string[] option in (string[][])[["--memory", "64M"], ["--cpus", "1"], ["--pids-limit", "10"], ["--network", "macvlan:up0"], ["--network", "bridge:br0"], ["--network", "host"]])
            _user.Capsule(["run", "-d", .. option, "web"]).Error.ShouldContain("error[CAP1010]", customMessage: option[1]);
        _user.Capsule("adopt", "nginx").Error.ShouldContain("error[CAP1006]");
        _user.Capsule("ps", "-q").Out.ShouldBeEmpty();
    }

    [Fact]
    public void Without_subordinate_ids_a_user_is_told_what_is_missing()
    {
        using var other = new UserBox(subordinate: false);
        Result result = other.Capsule("ps");
        (result.Code, result.Error.Contains("error[CAP1011]", StringComparison.Ordinal)).ShouldBe((6, true), result.ToString());
        result.Error.ShouldContain("usermod --add-subuids");
        Result doctor = other.Capsule("doctor");
        (doctor.Code, doctor.Out.Contains("no range of tester is in /etc/subuid and /etc/subgid", StringComparison.Ordinal)).ShouldBe((1, true), doctor.ToString());
    }

    [Fact]
    public void Directories_and_rights_of_others_are_not_used()
    {
        string[] ps = [Sandbox.Programs + "/capsule", "ps"];
        _user.Root.Shell($"mkdir -m 777 {_user.Root.State}/others {_user.Root.State}/open; mkdir {_user.Root.State}/others/capsule; chown 61235 {_user.Root.State}/others; chmod 777 {_user.Root.State}/open").Ok();
        _user.Run(ps, $"XDG_RUNTIME_DIR={_user.Root.State}/others").Error.ShouldContain("error[CAP1012]");
        _user.Run(ps, $"XDG_RUNTIME_DIR={_user.Root.State}/open").Error.ShouldContain("error[CAP1012]");
        _user.Run(ps, $"CAPSULE_RUN={_user.Root.State}/others/capsule").Error.ShouldContain("error[CAP1012]");
        _user.Shell($"ln -s /tmp {_user.Runtime}/capsule").Ok();
        _user.Run(ps).Error.ShouldContain("error[CAP1012]");
        _user.Shell($"rm {_user.Runtime}/capsule").Ok();

        _user.Root.Shell($"cp {Sandbox.Programs}/capsule {_user.Root.State}/lent && chmod 4755 {_user.Root.State}/lent").Ok();
        _user.Run([_user.Root.State + "/lent", "ps"]).Error.ShouldContain("error[CAP1013]");
    }

    [Fact]
    public void Published_ports_are_answered_from_the_hosts_side()
    {
        _user.Import("web", BusyBox.Script("nc -ll -p 80 -e sh -c 'read line; echo tcp $line; head -c 300000 /dev/zero; echo end' & while :; do sleep 1; done"));
        _user.Capsule("run", "-d", "-p", "8080:80", "-p", "127.0.0.1:5353:53/udp", "-p", "7007:7", "web").Ok();
        const string whole = "300014\n"; // "tcp hello", the zeros, "end"
        string Ask(string from) => _user.Root.Shell($"{from} sh -c 'echo hello | timeout 10 busybox nc -w 5 {(from.Length == 0 ? "127.0.0.1" : "192.0.2.2")} 8080 | wc -c'").Out;
        Ask("").ShouldBe(whole);
        Ask($"nsenter -n -t $(cat {_user.Root.State}/far)").ShouldBe(whole); // from another machine
        // In the capsule's network, because busybox has no server of datagrams, and none that takes many connections at once.
        _user.Root.Shell($$"""
            cat > {{_user.Root.State}}/answer.py <<'END'
            import socket, socketserver, threading
            class Echo(socketserver.BaseRequestHandler):
                def handle(self):
                    while data := self.request.recv(65536): self.request.sendall(data)
            class Server(socketserver.ThreadingTCPServer): request_queue_size = 256
            threading.Thread(target=Server(("0.0.0.0", 7), Echo).serve_forever, daemon=True).start()
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 53))
            while True:
                data, who = s.recvfrom(65535); s.sendto(b"udp " + data, who)
            END
            cat > {{_user.Root.State}}/ask.py <<'END'
            import socket
            clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
            for i, c in enumerate(clients): c.settimeout(5); c.sendto(b"%d" % i, ("127.0.0.1", 5353))
            print([c.recvfrom(100)[0].decode() for c in clients])
            END
            cat > {{_user.Root.State}}/many.py <<'END'
            import os, socket, threading
            whole = []
            def client():
                with socket.create_connection(("127.0.0.1", 7007), 50) as c:
                    sent = os.urandom(1000000); got = bytearray()
                    def send(): c.sendall(sent); c.shutdown(socket.SHUT_WR)
                    threading.Thread(target=send).start()
                    while data := c.recv(65536): got += data
                    if got == sent: whole.append(1)
            clients = [threading.Thread(target=client) for _ in range(100)]
            for c in clients: c.start()
            for c in clients: c.join()
            print(len(whole))
            END
            nsenter -n -t {{_user.Pids("capsule-init")}} setsid python3 {{_user.Root.State}}/answer.py < /dev/null > /dev/null 2>&1 &
            """).Ok();
        Sandbox.Eventually(() => _user.Root.Shell($"python3 {_user.Root.State}/ask.py").Out == "['udp 0', 'udp 1', 'udp 2', 'udp 3', 'udp 4']\n", "UDP is answered");
        _user.Root.Shell($"python3 {_user.Root.State}/many.py").Out.ShouldBe("100\n"); // a hundred at once, both directions, each ended by the client first

        // A taken port and one of root's fail the start, and leave nothing.
        _user.Capsule("run", "-d", "--name", "other", "-p", "8080:80", "web").Error.ShouldContain("error[CAP3111]");
        _user.Capsule("run", "-d", "--name", "third", "-p", "80:80", "web").Error.ShouldContain("error[CAP3119]");
        _user.Root.Shell("busybox nc -ll -p 9999 < /dev/null > /dev/null 2>&1 & sleep 0.2").Ok();
        _user.Capsule("run", "-d", "--name", "fourth", "-p", "9999:80", "web").Error.ShouldContain("a program of this host listens there");

        // A killed relay comes back with its ports.
        _user.Root.Shell($"kill -9 {Relay()}").Ok();
        Sandbox.Eventually(() => Ask("") == whole, "the ports come back");
        _user.Capsule("stop", "web").Ok();
        _user.Root.Shell("echo | timeout 5 busybox nc -w 2 127.0.0.1 8080").Code.ShouldNotBe(0);
        _user.Capsule("start", "web").Ok();
        Ask("").ShouldBe(whole);
        _user.Capsule("stop", "web").Ok();
        Sandbox.Eventually(() => Relay().Length == 0, "the relay ends with the last port");
        Leftovers().ShouldBeEmpty();
    }

    private string Relay() => _user.Root.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule ports' && echo ${p#/proc/}; done; true").Out.Trim().Replace('\n', ' ');

    [Theory]
    [InlineData("pasta")]
    [InlineData("slirp4netns")]
    public void A_users_capsule_reaches_the_world_outside(string tool)
    {
        if (tool == "slirp4netns") _user.Root.Shell("mount --bind /dev/null /usr/bin/pasta").Ok(); // as if it were not there: nobody can execute it
        _user.Import("web", Forever);
        Result run = _user.Capsule("run", "--rm", "web", "sh", "-c", "sleep 1 | nc -w 5 192.0.2.1 8000; sleep 1 | nc -w 5 192.0.2.1 8000"); // the client ends last: Debian 12's pasta may lose one of two ends that cross
        run.Out.ShouldBe("from outside\nfrom outside\n", run.ToString());
        _user.Shell($"cat {_user.RunDirectory}/realm.json").Out.ShouldContain($"\"{tool}\"");
        _user.Capsule("doctor").Out.ShouldNotContain("left ");
    }

    [Fact]
    public void Without_a_way_outside_a_user_is_warned_and_his_capsules_run()
    {
        using var other = new UserBox(tun: false);
        BusyBox.MakeCapsule(other.Root, "web", null, Forever);
        other.Root.Capsule("export", "web", "-o", other.Root.State + "/web.tar").Ok();
        Result import = other.Capsule("import", other.Root.State + "/web.tar").Ok();
        import.Error.ShouldContain("warning[CAP3210]");
        import.Error.ShouldContain("/dev/net/tun");
        other.Capsule("run", "-d", "web").Ok();
        other.Capsule("doctor").Out.ShouldContain("/dev/net/tun");
    }

    [Fact]
    public void A_users_keeper_and_holder_can_be_killed()
    {
        _user.Import("web", BusyBox.Script("echo kept >> /data/file; i=0; while :; do i=$((i+1)); echo tick $i; nc -l -p 80 -e echo answered; done"));
        _user.Capsule("run", "-d", "-p", "8080:80", "web").Ok();
        string Ask() => _user.Root.Shell("sleep 0.3 | timeout 3 busybox nc -w 2 127.0.0.1 8080").Out;
        Sandbox.Eventually(() => Ask() == "answered\n", "it answers");

        _user.Root.Shell($"kill -9 {_user.Pids("capsule-realm")} {Keeper()}").Ok();
        _user.Capsule("exec", "web", "cat", "/data/file").Ok().Out.ShouldBe("kept\n"); // by whoever is still there
        Sandbox.Eventually(() => _user.Capsule("ps", "-q").Out == "web\n" && _user.Pids("capsule-realm").Length > 0, "there is a holder again"); // one that is just dying is still a way in
        Sandbox.Eventually(() => Ask() == "answered\n", "it still answers");
        Sandbox.Eventually(() => Keeper().Length > 0, "its guard brings the keeper back");

        // Everybody but the capsule itself.
        _user.Root.Shell($"kill -9 {_user.Pids("capsule-guard")} {_user.Pids("capsule-realm")} {_user.Pids("capsule-ports")} {Relay()} {Keeper()}; true").Ok();
        Result exec = _user.Capsule("exec", "web", "cat", "/data/file").Ok();
        (exec.Out, exec.Error.Contains("warning[CAP3211]", StringComparison.Ordinal)).ShouldBe(("kept\n", true), exec.ToString());
        _user.Capsule("ps", "-q").Out.ShouldBe("web\n");
        _user.Capsule("restart", "web").Ok();
        Sandbox.Eventually(() => Ask() == "answered\n", "it answers again");
        _user.Capsule("exec", "web", "cat", "/data/file").Out.ShouldBe("kept\nkept\n");
        _user.Capsule("stop", "web").Ok();

        // And everything: the next command begins anew, and nothing on disk is lost.
        _user.Capsule("start", "web").Ok();
        _user.Root.Shell($"kill -9 $(for p in /proc/[0-9]*; do [ \"$(stat -c %u $p 2>/dev/null)\" = {UserBox.Uid} ] && echo ${{p#/proc/}}; done); true").Ok();
        Sandbox.Eventually(() => _user.Capsule("ps", "-a", "--json").Out.Contains("\"crashed\"", StringComparison.Ordinal), "PID 1 is gone"); // it dies after all others in there
        _user.Capsule("doctor", "--fix").Out.ShouldContain("cleared");
        Leftovers().ShouldBeEmpty();
        _user.Capsule("start", "web").Ok();
        _user.Capsule("exec", "web", "cat", "/data/file").Out.ShouldBe("kept\nkept\nkept\nkept\n");
    }

    [Fact]
    public void A_start_of_a_user_that_is_killed_leaves_nothing_that_doctor_cannot_clear()
    {
        _user.Import("web", Forever);
        var ends = new List<string>();
        foreach (string call in (string[])["mkdirat:when=9", "renameat:when=2", "move_mount:when=4", "move_mount:when=20", "clone3:when=2", "setresuid:when=1", "sendto:when=6"])
        {
            Result started = _user.Run(["strace", "-f", "-o", "/dev/null", "-e", "trace=" + call.Split(':')[0], "-e", $"inject={call.Replace(":", ":signal=KILL:", StringComparison.Ordinal)}", Sandbox.Programs + "/capsule", "run", "-d", "web"]);
            ends.Add($"{call} {started.Code}");
            Sandbox.Eventually(() => _user.Pids("tail").Length == 0, "nothing of it runs");
            _user.Capsule("doctor", "--fix");
            Leftovers().ShouldBeEmpty(call);
            _user.Capsule("run", "-d", "web").Code.ShouldBeOneOf([0, 125], call); // it may have come up by then
            _user.Capsule("exec", "web", "true").Ok();
            _user.Capsule("stop", "web").Ok();
        }
        ends.Count(e => e.EndsWith(" 137", StringComparison.Ordinal)).ShouldBeGreaterThan(3, string.Join(", ", ends));
    }

    [Fact]
    public void Doctor_connects_a_realm_again()
    {
        _user.Import("web", Forever);
        _user.Capsule("run", "-d", "web").Ok();
        _user.Root.Shell($"kill -9 $(cat {_user.RunDirectory}/pasta.pid)").Ok();
        Sandbox.Eventually(() => _user.Capsule("doctor").Out.Contains("the network of the realm is not connected", StringComparison.Ordinal), "doctor sees it");
        _user.Capsule("doctor", "--fix").Out.ShouldNotContain("not connected");
        _user.Capsule("exec", "web", "sh", "-c", "sleep 1 | nc -w 5 192.0.2.1 8000").Out.ShouldBe("from outside\n");
    }

    [Fact]
    public void A_user_runs_a_bundle()
    {
        string bundle = BusyBox.MakeBundle(_user.Root, "bundle", ["sh", "-c", "id -u; hostname; echo x > /dev/null && cat /proc/self/mounts | wc -l; exit 3"]);
        _user.Root.Shell($"cp -r {bundle} {_user.Home}/bundle && chown -R {UserBox.Uid}:{UserBox.Uid} {_user.Home}/bundle").Ok();
        Result run = _user.Capsule("oci", "run", "--bundle", _user.Home + "/bundle", "one");
        run.Code.ShouldBe(3, run.ToString());
        run.Out.ShouldStartWith("0\n");
        _user.Capsule("oci", "list").Out.ShouldNotContain("one");

        _user.Shell($"sed -i 's/\"resources\": {{/& \"pids\": {{\"limit\": 100}},/' {_user.Home}/bundle/config.json").Ok();
        _user.Capsule("oci", "create", "--bundle", _user.Home + "/bundle", "two").Error.ShouldContain("error[CAP1010]");
        _user.Capsule("oci", "pause", "one").Code.ShouldBe(1);
    }

    private string Keeper() => _user.Root.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule keeper' && echo ${p#/proc/}; done; true").Out.Trim().Replace('\n', ' ');

    /// <summary>What `doctor` finds in the realm.</summary>
    private string Leftovers() => string.Join('\n', _user.Capsule("doctor").Out.Split('\n').Where(l => l.StartsWith("left", StringComparison.Ordinal)));
}
