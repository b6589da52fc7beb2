using System.Diagnostics;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>An application that came to a machine which was not quiet, and large trees.</summary>
public sealed class CompareTests(InstallTests.Machine machine) : IClassFixture<InstallTests.Machine>
{
    private readonly Sandbox _box = machine.Box;

    /// <summary>The tree of a machine: what the cached capsule of builders shows, copied.</summary>
    private string Tree(string name)
    {
        string tree = $"{_box.State}/{name}";
        string layers = string.Join(' ', JsonDocument.Parse(_box.Capsule("inspect", "builders").Ok().Out).RootElement.GetProperty("manifest").GetProperty("layers").EnumerateArray().Select(l => $"{_box.Store}/layers/{l.GetString()![7..]}"));
        _box.Shell($"mkdir -p {tree} && for l in {layers}; do cp -a --reflink=auto $l/. {tree}/; done", 120).Ok();
        return tree;
    }

    /// <summary>A package of Debian's kind, made by dpkg-deb.</summary>
    private string Package(string name, string version, string further, params (string Path, string Text, string Mode)[] files)
    {
        string folder = $"{_box.State}/deb-{name}-{version}", file = folder + ".deb";
        Directory.CreateDirectory(folder + "/DEBIAN");
        File.WriteAllText(folder + "/DEBIAN/control", $"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: for a test\n{further}");
        foreach (var (path, text, mode) in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder + path)!);
            File.WriteAllText(folder + path, text);
            _box.Shell($"chmod {mode} {folder}{path}").Ok();
        }
        _box.Shell($"dpkg-deb --root-owner-group -b {folder} {file}").Ok();
        return file;
    }

    private const string Server = """
        #!/usr/bin/perl
        use IO::Socket::INET;
        open(my $conf, '<', '/etc/paged/paged.conf') or die; my $word = <$conf>;
        open(my $log, '>>', '/var/lib/paged/starts') or die; print $log "start\n"; close $log;
        my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 7171, Listen => 5, ReuseAddr => 1) or die;
        while (my $client = $listen->accept) { print $client "$word"; close $client; }
        """;

    [Fact]
    public void Only_the_application_is_taken_though_others_write_and_an_unrelated_package_is_upgraded()
    {
        string tree = Tree("machine");
        string In(string script) => _box.Shell($"chroot {tree} /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -ec '{script}'", 60).Ok().Out;
        string old = Package("unrelated", "1.0", "", ("/usr/share/unrelated/data", "one\n", "644"), ("/usr/bin/unrelated", "#!/bin/sh\necho 1\n", "755"));
        File.Copy(old, tree + "/tmp/old.deb");
        In("dpkg -i /tmp/old.deb; mkdir -p /var/lib/otherd /srv/other; echo before >/var/lib/otherd/data; echo x >/etc/other.conf");

        string id = _box.Capsule("prescan", "--root", tree).Ok().Out.Trim();

        File.Copy(Package("unrelated", "2.0", "", ("/usr/share/unrelated/data", "two\n", "644"), ("/usr/bin/unrelated", "#!/bin/sh\necho 2\n", "755")), tree + "/tmp/new.deb");
        File.Copy(Package("paged", "3.1", "Depends: perl-base, paged-data\n", ("/usr/sbin/paged", Server, "755"), ("/etc/paged/paged.conf", "a page\n", "644"),
            ("/lib/systemd/system/paged.service", "[Service]\nExecStart=/usr/sbin/paged\nStateDirectory=paged\n[Install]\nWantedBy=multi-user.target\n", "644")), tree + "/tmp/paged.deb");
        File.Copy(Package("paged-data", "3.1", "", ("/usr/share/paged/words", "words\n", "644")), tree + "/tmp/data.deb");
        In("""
            echo during >>/var/lib/otherd/data; echo new >/var/lib/otherd/second; echo line >>/var/log/other.log; echo changed >/etc/other.conf; mkdir -p /var/cache/thing /var/lib/apt/lists; echo c >/var/cache/thing/c; echo l >/var/lib/apt/lists/mirror
            dpkg -i /tmp/new.deb /tmp/data.deb /tmp/paged.deb
            mkdir -p /var/lib/paged /opt/paged-extra /etc/systemd/system/multi-user.target.wants; echo seed >/var/lib/paged/seed; echo extra >/opt/paged-extra/file
            ln -s /lib/systemd/system/paged.service /etc/systemd/system/multi-user.target.wants/paged.service
            """);

        JsonElement[] changes = [.. JsonDocument.Parse(_box.Capsule("postscan", id, "paged", "--root", tree, "--json").Ok().Out).RootElement.GetProperty("changes").EnumerateArray()];
        (string, string) Of(string path) => changes.Where(c => c.GetProperty("path").GetString() == path).Select(c => (c.GetProperty("verdict").GetString()!, c.GetProperty("rule").GetString()!)).SingleOrDefault(("", ""));
        Of("/usr/sbin/paged").ShouldBe(("taken", "new-package"));
        Of("/usr/share/paged/words").ShouldBe(("taken", "new-package"));
        Of("/opt/paged-extra/file").ShouldBe(("taken", "new-file"));
        Of("/var/lib/paged/seed").ShouldBe(("state", "new-data"));
        Of("/usr/share/unrelated/data").ShouldBe(("others", "upgraded-package"));
        Of("/var/lib/otherd/data").ShouldBe(("others", "old-data"));
        Of("/var/lib/otherd/second").ShouldBe(("others", "old-data"));
        Of("/etc/other.conf").ShouldBe(("others", "old-file"));
        Of("/var/log/other.log").ShouldBe(("noise", "logs"));
        Of("/var/cache/thing/c").ShouldBe(("noise", "caches"));
        Of("/var/lib/apt/lists/mirror").ShouldBe(("noise", "package-lists"));
        Of("/var/lib/dpkg/status").ShouldBe(("noise", "package-database"));
        Of("/usr/bin/make").ShouldBe(("", "")); // nobody touched it

        _box.Capsule("postscan", id, "paged", "--root", tree).Ok();
        _box.Capsule("run", "paged", "--network", "none").Ok();
        Sandbox.Eventually(() => _box.Capsule("exec", "paged", "/usr/bin/perl", "-MIO::Socket::INET", "-e", "print IO::Socket::INET->new(q(127.0.0.1:7171))->getline").Out == "a page\n", "it answers", 10);
        _box.Capsule("stop", "paged").Ok();
        File.ReadAllText($"{_box.Store}/capsules/paged/volumes/data/seed").ShouldBe("seed\n");
        JsonElement manifest = JsonDocument.Parse(_box.Capsule("inspect", "paged").Ok().Out).RootElement.GetProperty("manifest");
        string layers = string.Join(' ', manifest.GetProperty("layers").EnumerateArray().Select(l => $"{_box.Store}/layers/{l.GetString()![7..]}"));
        string held = _box.Shell($"for l in {layers}; do (cd $l && find . -type f -o -type l); done").Ok().Out;
        held.ShouldContain("./usr/share/paged/words");
        held.ShouldContain("./opt/paged-extra/file");
        held.ShouldNotContain("unrelated");
        held.ShouldNotContain("otherd");
        held.ShouldNotContain("other.conf");
        held.ShouldNotContain("./usr/bin/make\n"); // what was there before comes along only where it is needed
        _box.Capsule("misses", "paged", "/usr/bin/unrelated").Out.ShouldContain("upgraded-package");

        _box.Capsule("compare", tree, tree).Ok().Out.ShouldBeEmpty();
        Result none = _box.Capsule("postscan", "ffffff", "x", "--root", tree);
        none.Code.ShouldBe(3);
        none.Error.ShouldContain("CAP2106");
    }

    [Fact]
    public void Sources_that_are_none_are_told()
    {
        string tree = _box.State + "/small";
        _box.Shell($"mkdir {tree} && echo 1 >{tree}/file && mkfifo {tree}/pipe").Ok();
        _box.Capsule("prescan", "--root", tree + "/none").Error.ShouldContain("error[CAP2001]");
        _box.Capsule("prescan", "--root", tree + "/file").Error.ShouldContain("error[CAP2001]");
        _box.Capsule("postscan", "", "small", "--root", tree).Error.ShouldContain("error[CAP2106]");
        _box.Capsule("compare", tree + "/pipe", tree).Error.ShouldContain("error[CAP2108]"); // nobody writes into it: to open it would wait for ever
        string id = _box.Capsule("prescan", "--root", tree).Ok().Out.Trim();
        _box.Capsule("postscan", id, "small", "--root", tree).Error.ShouldContain("cause: nothing changed");
    }

    [Fact]
    public void Two_trees_of_100_000_files_of_which_one_in_a_hundred_changed_are_compared_in_seconds()
    {
        string one = _box.RunDirectory + "/one", two = _box.RunDirectory + "/two"; // in memory: a disk is not what is measured
        _box.Shell($"for d in $(seq 500); do mkdir -p {one}/usr/share/data/$d; cd {one}/usr/share/data/$d; printf A | tee $(seq 200) >/dev/null; done; cp -a {one} {two}; cd {two}/usr/share/data; for d in *; do printf B | tee $d/1 $d/2 >/dev/null; done", 120).Ok();
        var watch = Stopwatch.StartNew();
        string report = _box.Capsule("compare", one, two).Ok().Out;
        watch.Stop();
        report.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1].ShouldBe("1000", report);
        TestContext.Current.SendDiagnosticMessage($"compare of 2 x 100,000 files: {watch.Elapsed.TotalSeconds:0.00} s");
        watch.Elapsed.TotalSeconds.ShouldBeLessThan(10); // 3 s on a quiet machine
        string tar = _box.State + "/two.tar";
        _box.Shell($"tar -C {two} -cf {tar} --one-file-system usr/share/data/7 && mkdir -p {_box.RunDirectory}/small/usr/share/data && cp -a {one}/usr/share/data/7 {_box.RunDirectory}/small/usr/share/data/").Ok();
        _box.Capsule("compare", _box.RunDirectory + "/small", tar, "--json").Ok().Out.Split("\"change\": \"changed\"").Length.ShouldBe(3); // two files of folder 7
        Directory.GetFileSystemEntries(_box.Store + "/tmp").ShouldBeEmpty();
        _box.Shell($"rm -rf {_box.RunDirectory}/one {_box.RunDirectory}/two {_box.RunDirectory}/small", 60).Ok();
    }
}
