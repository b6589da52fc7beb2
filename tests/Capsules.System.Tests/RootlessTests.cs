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

    /// <summary>What `doctor` finds in the realm.</summary>
    private string Leftovers() => string.Join('\n', _user.Capsule("doctor").Out.Split('\n').Where(l => l.StartsWith("left", StringComparison.Ordinal)));
}
