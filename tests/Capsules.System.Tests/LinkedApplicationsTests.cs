using System.Diagnostics;
using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>
/// Stacks of real applications in linked capsules, as Debian configures them. Those that use are of Debian trixie and those that are used of bookworm, in which users have other
/// numbers; where one numbering is what is tried, both are of bookworm.
/// </summary>
public sealed class LinkedApplicationsTests(LinkedApplicationsTests.Trees trees) : IClassFixture<LinkedApplicationsTests.Trees>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private void Adopt(string tree, string application, string name, params string[] more) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", application, "--root", tree, "--name", name, .. more], seconds: 180).Ok();

    private Result In(string capsule, string user, string script, int seconds = 60) => _sandbox.Run([Sandbox.Programs + "/capsule", "exec", "--user", user, capsule, "sh", "-c", script], seconds: seconds);

    /// <summary>Runs what goes on while a test does something else. What it prints is in the file of that name in the sandbox's directory.</summary>
    private Process Begin(string capsule, string user, string script, string output) =>
        _sandbox.Start(["bash", "-c", "exec \"$@\" >\"$0\" 2>&1", $"{_sandbox.State}/{output}", Sandbox.Programs + "/capsule", "exec", "--user", user, capsule, "sh", "-c", script]);

    private string Printed(string output) => File.Exists($"{_sandbox.State}/{output}") ? File.ReadAllText($"{_sandbox.State}/{output}") : "";

    /// <summary>Asks in a capsule's own network, from outside.</summary>
    private Result Ask(string capsule, string script, int seconds = 60) =>
        _sandbox.Run(["nsenter", "-t", JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText(), "-n", "bash", "-c", script], seconds: seconds);

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
        _sandbox.Capsule("share", "add", "db/tools", "--preset", "partner", "--exec", "/usr/bin/mariadb-dump", "--user", "blog").Ok();
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
