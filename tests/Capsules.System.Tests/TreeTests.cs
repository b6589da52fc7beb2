using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Whole trees of other systems, and what a tree can have beside an ordinary server.</summary>
public sealed class TreeTests(JourneyTests.SourceTree source) : IDisposable, IClassFixture<JourneyTests.SourceTree>
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private string Address(string name) => JsonDocument.Parse(_sandbox.Capsule("ps", "--json=name,address").Ok().Out).RootElement.EnumerateArray().Single(c => c.GetProperty("name").GetString() == name).GetProperty("address").GetString()!;

    [Fact]
    public void A_server_of_an_RPM_based_tree_is_found_adopted_and_runs_with_its_changed_configuration()
    {
        string tree = _sandbox.State + "/rpm";
        JourneyTests.SourceTree.Make([source.Folder + "/prepare-rpm", tree]);

        string[] row = _sandbox.Capsule("scan", "--root", tree).Ok().Out.Trim().Split('\t');
        row.ShouldBe(["tinyd", "1.4.2", "(not running)", "/var/lib/tinyd", "4", "pass"]);
        string[] adopt = ["adopt", "tinyd", "--root", tree];
        string plan = _sandbox.Capsule([.. adopt, "--plan"]).Ok().Out;
        plan.ShouldContain("adopt tinyd 1.4.2 from rpm-server (Tiny Linux 9, x86_64)");
        _sandbox.Capsule([.. adopt, "--why", "/usr/lib64/libanswer.so.1.0"]).Ok().Out.ShouldContain("part of package libanswer 1.0-3.tiny9");
        _sandbox.Capsule([.. adopt, "--why", "/usr/share/unneeded/file"]).Code.ShouldNotBe(0);
        _sandbox.Capsule([.. adopt, "--yes"]).Ok();

        _sandbox.Capsule("run", "tinyd", "--fresh", "all").Ok();
        _sandbox.Capsule("exec", "tinyd", "cat", "/etc/tinyd/tinyd.conf").Code.ShouldNotBe(0); // the tree has no cat, and nothing of the host is seen
        Sandbox.Eventually(() => _sandbox.Shell($"curl -s --max-time 5 http://{Address("tinyd")}:8086/").Out == "changed by hand\nan answer of the library\n", "it answers", 10);
        _sandbox.Capsule("stop", "tinyd").Ok();
        File.ReadAllText($"{_sandbox.Store}/capsules/tinyd/volumes/data/hits").ShouldStartWith("hit\nhit\n");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void An_SSH_server_has_its_host_keys_or_fresh_ones_as_the_plan_says()
    {
        // The server is put over the lived-in tree, whose own packages it needs; its keys are made by its package.
        string tree = _sandbox.State + "/ssh", packages = source.Cache + "/openssh";
        Directory.CreateDirectory(packages);
        string[] names = ["openssh-server", "openssh-client", "openssh-sftp-server", "runit-helper", "libwrap0", "libnsl2", "libtirpc3", "libtirpc-common", "ucf"];
        foreach (string name in names)
            if (Directory.GetFiles(packages, name + "_*.deb").Length == 0) JourneyTests.SourceTree.Make(["bash", "-c", "cd \"$0\" && apt-get -q download \"$1\"", packages, name]);
        _sandbox.Shell($"""
            set -e
            mkdir -p {tree} {_sandbox.RunDirectory}/ssh/u {_sandbox.RunDirectory}/ssh/w
            mount -t overlay -o lowerdir={source.Tree},upperdir={_sandbox.RunDirectory}/ssh/u,workdir={_sandbox.RunDirectory}/ssh/w none {tree}
            mount -t proc proc {tree}/proc; mount --bind /dev {tree}/dev
            cp {packages}/*.deb {tree}/tmp/
            chroot {tree} /usr/bin/env -i DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c 'dpkg --force-depends -i /tmp/*.deb'
            rm {tree}/tmp/*.deb; umount {tree}/dev {tree}/proc
            """).Ok();
        string KeyOf(string name) => _sandbox.Capsule("exec", name, "/usr/bin/ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").Ok().Out.Split(' ')[1];
        string original = _sandbox.Shell($"chroot {tree} /usr/bin/ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").Ok().Out.Split(' ')[1];

        string[] adopt = ["adopt", "ssh", "--root", tree];
        _sandbox.Capsule([.. adopt, "--plan"]).Ok().Out.ShouldContain("host keys kept   (3 files)");
        _sandbox.Capsule([.. adopt, "--plan", "--fresh", "mac"]).Code.ShouldBe(2);
        _sandbox.Capsule([.. adopt, "--yes", "--name", "kept"]).Ok();
        _sandbox.Capsule([.. adopt, "--yes", "--name", "fresh", "--fresh", "host-keys"]).Ok();
        foreach (string name in (string[])["kept", "fresh"])
        {
            _sandbox.Capsule("run", name, "--fresh", "all").Ok();
            _sandbox.Capsule("identity", "show", name).Ok().Out.ShouldContain($"host keys\tas chosen in the plan\t{name}");
            _sandbox.Shell($"exec 3<>/dev/tcp/{Address(name)}/22; read -t 5 -u 3 banner; echo $banner").Out.ShouldStartWith("SSH-2.0-OpenSSH");
        }
        KeyOf("kept").ShouldBe(original);
        string made = KeyOf("fresh");
        made.ShouldNotBe(original);
        _sandbox.Capsule("restart", "fresh").Ok();
        KeyOf("fresh").ShouldBe(made); // made once
        _sandbox.Shell($"find {_sandbox.Store}/layers -name 'ssh_host_*_key'").Out.ShouldBeEmpty();
    }
}
