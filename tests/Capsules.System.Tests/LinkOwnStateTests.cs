using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>What a capsule has of its own beside what it uses of another: private directories below a link, and copies.</summary>
public sealed class LinkOwnStateTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Idle = "while :; do sleep 1; done";

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private Result As(string user, string capsule, string script) => _sandbox.Capsule("exec", "--user", user, capsule, "sh", "-c", script);

    private Result Link(params string[] words) => _sandbox.Capsule(["link", "add", .. words]);

    private string Data(string capsule) => $"{_sandbox.Store}/capsules/{capsule}/volumes/data";

    private JsonElement Listed(string capsule) => JsonDocument.Parse(_sandbox.Capsule("link", "list", capsule, "--json").Ok().Out).RootElement.GetProperty("links").EnumerateArray().Single();

    private int Inside(string capsule) => JsonDocument.Parse(_sandbox.Capsule("inspect", capsule).Ok().Out).RootElement.GetProperty("run").GetProperty("init").GetInt32();

    /// <summary>An owner with state at /srv/app, in which `shop` (998) has a directory `cache`; `app`, in which `web` is 33.</summary>
    private void MakeOwner(string name)
    {
        BusyBox.MakeCapsule(_sandbox, name, m => m with { Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/srv/app") }] }, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, name, "shop", 998);
        _sandbox.Shell($"cd {Data(name)}; mkdir cache; echo {name} > cache/of-owner; echo {name} > page; chown -R 998:998 .; chmod 750 cache").Ok();
        _sandbox.Capsule("share", "add", $"{name}/data", "--path", "/srv/app", "--preset", "partner", "--user", "shop").Ok();
    }

    private void MakeApp()
    {
        BusyBox.MakeCapsule(_sandbox, "app", null, BusyBox.Script(Idle));
        BusyBox.SetUser(_sandbox, "app", "web", 33);
    }

    [Fact]
    public void A_private_directory_below_a_link_is_seen_by_nobody_else_in_all_mount_namespaces_and_stays_over_restarts_swap_and_removal()
    {
        MakeOwner("db");
        MakeOwner("new");
        MakeApp();
        _sandbox.Capsule("start", "db", "new", "app").Ok();
        string[] add = ["app", "db/data", "--as", "web=shop", "--private", "/srv/app/cache"];
        Link("app", "db/data", "--private", "/srv/app/none").Error.ShouldContain("capsule exec db mkdir -p /srv/app/none");
        Directory.Exists($"{_sandbox.Store}/capsules/app/volumes/srv-app-none").ShouldBeFalse();
        JsonElement[] steps = [.. JsonDocument.Parse(Link([.. add, "--plan", "--json"]).Ok().Out).RootElement.GetProperty("steps").EnumerateArray()];
        steps.Select(s => s.GetProperty("act").GetString()).ShouldBe(["share-user", "make-state", "attach", "keep-private"]);
        In("app", "ls /srv/app").Code.ShouldNotBe(0, "a plan makes nothing");

        Link(add).Ok();
        Listed("app").GetProperty("private").EnumerateArray().Single().GetString().ShouldBe("/srv/app/cache");
        _sandbox.Capsule("link", "list").Ok().Out.ShouldContain("private /srv/app/cache");
        _sandbox.Capsule("restart", "app").Ok(); // its user counts from then on
        string init = $"{Inside("app")}";
        _sandbox.Shell($"nsenter -t {init} -U -m -p -S 0 -G 0 /bin/busybox unshare -m --propagation slave /bin/busybox sleep 600 >/dev/null 2>&1 & sleep 0.5").Ok();
        string other = _sandbox.Shell("for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' < $p/cmdline)\" = '/bin/busybox sleep 600 ' ] && basename $p; done | tail -1").Out.Trim();
        void Apart(string owner, string why)
        {
            As("web", "app", "echo mine > /srv/app/cache/mine; ls /srv/app/cache; cat /srv/app/page").Ok().Out.ShouldBe($"mine\n{owner}\n", why);
            In(owner, "ls /srv/app/cache; cat /srv/app/cache/of-owner").Ok().Out.ShouldBe($"of-owner\n{owner}\n", why);
            _sandbox.Shell($"ls {Data(owner)}/cache").Out.ShouldBe("of-owner\n", why);
            Listed("app").GetProperty("state").GetString().ShouldBe("live", why);
        }
        In("app", "stat -c %u:%g:%a /srv/app/cache").Ok().Out.ShouldBe("33:33:750\n", "as the owner's, for the user that is shared");
        Apart("db", "made while both run");
        _sandbox.Shell($"ls /proc/{other}/root/srv/app/cache").Out.ShouldBe("mine\n", "in a mount namespace of its own, too");
        JsonDocument why = JsonDocument.Parse(_sandbox.Capsule("why", "app", "/srv/app/cache/mine", "--json").Ok().Out);
        (why.RootElement.GetProperty("by").GetString(), why.RootElement.GetProperty("onHost").GetString()).ShouldBe(("volume", $"{_sandbox.Store}/capsules/app/volumes/srv-app-cache/mine"));
        JsonDocument.Parse(_sandbox.Capsule("why", "app", "/srv/app/page", "--json").Ok().Out).RootElement.GetProperty("by").GetString().ShouldBe("link");
        _sandbox.Capsule("link", "check", "app", "db/data").Ok().Out.ShouldNotContain("fail");

        _sandbox.Capsule("restart", "db").Ok();
        _sandbox.Capsule("start", "app");
        Apart("db", "the owner restarted");
        // Another owner comes beneath; what is the capsule's own stays, with what has it open.
        _sandbox.Capsule("exec", "-d", "app", "sh", "-c", "exec 7>> /srv/app/cache/log; touch /tmp/open; while [ ! -e /tmp/end ]; do echo line >&7; cat /srv/app/cache/mine > /dev/null || touch /tmp/lost; done").Ok();
        Sandbox.Eventually(() => In("app", "test -e /tmp/open").Code == 0, "it writes");
        for (int i = 0; i < 5; i++)
        {
            _sandbox.Capsule("link", "swap", "app", "db/data", "new/data", "--as", "web=shop").Ok();
            In("app", "ls /srv/app/cache; cat /srv/app/page").Ok().Out.ShouldBe("log\nmine\nnew\n");
            _sandbox.Capsule("link", "swap", "app", "new/data", "db/data", "--as", "web=shop").Ok();
        }
        In("app", "touch /tmp/end; [ ! -e /tmp/lost ] && rm /srv/app/cache/log").Code.ShouldBe(0, "there was no moment without it");
        Apart("db", "swapped to and fro");
        _sandbox.Capsule("restart", "app").Ok();
        Apart("db", "the capsule restarted");
        _sandbox.Capsule("diff", "app").Ok().Out.ShouldNotContain("/srv/app");

        _sandbox.Capsule("link", "rm", "app", "db").Ok();
        In("app", "ls /srv/app /srv/app/cache").Ok().Out.ShouldBe("/srv/app:\ncache\n\n/srv/app/cache:\nmine\n", "it is state as any other");
        _sandbox.Capsule("restart", "app").Ok();
        In("app", "cat /srv/app/cache/mine").Ok().Out.ShouldBe("mine\n");
        Link("app", "db/data").Error.ShouldContain("--private /srv/app/cache", customMessage: "its state would be hidden");
        Link(add).Ok();
        _sandbox.Capsule("restart", "app").Ok();
        Apart("db", "linked again over state that is there");
        _sandbox.Capsule("stop", "app", "db", "new").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_private_directory_begins_with_what_the_capsule_had_there_is_noted_as_its_own_and_needs_its_place()
    {
        MakeOwner("db");
        MakeApp();
        string stray = $"{_sandbox.Store}/capsules/app/writable/upper/srv/app/cache";
        Directory.CreateDirectory(stray);
        File.WriteAllText(stray + "/before", "before\n");
        _sandbox.Capsule("start", "app").Ok();
        Link("app", "db/data", "--private", "/srv/app/cache").Error.ShouldContain("CAP5009", customMessage: "what it may have open there would be lost");
        In("app", "cat /srv/app/cache/before").Ok();
        _sandbox.Shell($"ls {_sandbox.Store}/capsules/app/volumes").Out.ShouldBe("data\n");
        _sandbox.Capsule("stop", "app").Ok();
        Link("app", "db/data", "--as", "web=shop", "--private", "/srv/app/cache", "--when-down", "want").Ok();
        _sandbox.Capsule("journal", "add", "app").Ok();
        _sandbox.Capsule("start", "app").Ok();
        In("app", "cat /srv/app/cache/before; echo x > /srv/app/cache/noted").Ok().Out.ShouldBe("before\n");
        Sandbox.Eventually(() => _sandbox.Capsule("who-wrote", "app", "/srv/app/cache/noted").Out.Contains("app", StringComparison.Ordinal), "its journal tells of it as its own");
        // Whoever takes the place away gets no file of the capsule's: the next start says what is missing.
        _sandbox.Capsule("stop", "app").Ok();
        _sandbox.Shell($"mv {Data("db")}/cache {Data("db")}/away").Ok();
        _sandbox.Capsule("start", "app").Error.ShouldContain("CAP4175");
        _sandbox.Shell($"ls {Data("db")}").Out.ShouldBe("away\npage\n", "nothing is made in the owner's state");
        _sandbox.Shell($"mkdir {Data("db")}/cache").Ok();
        _sandbox.Capsule("start", "app").Ok();
        In("app", "ls /srv/app/cache").Ok().Out.ShouldBe("before\nnoted\n");
        _sandbox.Capsule("stop", "app", "db").Ok();
    }
}
