using System.Text.Json;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>What can be done with a capture beside running it: the plan as a directory, and the bill of materials.</summary>
public sealed class CaptureTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private Result Tools(params string[] words) => _sandbox.Run([Sandbox.Programs + "/capsule-tools", .. words], seconds: 120);

    [Fact]
    public void A_plan_that_was_exported_makes_the_same_image_again()
    {
        Tools("adopt", "redis-server", "--root", source.Tree, "--name", "redis").Ok();
        string image = JsonDocument.Parse(_sandbox.Capsule("inspect", "redis").Ok().Out).RootElement.GetProperty("capsule").GetProperty("image").GetString()!;
        Tools("capture", "export", "redis", _sandbox.State + "/redis.capture").Ok();
        _sandbox.Shell($"grep -c . {_sandbox.State}/redis.capture/paths.tsv; grep -P '^/usr/bin/redis-check-rdb\\tcode' {_sandbox.State}/redis.capture/paths.tsv").Ok();
        _sandbox.Capsule("rm", "--volumes", "--yes", "redis").Ok();
        Tools("apply", _sandbox.State + "/redis.capture").Ok();
        JsonDocument.Parse(_sandbox.Capsule("inspect", "redis").Ok().Out).RootElement.GetProperty("capsule").GetProperty("image").GetString().ShouldBe(image);
        Tools("capture", "export", "redis", _sandbox.State).Code.ShouldBe(2, "a directory with other things in it is not written into");
    }

    [Fact]
    public void A_bill_of_materials_names_the_packages_of_the_capsule_and_files_that_no_package_owns()
    {
        Tools("adopt", "path:/opt/acme/bin/billd", "--root", source.Tree, "--name", "acme").Ok();
        JsonElement bill = JsonDocument.Parse(Tools("sbom", "acme").Ok().Out).RootElement;
        string[] packages = [.. bill.GetProperty("packages").EnumerateArray().Select(p => p.GetProperty("name").GetString()!)];
        packages.ShouldContain("libc6");
        packages.ShouldNotContain("postgresql-15", "it is at the source, not in the capsule");
        JsonElement program = bill.GetProperty("files").EnumerateArray().Single(f => f.GetProperty("fileName").GetString() == "./opt/acme/bin/billd");
        string digest = program.GetProperty("checksums").EnumerateArray().Single(c => c.GetProperty("algorithm").GetString() == "SHA256").GetProperty("checksumValue").GetString()!;
        _sandbox.Shell($"sha256sum {source.Tree}/opt/acme/bin/billd").Out.ShouldStartWith(digest);

        Tools("sbom", "acme", "--format", "cyclonedx", "-o", _sandbox.State + "/bill.json").Ok();
        _sandbox.Shell($"grep -c '\"purl\": \"pkg:deb/debian/libc6@' {_sandbox.State}/bill.json").Out.Trim().ShouldBe("1");
        _sandbox.Shell($"ls {_sandbox.Store}/tmp").Out.ShouldBeEmpty();
    }
}
