using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Capsules.Core.Bills;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Bills;

public sealed class BillTests
{
    private static readonly ImmutableSortedDictionary<string, string> Debian = ImmutableSortedDictionary<string, string>.Empty.Add("ID", "debian").Add("VERSION_ID", "12");

    private static PackageFact Package(string name, string version, params string[] depends) =>
        new(new() { Name = name, Source = name, Version = version, Architecture = "amd64", State = "installed", Depends = [.. depends.Select(d => ImmutableArray.Create(d))] }, []);

    private static SoftwareBill Bill()
    {
        PackageFact[] packages = [Package("libc6", "2.36-9+deb12u1"), Package("redis", "5:7.0.15-1", "libc6", "adduser")];
        return new()
        {
            Manifest = new() { Name = CapsuleName.Parse("redis"), Version = "7.0.15" },
            Image = Digest.FromSha256(new byte[32]),
            Created = DateTimeOffset.UnixEpoch,
            Tool = "1.2.3",
            Packages = [.. packages.Select(p => new BillPackage(p, SoftwareBill.UrlOf(p, Debian, isRpm: false)))],
            Files = [new(GuestPath.Parse("/opt/acme/bin/billd"), new('a', 40), new('b', 64), true)],
        };
    }

    [Fact]
    public void A_package_url_escapes_what_its_specification_demands() =>
        SoftwareBill.UrlOf(Package("libstdc++6", "5:12.2.0-14+b~1"), Debian, isRpm: false).ShouldBe("pkg:deb/debian/libstdc%2B%2B6@5:12.2.0-14%2Bb~1?arch=amd64&distro=debian-12");

    [Fact]
    public void Dependencies_are_those_that_are_in_the_capsule() => Bill().Dependencies().Select(d => d.ToArray()).ShouldBe([[], [0]]);

    [Fact]
    public void Spdx_relates_the_capsule_to_its_packages_and_files()
    {
        JsonElement root = JsonDocument.Parse(SpdxJson.Write(Bill())).RootElement;
        root.GetProperty("spdxVersion").GetString().ShouldBe("SPDX-2.3");
        string[] ids = [.. root.GetProperty("packages").EnumerateArray().Concat(root.GetProperty("files").EnumerateArray()).Select(e => e.GetProperty("SPDXID").GetString()!), "SPDXRef-DOCUMENT"];
        ids.ShouldBeUnique();
        foreach (JsonElement relation in root.GetProperty("relationships").EnumerateArray())
        {
            ids.ShouldContain(relation.GetProperty("spdxElementId").GetString());
            ids.ShouldContain(relation.GetProperty("relatedSpdxElement").GetString());
        }
        root.GetProperty("relationships").EnumerateArray().Count(r => r.GetProperty("relationshipType").GetString() == "DEPENDS_ON").ShouldBe(1);
        root.GetProperty("files")[0].GetProperty("fileName").GetString().ShouldBe("./opt/acme/bin/billd");
        root.GetProperty("files")[0].GetProperty("checksums").EnumerateArray().Select(c => c.GetProperty("algorithm").GetString()).ShouldBe(["SHA1", "SHA256"]);
    }

    [Fact]
    public void CycloneDx_names_components_once_and_depends_on_them_alone()
    {
        JsonElement root = JsonDocument.Parse(CycloneDxJson.Write(Bill())).RootElement;
        root.GetProperty("specVersion").GetString().ShouldBe("1.6");
        root.GetProperty("serialNumber").GetString()!.ShouldMatch("^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$");
        string[] references = [.. root.GetProperty("components").EnumerateArray().Select(c => c.GetProperty("bom-ref").GetString()!)];
        references.ShouldBeUnique();
        root.GetProperty("dependencies").EnumerateArray().SelectMany(d => d.TryGetProperty("dependsOn", out JsonElement on) ? on.EnumerateArray().Select(o => o.GetString()!) : []).ShouldAllBe(r => references.Contains(r));
    }

    [Fact]
    public void Equal_bills_are_equal_bytes() => SpdxJson.Write(Bill()).ShouldBe(SpdxJson.Write(Bill()));

    [Fact]
    public void A_package_database_is_cut_by_whole_paragraphs()
    {
        byte[] status = Encoding.UTF8.GetBytes("Package: a\nStatus: install ok installed\nArchitecture: amd64\nDescription: x\n more\n\nPackage: b\nArchitecture: amd64\n\nPackage: c\nArchitecture: amd64\n");
        Encoding.UTF8.GetString(DpkgStatus.Keep(status, p => p.Name is "a" or "c").AsSpan()).ShouldBe("Package: a\nStatus: install ok installed\nArchitecture: amd64\nDescription: x\n more\n\nPackage: c\nArchitecture: amd64\n");
    }
}
