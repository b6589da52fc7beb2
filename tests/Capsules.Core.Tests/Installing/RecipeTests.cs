using System.Text;
using Capsules.Core.Installing;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Installing;

public sealed class RecipeTests
{
    private static Recipe Parse(string json) => Recipe.Parse(Encoding.UTF8.GetBytes(json));

    [Fact]
    public void A_recipe_names_its_base_its_files_and_its_commands()
    {
        Recipe recipe = Parse("""{"schemaVersion":1,"base":"debian:trixie","from":"src","files":[{"from":"a.conf","to":"/etc/a.conf","mode":"600"}],"environment":["A=b"],"commands":["make && make install",["apt-get","update"]]}""");
        recipe.Base.ShouldBe("debian:trixie");
        recipe.Files.ShouldBe([new("a.conf", GuestPath.Parse("/etc/a.conf"), 0x180)]);
        recipe.Commands[0].ShouldBe(["/bin/sh", "-ec", "make && make install"]);
        recipe.Commands[1].ShouldBe(["apt-get", "update"]);
        Parse("""{"schemaVersion":1,"commands":["true"]}""").Base.ShouldBe("debian:bookworm");
    }

    [Theory]
    [InlineData("""{"schemaVersion":1}""", "commands")]
    [InlineData("""{"schemaVersion":1,"commands":[[]]}""", "commands")]
    [InlineData("""{"schemaVersion":1,"commands":["x"],"from":"/etc"}""", "from")]
    [InlineData("""{"schemaVersion":1,"commands":["x"],"files":[{"from":"../up","to":"/a"}]}""", "from")]
    [InlineData("""{"schemaVersion":1,"commands":["x"],"files":[{"from":"a","to":"relative"}]}""", "relative")]
    [InlineData("""{"schemaVersion":1,"commands":["x"],"files":[{"from":"a","to":"/a","mode":"9"}]}""", "mode")]
    [InlineData("""{"schemaVersion":1,"commands":["x"],"environment":["A"]}""", "environment")]
    [InlineData("""{"schemaVersion":2,"commands":["x"]}""", "2")]
    [InlineData("[]", "")]
    public void A_broken_recipe_says_where(string json, string place) => Should.Throw<FormatException>(() => Parse(json)).Message.ShouldContain(place);

    private static readonly Digest One = Digest.Parse("sha256:" + new string('1', 64)), Two = Digest.Parse("sha256:" + new string('2', 64));

    [Fact]
    public void A_lock_is_read_as_it_was_written_and_tells_what_differs()
    {
        var locked = new RecipeLock("debian:bookworm", [One], [new("a", "1:2-3", "amd64", Two), new("b", "1", "all", null)]);
        RecipeLock again = RecipeLock.Parse(locked.ToJson());
        again.ToJson().ShouldBe(locked.ToJson());
        again.Differences(locked.Packages).ShouldBeEmpty();
        again.Differences([new("a", "1:2-4", "amd64", Two), new("c", "1", "all", null)]).ShouldBe(["a came as 1:2-4 and is locked at 1:2-3", "b 1 did not come", "c 1 came and is not in the lock"]);
        again.Differences([new("a", "1:2-3", "amd64", One), new("b", "1", "all", One)]).Single().ShouldContain("has the digest");
    }

    [Fact]
    public void A_lock_cannot_write_further_rules_into_the_preferences_of_apt() =>
        Should.Throw<FormatException>(() => RecipeLock.Parse("""{"schemaVersion":1,"base":"x","packages":[{"name":"a","version":"1\nPackage: *","architecture":"all"}]}"""u8.ToArray())).Message.ShouldContain("version");

    [Fact]
    public void The_sources_of_the_host_give_those_of_a_suite()
    {
        var sources = AptSource.Parse("http://m.example/debian/|bookworm|main\nhttp://m.example/debian/|bookworm|main\nhttp://m.example/debian/|bookworm-updates|main\nhttp://m.example/debian/|bookworm|contrib\nhttp://s.example/|bookworm-security|main\nnoise\n||\n");
        AptText.Sources(sources, "bookworm").ShouldBe("deb http://m.example/debian/ bookworm main contrib\ndeb http://m.example/debian/ bookworm-updates main\ndeb http://s.example/ bookworm-security main\n");
        AptText.Sources(sources, "trixie").ShouldBe("deb http://m.example/debian/ trixie main\n");
        AptText.Sources([], "trixie").ShouldBeEmpty();
    }

    [Fact]
    public void Of_the_hosts_configuration_only_the_way_to_the_mirrors_is_told() =>
        AptText.Reaching("Acquire::http::Proxy \"http://p:3\";\nAcquire::http \"\";\nDPkg::Post-Invoke:: \"rm -f /x\";\nAcquire::Languages \"none\";\nAcquire::Check-Date \"false\";\n")
            .ShouldBe("Acquire::http::Proxy \"http://p:3\";\nAcquire::Check-Date \"false\";\n");

    [Fact]
    public void The_head_of_a_compiled_file_is_known()
    {
        byte[] head = [0xA7, 0x0D, (byte)'\r', (byte)'\n', 0, 0, 0, 0, 1, 2, 0, 0, 9, 0, 0, 0];
        CompiledPython.SourceTime(head).ShouldBe(0x201u);
        head[4] = 1; // by hash
        CompiledPython.SourceTime(head).ShouldBeNull();
        CompiledPython.SourceTime(head.AsSpan(0, 12)).ShouldBeNull();
        CompiledPython.SourceName("x.cpython-311.pyc").ShouldBe("x.py");
        CompiledPython.SourceName("x.py").ShouldBeNull();
    }
}
