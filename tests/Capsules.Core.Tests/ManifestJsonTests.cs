using System.Text;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests;

public sealed class ManifestJsonTests
{
    private static CapsuleManifest Sample => new()
    {
        Name = CapsuleName.Parse("bill"),
        Version = "1.2",
        Source = new("Debian GNU/Linux 12 (bookworm)", "x86_64", "web01"),
        Layers = [Digest.FromSha256(new byte[32])],
        Services =
        [
            new()
            {
                Name = "bill", Unit = "acme-bill.service", Kind = ServiceKind.Forking, Command = ["/opt/acme/bin/billd", "-c", "/etc/\\xff.ini"], User = "acme", PidFile = GuestPath.Parse("/run/bill.pid"),
                StartPre = [["/bin/true"]], Restart = RestartPolicy.OnFailure, After = ["db"], Ready = new() { Port = 8080 }, SuccessStatuses = [143],
                RuntimeDirectories = [new(GuestPath.Parse("/run/bill"), "acme", "acme", 0x1E8)], Capabilities = [], ResourceLimits = [new("RLIMIT_NOFILE", 1024, ulong.MaxValue)],
            },
        ],
        Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/opt/acme/data"), Reason = "written by billd" }],
        Secrets = [GuestPath.Parse("/etc/acme/db.pass")],
        Identity = new()
        {
            HostName = "bill",
            Domain = "example.net",
            MachineId = MachineId.Parse("0123456789abcdef0123456789abcdef"),
            HostId = 0x0A14000F,
            Interfaces = [new() { Name = "eth0", Mac = MacAddress.Parse("52:54:00:6b:1f:02"), Addresses = [InterfaceAddress.Parse("10.20.0.15/24"), InterfaceAddress.Parse("fd00::15/64")],
                Routes = [new(null, System.Net.IPAddress.Parse("10.20.0.1"))] }],
        },
        Listeners = [new("tcp", "*", 8080, "bill")],
        Limits = new() { Memory = 512 << 20, Cpus = 1.5 },
    };

    [Fact]
    public void What_was_written_is_read_back() => ManifestJson.Write(ManifestJson.Read(ManifestJson.Write(Sample))).ShouldBe(ManifestJson.Write(Sample));

    [Fact]
    public void A_capability_set_that_is_empty_is_not_one_that_is_absent() => ManifestJson.Read(ManifestJson.Write(Sample)).Services[0].Capabilities!.Value.ShouldBeEmpty();

    [Theory]
    [InlineData("", "not JSON")]
    [InlineData("[]", "object")]
    [InlineData("{}", "schemaVersion")]
    [InlineData("""{"schemaVersion":99,"name":"a"}""", "99")]
    [InlineData("""{"schemaVersion":1,"name":"../a"}""", "name")]
    [InlineData("""{"schemaVersion":1,"name":"a","services":[{"name":"x"}]}""", "command")]
    [InlineData("""{"schemaVersion":1,"name":"a","volumes":[{"name":"v","path":"/a/../../etc"}]}""", "path")]
    [InlineData("""{"schemaVersion":1,"name":"a","services":[{"name":"x","command":["y"],"umask":"9"}]}""", "octal")]
    public void Bad_input_is_refused_with_its_place(string text, string says) =>
        Should.Throw<FormatException>(() => ManifestJson.Read(Encoding.UTF8.GetBytes(text))).Message.ShouldContain(says);
}
