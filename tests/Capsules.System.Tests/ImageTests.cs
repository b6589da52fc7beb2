using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Capsules out of the store and into it again, by the published programs.</summary>
public sealed class ImageTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

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
