using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Capsules out of the store and into it again, by the published programs.</summary>
public sealed class ImageTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public void Long_work_shows_one_line_on_a_terminal_that_is_gone_at_the_end_and_none_elsewhere()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("exit 0"));
        string archive = _sandbox.State + "/web.tar";
        // script(1) gives a terminal; what is left on it is what stands behind the last erasing of each line.
        string[] OnTerminal(string words)
        {
            string screen = _sandbox.Shell($"TERM=xterm script -qec '{Sandbox.Programs}/capsule {words}' /dev/null").Ok().Out;
            screen.ShouldContain("\r\u001b[K");
            screen.ShouldContain(words.Split(' ')[0] == "export" ? "Exporting web" : "Importing");
            return [.. screen.Split("\r\n").Select(line => line.Split("\r\u001b[K")[^1])];
        }
        OnTerminal($"export web -o {archive}").ShouldAllBe(line => !line.Contains("Exporting"));
        OnTerminal($"import {archive} --name other").ShouldAllBe(line => !line.Contains("Importing"));
        Result piped = _sandbox.Capsule("import", archive, "--name", "third").Ok();
        (piped.Out + piped.Error).ShouldNotContain("\u001b[K");
        piped.Error.ShouldNotContain("Importing");
        _sandbox.Shell($"CAPSULE_NO_PROGRESS=1 TERM=xterm script -qec '{Sandbox.Programs}/capsule export web -o {archive}' /dev/null").Ok().Out.ShouldNotContain("\u001b[K");
    }

    [Fact]
    public void A_capsule_comes_back_from_its_archive_with_its_state_and_what_was_made_state()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 0.1; done"));
        string archive = _sandbox.State + "/web.tar";
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "echo row > /data/rows; mkdir /srv; echo stray > /srv/file").Ok();
        _sandbox.Capsule("state", "add", "web", "/srv").Error.ShouldContain("CAP5009");
        _sandbox.Capsule("export", "web", "--with-state", "-o", archive).Error.ShouldContain("CAP6109");
        _sandbox.Capsule("stop", "web").Ok();
        _sandbox.Capsule("state", "add", "web", "/srv").Ok();
        _sandbox.Capsule("diff", "web").Out.ShouldBe("");
        _sandbox.Capsule("export", "web", "--with-state", "-o", archive).Ok();
        _sandbox.Capsule("import", archive).Error.ShouldContain("CAP5014");
        _sandbox.Capsule("import", archive, "--name", "again").Ok();
        _sandbox.Capsule("run", "again").Ok();
        _sandbox.Capsule("exec", "again", "cat", "/data/rows", "/srv/file").Out.ShouldBe("row\nstray\n");
        _sandbox.Capsule("images").Out.ShouldContain("again");
        _sandbox.Capsule("stop", "again").Ok();
        _sandbox.Traces().ShouldNotContain("export");
    }

    [Fact]
    public void A_user_who_is_not_root_is_told_so_and_nothing_is_made()
    {
        string home = _sandbox.State + "/home", programs = _sandbox.State + "/programs";
        Result AsNobody(string words) => _sandbox.Shell($"env -u CAPSULE_STATE -u CAPSULE_RUN HOME={home} setpriv --reuid 65534 --regid 65534 --clear-groups {programs}/capsule {words}");
        _sandbox.Shell($"mkdir {programs} && cp {Sandbox.Programs}/capsule {Sandbox.Programs}/capsule-tools {programs}/ && chmod -R a+rX {programs}").Ok(); // where anybody may go
        foreach (string words in (string[])["adopt nginx", "apply x"]) AsNobody(words).Error.ShouldContain("CAP1006", customMessage: words);
        foreach (string words in (string[])["run x", "start x", "state add x /y", "import x", "oci list", "ps -a", "images"])
            AsNobody(words).Error.ShouldContain("CAP1011", customMessage: words); // nobody has no subordinate ids
        AsNobody("doctor").Out.ShouldContain("no range of nobody");
        AsNobody("explain CAP1006").Out.ShouldContain("# CAP1006");
        Directory.Exists(home).ShouldBeFalse();
    }
}
