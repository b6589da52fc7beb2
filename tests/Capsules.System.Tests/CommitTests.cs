using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>`capsule commit`: what was written outside the declared state becomes a layer. What a kill leaves is in EveryStepTests.</summary>
public sealed class CommitTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    // Every kind of change: added, replaced, made anew, removed, links, a directory in the place of one, an attribute, a secret, a socket, rubbish, state.
    private const string Work = """
        echo added > /srv/added; ln /srv/added /srv/hard; ln -s added /srv/soft
        echo replaced > /etc/motd; rm /etc/gone; rm -r /srv/old; mkdir /srv/old; echo inner > /srv/old/inner
        rm -r /srv/dir; echo now a file > /srv/dir; chmod 700 /root; chown 105:107 /srv/added
        touch /etc/same; echo hunter2 > /etc/web.password; echo changed >> /etc/shadow
        cp /bin/busybox /srv/tool; mkdir -p /var/tmp; echo x > /var/tmp/rubbish; echo data > /data/file
        """;

    private const string Look = """
        cd /srv; cat added hard soft old/inner dir /etc/motd /etc/web.password /etc/shadow; ls old; ls /etc/gone 2>/dev/null; readlink soft
        stat -c '%h %u:%g' added; stat -c '%i' added hard | sort -u | wc -l; stat -c %a /root
        """;

    private static readonly string s_shown = "added\nadded\nadded\ninner\nnow a file\nreplaced\nhunter2\nsecret\nchanged\ninner\nadded\n2 105:107\n1\n700\n";

    private void Make(string name)
    {
        BusyBox.MakeCapsule(_sandbox, name, null, BusyBox.Script("sleep 1000")); // without a service it ends by itself
        string layer = _sandbox.Shell($"ls -d {_sandbox.Store}/layers/*").Out.Trim();
        if (!layer.Contains('\n') && !File.Exists(layer + "/etc/motd"))
            _sandbox.Shell($"cd {layer} && echo motd > etc/motd && echo x > etc/gone && echo same > etc/same && mkdir -p srv/old srv/dir && echo y > srv/old/outer && echo z > srv/dir/z && chmod 755 root && ln -s busybox bin/od 2>/dev/null; touch -d '2024-01-01' etc/* srv/* srv etc").Ok();
        _sandbox.Shell($"mkdir -p {_sandbox.Store}/capsules/{name}/secrets/etc && echo secret > {_sandbox.Store}/capsules/{name}/secrets/etc/shadow").Ok();
    }

    private void Change(string name)
    {
        _sandbox.Capsule("run", name, "--fresh", "all").Ok();
        _sandbox.Capsule("exec", name, "sh", "-c", Work).Ok();
    }

    /// <summary>And what no applet of a capsule makes: a capability, an attribute, a socket.</summary>
    private void Stop(string name)
    {
        _sandbox.Capsule("stop", name).Ok();
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/{name}/writable/upper/srv && setcap cap_net_bind_service+ep tool && python3 -c 'import os, socket; os.setxattr(\"old\", \"user.note\", b\"kept\"); socket.socket(socket.AF_UNIX).bind(\"sock\")'").Ok();
    }

    private string Layer(string name) => Manifest(name).GetProperty("layers").EnumerateArray().Last().GetString()![7..];

    private JsonElement Manifest(string name) => JsonDocument.Parse(_sandbox.Capsule("inspect", name).Ok().Out).RootElement.GetProperty("manifest");

    private void Shows(string name)
    {
        _sandbox.Capsule("run", name, "--fresh", "all").Ok();
        _sandbox.Capsule("exec", name, "sh", "-c", Look).Out.ShouldBe(s_shown, name);
        _sandbox.Capsule("stop", name).Ok();
    }

    [Fact]
    public void What_was_written_outside_the_state_is_in_the_image_afterwards()
    {
        Make("web");
        Change("web");
        string before = Manifest("web").ToString();
        Result refused = _sandbox.Capsule("commit", "web");
        refused.Code.ShouldBe(4);
        refused.Error.ShouldContain("CAP2110");
        refused.Error.ShouldContain("capsule stop web");
        Stop("web");
        string listed = _sandbox.Capsule("diff", "web").Ok().Out;
        listed.ShouldContain("A /srv/old/inner");

        Result beside = _sandbox.Capsule("commit", "web", "--as", "other").Ok();
        beside.Error.ShouldContain("/srv/sock is not in the image");
        beside.Error.ShouldContain("/etc/web.password is a secret");
        _sandbox.Capsule("diff", "web").Out.ShouldBe(listed);
        Manifest("web").ToString().ShouldBe(before);
        _sandbox.Capsule("diff", "other").Out.ShouldBeEmpty();
        _sandbox.Capsule("commit", "web", "--as", "other").Error.ShouldContain("CAP5014");
        Shows("other");

        _sandbox.Capsule("commit", "web").Ok();
        _sandbox.Capsule("diff", "web").Out.ShouldBeEmpty();
        Layer("web").ShouldBe(Layer("other"));
        Manifest("web").GetProperty("layers").GetArrayLength().ShouldBe(2);
        Shows("web");
        File.ReadAllText($"{_sandbox.Store}/capsules/web/volumes/data/file").ShouldBe("data\n");
        _sandbox.Capsule("diff", "web").Out.ShouldBeEmpty();

        string layer = $"{_sandbox.Store}/layers/{Layer("web")}";
        _sandbox.Shell($"cd {layer} && find . -name '*password' -o -name shadow -o -name sock -o -name rubbish -o -name data -o -name same").Out.ShouldBeEmpty();
        _sandbox.Shell($"cd {layer} && stat -c %F-%t:%T etc/gone srv/old/outer").Out.ShouldBe("character special file-0:0\ncharacter special file-0:0\n");
        _sandbox.Shell($"cd {layer}/srv && getcap tool; python3 -c 'import os; print(os.getxattr(\"old\", \"user.note\").decode())'").Out.ShouldBe("tool cap_net_bind_service=ep\nkept\n");
        _sandbox.Capsule("misses", "web", "/srv/added").Out.ShouldContain("committed from the running capsule web");
        _sandbox.Capsule("misses", "web", "/srv/added").Out.ShouldContain("written by /bin/busybox");
        _sandbox.Capsule("misses", "web", "/srv/sock").Out.ShouldContain("a socket");

        // The image goes on to others: without the secrets, with the rest.
        _sandbox.Capsule("export", "web", "-o", _sandbox.State + "/web.tar").Ok();
        _sandbox.Capsule("import", _sandbox.State + "/web.tar", "--name", "far").Ok();
        _sandbox.Capsule("run", "far", "--fresh", "all").Ok();
        _sandbox.Capsule("exec", "far", "sh", "-c", "cat /srv/hard /srv/old/inner /etc/motd; ls /srv/old /etc/gone /etc/web.password 2>/dev/null").Out.ShouldBe("added\ninner\nreplaced\n/srv/old:\ninner\n");
        _sandbox.Capsule("stop", "far").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void The_same_changes_give_the_same_layer_and_further_ones_a_further_layer()
    {
        foreach (string name in (string[])["one", "two"])
        {
            Make(name);
            Change(name);
            Stop(name);
            _sandbox.Shell("sleep 1.1").Ok(); // the times of the other's files are others
            _sandbox.Capsule("commit", name).Ok();
        }
        Layer("one").ShouldBe(Layer("two"));

        // What a committed layer has can be changed and hidden again, what it hides can come back, and a secret can go.
        _sandbox.Capsule("run", "one", "--fresh", "all").Ok();
        _sandbox.Capsule("exec", "one", "sh", "-c", "echo back > /etc/gone; rm /srv/added /etc/web.password; echo again > /srv/old/inner").Ok();
        _sandbox.Capsule("stop", "one").Ok();
        string[] lines = _sandbox.Capsule("diff", "one").Out.Split('\n');
        foreach (string line in (string[])["A /etc/gone", "D /srv/added", "D /etc/web.password", "C /srv/old/inner"]) lines.ShouldContain(l => l.Split('\t')[0] == line);
        _sandbox.Capsule("commit", "one").Ok();
        Manifest("one").GetProperty("layers").GetArrayLength().ShouldBe(3);
        Manifest("one").GetProperty("secrets").EnumerateArray().Select(s => s.GetString()).ShouldBe(["/etc/shadow"]);
        _sandbox.Capsule("run", "one", "--fresh", "all").Ok();
        _sandbox.Capsule("exec", "one", "sh", "-c", "cat /etc/gone /srv/hard /srv/old/inner /etc/shadow; ls /srv/added /etc/web.password 2>/dev/null").Out.ShouldBe("back\nadded\nagain\nsecret\nchanged\n");
        _sandbox.Capsule("stop", "one").Ok();

        // Nothing more to take: the same image.
        string image = _sandbox.Capsule("commit", "one").Ok().Out;
        _sandbox.Capsule("commit", "one").Ok().Out.ShouldBe(image);
        Manifest("one").GetProperty("layers").GetArrayLength().ShouldBe(3);
        _sandbox.Traces().ShouldBeEmpty();
    }
}
