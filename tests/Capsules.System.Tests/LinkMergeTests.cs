using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Software of several owners at one path of a capsule.</summary>
public sealed class LinkMergeTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private const string Plugins = "/usr/lib/plugins";

    private Result In(string capsule, string script) => _sandbox.Capsule("exec", capsule, "sh", "-c", script);

    private Result Link(params string[] words) => _sandbox.Capsule(["link", "add", .. words]);

    private Result Merge(string owner, params string[] more) => Link(["app", $"{owner}/plugins", "--merge", .. more]);

    /// <summary>What is seen of each of these plug-ins: whose it is, or a dash.</summary>
    private string Seen(params string[] names) => In("app", $"cd {Plugins}; for n in {string.Join(' ', names)}; do cat $n 2>/dev/null || echo -; done").Out.Trim().Replace('\n', ' ');

    private (string To, int Priority, string State)[] Listed() => [.. JsonDocument.Parse(_sandbox.Capsule("link", "list", "app", "--json").Ok().Out).RootElement.GetProperty("links").EnumerateArray()
        .Select(l => (l.GetProperty("to").GetString()!, l.GetProperty("priority").GetInt32(), l.GetProperty("state").GetString()!))];

    private string WhoseIs(string name)
    {
        JsonElement why = JsonDocument.Parse(_sandbox.Capsule("why", "app", $"{Plugins}/{name}", "--json").Ok().Out).RootElement;
        return why.TryGetProperty("link", out JsonElement link) ? link.GetProperty("to").GetString()! : why.GetProperty("by").GetString()!;
    }

    /// <summary>Capsules that have plug-ins of these names, each saying whose it is; all but app offer them.</summary>
    private LinkedPair Make(params (string Capsule, string[] Plugins)[] capsules)
    {
        var pair = new LinkedPair(_sandbox);
        uint web = 33;
        foreach (var (capsule, plugins) in capsules)
        {
            pair.Make(capsule, web += 11, null, BusyBox.Script("while :; do sleep 1; done"));
            foreach (string name in plugins)
            {
                string file = $"{pair.TreeOf(capsule)}{Plugins}/{name}";
                Directory.CreateDirectory(Path.GetDirectoryName(file)!);
                File.WriteAllText(file, capsule + "\n");
            }
            if (capsule != "app") _sandbox.Capsule("share", "add", $"{capsule}/plugins", "--path", Plugins).Ok();
        }
        return pair;
    }

    [Fact]
    public void Several_owners_are_merged_by_priority_and_each_goes_restarts_and_is_upgraded_without_the_others()
    {
        LinkedPair pair = Make(("app", ["own", "all"]), ("one", ["all", "both", "first", "same"]), ("two", ["all", "both", "second", "below/deep", "same"]), ("three", ["all", "both", "third", "below/deep"]), ("twin", []));
        foreach (string owner in (string[])["one", "two"]) File.WriteAllText($"{pair.TreeOf(owner)}{Plugins}/same", "the same\n");
        BusyBox.Upgrade(_sandbox, "two", Plugins + "/upper", "two\n"); // of more than one layer
        _sandbox.Capsule("start", "app").Ok();
        string before = In("app", $"ls -lR {Plugins}").Ok().Out;
        string[] all = ["own", "all", "both", "first", "second", "third", "below/deep", "upper", "same"];
        // Who reads the whole time finds its own at every moment, and what stays merged.
        _sandbox.Capsule("exec", "-d", "app", "sh", "-c", $"while [ ! -e /tmp/end ]; do cat {Plugins}/own > /dev/null || touch /tmp/lost; [ -e /tmp/has ] && ! cat {Plugins}/second > /dev/null && touch /tmp/lost; done").Ok();

        Merge("one").Ok();
        Seen(all).ShouldBe("app app one one - - - - the same");
        Result check = _sandbox.Capsule("link", "check", "app", "two/plugins", "--merge").Ok();
        check.Out.ShouldContain("1 files are in one/plugins and in two/plugins and differ; those of one/plugins are seen: both");
        check.Out.ShouldContain("1 files are in both and differ; app's own are seen: all", customMessage: "what is merged already is not its own");
        _sandbox.Capsule("link", "check", "app", "two/plugins", "--merge", "--priority", "10").Out.ShouldContain("those of two/plugins are seen: both");
        _sandbox.Capsule("link", "check", "app", "two/plugins").Out.ShouldContain("app has one/plugins at /usr/lib/plugins already");
        Link("app", "two/plugins").Error.ShouldContain("CAP4150", customMessage: "merged and not merged are not mixed");
        Merge("two", "--priority", "100").Code.ShouldBe(2);
        Link("app", "two/plugins", "--priority", "10").Code.ShouldBe(2);
        Merge("two").Ok();
        Seen(all).ShouldBe("app app one one two - two two the same", "in the order in which they were made");
        Merge("three", "--priority", "10").Ok();
        Seen(all).ShouldBe("app app three one two three three two the same");
        In("app", "touch /tmp/has").Ok();
        Listed().ShouldBe([("one/plugins", 50, "live"), ("two/plugins", 50, "live"), ("three/plugins", 10, "live")]);
        _sandbox.Capsule("link", "list").Ok().Out.ShouldContain("merged, priority 10");
        all.Select(WhoseIs).ShouldBe(["layer", "layer", "three/plugins", "one/plugins", "two/plugins", "three/plugins", "three/plugins", "two/plugins", "one/plugins"]);
        In("app", $"touch {Plugins}/new").Error.ShouldContain("Read-only");
        In("app", $"grep -c ' {Plugins} ' /proc/self/mountinfo").Out.ShouldBe("1\n");

        // One goes, and comes again.
        JsonDocument.Parse(_sandbox.Capsule("link", "rm", "app", "three", "--plan", "--json").Ok().Out).RootElement.GetProperty("steps")[0].GetProperty("what").GetString().ShouldBe("/usr/lib/plugins of three is seen in app no more; that of one/plugins and two/plugins stays");
        _sandbox.Capsule("link", "rm", "app", "three").Ok();
        Seen(all).ShouldBe("app app one one two - two two the same");
        _sandbox.Capsule("link", "rm", "app", "one").Ok();
        Seen(all).ShouldBe("app app two - two - two two the same");
        Merge("one").Ok();
        Seen("both", "first").ShouldBe("two one", "it was made last");
        Merge("three", "--priority", "10").Ok();
        In("app", "touch /tmp/end; ls /tmp/has; ls /tmp/lost").ShouldSatisfyAllConditions(r => r.Out.ShouldBe("/tmp/has\n"), r => r.Code.ShouldNotBe(0, "there was no moment without them"));
        _sandbox.Capsule("restart", "app").Ok();
        Seen(all).ShouldBe("app app three one two three three two the same");

        // An owner's new version is seen when it starts, or the capsule does.
        foreach (string owner in (string[])["one", "two", "three"])
        {
            BusyBox.Upgrade(_sandbox, owner, $"{Plugins}/of-{owner}", $"{owner} upgraded\n");
            _sandbox.Capsule("start", owner).Ok();
            Seen($"of-{owner}", "own", "both").ShouldBe($"{owner} upgraded app three");
            _sandbox.Capsule("stop", "-t", "0", owner).Ok();
        }
        Seen("of-one", "of-two", "of-three").ShouldBe("one upgraded two upgraded three upgraded");
        BusyBox.Upgrade(_sandbox, "three", Plugins + "/both", "three again\n");
        Seen("both").ShouldBe("three");
        _sandbox.Capsule("restart", "app").Ok();
        Seen("both").ShouldBe("three again");

        // Two owners of one image are one.
        pair.Change("twin", r => r with { Image = new CapsuleStore(pair.Layout).Get("one").Image });
        Merge("twin").Ok();
        Seen("first", "second").ShouldBe("one two");
        foreach (string owner in (string[])["twin", "three", "two", "one"]) _sandbox.Capsule("link", "rm", "app", owner).Ok();
        In("app", $"ls -lR {Plugins}").Ok().Out.ShouldBe(before);
        _sandbox.Capsule("stop", "-t", "0", "app").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void What_an_owner_of_many_layers_has_is_linked_explained_and_merged()
    {
        Digest[] layers = [.. Enumerable.Range(0, 40).Select(n => Digest.FromSha256(SHA256.HashData(Encoding.UTF8.GetBytes($"layer {n}"))))];
        for (int n = 0; n < layers.Length; n++)
        {
            Directory.CreateDirectory($"{_sandbox.Store}/layers/{layers[n].Hex}/opt/many");
            File.WriteAllText($"{_sandbox.Store}/layers/{layers[n].Hex}/opt/many/of-{n}", $"{n}\n");
        }
        BusyBox.MakeCapsule(_sandbox, "many", m => m with { Layers = [.. layers, .. m.Layers] }, BusyBox.Script("while :; do sleep 1; done"));
        BusyBox.MakeCapsule(_sandbox, "user", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("share", "add", "many/files", "--path", "/opt/many").Ok();
        _sandbox.Capsule("link", "add", "user", "many/files").Ok(); // neither runs
        _sandbox.Capsule("why", "many", "/opt/many/of-39").Ok();
        _sandbox.Capsule("start", "user").Ok();
        _sandbox.Capsule("exec", "user", "sh", "-c", "ls /opt/many | wc -l; cat /opt/many/of-0 /opt/many/of-39").Ok().Out.ShouldBe("40\n0\n39\n");
        _sandbox.Capsule("link", "rm", "user", "many/files").Ok();
        _sandbox.Capsule("link", "add", "user", "many/files", "--merge").Ok();
        _sandbox.Capsule("exec", "user", "sh", "-c", "ls /opt/many | wc -l; cat /opt/many/of-0 /opt/many/of-39").Ok().Out.ShouldBe("40\n0\n39\n");
        _sandbox.Capsule("stop", "-t", "0", "user", "many").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }
}
