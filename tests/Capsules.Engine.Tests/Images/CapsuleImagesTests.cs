using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Store;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Images;

public sealed class CapsuleImagesTests
{
    private static readonly CapsuleName Web = CapsuleName.Parse("web");

    private static (CapsuleStore Store, CapsuleRecord Capsule) Make(TestStore place, CapsuleManifest manifest)
    {
        byte[] bytes = ManifestJson.Write(manifest);
        Digest image = Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(bytes));
        Directory.CreateDirectory(place.Layout.Image(image));
        File.WriteAllBytes(place.Layout.Image(image) + "/manifest.json", bytes);
        var store = new CapsuleStore(place.Layout);
        return (store, store.Create(new() { Name = Web, Image = image, Stack = Web, Created = DateTimeOffset.UnixEpoch }));
    }

    private static CapsuleManifest Manifest(params Digest[] layers) => new()
    {
        Name = Web,
        Layers = [.. layers],
        Services = [new() { Name = "web", Command = ["/bin/true"] }],
        Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/web") }],
    };

    [Fact]
    public void Volumes_of_an_imported_capsule_begin_with_what_the_layers_show_together()
    {
        using TestStore source = new(), target = new();
        Digest low = source.MakeLayer(1, "mkdir -p bin var/lib/web/old var/lib/web/kept; : > bin/sh; echo 1 > var/lib/web/file; echo x > var/lib/web/gone; echo y > var/lib/web/old/a; chown 33:44 var/lib/web; chmod 2750 var/lib/web");
        Digest high = source.MakeLayer(2, "mkdir -p var/lib/web/old; chown 33:44 var/lib/web; chmod 2750 var/lib/web; echo 2 > var/lib/web/file; mknod var/lib/web/gone c 0 0; echo z > var/lib/web/old/b");
        ExtendedAttributes.Write(source.Layout.Layer(high) + "/var/lib/web/old", "trusted.overlay.opaque", "y"u8);
        var (store, capsule) = Make(source, Manifest(low, high));
        string archive = source.Directory + "/web.tar";
        using (var file = new FileStream(archive, FileMode.Create)) new CapsuleImages(store).Export(capsule, new(), file);

        CapsuleRecord imported = new CapsuleImages(new(target.Layout)).Import(archive, CapsuleName.Parse("shop"), TimeProvider.System).Capsule;
        imported.Name.ToString().ShouldBe("shop");
        string volume = target.Layout.Volume(imported.Name, CapsuleName.Parse("data"));
        TestStore.Sh(volume, "stat -c '%u:%g %a' .; find . -type f | sort | xargs grep -H .; ls -d kept").ShouldBe("33:44 2750\n./file:2\n./old/b:z\nkept\n");
        Directory.GetFileSystemEntries(target.Layout.Temporary).ShouldBeEmpty();
        Should.Throw<CapsuleException>(() => new CapsuleImages(new(target.Layout)).Import(archive, CapsuleName.Parse("shop"), TimeProvider.System)).Problem.Code.ShouldBe("CAP5014");
    }

    [Fact]
    public void State_of_an_exported_capsule_is_in_the_imported_one()
    {
        using TestStore source = new(), target = new();
        var (store, capsule) = Make(source, Manifest(source.MakeLayer(1, "mkdir -p bin; : > bin/sh")));
        Directory.CreateDirectory(source.Layout.Volume(Web, CapsuleName.Parse("data")));
        TestStore.Sh(source.Layout.Volume(Web, CapsuleName.Parse("data")), "echo rows > table; chown 105:106 table");
        string archive = source.Directory + "/web.tar";
        using (var file = new FileStream(archive, FileMode.Create)) new CapsuleImages(store).Export(capsule, new(WithState: true), file);
        new CapsuleImages(new(target.Layout)).Import(archive, null, TimeProvider.System);
        TestStore.Sh(target.Layout.Volume(Web, CapsuleName.Parse("data")), "cat table; stat -c %u:%g table").ShouldBe("rows\n105:106\n");
    }

    [Fact]
    public void A_stray_write_becomes_state()
    {
        using TestStore place = new();
        var (store, capsule) = Make(place, Manifest(place.MakeLayer(1, "mkdir -p opt/app; echo a > opt/app/a; echo b > opt/app/b")));
        string upper = place.Layout.Writable(Web) + "/upper";
        Directory.CreateDirectory(upper + "/opt/app");
        TestStore.Sh(upper, "echo c > opt/app/c; mknod opt/app/a c 0 0; echo other > opt/other");
        var images = new CapsuleImages(store);
        StateVolume volume = images.AddState(Web, GuestPath.Parse("/opt/app"));
        TestStore.Sh(place.Layout.Volume(Web, volume.Name), "grep -H . *").ShouldBe("b:b\nc:c\n");
        store.Get("web").FurtherVolumes.Single().Path.ShouldBe(GuestPath.Parse("/opt/app"));
        Directory.Exists(upper + "/opt/app").ShouldBeFalse();
        File.Exists(upper + "/opt/other").ShouldBeTrue();
        foreach (string bad in (string[])["/", "/proc/x", "/var/lib", "/opt/app/sub", "/nothing", "/opt/other"])
            Should.Throw<CapsuleException>(() => images.AddState(Web, GuestPath.Parse(bad)), bad).Problem.Code.ShouldBe("CAP5015");
    }
}
