using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>
/// Stacks of real applications in linked capsules, as Debian configures them. Those that use are of Debian trixie and those that are used of bookworm, in which users have other
/// numbers; where one numbering is what is tried, both are of bookworm.
/// </summary>
public sealed class LinkedApplicationsTests(LinkedApplicationsTests.Trees trees, ITestOutputHelper output) : IClassFixture<LinkedApplicationsTests.Trees>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private void Adopt(string tree, string application, string name, params string[] more) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", application, "--root", tree, "--name", name, .. more], seconds: 180).Ok();

    private Result In(string capsule, string user, string script, int seconds = 60) => _sandbox.Run([Sandbox.Programs + "/capsule", "exec", "--user", user, capsule, "sh", "-c", script], seconds: seconds);

    /// <summary>Runs what goes on while a test does something else. What it prints is in the file of that name in the sandbox's directory.</summary>
    private Process Begin(string capsule, string user, string script, string output) =>
        _sandbox.Start(["bash", "-c", "exec \"$@\" >\"$0\" 2>&1", $"{_sandbox.State}/{output}", Sandbox.Programs + "/capsule", "exec", "--user", user, capsule, "sh", "-c", script]);

    private string Printed(string output) => File.Exists($"{_sandbox.State}/{output}") ? File.ReadAllText($"{_sandbox.State}/{output}") : "";

    private static void Stop(params Process[] processes)
    {
        foreach (Process process in processes)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit(10_000).ShouldBeTrue();
        }
    }

    /// <summary>PID 1 of a capsule that runs, as the sandbox numbers it.</summary>
    private string Init(string capsule) => JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();

    /// <summary>Asks in a capsule's own network, from outside.</summary>
    private Result Ask(string capsule, string script, int seconds = 60) =>
        _sandbox.Run(["nsenter", "-t", Init(capsule), "-n", "bash", "-c", script], seconds: seconds);

    /// <summary>A file as its administrator would write it, before the capsule starts.</summary>
    private void Write(string capsule, string path, string text, UnixFileMode mode = (UnixFileMode)0x1A4)
    {
        string file = $"{_sandbox.Store}/capsules/{capsule}/writable/upper{path}";
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/{capsule}/writable/work");
        File.WriteAllText(file, text);
        File.SetUnixFileMode(file, mode);
    }

    private void Start(params string[] capsules) => _sandbox.Run([Sandbox.Programs + "/capsule", "start", .. capsules], seconds: 120).Ok();

    [Fact]
    public void PHP_is_known_to_MariaDB_as_the_shared_user_comes_back_after_a_restart_and_dumps_by_the_servers_own_program()
    {
        Adopt(trees.Bookworm, "mariadb", "db", "--add", "/usr/bin/mariadb", "--add", "/usr/bin/mariadb-dump");
        Adopt(trees.Trixie, "php8.4-fpm", "blog", "--add", "/usr/bin/php8.4", "--add", "/usr/bin/gzip");
        _sandbox.Capsule("share", "add", "db/socket", "--path", "/run/mysqld", "--preset", "client", "--user", "blog").Ok();
        _sandbox.Capsule("share", "add", "db/tools", "--preset", "client", "--exec", "/usr/bin/mariadb-dump", "--user", "blog").Error.ShouldContain("--preset partner", customMessage: "clients run nothing");
        _sandbox.Capsule("share", "add", "db/tools", "--exec", "/usr/bin/mariadb-dump", "--user", "blog").Ok();
        _sandbox.Capsule("link", "check", "blog", "db/socket", "--strict").Ok();
        _sandbox.Capsule("link", "add", "blog", "db/socket", "db/tools", "--when-down", "want").Ok();
        Start("blog");
        (In("db", "root", "id -u blog").Out, In("blog", "root", "id -u blog").Out).ShouldBe(("1201\n", "4301\n"), "the two number their users differently");
        In("db", "root", "mariadb -e \"create database shop; create table shop.items(id int primary key, n text); insert into shop.items select seq, concat('item ', seq) from mysql.seq_1_to_20000; create user blog identified via unix_socket; grant all on shop.* to blog\"").Ok();

        const string Ask = "php8.4 -r '$d = new mysqli(\"localhost\", \"blog\", \"\", \"shop\"); echo $d->query(\"select current_user()\")->fetch_row()[0], \" \", $d->query(\"select count(*) from items\")->fetch_row()[0];' 2>&1";
        In("blog", "blog", Ask).Ok().Out.ShouldBe("blog@% 20000");
        foreach (string other in (string[])["www-data", "root", "spare", "1201"]) // the last is the owner's number of the user, and nobody's here
        {
            Result refused = In("blog", other, Ask);
            (refused.Code, refused.Out.Contains("Access denied for user 'blog'@'localhost'", StringComparison.Ordinal)).ShouldBe((255, true), $"{other}: {refused.Out}");
        }

        // One process asks for all of a restart, and finds the server again by the same path.
        using Process asking = Begin("blog", "blog", """
            exec php8.4 -r 'mysqli_report(MYSQLI_REPORT_OFF); $d = null; $end = time() + 60; $last = "";
            while (time() < $end && !file_exists("/tmp/enough")) {
                $r = $d ? @$d->query("select count(*) from items") : false; $now = $r ? "up " . $r->fetch_row()[0] : "down";
                if (!$r) { $d = @new mysqli("localhost", "blog", "", "shop"); if ($d->connect_errno) $d = null; }
                if ($now !== $last) echo $last = $now, "\n"; usleep(20000); }'
            """, "asking");
        Sandbox.Eventually(() => Printed("asking").EndsWith("up 20000\n", StringComparison.Ordinal), "it asks");
        _sandbox.Run([Sandbox.Programs + "/capsule", "restart", "db"], seconds: 120).Ok();
        Sandbox.Eventually(() => Printed("asking").EndsWith("down\nup 20000\n", StringComparison.Ordinal), "it asks again: " + Printed("asking"));
        In("blog", "blog", "touch /tmp/enough").Ok();
        asking.WaitForExit(10_000).ShouldBeTrue();

        In("blog", "blog", "mariadb-dump --skip-dump-date shop | gzip > /tmp/shop.gz").Ok();
        string dump = In("blog", "blog", "gzip -dc /tmp/shop.gz").Ok().Out;
        dump.ShouldContain("(20000,'item 20000')");
        dump.ShouldBe(In("db", "blog", "mariadb-dump --skip-dump-date shop").Ok().Out);
        In("blog", "www-data", "mariadb-dump shop").Code.ShouldBe(126, "nobody else may run it");
    }

    [Fact]
    public void PHP_reaches_MariaDB_of_another_release_at_127_0_0_1_as_both_are_configured_and_again_after_a_restart()
    {
        Adopt(trees.Bookworm, "mariadb", "db", "--add", "/usr/bin/mariadb");
        Adopt(trees.Trixie, "php8.4-fpm", "blog", "--add", "/usr/bin/php8.4");
        _sandbox.Capsule("share", "add", "db/sql", "--port", "3306").Ok();
        _sandbox.Capsule("link", "check", "blog", "db/sql", "--strict").Ok();
        _sandbox.Capsule("link", "add", "blog", "db/sql", "--when-down", "want").Ok();
        Start("blog");
        In("db", "root", "mariadb -e \"create database shop; create user blog@localhost identified by 'secret'; grant all on shop.* to blog@localhost\"").Ok();
        const string Ask = "php8.4 -r '$d = new mysqli(\"127.0.0.1\", \"blog\", \"secret\", \"shop\"); echo $d->query(\"select concat(current_user(), char(32), user(), char(32), length(repeat(char(120), 8000000)))\")->fetch_row()[0], \" \", strlen($d->query(\"select repeat(char(120), 8000000)\")->fetch_row()[0]);' 2>&1";
        const string Answer = "blog@localhost blog@localhost 8000000 8000000";
        Sandbox.Eventually(() => In("blog", "blog", Ask).Out == Answer, "it is known as one of the same machine: " + In("blog", "blog", Ask).Out);
        _sandbox.Run([Sandbox.Programs + "/capsule", "restart", "db"], seconds: 120).Ok();
        Sandbox.Eventually(() => In("blog", "blog", Ask).Out == Answer, "it is there again");
        _sandbox.Run([Sandbox.Programs + "/capsule", "stop", "db"], seconds: 120).Ok();
        In("blog", "blog", Ask).Out.ShouldContain("Connection refused");
        Start("db");
        Sandbox.Eventually(() => In("blog", "blog", Ask).Out == Answer, "and when it was stopped");
    }

    [Fact]
    public void PHP_loads_a_module_of_another_capsule_one_of_a_newer_system_is_refused_and_nothing_stays()
    {
        Adopt(trees.Bookworm, "memcached", "app", "--add", "/usr/bin/php8.2");
        Adopt(trees.Bookworm, "php8.2-fpm", "modules");
        Adopt(trees.Trixie, "php8.4-fpm", "newer");
        const string Modules = "/usr/lib/php/20220829", Newer = "/usr/lib/php/20240924";
        string ask = "php8.2 -n -d extension_dir=" + Modules + " -d extension=ctype -r 'var_dump(ctype_digit(\"12\"));' 2>&1";
        Start("app");
        In("app", "root", $"rm -rf {Modules}/ctype.so").Ok(); // it lacks this one, whatever was taken with the program
        In("app", "root", ask).Out.ShouldContain("Unable to load dynamic library");
        _sandbox.Capsule("share", "add", "modules/php", "--path", Modules).Ok();
        _sandbox.Capsule("share", "add", "newer/php", "--path", Newer).Ok();
        Result refused = _sandbox.Capsule("link", "add", "app", "newer/php", "--merge");
        (refused.Code, refused.Error.Contains($"cannot load {Newer}", StringComparison.Ordinal)).ShouldBe((4, true), refused.Error);
        _sandbox.Capsule("link", "check", "app", "newer/php", "--merge").Out.ShouldContain("and app has 2.36");
        _sandbox.Capsule("link", "add", "app", "modules/php", "--merge").Ok();
        In("app", "root", ask).Ok().Out.ShouldContain("bool(true)");
        _sandbox.Capsule("link", "rm", "app", "modules").Ok();
        In("app", "root", ask).Out.ShouldContain("Unable to load dynamic library");
        _sandbox.Run([Sandbox.Programs + "/capsule", "rm", "--volumes", "--yes", "modules"]).Ok();
        In("app", "root", "php8.2 -n -r 'echo 1;'").Ok().Out.ShouldBe("1", "what it has of its own is as before");
    }

    [Fact]
    public void An_image_that_takes_its_owners_place_by_a_restart_is_served_by_nginx_without_a_request_that_fails()
    {
        const int Least = 500, Pages = 4000;
        Adopt(trees.Trixie, "nginx", "web");
        BusyBox.MakeCapsule(_sandbox, "site", null, BusyBox.Script("while :; do sleep 1; done"));
        Write("site", "/srv/www/page", "version 0\n");
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/site/writable/upper/srv/www; mkdir n; for i in $(seq 0 {Pages - 1}); do echo page $i > n/$i; done").Ok(); // each is looked up for the first time at some moment
        _sandbox.Capsule("share", "add", "site/www", "--path", "/srv/www").Ok();
        _sandbox.Capsule("link", "add", "web", "site/www", "--when-down", "want").Ok();
        Write("web", "/etc/nginx/sites-enabled/site", "server { listen 8080; root /srv/www; }\n");
        Start("web");
        Sandbox.Eventually(() => Ask("web", "curl -fsS http://127.0.0.1:8080/page").Out == "version 0\n", "it serves");
        string end = _sandbox.State + "/end";
        using Process load = _sandbox.Start(["nsenter", "-t", Init("web"), "-n", "bash", "-c", $"ask() {{ i=$1; while [ ! -e {end} ]; do curl -sS -w '%{{http_code}}\\n' http://127.0.0.1:8080/page http://127.0.0.1:8080/n/$i 2>&1 | tr '\\n' ' '; echo; i=$(((i+2)%{Pages})); done > {_sandbox.State}/asked.$1; }}; ask 0 & ask 1 & wait"]);
        string[] Answers() => [.. _sandbox.Shell($"cat {_sandbox.State}/asked.*").Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => Regex.Replace(l, "page [0-9]+", "page").Trim())];
        Sandbox.Eventually(() => Answers().Count(a => a.StartsWith("version 0 ", StringComparison.Ordinal)) > 10, "it is asked");
        for (int version = 1; version <= 4; version++)
        {
            if (version % 2 == 1)
            {
                // What was changed while it ran becomes its image, and the layer in which it was written goes.
                In("site", "root", $"echo version {version} > /srv/www/.new; mv /srv/www/.new /srv/www/page").Ok();
                _sandbox.Capsule("stop", "site").Ok();
                _sandbox.Capsule("commit", "site").Ok();
            }
            else
            {
                // An image that was made elsewhere.
                _sandbox.Capsule("stop", "site").Ok();
                BusyBox.Upgrade(_sandbox, "site", "/srv/www/page", $"version {version}\n");
            }
            Thread.Sleep(300);
            _sandbox.Capsule("start", "site").Ok();
            int seen = Answers().Length;
            Sandbox.Eventually(() => Answers() is var now && now.Length > seen + 10 && now.Count(a => a.StartsWith($"version {version} ", StringComparison.Ordinal)) > 10, $"version {version} is served");
        }
        Sandbox.Eventually(() => Answers().Length >= Least, "so many requests", 120);
        _sandbox.Shell($"touch {end}").Ok();
        load.WaitForExit(20_000).ShouldBeTrue();
        string[] answers = Answers();
        string counts = string.Join(", ", answers.GroupBy(a => a).Select(g => $"{g.Count()} x {g.Key}"));
        output.WriteLine(counts);
        answers.Distinct().Order(StringComparer.Ordinal).ShouldBe(Enumerable.Range(0, 5).Select(v => $"version {v} 200 page 200"), counts);
        _sandbox.Shell($"grep -c ' /srv/www ' /proc/{Init("web")}/mountinfo").Out.ShouldBe("1\n", "the old ones are gone");
        _sandbox.Capsule("stop", "web", "site").Ok();
        _sandbox.Traces().ShouldBeEmpty();
        _sandbox.Shell($"ls -A {_sandbox.Store}/capsules/site").Out.ShouldNotContain("seen");
    }

    [Fact]
    public void Nginx_PHP_and_cron_of_three_capsules_use_the_files_of_a_fourth_that_only_has_them()
    {
        Adopt(trees.Trixie, "nginx", "web");
        Adopt(trees.Bookworm, "php8.2-fpm", "php", "--add", "/usr/bin/php8.2");
        Adopt(trees.Trixie, "cron", "cron");
        // The owner of the files is a small system of another kind, as that of a data capsule may be: www-data is 82 there, and 33 with the others.
        BusyBox.MakeCapsule(_sandbox, "site", m => m with { Volumes = [new() { Name = CapsuleName.Parse("site"), Path = GuestPath.Parse("/var/www/site") }] });
        Write("site", "/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:82:82::/:/bin/sh\nblog:x:83:83::/:/bin/sh\n");
        Write("site", "/etc/group", "root:x:0:\nwww-data:x:82:\nblog:x:83:\n");
        string files = $"{_sandbox.Store}/capsules/site/volumes/site";
        _sandbox.Shell($$"""
            mkdir -p {{files}}/files; cd {{files}}
            cat > put.php <<'E'
            <?php umask(0027); $name = basename($_GET["name"]); file_put_contents("files/.$name", file_get_contents("php://input")); rename("files/.$name", "files/$name"); echo posix_getuid(), " ", getmyuid(), "\n";
            E
            cat > report.php <<'E'
            <?php file_put_contents("report.txt", PHP_VERSION . " " . posix_getpwuid(posix_getuid())["name"] . " in " . getcwd() . " sees " . count(glob("files/*")) . "\n"); chmod("report.txt", 0640);
            E
            echo of the group > group.txt; echo of blog alone > alone.txt
            chown -R 82:82 .; chown 83:82 group.txt; chown 83:83 alone.txt; chmod 640 *; chmod 750 .; chmod 2750 files
            """).Ok();
        _sandbox.Capsule("share", "add", "site/files", "--path", "/var/www/site", "--preset", "partner", "--user", "www-data").Ok();
        _sandbox.Capsule("share", "add", "php/socket", "--path", "/run/php", "--preset", "client", "--user", "www-data").Ok();
        _sandbox.Capsule("share", "add", "php/tools", "--preset", "partner", "--exec", "/usr/bin/php8.2", "--user", "www-data").Ok();
        _sandbox.Capsule("link", "add", "php", "site/files").Ok().Error.ShouldContain("www-data shared");
        // One www-data for all four: that of php is that of site by now.
        _sandbox.Capsule("link", "add", "web", "site/files", "--preset", "reader", "--as", "www-data").Ok();
        _sandbox.Capsule("link", "add", "web", "php/socket").Ok();
        _sandbox.Capsule("link", "add", "cron", "site/files", "php/tools").Ok();
        Write("web", "/etc/nginx/sites-enabled/site", "server { listen 8080; root /var/www/site; location ~ \\.php$ { include snippets/fastcgi-php.conf; fastcgi_pass unix:/run/php/php8.2-fpm.sock; } }\n");
        Start("web");

        Result uploads = Ask("web", """
            for i in $(seq 100); do
                head -c 5000 /dev/urandom > /tmp/up; curl -fsS --data-binary @/tmp/up "http://127.0.0.1:8080/put.php?name=$i" > /tmp/said && curl -fsS "http://127.0.0.1:8080/files/$i" | cmp - /tmp/up || echo "$i was not served"
            done; cat /tmp/said
            """).Ok();
        (uploads.Out, uploads.Error).ShouldBe(("33 33\n", ""), "each upload was served by its next request; the user's own number is 33");
        _sandbox.Shell($"cd {files}/files; stat -c '%u:%g %a' * .* | sort | uniq -c").Out.Split('\n').ShouldContain(l => l.Trim() == "100 82:82 640", "on disk they are the owner's");
        Ask("web", "curl -fsS http://127.0.0.1:8080/group.txt").Ok().Out.ShouldBe("of the group\n");
        Ask("web", "curl -sS -o /dev/null -w %{http_code} http://127.0.0.1:8080/alone.txt").Out.ShouldBe("403");
        foreach (string user in (string[])["www-data", "root"]) In("web", user, ": > /var/www/site/files/1").Error.ShouldContain("Read-only file system", customMessage: user);
        In("php", "spare", "cat /var/www/site/group.txt").Error.ShouldContain("Permission denied");

        // The job of cron runs PHP, which that capsule does not have, in the directory that all see.
        Write("cron", "/etc/cron.d/site", "@reboot www-data cd /var/www/site && php8.2 report.php > /tmp/report.log 2>&1; echo $? >> /tmp/report.log\n");
        Start("cron");
        Sandbox.Eventually(() => Ask("web", "curl -fsS http://127.0.0.1:8080/report.txt").Out is { Length: > 0 } said && said.StartsWith("8.2.", StringComparison.Ordinal) && said.EndsWith(" www-data in /var/www/site sees 100\n", StringComparison.Ordinal), "the job's report is served", 20);
        Sandbox.Eventually(() => In("cron", "www-data", "read line < /tmp/report.log; echo \"$line\"").Out == "0\n", "the job succeeded and said nothing", 10);
        In("cron", "www-data", "echo by hand > /var/www/site/hand.txt").Ok();
        Ask("web", "curl -fsS http://127.0.0.1:8080/hand.txt").Ok().Out.ShouldBe("by hand\n");
    }

    /// <summary>What logrotate and an init script need of their machine, beside themselves.</summary>
    private static string[] Rotation => [.. ((string[])["/usr/sbin/logrotate", "/etc/logrotate.d/nginx", "/usr/sbin/invoke-rc.d", "/etc/init.d/nginx", "/usr/sbin/start-stop-daemon", "/usr/bin/gzip", "/usr/bin/basename", "/usr/bin/cat", "/usr/bin/ls", "/usr/bin/readlink", "/usr/bin/mawk", "/usr/bin/awk", "/etc/alternatives/awk", "/usr/bin/sed", "/usr/lib/init/vars.sh", "/usr/lib/lsb", "/usr/bin/grep", "/usr/bin/head", "/usr/bin/tail", "/usr/bin/wc"]).SelectMany(p => (string[])["--add", p])];

    /// <summary>Lets init scripts be run where no init system is, as Debian's invoke-rc.d asks.</summary>
    private void AllowInitScripts(string capsule) => Write(capsule, "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", (UnixFileMode)0x1ED);

    /// <summary>Whether a process of nginx has a renamed log open still.</summary>
    private bool NginxHasOldLogs() => _sandbox.Shell("for c in $(grep -lsx nginx /proc/[0-9]*/comm); do readlink ${c%comm}fd/*; done").Out.Split('\n').Any(l => l.EndsWith(".log.1", StringComparison.Ordinal));

    /// <summary>A signal takes effect a moment after it was sent.</summary>
    private void UntilNginxHasNewLogs() => Sandbox.Eventually(() => !NginxHasOldLogs(), "nginx has opened its logs anew");

    private const string Reader = """
        import os, sys, time
        # Follows a log by its name. What was renamed is read until nothing has come for a while: its writer learns of the rename later.
        path, end, idle = sys.argv[1], sys.argv[2], 3
        files = []  # [file, when something came last, the rest of a line]
        while True:
            try: now = os.stat(path)
            except FileNotFoundError: now = None
            if now and not any(os.fstat(f.fileno()).st_ino == now.st_ino for f, _, _ in files): files.append([open(path, "rb", buffering=0), time.time(), b""])
            for entry in list(files):
                f = entry[0]
                if os.fstat(f.fileno()).st_size < f.tell(): f.seek(0)
                while data := f.read(65536):
                    entry[1] = time.time()
                    *lines, entry[2] = (entry[2] + data).split(b"\n")
                    for line in lines: sys.stdout.buffer.write(line + b"\n")
                if time.time() - entry[1] > idle and entry is not files[-1]: files.remove(entry); f.close()
            sys.stdout.flush()
            if os.path.exists(end): break
            time.sleep(0.01)
        """;

    [Fact]
    public void A_log_shipper_reads_the_logs_of_another_capsule_across_every_kind_of_rotation_and_nothing_else_of_it()
    {
        Adopt(trees.Bookworm, "nginx", "web", Rotation);
        AllowInitScripts("web");
        Write("web", "/etc/copytruncate", "/var/log/nginx/*.log {\n rotate 14\n copytruncate\n compress\n delaycompress\n}\n");
        Adopt(trees.Trixie, "memcached", "ship", [.. ((string[])["/usr/bin/tail", "/usr/bin/ls", "/usr/bin/python3.13", "/usr/lib/python3.13", "/usr/bin/inotifywait"]).SelectMany(p => (string[])["--add", p])]);
        Write("ship", "/etc/group", File.ReadAllText(trees.Trixie + "/etc/group").Replace("adm:x:4:\n", "adm:x:4:spare\n", StringComparison.Ordinal));
        Write("ship", "/opt/reader.py", Reader);
        _sandbox.Capsule("share", "add", "web/logs", "--path", "/var/log/nginx", "--group", "adm").Ok();
        _sandbox.Capsule("link", "check", "ship", "web/logs", "--as-group", "adm", "--strict").Ok();
        _sandbox.Capsule("link", "add", "ship", "web/logs", "--as-group", "adm").Ok();
        Start("ship");

        const string Log = "/var/log/nginx/access.log";
        using Process tail = Begin("ship", "spare", $"tail -n +1 -F {Log} 2>/tmp/tail", "tail");
        using Process reader = Begin("ship", "spare", $"python3.13 /opt/reader.py {Log} /tmp/enough", "reader");
        using Process events = Begin("ship", "spare", "inotifywait -qm --format '%e %f' /var/log/nginx", "events");
        int asked = 0;
        string Requests(int count) => $"curl -sS 'http://127.0.0.1/n/[{asked + 1}-{asked += count}]' >/dev/null";
        string[] Numbers(string output) => [.. Printed(output).Split('\n')[..^1].Select(l => l.Split("GET /n/")[1].Split(' ')[0])]; // behind the last end of line there may be half a one
        void HasAll(string output) => Sandbox.Eventually(() => Numbers(output).Length >= asked, $"{output} has {asked} lines; it has {Numbers(output).Length}: {In("ship", "spare", "cat /tmp/tail 2>&1").Out}");
        void Rotate(string how) => In("web", "root", $"logrotate -f -s /tmp/status {how}").Ok();

        foreach (string how in (string[])["/etc/logrotate.d/nginx", "/etc/logrotate.d/nginx", "/etc/copytruncate", "/etc/copytruncate", "/etc/logrotate.d/nginx"])
        {
            Ask("web", Requests(300)).Ok();
            HasAll("tail");
            HasAll("reader");
            Rotate(how);
            UntilNginxHasNewLogs();
            In("ship", "spare", $"[ -s {Log} ]").Code.ShouldBe(1, "an empty log behind the rotation");
        }
        Ask("web", Requests(300)).Ok();
        HasAll("tail");
        string[] all = [.. Enumerable.Range(1, asked).Select(n => $"{n}")];
        Numbers("tail").ShouldBe(all, "tail -F: nothing is lost and nothing twice");
        // Renamed while requests are logged. tail leaves a file as soon as another one has its name, on one machine as here; the reader does not.
        using (Process requests = _sandbox.Start(["nsenter", "-t", Init("web"), "-n", "bash", "-c", Requests(6000)]))
        {
            for (int i = 0; i < 3; i++)
            {
                Thread.Sleep(150);
                Rotate("/etc/logrotate.d/nginx");
            }
            requests.WaitForExit(60_000).ShouldBeTrue();
        }
        HasAll("reader");
        In("ship", "spare", "touch /tmp/enough").Ok();
        reader.WaitForExit(20_000).ShouldBeTrue();
        Numbers("reader").ShouldBe([.. Enumerable.Range(1, asked).Select(n => $"{n}")], ignoreOrder: true, "the reader: nothing is lost and nothing twice");
        _sandbox.Shell($$"""cd {{_sandbox.Store}}/capsules/web/volumes/log && { for n in $(seq 14 -1 2); do [ ! -e access.log.$n.gz ] || zcat access.log.$n.gz; done; cat access.log.1 access.log; } | sort | sha256sum""").Ok().Out
            .ShouldBe(_sandbox.Shell($"sort {_sandbox.State}/reader | sha256sum").Ok().Out, "what the server logged, byte for byte");
        Printed("events").Split('\n').ShouldContain("MOVED_TO access.log.1");
        Printed("events").Split('\n').ShouldContain("CREATE access.log");

        foreach (string user in (string[])["spare", "root"])
            foreach (string write in (string[])["open(\"new\", \"w\")", "os.remove(\"access.log.1\")", "os.mkdir(\"d\")", "os.rename(\"access.log\", \"x\")"])
                In("ship", user, $"cd /var/log/nginx; python3.13 -c 'import os; {write}'").Error.ShouldContain("Read-only file system", customMessage: $"{user}: {write}");
        In("ship", "spare", $": >> {Log}").Code.ShouldNotBe(0);
        In("ship", "spare", "ls /var/log/nginx/../ /var/lib/nginx /var/www/html /etc/nginx").Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).ShouldBe(["/var/log/nginx/../:", "nginx"], "no other directory of the owner");
        Stop(tail, events);
    }

    [Fact]
    public void Logrotate_of_one_capsule_reaches_nginx_of_another_by_its_number_in_one_stack_and_by_a_crossing_between_two()
    {
        Adopt(trees.Bookworm, "nginx", "web", Rotation);
        AllowInitScripts("web");
        Write("web", "/etc/nginx/sites-enabled/shop", "server { listen 8080; access_log /var/log/shop/access.log; location / { return 200 shop; } }\n");
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/web/writable/upper && mkdir -p var/log/shop && chown 33:4 var/log/shop").Ok();
        _sandbox.Capsule("state", "add", "web", "/var/log/shop").Ok();
        int Logged(string log) => int.Parse(In("web", "root", $"wc -l < {log}").Ok().Out);

        // One stack: files, users, /run and the numbers of processes are one, with Debian's own configuration of logrotate for nginx.
        Adopt(trees.Bookworm, "cron", "rotate", Rotation);
        AllowInitScripts("rotate");
        _sandbox.Capsule("share", "add", "web/logs", "--path", "/var/log/nginx", "--preset", "same-machine").Ok();
        _sandbox.Capsule("share", "add", "web/nginx", "--preset", "partner", "--exec", "/usr/sbin/nginx", "--argument", "-s", "--argument", "reopen", "--run-as", "root").Ok();
        _sandbox.Capsule("link", "add", "rotate", "web/logs", "web/nginx").Ok(); // the init script that rotates does nothing where there is no nginx
        Start("rotate");
        const string Log = "/var/log/nginx/access.log", Stock = "logrotate -f -s /tmp/status /etc/logrotate.d/nginx";
        void AskUntil(int lines, string log, string url)
        {
            Ask("web", $"curl -sS '{url}' >/dev/null").Ok();
            Sandbox.Eventually(() => Logged(log) == lines, $"{lines} lines in {log}: {In("web", "root", "wc -l /var/log/nginx/*.log* /var/log/shop/*").Out}", 10);
        }
        In("rotate", "root", "cat /run/nginx.pid; cat /proc/$(cat /run/nginx.pid)/comm").Ok().Out.ShouldBe(In("web", "root", "cat /run/nginx.pid; cat /proc/$(cat /run/nginx.pid)/comm").Ok().Out, "the same process");
        Ask("web", "curl -sS 'http://127.0.0.1/[1-7]' >/dev/null").Ok();
        In("rotate", "root", Stock).Ok();
        UntilNginxHasNewLogs();
        AskUntil(3, Log, "http://127.0.0.1/[8-10]");
        Logged(Log + ".1").ShouldBe(7);

        // The same, with each its own numbers: the number is another process in the other capsule, or none, and the program is run at home.
        _sandbox.Capsule("stack", "set", "web", "--processes", "own").Ok();
        _sandbox.Capsule("stack", "stop", "web").Ok();
        Start("rotate");
        In("rotate", "root", "rm -f /var/log/nginx/access.log.*; cat /run/nginx.pid").Ok().Out.ShouldBe(In("web", "root", "cat /run/nginx.pid").Ok().Out, "the same file");
        (In("web", "root", "readlink /proc/$(cat /run/nginx.pid)/exe").Out, In("rotate", "root", "readlink /proc/$(cat /run/nginx.pid)/exe").Out is "/usr/sbin/nginx\n").ShouldBe(("/usr/sbin/nginx\n", false));
        AskUntil(8, Log, "http://127.0.0.1/[1-5]");
        In("rotate", "root", Stock).Ok(); // its init script finds no nginx of that number, and says nothing
        Ask("web", "curl -sS 'http://127.0.0.1/[6-7]' >/dev/null").Ok();
        (Logged(Log), Logged(Log + ".1"), NginxHasOldLogs()).ShouldBe((0, 10, true), "the files were renamed, and nginx does not know");
        _sandbox.Capsule("share", "add", "web/service", "--preset", "partner", "--exec", "/usr/sbin/invoke-rc.d", "--argument", "nginx", "--argument", "rotate", "--run-as", "root").Ok();
        _sandbox.Capsule("link", "add", "rotate", "web/service").Ok();
        In("rotate", "root", "invoke-rc.d nginx rotate").Ok();
        UntilNginxHasNewLogs();
        AskUntil(3, Log, "http://127.0.0.1/[8-10]");
        In("rotate", "root", Stock).Ok();
        UntilNginxHasNewLogs();
        AskUntil(1, Log, "http://127.0.0.1/11");
        In("rotate", "root", "gzip -dc /var/log/nginx/access.log.2.gz | wc -l; wc -l < /var/log/nginx/access.log.1; ls -l /var/log/nginx/access.log").Ok().Out.ShouldStartWith("10\n3\n-rw-r----- 1 www-data adm ");
        In("rotate", "root", "invoke-rc.d nginx stop").Code.ShouldBe(126, "and no other action of it");

        // Two stacks of two distributions: no root is another's. What belongs to a shared user is rotated as that user, and nginx is told by its own program.
        Adopt(trees.Trixie, "cron", "far", "--add", "/usr/sbin/logrotate");
        Write("far", "/etc/logrotate.d/shop", "/var/log/shop/*.log {\n rotate 5\n su www-data www-data\n create 0640 www-data www-data\n postrotate\n  nginx -s reopen\n endscript\n}\n");
        _sandbox.Capsule("share", "add", "web/shop", "--path", "/var/log/shop", "--preset", "partner", "--user", "www-data").Ok();
        _sandbox.Capsule("link", "add", "far", "web/shop", "web/nginx").Ok();
        Start("far");
        AskUntil(5, "/var/log/shop/access.log", "http://127.0.0.1:8080/[1-5]");
        In("far", "root", "logrotate -f -s /tmp/status /etc/logrotate.d/shop").Ok();
        UntilNginxHasNewLogs();
        AskUntil(2, "/var/log/shop/access.log", "http://127.0.0.1:8080/[6-7]");
        Logged("/var/log/shop/access.log.1").ShouldBe(5);
        In("web", "root", "ls -l /var/log/shop/access.log").Ok().Out.ShouldStartWith("-rw-r----- 1 www-data www-data ");

        // A number in a file that is shared is told beforehand.
        Adopt(trees.Bookworm, "php8.2-fpm", "php");
        Write("far", "/etc/logrotate.d/php", "/var/log/php.log {\n postrotate\n  kill -USR1 $(cat /run/php/php8.2-fpm.pid)\n endscript\n}\n");
        _sandbox.Capsule("share", "add", "php/run", "--path", "/run/php", "--preset", "partner").Ok();
        Start("php");
        _sandbox.Capsule("link", "check", "far", "php/run").Out.ShouldContain("warn  /etc/logrotate.d/php of far uses /run/php/php8.2-fpm.pid, and a signal to that number would hit another process");
    }

    private const string Dovecot23 = """
        mail_location = maildir:/var/vmail/%n
        protocols = imap lmtp
        passdb {
          driver = passwd-file
          args = username_format=%u /etc/dovecot/users
        }
        userdb {
          driver = static
          args = uid=vmail gid=vmail home=/var/vmail/%n
        }
        namespace inbox {
          inbox = yes
        }

        """;

    private const string Dovecot24 = """
        mail_driver = maildir
        mail_path = /var/vmail/%{user | username}
        protocols = imap lmtp
        passdb passwd-file {
          passwd_file_path = /etc/dovecot/users
        }
        userdb static {
          fields {
            uid = vmail
            gid = vmail
            home = /var/vmail/%{user | username}
          }
        }
        namespace inbox {
          inbox = yes
        }

        """;

    private const string DovecotForPostfix = """
        service auth {
          unix_listener /var/spool/postfix/private/auth {
            mode = 0660
            user = postfix
            group = postfix
          }
        }
        service lmtp {
          unix_listener /var/spool/postfix/private/dovecot-lmtp {
            mode = 0600
            user = postfix
            group = postfix
          }
        }

        """;

    private const string Postfix = """
        compatibility_level = 3.6
        myhostname = mail.test
        mydestination = localhost
        inet_interfaces = loopback-only
        inet_protocols = ipv4
        virtual_mailbox_domains = mail.test
        virtual_mailbox_base = /var/vmail
        virtual_mailbox_maps = inline:{ ann@mail.test=ann/, bob@mail.test=bob/ }
        virtual_uid_maps = static:1202
        virtual_gid_maps = static:1202
        virtual_transport = virtual

        """;

    /// <summary>Postfix of bookworm, and Dovecot of a tree with the mail; both as a guide for one machine has them.</summary>
    private void AdoptMail(string tree, string postfix, string dovecot)
    {
        Adopt(trees.Bookworm, "postfix", "mail", "--add", "/usr/bin/stat");
        Write("mail", "/etc/postfix/main.cf", Postfix + postfix);
        Adopt(tree, "dovecot", "imap", "--add", "/usr/bin/stat");
        Write("imap", "/etc/dovecot/conf.d/10-auth.conf", "auth_mechanisms = plain\n"); // in place of Debian's, which asks PAM
        Write("imap", "/etc/dovecot/conf.d/10-mail.conf", dovecot);
        Write("imap", "/etc/dovecot/users", "ann@mail.test:{PLAIN}secret\nbob@mail.test:{PLAIN}secret\n");
        int vmail = tree == trees.Bookworm ? 1202 : 4302;
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/imap/writable/upper && mkdir -p var/vmail && chown {vmail}:{vmail} var/vmail").Ok();
        _sandbox.Capsule("state", "add", "imap", "/var/vmail").Ok();
        _sandbox.Capsule("share", "add", "imap/mail", "--path", "/var/vmail", "--preset", "partner", "--user", "vmail").Ok();
    }

    private Result Mail(string capsule, string script, int seconds = 120) => _sandbox.Run(["nsenter", "-t", Init(capsule), "-n", "python3", "-c", MailTools + script], seconds: seconds);

    private const string MailTools = """
        import imaplib, re, smtplib, sys, threading, time
        def smtp(patience=300):
            for _ in range(patience):
                try: return smtplib.SMTP("127.0.0.1", 25, "client.test")
                except OSError: time.sleep(0.1)
        def imap(user, patience=300):
            for _ in range(patience):
                try: there = imaplib.IMAP4("127.0.0.1"); break
                except OSError: time.sleep(0.1)
            there.login(user + "@mail.test", "secret"); there.select(); return there
        def subjects(there):
            there.noop(); number = int(there.select()[1][0])
            return [re.search(rb"Subject: (\S+)", part[1])[1].decode() for part in there.fetch(f"1:{number}", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1] if isinstance(part, tuple)] if number else []
        def send(there, to, subject): there.sendmail("sender@client.test", [to + "@mail.test"], f"Subject: {subject}\r\n\r\ntext\r\n")

        """;

    [Fact]
    public void Postfix_asks_Dovecot_who_may_send_and_hands_it_mail_by_its_sockets_in_the_queue_of_one_stack()
    {
        AdoptMail(trees.Bookworm, "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\nsmtpd_sasl_auth_enable = yes\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\ntransport_maps = inline:{ bob@mail.test=lmtp:unix:private/dovecot-lmtp }\n", Dovecot23 + DovecotForPostfix);
        // Dovecot's root makes its sockets in the queue, in a directory of postfix that none but postfix and root may enter: the two need one root, so one stack.
        _sandbox.Capsule("share", "add", "mail/queue", "--path", "/var/spool/postfix", "--preset", "same-machine").Ok();
        _sandbox.Capsule("link", "add", "imap", "mail/queue", "--when-down", "degrade").Ok();
        _sandbox.Capsule("link", "add", "mail", "imap/mail").Ok();
        Start("mail");
        Mail("mail", """
            there = smtp()
            try: send(there, "ann", "unknown"); print("sent without a password")
            except smtplib.SMTPRecipientsRefused: pass
            there = smtp()
            try: there.login("ann@mail.test", "wrong"); print("logged in with a wrong password")
            except smtplib.SMTPAuthenticationError: pass
            there = smtp(); there.login("ann@mail.test", "secret")
            for user in ("ann", "bob"):
                for n in range(20): send(there, user, f"{user}{n}")
            end = time.time() + 30
            for user in ("ann", "bob"):
                while len(got := subjects(imap(user))) < 20 and time.time() < end: time.sleep(0.2)
                print(user, sorted(got) == sorted(f"{user}{n}" for n in range(20)))
            """).Ok().Out.ShouldBe("ann True\nbob True\n");
        string log = _sandbox.Capsule("logs", "mail").Ok().Out;
        log.ShouldContain("status=sent (delivered to maildir)");
        log.ShouldContain("relay=mail.test[private/dovecot-lmtp]");
        log.ShouldContain("sasl_username=ann@mail.test");
        foreach (string side in (string[])["mail", "imap"])
            In(side, "root", "stat -c '%A %U %G' /var/spool/postfix/maildrop /var/spool/postfix/public /var/spool/postfix/private/auth /var/vmail/ann/new").Ok().Out
                .ShouldBe("drwx-wx--T postfix postdrop\ndrwx--s--- postfix postdrop\nsrw-rw---- postfix postfix\ndrwx------ vmail vmail\n", side);
        // Users hand in mail by postdrop, which is set-group-id: as a command of exec, and as a program of another capsule.
        Adopt(trees.Bookworm, "cron", "jobs");
        _sandbox.Capsule("share", "add", "mail/sendmail", "--exec", "/usr/sbin/sendmail", "--user", "www-data").Ok();
        _sandbox.Capsule("link", "add", "jobs", "mail/sendmail").Ok();
        Start("jobs");
        string Drop(string subject) => $"printf 'Subject: {subject}\n\nx\n' | /usr/sbin/sendmail ann@mail.test";
        In("mail", "root", Drop("by-root")).Ok();
        In("mail", "www-data", Drop("by-exec")).Ok();
        In("jobs", "www-data", Drop("by-crossing")).Ok();
        In("jobs", "nobody", Drop("by-nobody")).Code.ShouldNotBe(0);
        In("imap", "www-data", "while read -r name value; do [ $name != NoNewPrivs: ] || echo $value; done < /proc/self/status").Ok().Out.ShouldBe("1\n", "a capsule whose package needs no such file gives no rights");
        Mail("mail", """
            got, end = [], time.time() + 30
            while len(got) < 3 and time.time() < end:
                time.sleep(0.2)
                got = sorted(s for s in subjects(imap('ann')) if s.startswith('by-'))
            print(got)
            """).Ok().Out.ShouldBe("['by-crossing', 'by-exec', 'by-root']\n");
    }

    [Fact]
    public void Postfix_of_one_distribution_delivers_into_the_Maildir_of_Dovecot_of_another_and_nothing_is_lost_or_doubled()
    {
        AdoptMail(trees.Trixie, "smtpd_relay_restrictions = reject_unauth_destination\n", Dovecot24);
        _sandbox.Capsule("link", "add", "mail", "imap/mail").Ok().Error.ShouldContain("vmail shared");
        Start("mail");
        int mails = int.Parse(Environment.GetEnvironmentVariable("CAPSULE_STRESS_MAILS") ?? "2000", CultureInfo.InvariantCulture); // of ten senders at once
        Result sent = Mail("mail", $"share = {mails / 10}\n" + """
            def some(first):
                there = smtp()
                for n in range(first, first + share): send(there, "ann", f"m{n}")
                there.quit()
            threads = [threading.Thread(target=some, args=(t * share,)) for t in range(10)]
            for t in threads: t.start()
            for t in threads: t.join()
            print("sent")
            """, seconds: 500).Ok();
        sent.Out.ShouldBe("sent\n", sent.Error);
        Mail("imap", $"mails = {mails}\n" + """
            there, end = imap("ann"), time.time() + 300
            while int(there.select()[1][0]) < mails and time.time() < end: time.sleep(0.5)
            got = subjects(there)
            print(len(got), sorted(got) == sorted(f"m{n}" for n in range(mails)))
            """, seconds: 400).Ok().Out.ShouldBe($"{mails} True\n");
        _sandbox.Capsule("logs", "mail").Ok().Out.ShouldNotContain("cross-device", Case.Insensitive);
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/imap/volumes/*vmail* && find . -not -uid 4302 -o -not -gid 4302; ls ann/tmp").Ok().Out.ShouldBeEmpty("on disk all is of Dovecot's vmail, and nothing is left half made");
        foreach (string side in (string[])["mail", "imap"]) In(side, "root", "stat -c '%U %G %a' /var/vmail/ann/cur").Ok().Out.ShouldBe("vmail vmail 700\n", side);

        // Who idles is told by an event of the file system. Without one Dovecot looks each half minute.
        const string Idle = """
            there = imap("ann")
            there.send(b"x1 IDLE\r\n"); there.readline(); print("idle", flush=True)
            for _ in range(5):
                while b"EXISTS" not in (line := there.readline()): pass
                print(time.time(), flush=True)
            """;
        using Process idle = _sandbox.Start(["bash", "-c", "exec nsenter -t $1 -n python3 -c \"$2\" > $0", _sandbox.State + "/idle", Init("imap"), MailTools + Idle]);
        Sandbox.Eventually(() => Printed("idle").Contains("idle", StringComparison.Ordinal), "it idles");
        var delays = new List<double>();
        for (int i = 1; i <= 5; i++)
        {
            Mail("mail", $"send(smtp(), 'ann', 'late{i}')").Ok();
            Sandbox.Eventually(() => Printed("idle").Split('\n').Length > i + 1, "it is told", 40);
            double there = double.Parse(_sandbox.Shell($"cd {_sandbox.Store}/capsules/imap/volumes/*vmail*/ann && stat -c %.9Z $(grep -l late{i} -r cur new | head -1)").Ok().Out, CultureInfo.InvariantCulture);
            delays.Add(double.Parse(Printed("idle").Split('\n')[i], CultureInfo.InvariantCulture) - there);
        }
        delays.Order().ElementAt(2).ShouldBeLessThan(1, $"seconds between the file and the word: {string.Join(' ', delays)}");
    }

    [Fact]
    public void Rsyslog_as_Debian_configures_it_takes_what_PHP_of_another_release_logs_and_finds_no_change_of_either_in_it()
    {
        Adopt(trees.Bookworm, "rsyslog", "log");
        Adopt(trees.Trixie, "php8.4-fpm", "blog", "--add", "/usr/bin/php8.4", "--add", "/usr/bin/logger");
        _sandbox.Capsule("share", "add", "log/syslog", "--path", "/dev/log").Ok();
        _sandbox.Capsule("link", "check", "blog", "log/syslog", "--strict").Ok().Out.ShouldContain("rsyslogd of log takes what blog logs");
        _sandbox.Capsule("link", "add", "blog", "log/syslog", "--when-down", "want").Ok();
        Start("blog");
        string Lines(string file, string word) => In("log", "root", $"grep {word} {file} | sed 's/^[^ ]* [^ ]* //'").Out;
        In("blog", "blog", "logger -p mail.err -t shop one").Ok();
        Sandbox.Eventually(() => Lines("/var/log/mail.log", "shop") == "shop: one\n", "it is in the log of its facility: " + Lines("/var/log/syslog", "shop"));

        // One process logs for all of a restart, and finds the daemon again by syslog(3).
        using Process logging = Begin("blog", "blog", """exec php8.4 -r 'openlog("shop", LOG_PID, LOG_USER); for ($n = 0; !file_exists("/tmp/enough"); $n++) { syslog(LOG_INFO, "tick $n"); echo "$n\n"; usleep(20000); }'""", "logging");
        Sandbox.Eventually(() => Lines("/var/log/syslog", "tick").Contains("tick 5\n", StringComparison.Ordinal), "it logs");
        _sandbox.Run([Sandbox.Programs + "/capsule", "restart", "log"], seconds: 120).Ok();
        int Last() => int.Parse(Printed("logging").Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1], CultureInfo.InvariantCulture);
        int after = Last() + 10;
        Sandbox.Eventually(() => Last() > after && Lines("/var/log/syslog", "tick").Contains($"tick {after}\n", StringComparison.Ordinal), "it logs there again");
        In("blog", "blog", "touch /tmp/enough").Ok();
        logging.WaitForExit(10_000).ShouldBeTrue();
        string[] lines = Lines("/var/log/syslog", "tick").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        int all = Last() + 1;
        output.WriteLine($"{all} lines were logged by one process over a restart, {lines.Length} are in the log");
        lines.Distinct().Count().ShouldBe(lines.Length, "none is doubled");
        lines.ShouldAllBe(l => l.StartsWith("shop[", StringComparison.Ordinal));
        _sandbox.Capsule("logs", "blog").Out.ShouldNotContain("tick");
    }

    [Fact]
    public void A_bus_knows_a_shared_user_of_the_same_number_and_one_of_another_number_only_when_the_client_tells_none()
    {
        foreach (var (tree, name) in ((string, string)[])[(trees.Bookworm, "bus"), (trees.Bookworm, "same"), (trees.Trixie, "other")])
            Adopt(tree, "memcached", name, "--add", "/usr/bin/dbus-send", "--add", "/usr/bin/dbus-daemon", "--add", "/usr/share/dbus-1");
        Start("bus", "same", "other");
        In("bus", "root", "mkdir /run/dbus").Ok();
        _sandbox.Capsule("exec", "-d", "bus", "dbus-daemon", "--system", "--nofork", "--nopidfile", "--address=unix:path=/run/dbus/system_bus_socket").Ok(); // Debian's unit gets the socket from systemd
        Sandbox.Eventually(() => In("bus", "root", "test -S /run/dbus/system_bus_socket").Code == 0, "it listens");
        _sandbox.Capsule("stop", "same", "other").Ok();
        _sandbox.Capsule("share", "add", "bus/system", "--path", "/run/dbus", "--preset", "client", "--user", "blog").Ok();
        _sandbox.Capsule("link", "check", "same", "bus/system", "--strict").Ok().Out.ShouldContain("blog of same is known to the D-Bus of bus as blog");
        _sandbox.Capsule("link", "check", "other", "bus/system").Out.ShouldContain("the D-Bus of bus refuses programs with libdbus as blog of other: they tell 4301, and the kernel 1201");
        foreach (string user in (string[])["same", "other"]) _sandbox.Capsule("link", "add", user, "bus/system").Ok();
        Start("same", "other");
        const string Ask = "dbus-send --system --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.GetId 2>&1";
        In("same", "blog", Ask).Ok().Out.ShouldContain("method return");
        foreach (var (capsule, user) in ((string, string)[])[("same", "root"), ("same", "spare"), ("other", "blog"), ("other", "root"), ("other", "1201")])
            In(capsule, user, Ask).Code.ShouldBe(1, $"{user} of {capsule}");

        // As sd-bus does: the kernel alone tells who it is. Then the bus is asked whom it knows.
        const string Client = """
            def text(t): return struct.pack("<I", len(t)) + t + b"\0"
            def say(line): f.write(line + b"\r\n"); f.flush(); return f.readline().strip()
            def call(serial, member, argument=None):
                fields = b""
                for code, kind, value in [(1, b"o", text(b"/org/freedesktop/DBus")), (2, b"s", text(b"org.freedesktop.DBus")), (3, b"s", text(member)), (6, b"s", text(b"org.freedesktop.DBus"))] + ([(8, b"g", b"\1s\0")] if argument else []):
                    fields += b"\0" * (-len(fields) % 8) + bytes([code, 1]) + kind + b"\0" + value
                body = text(argument) if argument else b""
                head = b"l\1\0\1" + struct.pack("<III", len(body), serial, len(fields)) + fields
                f.write(head + b"\0" * (-len(head) % 8) + body); f.flush()
                while True:
                    start = f.read(16); size, _, more = struct.unpack("<III", start[4:]); f.read(more + -more % 8); body = f.read(size)
                    if start[1] != 4: return body
            s = socket.socket(socket.AF_UNIX); s.connect("/run/dbus/system_bus_socket"); f = s.makefile("rwb")
            f.write(b"\0"); say(b"AUTH EXTERNAL"); print(say(b"DATA").split()[0].decode())
            f.write(b"BEGIN\r\n"); f.flush()
            name = call(1, b"Hello")[4:-1]
            print(*struct.unpack("<I", call(2, b"GetConnectionUnixUser", name)))
            """;
        Result As(string capsule, uint number) => _sandbox.Run(["python3", "-c", Inside.As(Init(capsule), number, number) + Client]);
        As("other", 4301).Ok().Out.ShouldBe("OK\n1201\n", "the owner's number of the shared user");
        As("same", 1201).Ok().Out.ShouldBe("OK\n1201\n");
        As("other", 4303).Ok().Out.ShouldBe("OK\n65534\n", "who is not shared is nobody");
    }

    [Fact]
    public void A_stack_of_three_servers_answers_writes_and_logs_as_linked_capsules_what_it_does_in_one_root()
    {
        string[] pod = File.Exists("/usr/bin/podman") ? ["--pod"] : [];
        Result result = _sandbox.Run(["env", $"PATH={Sandbox.Programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "python3", trees.Folder + "/equivalence", trees.Bookworm, _sandbox.State + "/equivalence", .. pod], seconds: 300);
        TestContext.Current.TestOutputHelper?.WriteLine(result.Out);
        result.Code.ShouldBe(0, result.Out + result.Error);
        result.Out.ShouldContain("stack: 0 differences");
    }

    /// <summary>Trees of both distributions, made once and kept.</summary>
    public sealed class Trees
    {
        public Trees()
        {
            string cache = Environment.GetEnvironmentVariable("CAPSULE_TEST_CACHE") ?? "/var/tmp/capsule-test-cache", folder = JourneyTests.SourceTree.FindFolder();
            Directory.CreateDirectory(cache);
            (Bookworm, Trixie) = (cache + "/linked-bookworm", cache + "/linked-trixie");
            JourneyTests.SourceTree.Make([folder + "/prepare-linked", "bookworm", Bookworm, cache]);
            JourneyTests.SourceTree.Make([folder + "/prepare-linked", "trixie", Trixie, cache]);
            Folder = folder;
        }

        /// <summary>Debian bookworm: `blog` is 1201, `vmail` 1202.</summary>
        public string Bookworm { get; }
        /// <summary>Debian trixie: `blog` is 4301, `vmail` 4302, and users of packages have other numbers as well.</summary>
        public string Trixie { get; }
        /// <summary>tests/journeys.</summary>
        public string Folder { get; }
    }
}
