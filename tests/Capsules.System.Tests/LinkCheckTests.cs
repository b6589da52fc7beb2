using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>`capsule link check` on capsules in a store, running and not.</summary>
public sealed class LinkCheckTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private static Export Offer(string name, string path, LinkPreset preset, params ImmutableArray<string> users) =>
        new() { Name = CapsuleName.Parse(name), Path = GuestPath.Parse(path), Preset = preset, Users = users, Groups = ["adm"] };

    private static StateVolume Volume(string name, string path) => new() { Name = CapsuleName.Parse(name), Path = GuestPath.Parse(path) };

    /// <summary>db keeps /data and /srv/offer and offers them; shop keeps /data.</summary>
    private void MakeBoth(params ServiceManifest[] services)
    {
        BusyBox.MakeCapsule(_sandbox, "shop");
        BusyBox.MakeCapsule(_sandbox, "db", m => m with
        {
            Volumes = [.. m.Volumes, Volume("offer", "/srv/offer")],
            Exports = [Offer("data", "/data", LinkPreset.Partner), Offer("offer", "/srv/offer", LinkPreset.Partner, "web"), Offer("run", "/run/db", LinkPreset.Client), Offer("software", "/bin", LinkPreset.Partner)],
        }, services);
        _sandbox.Shell($"cd {_sandbox.Store}/capsules/db/volumes && mkdir -p offer && echo hello > offer/file").Ok();
    }

    private JsonElement[] Findings(params string[] words) =>
        [.. JsonDocument.Parse(_sandbox.Capsule(["link", "check", .. words, "--json"]).Out).RootElement.GetProperty("findings").EnumerateArray()];

    private static string LevelOf(JsonElement[] findings, string kind) =>
        findings.Where(f => f.GetProperty("kind").GetString() == kind).Select(f => f.GetProperty("level").GetString()!).OrderByDescending(l => Array.IndexOf(["ok", "note", "warning", "error"], l)).FirstOrDefault("");

    [Fact]
    public void A_link_that_is_fine_passes_and_nothing_is_changed()
    {
        MakeBoth();
        _sandbox.Capsule("images").Ok(); // the first command gives the directories of the store their modes
        string Everything() => _sandbox.Shell($"find {_sandbox.Store} {_sandbox.RunDirectory} -not -name lock -printf '%p %i %C@ %s\\n' | sort").Out;
        string before = Everything();
        Result result = _sandbox.Capsule("link", "check", "shop", "db/offer", "--preset", "partner", "--as", "web").Ok();
        result.Out.ShouldContain("ok    path /srv/offer is free in shop");
        result.Out.ShouldContain("user web (105 in shop) will be web in db");
        Everything().ShouldBe(before);
    }

    [Fact]
    public void A_conflict_is_refused_with_its_fix()
    {
        MakeBoth();
        Result refused = _sandbox.Capsule("link", "check", "shop", "db/data");
        (refused.Code, refused.Error.Contains("CAP4150", StringComparison.Ordinal)).ShouldBe((4, true));
        refused.Out.ShouldContain("fail  /data is state of shop and of db");
        LevelOf(Findings("shop", "db/data"), "two-owners").ShouldBe("error");
    }

    [Fact]
    public void What_the_check_fails_is_not_linked_and_what_it_warns_of_is()
    {
        MakeBoth();
        _sandbox.Capsule("link", "add", "shop", "db/data").Error.ShouldContain("CAP4150");
        _sandbox.Capsule("link", "list").Ok().Out.Trim().ShouldBeEmpty();
        _sandbox.Shell($"chown 999 {_sandbox.Store}/capsules/db/volumes/offer/file && chmod 600 {_sandbox.Store}/capsules/db/volumes/offer/file").Ok();
        _sandbox.Capsule("link", "add", "shop", "db/offer").Ok();
        _sandbox.Capsule("link", "list").Ok().Out.ShouldContain("db/offer");
    }

    [Fact]
    public void What_is_not_there_is_told()
    {
        MakeBoth();
        LevelOf(Findings("shop", "db/none"), "offer").ShouldBe("error");
        LevelOf(Findings("shop", "nobody/data"), "owner").ShouldBe("error");
        _sandbox.Capsule("link", "check", "none", "db/data").Code.ShouldBe(3);
        _sandbox.Capsule("link", "check", "shop", "db").Code.ShouldBe(2);
        _sandbox.Capsule("link", "check", "shop", "db/offer", "--preset", "owner").Code.ShouldBe(2);
    }

    [Fact]
    public void A_warning_refuses_when_it_is_to()
    {
        MakeBoth();
        _sandbox.Shell($"chown 999 {_sandbox.Store}/capsules/db/volumes/offer/file && chmod 600 {_sandbox.Store}/capsules/db/volumes/offer/file").Ok();
        _sandbox.Capsule("link", "check", "shop", "db/offer", "--preset", "reader").Ok().Out.ShouldContain("warn  shop cannot use what belongs to 999:root: /srv/offer/file");
        _sandbox.Capsule("link", "check", "shop", "db/offer", "--preset", "reader", "--strict").Code.ShouldBe(4);
    }

    [Fact]
    public void A_running_owner_is_looked_at_as_it_is_with_its_own_numbers()
    {
        MakeBoth(BusyBox.Script("mkdir -p /run/db; chown 105:107 /run/db; echo 1 > /run/db/db.pid; chown 105 /run/db/db.pid; chmod 600 /run/db/db.pid; while :; do sleep 1; done"));
        _sandbox.Shell($"mkdir -p {_sandbox.Store}/capsules/shop/secrets/etc/logrotate.d && echo 'kill -USR1 $(cat /run/db/db.pid)' > {_sandbox.Store}/capsules/shop/secrets/etc/logrotate.d/db").Ok();
        LevelOf(Findings("shop", "db/run"), "missing-path").ShouldBe("note", "it does not run yet");
        _sandbox.Capsule("run", "db", "--fresh", "all", "--network", "none").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("exec", "db", "stat", "-c", "%a", "/run/db/db.pid").Out.Trim() == "600", "the pid file");
        Result result = _sandbox.Capsule("link", "check", "shop", "db/run").Ok();
        result.Out.ShouldContain("warn  /etc/logrotate.d/db of shop uses /run/db/db.pid");
        result.Out.ShouldContain("web:root: /run/db/db.pid"); // as db numbers them, not as the kernel does
        LevelOf(Findings("shop", "db/run"), "missing-path").ShouldBe("");
        _sandbox.Capsule("stop", "db").Ok();
    }

    [Fact]
    public void The_files_of_a_database_are_its_servers()
    {
        MakeBoth(new ServiceManifest { Name = "postgres", Command = ["/usr/lib/postgresql/15/bin/postgres"] });
        _sandbox.Shell($"echo 15 > {_sandbox.Store}/capsules/db/volumes/offer/PG_VERSION").Ok();
        LevelOf(Findings("shop", "db/offer", "--preset", "partner"), "database").ShouldBe("error");
        LevelOf(Findings("shop", "db/offer", "--preset", "reader"), "database").ShouldBe("warning");
        LevelOf(Findings("shop", "db/software", "--preset", "partner"), "forbidden-path").ShouldBe("error");
    }

    [Fact]
    public void Links_of_a_capsule_do_not_lead_to_files_of_the_host()
    {
        MakeBoth();
        string offer = $"{_sandbox.Store}/capsules/db/volumes/offer";
        _sandbox.Shell($"rm -r {offer} && mkdir {offer} && ln -s /etc/hostname {offer}/PG_VERSION && ln -s ../../../../../../../../etc {offer}/up && head -c 20 /dev/urandom > {offer}/x && ln {offer}/x {_sandbox.Store}/capsules/db/outside").Ok();
        JsonElement[] findings = Findings("shop", "db/offer", "--preset", "partner");
        LevelOf(findings, "hard-links").ShouldBe("warning");
        LevelOf(findings, "format-version").ShouldBe("");
        _sandbox.Shell($"rm -r {_sandbox.Store}/capsules/shop/volumes/data && true; mkdir -p {_sandbox.Store}/capsules/shop/secrets/srv && ln -s /etc {_sandbox.Store}/capsules/shop/secrets/srv/offer").Ok();
        Findings("shop", "db/offer").Single(f => f.GetProperty("kind").GetString() == "symbolic-link").GetProperty("what").GetString().ShouldBe("/srv/offer of shop is really /etc: the link would cover that");
    }

    [Fact]
    public void Capsules_that_require_each_other_are_told()
    {
        MakeBoth();
        string record = $"{_sandbox.Store}/capsules/db/capsule.json";
        File.WriteAllText(record, File.ReadAllText(record).Replace("\"created\"", "\"links\":[{\"to\":\"shop/x\",\"preset\":\"reader\",\"whenDown\":\"require\"}],\"created\"", StringComparison.Ordinal));
        LevelOf(Findings("shop", "db/offer"), "cycle").ShouldBe("error");
        LevelOf(Findings("shop", "db/offer", "--when-down", "degrade"), "cycle").ShouldBe("note");
    }
}
