using System.Text.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>`capsule why`: by what a path is seen, whose it is, and who may use it.</summary>
public sealed class WhyTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private JsonElement Why(string capsule, string path, params string[] words) => JsonDocument.Parse(_sandbox.Capsule(["why", capsule, path, .. words, "--json"]).Out).RootElement;

    private string By(string capsule, string path) => Why(capsule, path).GetProperty("by").GetString()!;

    private void Make(params ServiceManifest[] services)
    {
        BusyBox.MakeCapsule(_sandbox, "shop", null, services);
        string capsule = $"{_sandbox.Store}/capsules/shop";
        _sandbox.Shell($"cd {capsule} && mkdir -p secrets/etc writable/upper/srv writable/work && echo x > secrets/etc/shadow && echo y > writable/upper/srv/new && mknod writable/upper/srv/gone c 0 0 && echo z > volumes/data/z && chown 105:107 volumes/data/z && chmod 640 volumes/data/z && mkdir -m 700 volumes/data/closed && echo c > volumes/data/closed/c").Ok();
    }

    [Fact]
    public void Each_path_has_what_shows_it()
    {
        Make();
        By("shop", "/etc/passwd").ShouldBe("layer");
        By("shop", "/etc/shadow").ShouldBe("secret");
        By("shop", "/srv/new").ShouldBe("written");
        By("shop", "/data/z").ShouldBe("volume");
        By("shop", "/run/x").ShouldBe("stack");
        By("shop", "/tmp/x").ShouldBe("temporary");
        Why("shop", "/bin/sh").GetProperty("leadsTo").GetString().ShouldBe("/bin/busybox");
        _sandbox.Capsule("why", "shop", "/data/z").Ok().Out.ShouldContain("owner     web (105), group web (107), in shop");
        Why("shop", "/data/z").GetProperty("onHost").GetString().ShouldBe($"{_sandbox.Store}/capsules/shop/volumes/data/z");
    }

    [Fact]
    public void What_is_not_there_is_explained_as_misses_does()
    {
        Make();
        Result result = _sandbox.Capsule("why", "shop", "/srv/nothing");
        result.Code.ShouldBe(3);
        string miss = _sandbox.Capsule("misses", "shop", "/srv/nothing").Out;
        result.Out.ShouldContain(miss[(miss.IndexOf(": ", StringComparison.Ordinal) + 2)..].Trim());
        Why("shop", "/srv/gone").GetProperty("present").GetBoolean().ShouldBeFalse();
        _sandbox.Capsule("why", "shop", "relative").Code.ShouldBe(2);
    }

    [Fact]
    public void A_user_is_denied_by_the_part_that_denies()
    {
        Make();
        JsonElement Access(string path, string user) => Why("shop", path, "--user", user).GetProperty("access");
        Access("/data/z", "web").GetProperty("write").GetBoolean().ShouldBeTrue();
        Access("/data/closed/c", "web").GetProperty("readDenied").GetString()!.ShouldContain("/data/closed has mode 0700");
        Access("/data/closed/c", "root").GetProperty("read").GetBoolean().ShouldBeTrue();
        Access("/data/z", "1000:1000").GetProperty("readDenied").GetString()!.ShouldContain("others");
        _sandbox.Capsule("why", "shop", "/data/z", "--user", "nobody").Error.ShouldContain("CAP5012");
    }

    [Fact]
    public void A_running_capsule_has_the_same_numbers_and_what_it_made()
    {
        Make(BusyBox.Script("mkdir /run/shop; echo 1 > /run/shop/pid; chown 105:107 /run/shop/pid; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "shop", "--fresh", "all", "--network", "none").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("why", "shop", "/run/shop/pid").Out.Contains("web (105)", StringComparison.Ordinal), "the file of the running capsule, with its owner");
        Why("shop", "/data/z").GetProperty("owner").GetProperty("number").GetInt32().ShouldBe(105);
        By("shop", "/etc/hostname").ShouldBe("identity");
        Why("shop", "/etc/hostname", "--user", "root").GetProperty("access").GetProperty("writeDenied").GetString()!.ShouldContain("identity");
        _sandbox.Capsule("stop", "shop").Ok();
    }

    [Fact]
    public void A_user_who_is_not_root_is_told_the_same_of_his_capsules()
    {
        using var user = new UserBox();
        user.Import("shop", BusyBox.Script("echo z > /data/z; chown web:web /data/z; while :; do sleep 1; done"));
        user.Import("db", BusyBox.Script("while :; do sleep 1; done"));
        user.Capsule("run", "-d", "shop").Ok();
        Sandbox.Eventually(() => user.Capsule("why", "shop", "/data/z").Out.Contains("web (105), group web (107), in shop", StringComparison.Ordinal), "the file, while it runs");
        user.Capsule("stop", "shop").Ok();
        user.Capsule("why", "shop", "/data/z").Ok().Out.ShouldContain("web (105), group web (107), in shop");
        user.Capsule("why", "shop", "/etc/passwd", "--user", "web").Ok().Out.ShouldContain("may not write it");
        user.Capsule("share", "add", "db/data", "--path", "/data").Ok();
        Result check = user.Capsule("link", "check", "shop", "db/data");
        (check.Code, check.Out.Contains("/data is state of shop and of db", StringComparison.Ordinal)).ShouldBe((4, true), check.Out + check.Error);
    }

    [Fact]
    public void A_path_of_another_capsule_has_its_owner_its_users_and_its_rules()
    {
        Make();
        BusyBox.MakeCapsule(_sandbox, "db", m => m with
        {
            Volumes = [new() { Name = CapsuleName.Parse("offer"), Path = GuestPath.Parse("/srv/offer") }],
            Exports = [new Export { Name = CapsuleName.Parse("offer"), Path = GuestPath.Parse("/srv/offer"), Preset = LinkPreset.Partner, Users = ["sql"] }],
        });
        string db = $"{_sandbox.Store}/capsules/db";
        _sandbox.Shell($"mkdir -p {db}/volumes/offer {db}/secrets/etc && echo sql:x:999:999::/:/bin/sh > {db}/secrets/etc/passwd && echo sql:x:999: > {db}/secrets/etc/group && cd {db}/volumes/offer && echo a > theirs && echo b > others && chown 999:999 theirs && chown 555:555 others && chmod 600 theirs others").Ok();
        string record = $"{_sandbox.Store}/capsules/shop/capsule.json", text = File.ReadAllText(record);
        void Link(string preset) => File.WriteAllText(record, text.Replace("\"created\"", $"\"links\":[{{\"to\":\"db/offer\",\"preset\":\"{preset}\",\"users\":[\"web=sql\"]}}],\"created\"", StringComparison.Ordinal));

        Link("partner");
        JsonElement theirs = Why("shop", "/srv/offer/theirs", "--user", "web");
        (theirs.GetProperty("by").GetString(), theirs.GetProperty("owner").GetProperty("number").GetInt32(), theirs.GetProperty("ownerOnDisk").GetProperty("number").GetInt32()).ShouldBe(("link", 105, 999));
        theirs.GetProperty("access").GetProperty("write").GetBoolean().ShouldBeTrue();
        JsonElement others = Why("shop", "/srv/offer/others", "--user", "root");
        others.GetProperty("owner").GetProperty("number").GetInt32().ShouldBe(65534);
        others.GetProperty("access").GetProperty("readDenied").GetString()!.ShouldContain("not shared");

        Link("reader");
        Why("shop", "/srv/offer/theirs", "--user", "web").GetProperty("access").GetProperty("writeDenied").GetString()!.ShouldContain("linked as reader, which is read-only");
        string shown = _sandbox.Capsule("why", "shop", "/srv/offer/theirs").Ok().Out;
        shown.ShouldContain("the link to db/offer at /srv/offer: reader, read-only");
        shown.ShouldContain("on disk   sql (999), group sql (999), of db");
        shown.ShouldContain("user      web (105) is sql (999) of db");
        _sandbox.Capsule("why", "shop", "/srv/offer/none").Code.ShouldBe(3);
    }
}
