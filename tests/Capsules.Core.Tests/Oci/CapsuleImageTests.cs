using Capsules.Core.Model;
using Capsules.Core.Oci;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Oci;

public sealed class CapsuleImageTests
{
    private static readonly Digest Own = Digest.FromSha256(new byte[32]), Added = Digest.FromSha256([.. Enumerable.Repeat((byte)1, 32)]), Seed = Digest.FromSha256([.. Enumerable.Repeat((byte)2, 32)]);

    private static CapsuleManifest Web => new()
    {
        Name = CapsuleName.Parse("web"),
        Layers = [Own],
        Environment = ["TZ=UTC"],
        Services = [new() { Name = "web", Command = ["/usr/bin/webd", "-c", "/etc/web.conf"], User = "web", StopSignal = 3, WorkingDirectory = GuestPath.Parse("/srv") }],
        Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/web") }],
        Listeners = [new("tcp", "*", 80), new("unix", "/run/web.sock", 0)],
    };

    [Fact]
    public void One_plain_service_is_the_images_command()
    {
        ImageConfig config = CapsuleImage.ConfigOf(Web, [Own, Added], 1);
        config.ShouldSatisfyAllConditions(c => c.Entrypoint.ShouldBeEmpty(), c => c.Cmd.ShouldBe(["/usr/bin/webd", "-c", "/etc/web.conf"]), c => c.User.ShouldBe("web"), c => c.StopSignal.ShouldBe("3"), c => c.WorkingDir.ShouldBe("/srv"),
            c => c.ExposedPorts.ShouldBe(["80/tcp"]), c => c.Volumes.ShouldBe(["/var/lib/web"]));
    }

    [Fact]
    public void The_manifest_comes_back_with_what_was_seeded()
    {
        ImageConfig read = ImageJson.ReadConfig(ImageJson.Write(CapsuleImage.ConfigOf(Web, [Own, Added, Seed], 1)));
        CapsuleManifest manifest = CapsuleImage.ManifestOf(read, CapsuleName.Parse("other"));
        ManifestJson.Write(manifest).ShouldBe(ManifestJson.Write(Web with { Layers = [Own, Seed] }));
    }

    [Fact]
    public void A_manifest_of_other_layers_is_refused() =>
        Should.Throw<FormatException>(() => CapsuleImage.ManifestOf(CapsuleImage.ConfigOf(Web, [Own], 1) with { DiffIds = [Added] }, CapsuleName.Parse("x")));

    [Fact]
    public void Any_image_is_a_capsule_of_one_service()
    {
        CapsuleManifest manifest = CapsuleImage.ManifestOf(new() { Architecture = "amd64", User = "33:33", Entrypoint = ["/entry.sh"], Cmd = ["run"], Volumes = ["/data/"], ExposedPorts = ["53/udp"], StopSignal = "SIGQUIT", DiffIds = [Own] }, CapsuleName.Parse("x"));
        ServiceManifest service = manifest.Services.ShouldHaveSingleItem();
        service.ShouldSatisfyAllConditions(s => s.Command.ShouldBe(["/entry.sh", "run"]), s => s.User.ShouldBe("33"), s => s.Group.ShouldBe("33"), s => s.StopSignal.ShouldBe(3));
        manifest.Volumes[0].ShouldSatisfyAllConditions(v => v.Name.ToString().ShouldBe("data"), v => v.Path.ToString().ShouldBe("/data"));
        manifest.Listeners.ShouldBe([new Listener("udp", "*", 53)]);
    }

    [Fact]
    public void Services_start_after_those_they_wait_for_also_in_a_circle()
    {
        ServiceManifest Of(string name, params string[] after) => new() { Name = name, Command = ["/" + name], After = [.. after] };
        ServiceScript.Ordered([Of("web", "php", "db"), Of("php", "db"), Of("db")]).Select(s => s.Name).ShouldBe(["db", "php", "web"]);
        ServiceScript.Ordered([Of("a", "b"), Of("b", "a")]).Select(s => s.Name).ShouldBe(["b", "a"]);
    }

    [Fact]
    public void A_command_is_run_in_the_place_of_the_services()
    {
        CapsuleManifest manifest = Web with { Services = [Web.Services[0], Web.Services[0] with { Name = "two" }] };
        ImageConfig config = CapsuleImage.ConfigOf(manifest, [Own, Added], 1);
        config.Entrypoint.ShouldBe([ServiceScript.Path]);
        config.Cmd.ShouldBeEmpty();
        System.Text.Encoding.UTF8.GetString(ServiceScript.Write(manifest)).ShouldContain("if [ \"$#\" -gt 0 ]; then exec \"$@\"; fi");
    }

    [Fact]
    public void A_script_quotes_every_word()
    {
        CapsuleManifest manifest = Web with { Services = [Web.Services[0] with { Command = ["/bin/x", "it's; rm -rf $HOME", "\\xff"], Kind = ServiceKind.Forking }] };
        byte[] script = ServiceScript.Write(manifest);
        System.Text.Encoding.Latin1.GetString(script).ShouldContain("'it'\"'\"'s; rm -rf $HOME' '\u00ff'");
        Golden.Check("forking-service.sh", System.Text.Encoding.Latin1.GetString(script));
    }
}
