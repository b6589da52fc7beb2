using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Ports of one capsule's loopback network that are reached at the same port of another's.</summary>
public sealed class ForwardTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done", Serve = "mkdir -p /srv/www; echo of $(hostname) > /srv/www/index.html; exec busybox httpd -f -p 127.0.0.1:8080 -h /srv/www";

    private Result Capsule(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule", .. words], seconds: 120);

    private string Init(string capsule) => JsonDocument.Parse(Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();

    /// <summary>Runs Python in a capsule's network.</summary>
    private Result Python(string capsule, string script, params string[] words) => _sandbox.Run(["nsenter", "-t", Init(capsule), "-n", "python3", "-c", "import socket, sys, hashlib, os, time\n" + script, .. words]);

    private Result Fetch(string capsule) => Capsule("exec", capsule, "sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 127.0.0.1 8080 | tail -n 1");

    private const string Try = """
        try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print("connected")
        except OSError as e: print(e.strerror)
        """;

    private string Forwarder() => _sandbox.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule forwarder' && [ \"$(cat $p/comm)\" != capsule-guard ] && echo ${p#/proc/}; done; true").Out.Trim();

    private void MakeTwo(string ownerScript)
    {
        BusyBox.MakeCapsule(_sandbox, "db", null, BusyBox.Script(ownerScript));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
    }

    private const string Server = """
        def take(s):
            while True:
                c, peer = s.accept()
                if os.fork() == 0:
                    got = b""
                    while (b := c.recv(65536)): got += b
                    c.sendall(f"{peer[0]} {hashlib.sha256(got).hexdigest()}\n".encode() + got); c.shutdown(socket.SHUT_WR); os._exit(0)
                c.close()
        if os.fork() == 0:
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 7001))
            while True:
                b, peer = u.recvfrom(65536); u.sendto(peer[0].encode() + b" " + b, peer)
        if os.fork() == 0:
            s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("::1", 7006)); s.listen(); take(s)
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 7000)); s.listen(); take(s)
        """;

    private const string Client = """
        sent = os.urandom(1 << 20); c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); there = c.getpeername()[0]
        c.sendall(sent); c.shutdown(socket.SHUT_WR); got = b""
        while (b := c.recv(65536)): got += b
        head, body = got.split(b"\n", 1); peer, digest = head.decode().split()
        print(peer, there, body == sent and digest == hashlib.sha256(sent).hexdigest())
        """;

    [Fact]
    public void Connections_and_datagrams_go_both_ways_with_half_closes_and_both_sides_see_the_loopback_address()
    {
        MakeTwo(Idle);
        Capsule("share", "add", "db/ports", "--port", "7000,7006", "--port", "7001/udp").Ok().Error.ShouldContain("7000/tcp, 7006/tcp, 7001/udp of its loopback network to be reached");
        Capsule("link", "add", "app", "db/ports", "--plan").Ok().Out.ShouldContain("127.0.0.1:7000/tcp of app leads to that of db (from its next start on)");
        Capsule("link", "add", "app", "db/ports").Ok();
        Capsule("start", "app").Ok();
        Python("app", Try, "127.0.0.1", "7000").Out.ShouldBe("Connection refused\n", "nobody listens yet");
        using var server = _sandbox.Start(["nsenter", "-t", Init("db"), "-n", "python3", "-c", "import socket, os, hashlib\n" + Server]);
        Sandbox.Eventually(() => Python("app", Try, "127.0.0.1", "7000").Out == "connected\n", "the owner listens");
        for (int i = 0; i < 3; i++) Python("app", Client, "127.0.0.1", "7000").Ok().Out.ShouldBe("127.0.0.1 127.0.0.1 True\n");
        Python("app", Client, "::1", "7000").Ok().Out.ShouldBe("127.0.0.1 ::1 True\n");
        Sandbox.Eventually(() => Python("app", Try, "127.0.0.1", "7006").Out == "connected\n", "the owner listens on ::1 alone");
        Python("app", Client, "127.0.0.1", "7006").Ok().Out.ShouldBe("::1 127.0.0.1 True\n");
        Python("app", "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(10); u.connect(('127.0.0.1', 7001))\nfor n in range(20):\n  u.send(b'%d' % n); print(u.recv(99).decode())").Ok().Out
            .ShouldBe(string.Concat(Enumerable.Range(0, 20).Select(n => $"127.0.0.1 {n}\n")));
        Python("app", "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(10); u.connect(('127.0.0.1', 7001)); b = os.urandom(60000); u.send(b); print(u.recv(65536)[10:] == b)").Ok().Out.ShouldBe("True\n");

        // Nobody else reaches it: not the owner's address, nor the user's.
        string list = Capsule("link", "list", "app", "--json").Ok().Out;
        list.ShouldContain("\"7000/tcp\"");
        list.ShouldContain("\"live\"");
        _sandbox.Shell($"nsenter -t {Init("app")} -n ss -Hlntu | awk '{{print $5}}' | sort").Ok().Out.ShouldBe("127.0.0.1:7000\n127.0.0.1:7001\n127.0.0.1:7006\n[::1]:7000\n[::1]:7001\n[::1]:7006\n");

        // What goes through it when the link goes is broken off, and nothing listens any more.
        string[] script = ["c = socket.create_connection(('127.0.0.1', 7000), 5); c.sendall(b'x'); print('up', flush=True)\ntry: print(c.recv(1))\nexcept OSError as e: print(e.strerror)"];
        using var held = _sandbox.Start(["bash", "-c", "exec \"$@\" > $0", _sandbox.State + "/held", "nsenter", "-t", Init("app"), "-n", "python3", "-c", "import socket\n" + script[0]]);
        Sandbox.Eventually(() => File.Exists(_sandbox.State + "/held") && File.ReadAllText(_sandbox.State + "/held") == "up\n", "it is connected");
        Capsule("link", "rm", "app", "db", "--plan").Ok().Out.ShouldContain("connections by it are broken off");
        Capsule("link", "rm", "app", "db").Ok();
        held.WaitForExit(10_000).ShouldBeTrue();
        File.ReadAllText(_sandbox.State + "/held").ShouldBe("up\nConnection reset by peer\n");
        Python("app", Try, "127.0.0.1", "7000").Out.ShouldBe("Connection refused\n");
        _sandbox.Shell($"nsenter -t {Init("app")} -n ss -Hlntu").Out.ShouldBeEmpty();
        Sandbox.Eventually(() => Forwarder().Length == 0, "nothing is left to lead, and it has ended");
    }

    [Fact]
    public void A_port_is_refused_while_its_owner_is_down_comes_again_with_it_and_survives_the_death_of_whoever_leads_it()
    {
        MakeTwo(Serve);
        Capsule("share", "add", "db/web", "--port", "8080").Ok();
        Capsule("link", "add", "app", "db/web", "--when-down", "want").Ok();
        Capsule("start", "app").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "it answers");

        string first = Forwarder();
        _sandbox.Shell($"kill -9 {first}").Ok();
        Sandbox.Eventually(() => Forwarder() is { Length: > 0 } now && now != first && Fetch("app").Out == "of db\n", "the next one leads it");

        // The server alone ends, and comes again.
        string http = _sandbox.Shell("for p in /proc/[0-9]*; do grep -qz '^httpd$' $p/cmdline 2>/dev/null && basename $p; done; true").Out.Trim();
        _sandbox.Shell($"kill -STOP {http}; kill -9 {http}").Ok();
        Sandbox.Eventually(() => Capsule("status", "db").Code != 0, "a capsule whose service has ended has ended");
        Sandbox.Eventually(() => Python("app", Try, "127.0.0.1", "8080").Out == "Connection refused\n", "nobody is there");
        JsonDocument.Parse(Capsule("link", "list", "app", "--json").Ok().Out).RootElement.GetProperty("links")[0].GetProperty("state").GetString().ShouldBe("waiting");
        Capsule("start", "db").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "it is there again");
        Capsule("restart", "db").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "after a restart");
        Capsule("restart", "app").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "after a restart of who uses it");

        // Killed while both are stopped and started.
        _sandbox.Shell($"kill -9 {Forwarder()}").Ok();
        Capsule("stop", "db").Ok();
        Python("app", Try, "127.0.0.1", "8080").Out.ShouldBe("Connection refused\n");
        Capsule("start", "db").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "it is led again");
        Capsule("stop", "app", "db").Ok();
        Sandbox.Eventually(() => Forwarder().Length == 0 && _sandbox.Traces().Length == 0, "nothing is left: " + _sandbox.Traces());
    }

    [Fact]
    public void A_server_that_ends_in_a_capsule_that_runs_on_is_refused_and_found_again()
    {
        MakeTwo(Idle);
        Capsule("share", "add", "db/web", "--port", "8080").Ok();
        Capsule("start", "app", "db").Ok();
        Capsule("link", "add", "app", "db/web").Ok();
        for (int life = 0; life < 3; life++)
        {
            Capsule("exec", "-d", "db", "sh", "-c", Serve).Ok();
            Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "it answers");
            _sandbox.Shell("for p in /proc/[0-9]*; do grep -qz '^httpd$' $p/cmdline 2>/dev/null && kill -9 ${p#/proc/}; done; true").Ok();
            Sandbox.Eventually(() => Python("app", Try, "127.0.0.1", "8080").Out == "Connection refused\n", "nobody listens");
        }
    }

    [Fact]
    public void A_port_has_one_owner_and_is_nobodys_of_the_host()
    {
        MakeTwo(Serve);
        BusyBox.MakeCapsule(_sandbox, "other", null, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "own", m => m with { Listeners = [new("tcp", "0.0.0.0", 8080, "another")] }, BusyBox.Script(Idle));
        BusyBox.MakeCapsule(_sandbox, "host", null, BusyBox.Script(Idle));
        Capsule("share", "add", "db/web", "--port", "8080", "--preset", "reader").Error.ShouldContain("--preset client");
        Capsule("share", "add", "db/web", "--port", "80:8080").Code.ShouldBe(2);
        Capsule("share", "add", "db/web", "--port", "0").Code.ShouldBe(2);
        Capsule("share", "add", "db/web", "--port", "8080", "--preset", "same-machine").Ok();
        Capsule("share", "add", "other/web", "--port", "8080").Ok();
        Capsule("share", "list").Out.ShouldContain("8080/tcp");
        Capsule("link", "add", "app", "db/web", "--preset", "client").Ok();
        Result second = Capsule("link", "add", "app", "other/web");
        (second.Code, second.Error.Contains("8080/tcp of app is led to db already", StringComparison.Ordinal)).ShouldBe((4, true), second.Error);
        Capsule("link", "add", "own", "db/web", "--preset", "client").Error.ShouldContain("own itself listens on 8080/tcp (another)");
        Capsule("link", "check", "own", "db/web", "--preset", "reader").Out.ShouldContain("own does not reach 8080/tcp as reader");

        // A program of a capsule that runs listens there.
        Capsule("start", "db").Ok();
        Capsule("run", "-d", "--network", "host", "host").Ok();
        Capsule("link", "add", "host", "db/web", "--preset", "client").Error.ShouldContain("host has the network of the host");
        Capsule("link", "rm", "app", "db").Ok();
        Capsule("start", "app").Ok();
        Capsule("exec", "-d", "app", "sh", "-c", Serve).Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of app\n", "it has a server of its own");
        Capsule("link", "add", "app", "db/web", "--preset", "client").Error.ShouldContain("a program of app listens on 8080/tcp now");
        Capsule("link", "list", "app", "--json").Out.ShouldNotContain("db/web");
        Fetch("app").Out.ShouldBe("of app\n");

        // It comes to listen there before it is led: the capsule runs, and is told.
        Capsule("stop", "app", "db").Ok();
        Capsule("link", "add", "app", "db/web", "--preset", "client", "--when-down", "degrade").Ok();
        Capsule("start", "app").Ok();
        Capsule("exec", "-d", "app", "sh", "-c", Serve).Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of app\n", "it has a server of its own");
        Capsule("start", "db").Ok().Error.ShouldContain("CAP4171");
        Capsule("link", "list", "app", "--json").Out.ShouldContain("\"waiting\"");
        Capsule("stop", "app", "db").Ok();

        // In one stack nothing is to be led.
        Capsule("link", "rm", "app", "db").Ok();
        Capsule("link", "add", "app", "db/web").Ok();
        Capsule("start", "app").Ok();
        Sandbox.Eventually(() => Fetch("app").Out == "of db\n", "one network");
        Forwarder().ShouldBeEmpty();
    }
}
