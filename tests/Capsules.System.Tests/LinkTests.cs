using System.Diagnostics;
using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Links between capsules of one small system each, with different numbers for their users.</summary>
public sealed class LinkTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done";

    private Result Share(params string[] words) => _sandbox.Capsule(["share", "add", .. words]);

    private Result Link(params string[] words) => _sandbox.Capsule(["link", "add", .. words]);

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private Result As(string user, string capsule, string script) => _sandbox.Capsule("exec", "--user", user, capsule, "sh", "-c", script);

    private string StateOf(string capsule) => JsonDocument.Parse(_sandbox.Capsule("link", "list", capsule, "--json").Ok().Out).RootElement.GetProperty("links").EnumerateArray().Single().GetProperty("state").GetString()!;

    /// <summary>An owner with data of a user `shop` (998), and one who uses it, in which `web` is 33.</summary>
    private void MakeTwo(string ownerScript = Idle)
    {
        BusyBox.MakeCapsule(_sandbox, "db", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script(ownerScript));
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, "db", "shop", 998);
        BusyBox.SetUser(_sandbox, "app", "web", 33);
        Directory.CreateDirectory($"{_sandbox.Store}/capsules/db/volumes/data/in");
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/db/volumes/data; echo one > in/file; chown -R 998:998 in; chmod 700 in; chmod 755 .; chown 998:998 .").Ok();
    }

    [Fact]
    public void A_shared_user_reads_and_writes_the_owners_files_under_its_own_number_and_others_do_not()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        Link("app", "db/data", "--as", "web=shop").Ok().Error.ShouldContain("web is db's shop");
        _sandbox.Capsule("start", "app").Ok();
        _sandbox.Capsule("status", "db").Code.ShouldBe(0, "what it requires was started first");
        StateOf("app").ShouldBe("live");

        As("web", "app", "cat /var/lib/shop/in/file; stat -c %u:%g:%a /var/lib/shop/in; echo two > /var/lib/shop/in/two").Ok().Out.ShouldBe("one\n33:33:700\n");
        In("db", "cat /var/lib/shop/in/two; stat -c %u:%g /var/lib/shop/in/two").Ok().Out.ShouldBe("two\n998:998\n");
        _sandbox.Shell($"stat -c %u {_sandbox.Store}/capsules/db/volumes/data/in/two").Out.ShouldBe("998\n", "on disk it is the owner's");
        As("12", "app", "cat /var/lib/shop/in/file").Error.ShouldContain("Permission denied");
        In("app", "ls /var/lib/shop/in").Ok(); // the root of one may override what a shared user may not: it can become him
        In("app", "touch /var/lib/shop/of-root").Code.ShouldNotBe(0, "its root is nobody there");
        In("app", "cat /proc/self/uid_map").Out.Split('\n').ShouldContain(l => l.Trim().StartsWith("33 ", StringComparison.Ordinal) && l.TrimEnd().EndsWith(" 1", StringComparison.Ordinal));

        // The same inode: locks, events and renames are one.
        In("db", "mv /var/lib/shop/in/two /var/lib/shop/in/three; chmod 755 /var/lib/shop/in").Ok();
        In("app", "cat /var/lib/shop/in/three").Ok().Out.ShouldBe("two\n");
    }

    [Fact]
    public void Only_what_is_offered_is_seen_and_a_reader_cannot_write_whatever_its_root_does()
    {
        MakeTwo();
        Link("app", "db/data").Code.ShouldBe(3);
        Share("db/data", "--path", "/var/lib/shop").Ok();
        Link("app", "db/data", "--preset", "partner").Error.ShouldContain("CAP4106");
        Link("app", "db/data").Ok();
        _sandbox.Capsule("start", "app").Ok();
        _sandbox.Shell($"chmod -R a+rwX {_sandbox.Store}/capsules/db/volumes/data").Ok();
        In("app", "cat /var/lib/shop/in/file; stat -c %u /var/lib/shop/in/file").Ok().Out.ShouldBe("one\n65534\n", "nobody is shared");
        foreach (string attack in (string[])["echo x > /var/lib/shop/in/file", "touch /var/lib/shop/new", "mount -o remount,rw,bind /var/lib/shop && touch /var/lib/shop/new", "umount /var/lib/shop && ls /var/lib/shop/in", "rm -r /var/lib/shop/in", "mknod /var/lib/shop/sda b 8 0"])
            In("app", attack).Code.ShouldNotBe(0, attack);
        // With all rights in its own namespaces: a root that makes mount namespaces as it likes.
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "app").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        Result inside = _sandbox.Shell($"nsenter -t {init} -U -m -p -S 0 -G 0 /bin/sh -c 'mount -o remount,rw,bind /var/lib/shop; umount /var/lib/shop; echo x > /var/lib/shop/in/file'");
        inside.Code.ShouldNotBe(0);
        inside.Error.ShouldContain("ermission denied");
        In("db", "cat /var/lib/shop/in/file").Out.ShouldBe("one\n");
        _sandbox.Capsule("share", "rm", "db/data").Error.ShouldContain("CAP4109");
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Capsule("rm", "db").Error.ShouldContain("CAP4109");
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        _sandbox.Capsule("share", "rm", "db/data").Ok();
        _sandbox.Capsule("share", "list", "--json").Ok().Out.ShouldNotContain("db");
    }

    [Fact]
    public void A_link_comes_into_a_running_capsule_reaches_all_its_mount_namespaces_and_goes_again()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "app").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        // A process of the capsule in a mount namespace of its own.
        _sandbox.Shell($"nsenter -t {init} -U -m -p -S 0 -G 0 /bin/busybox unshare -m --propagation slave /bin/busybox sleep 600 >/dev/null 2>&1 & sleep 0.5").Ok();
        string other = _sandbox.Shell($"for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' < $p/cmdline)\" = '/bin/busybox sleep 600 ' ] && basename $p; done | tail -1").Out.Trim();
        string Seen() => _sandbox.Shell($"cat /proc/{other}/root/var/lib/shop/in/file 2>&1").Out;
        Seen().ShouldContain("No such file");

        _sandbox.Shell($"chmod -R a+rX {_sandbox.Store}/capsules/db/volumes/data").Ok();
        Link("app", "db/data").Ok();
        In("app", "cat /var/lib/shop/in/file").Ok().Out.ShouldBe("one\n");
        Seen().ShouldBe("one\n");
        // What has it open keeps it; whoever looks again sees nothing.
        _sandbox.Capsule("exec", "-d", "app", "sh", "-c", "exec 7< /var/lib/shop/in/file; touch /tmp/opened; sleep 300").Ok();
        Sandbox.Eventually(() => In("app", "test -e /tmp/opened").Code == 0, "it is open");
        _sandbox.Capsule("link", "rm", "app", "db/data").Ok().Error.ShouldContain("still has it open: fd 7");
        Seen().ShouldContain("No such file");
        In("app", "ls /var/lib/shop").Code.ShouldNotBe(0, "what it was mounted on went with it");
        _sandbox.Shell($"grep -c shop /proc/{init}/mountinfo").Out.ShouldBe("0\n");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_socket_in_run_outlives_the_restart_of_its_owner_and_is_there_when_the_owner_comes_later()
    {
        MakeTwo("mkdir -p /run/shop; rm -f /run/shop/s; cat /proc/sys/kernel/random/uuid > /run/shop/id; " + Idle);
        Share("db/socket", "--path", "/run/shop", "--preset", "client").Ok();
        Link("app", "db/socket", "--when-down", "degrade").Ok();
        _sandbox.Capsule("start", "app").Ok().Error.ShouldContain("CAP4121");
        StateOf("app").ShouldBe("waiting");
        _sandbox.Capsule("start", "db").Ok();
        Sandbox.Eventually(() => StateOf("app") == "live" || _sandbox.Capsule("restart", "db").Code != 0, "it comes with its owner");
        string Id() => In("app", "cat /run/shop/id").Out;
        Sandbox.Eventually(() => Id().Length > 30, "the owner's file");
        string before = Id();
        _sandbox.Capsule("restart", "db").Ok();
        Sandbox.Eventually(() => Id() is { Length: > 30 } now && now != before, "the same directory, with what the owner makes anew");
        _sandbox.Capsule("stop", "db").Ok();
        Id().Length.ShouldBeGreaterThan(30, "as on one machine, what a stopped service left in /run stays");
        _sandbox.Capsule("doctor").Out.ShouldNotContain("stack `db`");
        _sandbox.Capsule("start", "db").Ok();
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void What_an_owner_shows_of_its_software_is_swapped_beneath_when_it_restarts_without_a_moment_in_which_it_is_not_there()
    {
        MakeTwo();
        string site = $"{_sandbox.Store}/capsules/db/writable/upper/srv/www";
        Directory.CreateDirectory(site);
        File.WriteAllText(site + "/index", "first\n");
        Share("db/site", "--path", "/srv/www").Ok();
        Share("db/rw", "--path", "/srv/www", "--preset", "partner").Error.ShouldContain("capsule state add db /srv/www");
        Link("app", "db/site", "--when-down", "want").Ok();
        _sandbox.Capsule("start", "app").Ok();
        string Device() => In("app", "stat -c %d /srv/www").Ok().Out;
        string before = Device();
        using var reader = _sandbox.Start([Sandbox.Programs + "/capsule", "exec", "app", "sh", "-c", "n=0; until [ -e /tmp/end ]; do cat /srv/www/index > /tmp/last || exit 9; n=$((n+1)); done; echo $n"]);
        In("db", "echo second > /srv/www/index").Ok();
        _sandbox.Capsule("restart", "db").Ok();
        Device().ShouldNotBe(before, "it is the owner's new root that is seen");
        In("app", "touch /tmp/end").Ok();
        string counted = reader.StandardOutput.ReadToEnd();
        reader.WaitForExit(30_000).ShouldBeTrue();
        reader.ExitCode.ShouldBe(0, reader.StandardError.ReadToEnd());
        int.Parse(counted).ShouldBeGreaterThan(5);
        In("app", "cat /srv/www/index").Out.ShouldBe("second\n");
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "app").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        _sandbox.Shell($"grep -c ' /srv/www ' /proc/{init}/mountinfo").Out.ShouldBe("1\n", "the old one is gone");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Many_attaches_and_detaches_under_load_leave_nothing()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop").Ok();
        _sandbox.Shell($"chmod -R a+rX {_sandbox.Store}/capsules/db/volumes/data").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        _sandbox.Capsule("exec", "-d", "app", "sh", "-c", "while :; do cat /var/lib/shop/in/file; done >/dev/null 2>&1").Ok();
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "app").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        string Mounts() => _sandbox.Shell($"wc -l < /proc/{init}/mountinfo; wc -l < /proc/self/mountinfo").Out;
        string before = Mounts();
        int times = int.TryParse(Environment.GetEnvironmentVariable("CAPSULE_STRESS_LINKS"), out int asked) ? asked : 60;
        _sandbox.Shell($"""
            set -e
            for i in $(seq {times}); do {Sandbox.Programs}/capsule link add app db/data 2>/dev/null >&2; {Sandbox.Programs}/capsule exec app cat /var/lib/shop/in/file > {_sandbox.State}/seen; grep -qx one {_sandbox.State}/seen; {Sandbox.Programs}/capsule link rm app db 2>/dev/null; done
            """, seconds: 1200).Ok();
        Mounts().ShouldBe(before);
        _sandbox.Capsule("diff", "app").Ok().Out.ShouldNotContain("/var/lib/shop", customMessage: "what it was mounted on is gone");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void On_the_same_machine_loopback_numbers_of_users_and_run_are_one()
    {
        MakeTwo("mkdir -p /run/shop; echo here > /run/shop/id; " + Idle);
        Share("db/all", "--path", "/var/lib/shop", "--preset", "same-machine").Ok();
        _sandbox.Capsule("start", "app").Ok();
        Link("app", "db/all", "--preset", "same-machine").Error.ShouldContain("CAP5009");
        _sandbox.Capsule("stop", "app").Ok();
        Link("app", "db/all").Ok();
        _sandbox.Capsule("start", "app").Ok();
        string Space(string capsule, string kind) => In(capsule, $"readlink /proc/self/ns/{kind}").Ok().Out;
        foreach (string kind in (string[])["net", "ipc", "uts", "user"]) Space("app", kind).ShouldBe(Space("db", kind));
        Sandbox.Eventually(() => In("app", "cat /run/shop/id").Out == "here\n", "one /run");
        In("app", "touch /var/lib/shop/by-root && stat -c %u /var/lib/shop/in").Ok().Out.ShouldBe("998\n", "one numbering, and its root is root of both");
        Directory.Exists($"{_sandbox.Store}/stacks/app").ShouldBeFalse("its own identity is nobody's");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        _sandbox.Capsule("start", "app", "db").Ok();
        Space("app", "net").ShouldNotBe(Space("db", "net"));
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_link_that_cannot_be_made_whole_leaves_nothing_in_a_capsule_that_runs()
    {
        MakeTwo();
        string upper = $"{_sandbox.Store}/capsules/db/writable/upper/usr/bin";
        Directory.CreateDirectory(upper);
        File.WriteAllText(upper + "/tool", "#!/bin/sh\necho of db\n", new global::System.Text.UTF8Encoding(false));
        File.SetUnixFileMode(upper + "/tool", (UnixFileMode)0x1ED);
        Share("db/all", "--path", "/var/lib/shop", "--exec", "/usr/bin/tool", "--preset", "partner", "--run-as", "shop").Ok();
        _sandbox.Capsule("start", "db", "app").Ok();
        // Whoever passes programs on cannot be asked: its bell is no pipe.
        string bell = $"{_sandbox.RunDirectory}/crossings";
        _sandbox.Shell($"rm -f {bell}; mkdir {bell}").Ok();
        Link("app", "db/all").Code.ShouldNotBe(0);
        _sandbox.Capsule("link", "list", "--json").Ok().Out.ShouldNotContain("db/all");
        In("app", "ls /var/lib/shop").Error.ShouldContain("No such file", customMessage: "the directory was attached before");
        In("app", "ls /usr/bin/tool").Code.ShouldNotBe(0);
        _sandbox.Shell($"rmdir {bell}").Ok();
        Link("app", "db/all").Ok();
        In("app", "tool").Ok().Out.ShouldBe("of db\n");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("/var/lib/shop", "/var/lib/shop/in/mutex")]
    [InlineData("/dev/shm", "/dev/shm/mutex")]
    public void A_robust_mutex_is_had_of_the_dead_whichever_of_the_two_capsules_they_were_of(string shared, string mutex)
    {
        MakeTwo();
        string program = AppContext.BaseDirectory + "/mutex";
        using (Process compiler = Process.Start("gcc", ["-O1", "-static", "-pthread", "-o", program, program + ".c"]))
        {
            compiler.WaitForExit();
            compiler.ExitCode.ShouldBe(0);
        }
        foreach (string capsule in (string[])["db", "app"])
        {
            Directory.CreateDirectory($"{_sandbox.Store}/capsules/{capsule}/writable/upper/usr/bin");
            File.Copy(program, $"{_sandbox.Store}/capsules/{capsule}/writable/upper/usr/bin/mutex");
        }
        Share("db/data", "--path", shared, "--preset", "partner", "--user", "shop").Ok();
        Link("app", "db/data", "--as", "web=shop").Ok();
        _sandbox.Capsule("start", "app").Ok();
        (string Capsule, string User) owner = ("db", "shop"), user = ("app", "web");
        As(owner.User, owner.Capsule, $"/usr/bin/mutex init {mutex}").Ok();
        Process Begin((string Capsule, string User) who, string word, string output) =>
            _sandbox.Start(["bash", "-c", "exec \"$@\" > $0", $"{_sandbox.State}/{output}", Sandbox.Programs + "/capsule", "exec", "--user", who.User, who.Capsule, "/usr/bin/mutex", word, mutex]);
        string Printed(string output) => File.Exists($"{_sandbox.State}/{output}") ? File.ReadAllText($"{_sandbox.State}/{output}") : "";
        foreach (var (dies, waits) in (((string, string), (string, string))[])[(user, owner), (owner, user)])
        {
            using Process holder = Begin(dies, "hold", "holder");
            Sandbox.Eventually(() => Printed("holder") == "asks\nhad it\n", "it has it");
            using Process waiter = Begin(waits, "lock", "waiter");
            Sandbox.Eventually(() => Printed("waiter") == "asks\n", "it asks");
            Thread.Sleep(300);
            Printed("waiter").ShouldBe("asks\n", "it is held");
            string pid = _sandbox.Shell($"for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' < $p/cmdline 2>/dev/null)\" = '/usr/bin/mutex hold {mutex} ' ] && basename $p; done; true").Out.Trim();
            _sandbox.Shell($"kill -9 {pid}").Ok();
            Sandbox.Eventually(() => Printed("waiter") == "asks\nhad it of the dead\n", $"{dies} is dead, {waits} has it: {Printed("waiter")}");
            waiter.WaitForExit(10_000).ShouldBeTrue();
            holder.WaitForExit(10_000).ShouldBeTrue();
            As(dies.Item2, dies.Item1, $"/usr/bin/mutex lock {mutex}").Ok().Out.ShouldBe("asks\nhad it\n", "it is made consistent, and free");
            foreach (string file in (string[])["holder", "waiter"]) File.Delete($"{_sandbox.State}/{file}");
        }
    }

    [Fact]
    public void Shared_memory_of_another_stack_comes_and_goes_while_both_run_and_outlives_its_owners_restart()
    {
        MakeTwo();
        BusyBox.MakeCapsule(_sandbox, "third", null, BusyBox.Script(Idle));
        Share("db/memory", "--path", "/dev/shm", "--preset", "reader").Error.ShouldContain("partner");
        Share("db/memory", "--path", "/dev/shm", "--user", "shop").Ok();
        _sandbox.Capsule("start", "db", "app", "third").Ok();
        As("shop", "db", "echo of-db > /dev/shm/sem.jobs; chmod 600 /dev/shm/sem.jobs").Ok();
        As("web", "app", "echo own > /dev/shm/own").Ok();
        Link("app", "db/memory", "--as", "web=shop", "--plan").Ok().Out.ShouldContain("/dev/shm of app is that of db");
        _sandbox.Capsule("link", "list", "app", "--json").Ok().Out.ShouldNotContain("db/memory");
        Link("app", "db/memory", "--as", "web=shop", "--when-down", "degrade").Ok();
        _sandbox.Capsule("restart", "app").Ok(); // the numbers of its users count from now on
        StateOf("app").ShouldBe("live");
        As("web", "app", "cat /dev/shm/sem.jobs; echo of-app >> /dev/shm/sem.jobs; stat -c %u /dev/shm/sem.jobs; ls /dev/shm").Ok().Out.ShouldBe("of-db\n33\nsem.jobs\n");
        As("shop", "db", "cat /dev/shm/sem.jobs").Ok().Out.ShouldBe("of-db\nof-app\n");
        As("12", "app", "cat /dev/shm/sem.jobs").Code.ShouldNotBe(0);
        As("12", "app", "echo its > /dev/shm/its; stat -c %u /dev/shm/its").Ok().Out.ShouldBe("12\n", "its other users have theirs there, too");
        In("db", "stat -c %u /dev/shm/its").Out.ShouldBe("65534\n");
        As("12", "app", "rm -f /dev/shm/sem.jobs; mv /dev/shm/sem.jobs /dev/shm/x").Code.ShouldNotBe(0, "the directory is sticky");
        In("third", "ls /dev/shm").Ok().Out.ShouldBe("");
        _sandbox.Capsule("why", "app", "/dev/shm/sem.jobs").Ok().Out.ShouldContain("db/memory");

        // A restart of the owner, and of its stack with it.
        _sandbox.Capsule("restart", "db").Ok();
        As("web", "app", "cat /dev/shm/sem.jobs").Ok().Out.ShouldBe("of-db\nof-app\n");
        As("shop", "db", "echo again >> /dev/shm/sem.jobs").Ok();
        As("web", "app", "tail -n 1 /dev/shm/sem.jobs").Ok().Out.ShouldBe("again\n");
        StateOf("app").ShouldBe("live");

        // There is one; it goes while both run, and comes back.
        Share("third/memory", "--path", "/dev/shm").Ok();
        Link("app", "third/memory").Error.ShouldContain("app has the shared memory of db already");
        _sandbox.Capsule("link", "rm", "app", "db/memory").Ok();
        In("app", "ls /dev/shm").Ok().Out.ShouldBe("");
        In("app", "grep -c ' /dev/shm ' /proc/self/mounts").Out.ShouldBe("1\n");
        _sandbox.Capsule("stop", "db").Ok();
        Link("app", "db/memory", "--as", "web=shop", "--when-down", "degrade").Ok().Error.ShouldContain("CAP4121");
        _sandbox.Capsule("start", "db").Ok();
        As("shop", "db", "echo new > /dev/shm/new").Ok();
        As("web", "app", "cat /dev/shm/new").Ok().Out.ShouldBe("new\n", "it comes with the owner");
        _sandbox.Capsule("stop", "db", "app", "third").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void File_capabilities_count_at_home_and_through_no_link()
    {
        var pair = new LinkedPair(_sandbox);
        pair.Make("home", 500, null, BusyBox.Script(Idle) with { NoNewPrivileges = false });
        pair.Make("guest", 600, null, BusyBox.Script(Idle) with { NoNewPrivileges = false });
        string file = $"{pair.TreeOf("home")}/usr/lib/tools/busybox";
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.Copy("/bin/busybox", file);
        // CAP_CHOWN, permitted and effective: struct vfs_cap_data of version 2.
        _sandbox.Run(["python3", "-c", "import os, struct, sys; os.setxattr(sys.argv[1], 'security.capability', struct.pack('<5I', 0x02000001, 1, 0, 0, 0))", file]).Ok();
        Share("home/tools", "--path", "/usr/lib/tools").Ok();
        Link("guest", "home/tools", "--merge").Ok();
        _sandbox.Capsule("start", "home", "guest").Ok();
        string Capabilities(string capsule, string program) => As("web", capsule, $"{program} grep CapEff /proc/self/status").Ok().Out.Split('\t')[^1];
        Capabilities("home", "/usr/lib/tools/busybox").ShouldBe("0000000000000001\n", "at home it counts");
        Capabilities("guest", "/usr/lib/tools/busybox").ShouldBe("0000000000000000\n", "links are nosuid");
        Capabilities("guest", "/bin/busybox").ShouldBe("0000000000000000\n");
    }

    [Fact]
    public void A_service_tells_a_supervisor_of_another_capsule_by_NOTIFY_SOCKET_who_sees_it_as_the_shared_user()
    {
        MakeTwo("mkdir -p /run/shop; chown 998 /run/shop; " + Idle);
        Share("db/notify", "--path", "/run/shop", "--preset", "client", "--user", "shop").Ok();
        Link("app", "db/notify", "--as", "web=shop").Ok();
        _sandbox.Capsule("start", "app").Ok();
        string Init(string capsule) => JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        string received = _sandbox.State + "/received";
        string Received() => File.Exists(received) ? File.ReadAllText(received) : "";
        using Process supervisor = _sandbox.Start(["bash", "-c", "exec python3 -c \"$1\" > $0", received, Inside.As(Init("db"), 998, 998) + Inside.Receiver("/run/shop/notify", 4)]);
        Sandbox.Eventually(() => Received() == "ready\n", "it is there");
        // sd_notify(3), and once with the credentials written down, as libsystemd does where it can.
        const string Notify = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/shop/notify'); s.sendall(b'READY=1')\n";
        _sandbox.Run(["python3", "-c", Inside.As(Init("app"), 33, 33) + Notify]).Ok();
        _sandbox.Run(["python3", "-c", Inside.As(Init("app"), 33, 33) + "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/shop/notify'); s.sendmsg([b'STATUS=up'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack('3i', os.getpid(), 33, 33))])"]).Ok();
        _sandbox.Run(["python3", "-c", Inside.As(Init("app"), 12, 12) + Notify]).Ok();
        Sandbox.Eventually(() => Received().Split('\n').Length > 4, Received());
        Received().ShouldBe("ready\nREADY=1 0 998 998\nSTATUS=up 0 998 998\nREADY=1 0 65534 65534\n");
        // Nobody tells in another's name: the kernel refuses numbers that are not the sender's.
        _sandbox.Run(["python3", "-c", Inside.As(Init("app"), 33, 33) + "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/shop/notify'); s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack('3i', os.getpid(), 0, 0))])"]).Error.ShouldContain("Operation not permitted");
    }

    [Fact]
    public void One_owner_takes_the_place_of_another_beneath_a_reader_and_back_when_it_cannot()
    {
        MakeTwo();
        BusyBox.MakeCapsule(_sandbox, "new", m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/shop") }] }, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, "new", "shop", 500);
        _sandbox.Shell($"mkdir -p {_sandbox.Store}/capsules/new/volumes/data/in; echo newer > {_sandbox.Store}/capsules/new/volumes/data/in/file; chmod -R a+rX {_sandbox.Store}/capsules/*/volumes/data").Ok();
        Share("db/data", "--path", "/var/lib/shop").Ok();
        Share("new/data", "--path", "/var/lib/shop").Ok();
        Share("new/other", "--path", "/var/lib/shop/in").Ok();
        Link("app", "db/data").Ok();
        Link("app", "new/data").Error.ShouldContain("CAP4150", customMessage: "one path cannot show two");
        _sandbox.Capsule("start", "app", "new").Ok();
        Result Swap(params string[] words) => _sandbox.Capsule(["link", "swap", "app", .. words]);
        Swap("db/data", "new/other").Error.ShouldContain("CAP4116");
        Swap("new/data", "db/data").Error.ShouldContain("CAP4105");
        JsonDocument plan = JsonDocument.Parse(Swap("db/data", "new/data", "--plan", "--json").Ok().Out);
        JsonElement step = plan.RootElement.GetProperty("steps").EnumerateArray().Single();
        (step.GetProperty("act").GetString(), step.GetProperty("when").GetString()).ShouldBe(("swap", "now"));
        In("app", "cat /var/lib/shop/in/file").Out.ShouldBe("one\n", "a plan changes nothing");

        using var reader = _sandbox.Start([Sandbox.Programs + "/capsule", "exec", "app", "sh", "-c", "exec 7< /var/lib/shop/in/file; touch /tmp/reads; until [ -e /tmp/end ]; do cat /var/lib/shop/in/file > /tmp/last || exit 9; done; cat <&7"]);
        Sandbox.Eventually(() => In("app", "test -e /tmp/reads").Code == 0, "it reads");
        for (int i = 0; i < 10; i++)
        {
            Result swapped = Swap("db/data", "new/data").Ok();
            if (i == 0) swapped.Error.ShouldContain("still has it open: fd 7"); // later on it is of no link any more
            In("app", "cat /var/lib/shop/in/file").Out.ShouldBe("newer\n");
            Swap("new/data", "db/data").Ok();
            In("app", "cat /var/lib/shop/in/file").Out.ShouldBe("one\n");
        }
        // Who does not offer it now takes nobody's place.
        BusyBox.MakeCapsule(_sandbox, "late", null, BusyBox.Script(Idle));
        Share("late/data", "--path", "/var/lib/shop").Ok();
        _sandbox.Capsule("start", "late").Ok();
        Result late = Swap("db/data", "late/data");
        late.Code.ShouldNotBe(0);
        In("app", "cat /var/lib/shop/in/file").Out.ShouldBe("one\n", late.Error);
        StateOf("app").ShouldBe("live");
        In("app", "touch /tmp/end").Ok();
        reader.StandardOutput.ReadToEnd().ShouldBe("one\n", "what was open stays the old one's");
        reader.WaitForExit(30_000).ShouldBeTrue();
        reader.ExitCode.ShouldBe(0, reader.StandardError.ReadToEnd());
        Swap("db/data", "new/data").Ok();
        _sandbox.Capsule("status", "db").Code.ShouldBe(0);
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Capsule("status", "app").Code.ShouldBe(0, "it does not need the old owner any more");
        _sandbox.Capsule("share", "rm", "db/data").Ok();
        _sandbox.Capsule("stop", "app", "new", "late").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_plan_says_what_a_link_does_and_changes_nothing()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop", "--plan").Ok().Out.ShouldContain("db offers /var/lib/shop to be read and written");
        _sandbox.Capsule("share", "list").Ok().Out.Trim().ShouldBeEmpty();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        string[] add = ["app", "db/data", "--as", "web=shop"];
        (string, string)[] Steps(params string[] words) => [.. JsonDocument.Parse(_sandbox.Capsule([.. words, "--plan", "--json"]).Ok().Out).RootElement.GetProperty("steps").EnumerateArray().Select(s => (s.GetProperty("act").GetString()!, s.GetProperty("when").GetString()!))];
        Steps(["link", "add", .. add]).ShouldBe([("share-user", "next-start"), ("attach", "next-start")]);
        _sandbox.Capsule("start", "app").Ok();
        Steps(["link", "add", .. add]).ShouldBe([("share-user", "next-start"), ("attach", "with-owner")]);
        _sandbox.Capsule("start", "db").Ok();
        Steps(["link", "add", .. add]).ShouldBe([("share-user", "next-start"), ("attach", "now")]);
        _sandbox.Capsule("link", "list").Ok().Out.Trim().ShouldBeEmpty();
        Link(add).Ok();
        In("app", "ls /var/lib/shop").Ok();
        _sandbox.Capsule("exec", "-d", "app", "sh", "-c", "cd /var/lib/shop; touch /tmp/there; sleep 300").Ok();
        Sandbox.Eventually(() => In("app", "test -e /tmp/there").Code == 0, "it is there");
        Result remove = _sandbox.Capsule("link", "rm", "app", "db", "--plan").Ok();
        remove.Out.ShouldBe("/var/lib/shop is seen in app no more\n");
        remove.Error.ShouldContain("has it open: cwd");
        StateOf("app").ShouldBe("live");
        _sandbox.Capsule("share", "rm", "db/data", "--plan").Error.ShouldContain("CAP4109");
        _sandbox.Capsule("stop", "app", "db").Ok();
    }

    [Fact]
    public void Capsules_of_one_source_that_need_each_other_become_one_stack_or_get_links()
    {
        SourceDescription source = new("Debian 12", "x86_64", "old");
        MakeTwo();
        void Make(string name, Listener[] listeners, string script = Idle) => BusyBox.MakeCapsule(_sandbox, name, m => m with { Source = source, Listeners = [.. listeners], Volumes = [] }, BusyBox.Script(script));
        Make("sql", [new("unix", "/run/shop/s", 0), new("tcp", "127.0.0.1", 7777)], "mkdir -p /run/shop; echo here > /run/shop/id; " + Idle);
        Make("web", []);
        Make("mail", [new("tcp", "0.0.0.0", 25)]);
        BusyBox.SetUser(_sandbox, "sql", "web", 33);
        BusyBox.SetUser(_sandbox, "web", "web", 33);
        void Configure(string capsule, string line) => File.WriteAllText($"{_sandbox.Store}/capsules/{capsule}/writable/upper/etc/app.conf", line + "\n");
        _sandbox.Capsule("stack", "link", "web").Error.ShouldContain("CAP4117");
        Configure("web", "socket = /run/shop/s");
        JsonElement plan = JsonDocument.Parse(_sandbox.Capsule("stack", "link", "web", "--plan", "--json").Ok().Out).RootElement;
        plan.GetProperty("relations").EnumerateArray().Select(r => (r.GetProperty("from").GetString(), r.GetProperty("to").GetString(), r.GetProperty("kind").GetString())).ShouldBe([("web", "sql", "socket")]);
        _sandbox.Capsule("share", "list").Ok().Out.Trim().ShouldBeEmpty("a plan changes nothing");

        _sandbox.Capsule("stack", "link", "web", "--links").Ok().Out.ShouldContain("web is linked to sql/shop: /run/shop");
        _sandbox.Capsule("start", "web").Ok();
        Sandbox.Eventually(() => In("web", "cat /run/shop/id").Out == "here\n", "the owner's directory");
        In("web", "readlink /proc/self/ns/net").Out.ShouldNotBe(In("sql", "readlink /proc/self/ns/net").Out);
        _sandbox.Capsule("stack", "link", "web").Error.ShouldContain("CAP5009", customMessage: "it runs");
        _sandbox.Capsule("stop", "web", "sql").Ok();

        Configure("web", "port = 127.0.0.1:7777");
        _sandbox.Capsule("stack", "link", "web", "--links", "--plan").Ok().Out.ShouldContain("web is linked to sql/port-7777: 127.0.0.1:7777/tcp");
        _sandbox.Capsule("stack", "link", "web", "--links").Ok();
        _sandbox.Capsule("link", "list", "web", "--json").Ok().Out.ShouldContain("\"7777/tcp\"");
        _sandbox.Capsule("stack", "link", "web", "--links", "--plan").Ok().Out.ShouldNotContain("is linked to", customMessage: "it is there");
        _sandbox.Capsule("link", "rm", "web", "sql/port-7777").Ok();
        _sandbox.Capsule("stack", "link", "web").Ok().Out.ShouldContain("web names port 7777 of sql (/etc/app.conf)");
        JsonDocument stacks = JsonDocument.Parse(_sandbox.Capsule("stack", "list", "--json").Ok().Out);
        stacks.RootElement.ToString().ShouldContain("\"sql\"");
        _sandbox.Capsule("start", "web", "sql", "mail").Ok();
        In("web", "readlink /proc/self/ns/net").Out.ShouldBe(In("sql", "readlink /proc/self/ns/net").Out);
        In("mail", "readlink /proc/self/ns/net").Out.ShouldNotBe(In("sql", "readlink /proc/self/ns/net").Out, "nobody needs it");
        In("web", "cat /run/shop/id").Out.ShouldBe("here\n");
        _sandbox.Capsule("stop", "web", "sql", "mail").Ok();
        // One port is one program's on one machine.
        Make("twin", [new("tcp", "0.0.0.0", 7777)]);
        _sandbox.Capsule("stack", "link", "web", "twin").Error.ShouldContain("CAP4150");
        _sandbox.Capsule("stack", "list").Ok().Out.ShouldContain("mail");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Users_and_groups_are_themselves_on_both_sides_whatever_their_numbers_and_modes_ACLs_setgid_and_sticky_directories_count()
    {
        MakeTwo();
        void Files(string capsule, string users, string groups)
        {
            File.WriteAllText($"{_sandbox.Store}/capsules/{capsule}/writable/upper/etc/passwd", "root:x:0:0::/root:/bin/sh\n" + users);
            File.WriteAllText($"{_sandbox.Store}/capsules/{capsule}/writable/upper/etc/group", "root:x:0:\n" + groups);
        }
        // web here is shop there; 33 is web here and clerk there; shop is another user in each; books here is ledger there.
        Files("db", "shop:x:998:998::/:/bin/sh\nclerk:x:33:33::/:/bin/sh\n", "shop:x:998:\nclerk:x:33:\nledger:x:700:shop\n");
        Files("app", "web:x:33:33::/:/bin/sh\nshop:x:555:555::/:/bin/sh\n", "web:x:33:\nshop:x:555:\nbooks:x:444:web\n");
        string data = $"{_sandbox.Store}/capsules/db/volumes/data";
        _sandbox.Shell($"""
            set -e; cd {data}; chmod 755 .; rm -rf in
            for f in clerk:33:33:600 shop:998:998:600 ledger:33:700:640 acl:33:33:600; do IFS=: read name uid gid mode <<<$f; echo $name > $name; chown $uid:$gid $name; chmod $mode $name; done
            mkdir group sticky; chown 33:700 group; chmod 2775 group; chown 33:33 sticky; chmod 1777 sticky; echo x > sticky/clerks; chown 33:33 sticky/clerks
            cp /bin/busybox .; chown 998:998 busybox; chmod 4755 busybox
            python3 -c 'import os, struct; os.setxattr("acl", "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in [(1, 6, 0xffffffff), (2, 4, 998), (4, 0, 0xffffffff), (16, 4, 0xffffffff), (32, 0, 0xffffffff)]))'
            """).Ok();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop", "--group", "ledger").Ok();
        Link("app", "db/data", "--as", "web=shop", "--as-group", "books=ledger").Ok();
        _sandbox.Capsule("start", "app").Ok();
        string Read(string user, string file) => As(user, "app", $"cat /var/lib/shop/{file} 2>&1").Out.Trim();
        Read("web", "shop").ShouldBe("shop");
        Read("web", "clerk").ShouldContain("Permission denied", customMessage: "the same number is another user");
        Read("shop", "shop").ShouldContain("Permission denied", customMessage: "the same name is another user");
        Read("web", "ledger").ShouldBe("ledger", "by a group that is shared");
        Read("shop", "ledger").ShouldContain("Permission denied");
        Read("web", "acl").ShouldBe("acl", "an access list names the user as the disk numbers him");
        Read("shop", "acl").ShouldContain("Permission denied");
        In("app", "cd /var/lib/shop; stat -c %u:%g shop clerk ledger").Ok().Out.ShouldBe("33:33\n65534:65534\n65534:444\n");
        // A directory hands its group down; only who owns a file removes it from a sticky one.
        As("web", "app", "cd /var/lib/shop; echo w > group/of-web; stat -c %u:%g group/of-web; echo w > sticky/of-web; rm -f sticky/clerks; ls sticky").Out.ShouldBe("33:444\nclerks\nof-web\n");
        _sandbox.Shell($"stat -c %u:%g {data}/group/of-web").Out.ShouldBe("998:700\n");
        As("clerk", "db", "rm -f /var/lib/shop/sticky/of-web").Code.ShouldBe(0, "the sticky directory is the clerk's own");
        As("web", "app", "cd /var/lib/shop; echo w > sticky/of-web; chown 555 shop").Code.ShouldNotBe(0);
        As("shop", "app", "rm -f /var/lib/shop/sticky/of-web").Code.ShouldNotBe(0);
        // Nobody gets the owner's rights by a file that gives them.
        In("app", "grep ' /var/lib/shop ' /proc/self/mountinfo").Out.ShouldContain("nosuid,nodev");
        As("shop", "app", "/var/lib/shop/busybox id -u").Out.ShouldBe("555\n");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Software_of_another_is_seen_among_ones_own_files_which_win_and_is_gone_again_without_a_trace()
    {
        var pair = new LinkedPair(_sandbox);
        pair.Make("app", 33, null, BusyBox.Script(Idle));
        pair.Make("tools", 44, m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/plugins") }] });
        void Plugin(string capsule, string name, string text)
        {
            string file = $"{pair.TreeOf(capsule)}/usr/lib/plugins/{name}";
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, $"#!/bin/sh\necho {text}\n");
            File.SetUnixFileMode(file, (UnixFileMode)0x1ED);
        }
        foreach (string name in (string[])["own", "both"]) Plugin("app", name, "app");
        foreach (string name in (string[])["both", "more", "below/deep"]) Plugin("tools", name, "tools");
        Share("tools/plugins", "--path", "/usr/lib/plugins").Ok();
        Share("tools/data", "--path", "/var/lib/plugins").Ok();
        Link("app", "tools/data", "--merge").Error.ShouldContain("CAP4150", customMessage: "state is never merged");
        Share("tools/programs", "--exec", "/usr/bin/tool").Ok();
        Link("app", "tools/programs", "--merge").Error.ShouldContain("CAP4150");
        _sandbox.Capsule("link", "check", "app", "tools/plugins", "--merge").Ok().Out.ShouldContain("1 files are in both and differ; app's own are seen: both");

        _sandbox.Capsule("start", "app").Ok();
        string before = In("app", "ls /usr/lib/plugins").Ok().Out;
        Link("app", "tools/plugins", "--merge").Ok();
        string Of(string name) => In("app", $"/usr/lib/plugins/{name}").Out;
        (Of("own"), Of("both"), Of("more"), Of("below/deep")).ShouldBe(("app\n", "app\n", "tools\n", "tools\n"), "its programs run here");
        In("app", "stat -c %u:%g /usr/lib/plugins/more").Out.ShouldBe("0:0\n", "software is root's, as if it were installed here");
        In("app", "touch /usr/lib/plugins/new").Error.ShouldContain("Read-only");
        StateOf("app").ShouldBe("live");
        JsonDocument.Parse(_sandbox.Capsule("link", "list", "app", "--json").Ok().Out).RootElement.GetProperty("links")[0].GetProperty("merge").GetBoolean().ShouldBeTrue();
        JsonDocument Why(string path) => JsonDocument.Parse(_sandbox.Capsule("why", "app", path, "--json").Ok().Out);
        (Why("/usr/lib/plugins/own").RootElement.GetProperty("by").GetString(), Why("/usr/lib/plugins/more").RootElement.GetProperty("by").GetString()).ShouldBe(("layer", "link"));
        // It is there at each start, whether its owner runs or not, and its owner's end is nothing to it.
        _sandbox.Capsule("restart", "app").Ok();
        Of("more").ShouldBe("tools\n");
        _sandbox.Capsule("status", "tools").Code.ShouldBe(3, "nobody started it");
        _sandbox.Capsule("start", "tools").Code.ShouldBeOneOf(0, 1);
        (Of("own"), Of("more")).ShouldBe(("app\n", "tools\n"));
        _sandbox.Capsule("link", "rm", "app", "tools/plugins").Ok();
        In("app", "ls /usr/lib/plugins").Ok().Out.ShouldBe(before);
        In("app", "touch /usr/lib/plugins/new").Ok();
        string init = JsonDocument.Parse(_sandbox.Capsule("inspect", "app").Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetRawText();
        _sandbox.Shell($"grep -c plugins /proc/{init}/mountinfo").Out.ShouldBe("0\n");
        _sandbox.Capsule("stop", "app").Ok();
        _sandbox.Capsule("stop", "tools");
        _sandbox.Traces().ShouldBeEmpty();
    }

    private Dictionary<string, string> Proofs(int code, params string[] words)
    {
        Result tested = _sandbox.Capsule(["link", "test", .. words, "--json"]);
        tested.Code.ShouldBe(code, tested.Out + tested.Error);
        return JsonDocument.Parse(tested.Out).RootElement.GetProperty("proofs").EnumerateArray().ToDictionary(p => p.GetProperty("name").GetString()!, p => p.GetProperty("result").GetString()!);
    }

    private static readonly string[] s_reading = ["same-file", "events", "read", "rename", "flock", "fcntl", "open-file-lock", "lease", "lock-of-the-dead", "memory", "socket"];
    private static readonly string[] s_writing = ["write", "shared-counter", "futex", "exclusive-create"];

    [Fact]
    public void A_test_of_a_link_proves_locks_events_memory_and_users_and_refuses_what_the_link_does_not_give()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        Link("app", "db/data", "--preset", "reader").Ok();
        _sandbox.Capsule("link", "test", "app", "db/data").Error.ShouldContain("CAP5010");
        _sandbox.Capsule("start", "app").Ok();
        // A reader, as somebody whom the owner does not know.
        Dictionary<string, string> reader = Proofs(0, "app", "db/data");
        foreach (string name in s_reading) reader[name].ShouldBe("proved", name);
        reader["write"].ShouldBe("refused");
        reader.Keys.ShouldBe([.. s_reading, "write"], ignoreOrder: true);
        // One who writes, and whose user counts only from the next start on.
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        Link("app", "db/data", "--as", "web=shop").Ok().Error.ShouldContain("CAP4120");
        Dictionary<string, string> early = Proofs(5, "app", "db/data");
        early["peer-credentials"].ShouldBe("failed");
        _sandbox.Capsule("restart", "app").Ok();
        Dictionary<string, string> partner = Proofs(0, "app", "db/data");
        foreach (string name in (string[])[.. s_reading, .. s_writing, "owner-of-files", "peer-credentials"]) partner[name].ShouldBe("proved", name);
        // The owner's modes count: others may not look in.
        _sandbox.Shell($"chmod 700 {_sandbox.Store}/capsules/db/volumes/data").Ok();
        Proofs(0, "app", "db/data")["write"].ShouldBe("proved");
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        Link("app", "db/data", "--preset", "reader").Ok();
        Dictionary<string, string> other = Proofs(0, "app", "db/data");
        (other["events"], other["read"]).ShouldBe(("refused", "refused"));
        _sandbox.Shell($"ls -A {_sandbox.Store}/capsules/db/volumes/data").Out.ShouldBe("in\n", "a test leaves nothing");
        _sandbox.Capsule("stop", "app", "db").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_test_of_a_link_finds_a_directory_that_is_a_copy_on_write_of_the_owners()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        Link("app", "db/data", "--as", "web=shop").Ok();
        _sandbox.Capsule("start", "app").Ok();
        string at = $"{_sandbox.RunDirectory}/capsules/app/peer/var/lib/shop", beside = $"{_sandbox.State}/beside";
        _sandbox.Shell($"mkdir -p {beside}/u {beside}/w; umount {at}; mount -t overlay overlay -o lowerdir={_sandbox.Store}/capsules/db/volumes/data,upperdir={beside}/u,workdir={beside}/w {at}; chmod 777 {beside}/u").Ok();
        Dictionary<string, string> copy = Proofs(5, "app", "db/data");
        foreach (string name in (string[])["same-file", "events"]) copy[name].ShouldBe("failed", name);
        copy.Values.Count(v => v == "failed").ShouldBeGreaterThan(4, string.Join(' ', copy));
        _sandbox.Shell($"umount {at}").Ok();
        _sandbox.Capsule("stop", "app", "db").Ok();
    }

    [Fact]
    public void A_copy_that_is_verified_uses_nothing_of_others()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop", "--preset", "partner", "--user", "shop").Ok();
        Link("app", "db/data", "--as", "web=shop").Ok();
        Result verified = _sandbox.Capsule("verify", "app", "--probe", "true", "--json");
        verified.Out.ShouldContain("\"verdict\"", customMessage: verified.Error);
        _sandbox.Capsule("status", "db").Code.ShouldBe(3, "it was not started for a copy");
    }

    [Fact]
    public void When_down_is_done_as_declared()
    {
        MakeTwo();
        Share("db/data", "--path", "/var/lib/shop").Ok();
        Link("app", "db/data", "--when-down", "wait:1").Ok();
        _sandbox.Capsule("start", "app").Error.ShouldContain("CAP4107");
        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        Link("app", "db/data", "--when-down", "bind").Ok();
        _sandbox.Capsule("start", "app").Ok();
        _sandbox.Capsule("restart", "db").Ok();
        _sandbox.Capsule("status", "app").Code.ShouldBe(0, "it stopped with its owner and came again");
        _sandbox.Capsule("stop", "db").Ok();
        _sandbox.Capsule("status", "app").Code.ShouldBe(3, "it cannot be without");
        Share("app/own", "--path", "/data").Ok();
        Link("db", "app/own").Error.ShouldContain("CAP4114");
        Link("db", "app/own", "--when-down", "want").Ok();
        _sandbox.Capsule("start", "db").Ok();
        _sandbox.Capsule("status", "app").Code.ShouldBe(0);
        _sandbox.Capsule("stop", "db", "app").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Wrong_words_change_nothing()
    {
        MakeTwo();
        foreach (var (words, code) in ((string[], string)[])
                 [
                     (["share", "add", "db/x", "--path", "/"], "CAP4113"), (["share", "add", "db/x", "--path", "/tmp/x"], "CAP4113"), (["share", "add", "db/x", "--path", "/usr"], "CAP4113"),
                     (["share", "add", "db/x", "--path", "/srv/x", "--preset", "partner"], "CAP4113"), (["share", "add", "db/x", "--path", "/var/lib/shop", "--user", "root"], "CAP4106"),
                     (["share", "add", "db/x", "--path", "/var/lib/shop", "--user", "nobody-there"], "CAP4108"), (["share", "add", "db", "--path", "/var/lib/shop"], "CAP5013"),
                     (["link", "add", "app", "other/x"], "CAP4103"), (["link", "add", "app", "db/x"], "CAP4101"), (["link", "rm", "app", "db"], "CAP4105"), (["share", "rm", "db/x"], "CAP4101"),
                 ])
            _sandbox.Capsule(words).Error.ShouldContain(code, customMessage: string.Join(' ', words));
        _sandbox.Capsule("share", "list").Ok().Out.Trim().ShouldBeEmpty();
        _sandbox.Capsule("link", "list").Ok().Out.Trim().ShouldBeEmpty();
    }
}
