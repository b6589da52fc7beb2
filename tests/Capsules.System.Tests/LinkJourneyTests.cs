using System.Diagnostics;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Links between real applications, as they are configured by Debian: nothing in their configuration is changed.</summary>
public sealed class LinkJourneyTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private void Adopt(string application, string name, params string[] more) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", application, "--root", source.Tree, "--name", name, .. more], seconds: 180).Ok();

    private Result In(string capsule, string user, string script, int seconds = 60) => _sandbox.Run([Sandbox.Programs + "/capsule", "exec", "--user", user, capsule, "sh", "-c", script], seconds: seconds);

    /// <summary>A capsule with clients: psql, and Python with SQLite. It is no database server.</summary>
    private void AdoptClient(string name) => Adopt("memcached", name, "--add", "/usr/lib/postgresql/15/bin/psql", "--add", "/usr/bin/python3.11", "--add", "/usr/lib/python3.11");

    private void AddUser(string capsule, string name, int uid)
    {
        string etc = $"{_sandbox.Store}/capsules/{capsule}/writable/upper/etc";
        Directory.CreateDirectory(etc);
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/{capsule}/writable/work");
        foreach (var (file, line) in (ReadOnlySpan<(string, string)>)[("passwd", $"{name}:x:{uid}:{uid}::/:/bin/sh"), ("group", $"{name}:x:{uid}:")])
            File.WriteAllText($"{etc}/{file}", File.ReadAllText($"{source.Tree}/etc/{file}") + line + "\n");
    }

    private const string Psql = "/usr/lib/postgresql/15/bin/psql -h /var/run/postgresql -Atq -d postgres -c";

    [Fact]
    public void PostgreSQL_knows_a_user_of_another_capsule_by_peer_credentials()
    {
        Adopt("postgresql@15-main", "db");
        AdoptClient("shop");
        AddUser("db", "webshop", 1234);
        AddUser("shop", "web", 4321);
        _sandbox.Capsule("share", "add", "db/socket", "--path", "/run/postgresql", "--preset", "client", "--user", "webshop").Ok();
        _sandbox.Capsule("link", "add", "shop", "db/socket", "--as", "web=webshop").Ok();
        _sandbox.Run([Sandbox.Programs + "/capsule", "start", "shop"], seconds: 120).Ok();

        In("db", "postgres", $"{Psql} 'create user webshop' -c 'create table t(n int)' -c 'grant all on t to webshop'").Ok();
        In("shop", "web", $"PGUSER=webshop {Psql} 'select current_user' -c 'insert into t values (7)' -c 'select n from t'").Ok().Out.ShouldBe("webshop\n7\n");
        In("shop", "web", $"PGUSER=postgres {Psql} 'select 1'").Error.ShouldContain("Peer authentication failed");
        foreach (string other in (string[])["www-data", "root", "memcache"]) In("shop", other, $"PGUSER=webshop {Psql} 'select 1'").Error.ShouldContain("Peer authentication failed", customMessage: other);
        // The owner sees its own user, the client its own.
        In("shop", "web", "id -un; touch /tmp/x; stat -c %U /tmp/x").Ok().Out.ShouldBe("web\nweb\n");
        // The server restarts; the client finds it again at the same place.
        _sandbox.Run([Sandbox.Programs + "/capsule", "link", "rm", "shop", "db"]).Ok();
        In("shop", "web", $"PGUSER=webshop {Psql} 'select 1'").Code.ShouldNotBe(0);
        _sandbox.Capsule("link", "add", "shop", "db/socket", "--as", "web=webshop", "--when-down", "want").Ok().Error.ShouldNotContain("CAP4120");
        _sandbox.Run([Sandbox.Programs + "/capsule", "restart", "db"], seconds: 120).Ok();
        In("shop", "web", $"PGUSER=webshop {Psql} 'select n from t'").Ok().Out.ShouldBe("7\n");
    }

    private const string Writer = """
        import os, sqlite3, sys, time
        c = sqlite3.connect('/srv/wal/a.db', timeout=60, isolation_level=None)
        c.execute('pragma journal_mode=wal')
        c.execute('create table if not exists t(who text, n int)')
        end = time.time() + float(sys.argv[2])
        n = 0
        while time.time() < end and not os.path.exists('/srv/wal/enough'):
            c.execute('begin immediate')
            c.execute('insert into t values (?, ?)', (sys.argv[1], n))
            c.execute('commit')
            n += 1
            print(n, flush=True)
            time.sleep(0.001)
        """;

    [Fact]
    public void Two_capsules_write_one_SQLite_database_in_WAL_mode_and_nothing_is_lost_when_writers_are_killed()
    {
        AdoptClient("one");
        AdoptClient("two");
        AddUser("one", "lite", 1500);
        AddUser("two", "lite", 2600);
        string upper = $"{_sandbox.Store}/capsules/one/writable/upper/srv/wal";
        Directory.CreateDirectory(upper);
        _sandbox.Shell($"chown 1500:1500 {upper}").Ok();
        _sandbox.Capsule("state", "add", "one", "/srv/wal").Ok();
        _sandbox.Capsule("share", "add", "one/wal", "--path", "/srv/wal", "--preset", "partner", "--user", "lite").Ok();
        _sandbox.Capsule("link", "add", "two", "one/wal").Ok().Error.ShouldContain("lite shared");
        _sandbox.Run([Sandbox.Programs + "/capsule", "start", "two"], seconds: 120).Ok();
        In("one", "lite", $"cat > /srv/wal/writer.py <<'E'\n{Writer}\nE").Ok();

        string[] names = ["one-a", "one-b", "two-a", "two-b"];
        Process[] writers = [.. names.Select(n => _sandbox.Start(["bash", "-c", $"exec {Sandbox.Programs}/capsule exec --user lite {n[..3]} python3.11 /srv/wal/writer.py {n} 8 > {_sandbox.State}/{n} 2>&1"]))];
        string[] victims = ["one-k", "two-k"];
        for (int i = 0; i < 6; i++) // killed in the middle, on both sides
        {
            string victim = victims[i % 2];
            using Process killed = _sandbox.Start(["bash", "-c", $"exec {Sandbox.Programs}/capsule exec --user lite {victim[..3]} sh -c 'python3.11 /srv/wal/writer.py {victim} 9 >> /tmp/{victim} & sleep 0.8; kill -9 $!'"]);
            killed.WaitForExit(30_000).ShouldBeTrue();
        }
        foreach (Process writer in writers)
        {
            writer.WaitForExit(60_000).ShouldBeTrue();
            writer.ExitCode.ShouldBe(0);
            writer.Dispose();
        }
        string Ask(string capsule, string what) => In(capsule, "lite", $"python3.11 -c \"import sqlite3; print(sqlite3.connect('/srv/wal/a.db').execute(\\\"{what}\\\").fetchone()[0])\"").Ok().Out.Trim();
        Ask("one", "pragma integrity_check").ShouldBe("ok");
        foreach (string name in names)
        {
            int acknowledged = int.Parse(File.ReadAllLines($"{_sandbox.State}/{name}")[^1]);
            acknowledged.ShouldBeGreaterThan(0);
            foreach (string side in (string[])["one", "two"]) Ask(side, $"select count(*) from t where who = '{name}'").ShouldBe($"{acknowledged}", $"{name} seen by {side}");
        }
        foreach (string victim in victims)
            int.Parse(Ask("one", $"select count(*) from t where who = '{victim}'")).ShouldBeGreaterThanOrEqualTo(int.Parse(In(victim[..3], "lite", $"grep -c . /tmp/{victim}").Out.Trim()), victim);
        // One file, one lock, one event queue.
        In("one", "lite", "stat -c %d:%i /srv/wal/a.db-shm").Out.ShouldBe(In("two", "lite", "stat -c %d:%i /srv/wal/a.db-shm").Out);
        _sandbox.Shell($"stat -c %u {_sandbox.Store}/capsules/one/volumes/*/a.db").Out.Trim().ShouldBe("1500");
    }

    [Fact]
    public void A_fork_of_a_SQLite_database_that_two_capsules_write_is_whole_and_neither_writer_notices()
    {
        foreach (string name in (string[])["one", "two", "test"]) AdoptClient(name);
        AddUser("one", "lite", 1500);
        AddUser("two", "lite", 2600);
        AddUser("test", "tester", 3700);
        string upper = $"{_sandbox.Store}/capsules/one/writable/upper/srv/wal";
        Directory.CreateDirectory(upper);
        _sandbox.Shell($"chown 1500:1500 {upper}").Ok();
        _sandbox.Capsule("state", "add", "one", "/srv/wal").Ok();
        _sandbox.Capsule("share", "add", "one/wal", "--path", "/srv/wal", "--preset", "partner", "--user", "lite").Ok();
        _sandbox.Capsule("link", "add", "two", "one/wal").Ok();
        _sandbox.Run([Sandbox.Programs + "/capsule", "start", "two", "test"], seconds: 120).Ok();
        In("one", "lite", $"cat > /srv/wal/writer.py <<'E'\n{Writer}\nE").Ok();
        string[] names = ["one-a", "two-a"];
        Process[] writers = [.. names.Select(n => _sandbox.Start(["bash", "-c", $"exec {Sandbox.Programs}/capsule exec --user lite {n[..3]} python3.11 /srv/wal/writer.py {n} 300 > {_sandbox.State}/{n} 2>&1"]))];
        int Acknowledged(string name) => _sandbox.Shell($"tail -1 {_sandbox.State}/{name}").Out.Trim() is { Length: > 0 } last ? int.Parse(last) : 0;
        string Ask(string capsule, string user, string what) => In(capsule, user, $"python3.11 -c \"import sqlite3; print(sqlite3.connect('/srv/wal/a.db', timeout=60).execute(\\\"{what}\\\").fetchone()[0])\"").Ok().Out.Trim();
        Sandbox.Eventually(() => names.All(n => Acknowledged(n) > 20), "both write");
        for (int fork = 0; fork < 3; fork++)
        {
            writers.ShouldAllBe(w => !w.HasExited);
            int[] before = [.. names.Select(Acknowledged)];
            Result made = _sandbox.Capsule("link", "add", "test", "one/wal", "--fork", "--as", "tester=lite").Ok();
            made.Error.ShouldContain("one and two held still for");
            int[] after = [.. names.Select(Acknowledged)];
            Ask("test", "tester", "pragma integrity_check").ShouldBe("ok");
            foreach (var (name, i) in names.Select((n, i) => (n, i)))
            {
                int copied = int.Parse(Ask("test", "tester", $"select count(*) from t where who = '{name}'"));
                copied.ShouldBeInRange(before[i], after[i] + 1, $"what was acknowledged before is in the copy of {name}");
                Ask("test", "tester", $"select max(n) from t where who = '{name}'").ShouldBe($"{copied - 1}", "and nothing is missing between");
            }
            // It is the tester's own to write, and to break.
            In("test", "tester", "python3.11 -c \"import sqlite3; c = sqlite3.connect('/srv/wal/a.db'); c.execute('delete from t'); c.commit()\"").Ok();
            Ask("test", "tester", "select count(*) from t").ShouldBe("0");
            _sandbox.Run([Sandbox.Programs + "/capsule", "stop", "-t", "0", "test"]).Ok();
            _sandbox.Capsule("link", "rm", "test", "one/wal", "--volumes", "--yes").Ok();
            _sandbox.Run([Sandbox.Programs + "/capsule", "start", "test"], seconds: 120).Ok();
        }
        In("one", "lite", "touch /srv/wal/enough").Ok();
        foreach (Process writer in writers)
        {
            writer.WaitForExit(60_000).ShouldBeTrue();
            writer.ExitCode.ShouldBe(0);
            writer.Dispose();
        }
        Ask("one", "lite", "pragma integrity_check").ShouldBe("ok");
        foreach (string name in names) Ask("one", "lite", $"select count(*) from t where who = '{name}'").ShouldBe($"{Acknowledged(name)}");
    }
}
