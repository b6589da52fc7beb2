using System.Diagnostics;
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
