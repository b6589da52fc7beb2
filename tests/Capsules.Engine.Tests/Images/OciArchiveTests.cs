using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Images;

public sealed class OciArchiveTests
{
    private static CapsuleManifest Web(Digest layer) => new()
    {
        Name = CapsuleName.Parse("web"),
        Layers = [layer],
        Services = [new() { Name = "web", Command = ["/bin/true"], RuntimeDirectories = [new(GuestPath.Parse("/run/web"), "web", "web", 0x1C0)] }],
        Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/web") }],
    };

    private const string Tree = """
        mkdir -p bin etc dir/sub; echo hello > etc/hello; chown 33:44 etc/hello; chmod 4755 etc/hello; ln etc/hello etc/again; ln -s /etc/hello dir/link
        printf 'web:x:77:78::/:\n' > etc/passwd; printf 'web:x:78:\n' > etc/group; mknod -m 600 dir/gone c 0 0
        : > "dir/$(printf 'n\377me')"; touch -d @1000000000 etc/hello; touch -d @1000000001 dir
        """;

    private static string Picture(string directory) =>
        TestStore.Sh(directory, "find . | sort | xargs -d '\\n' stat -c '%N %f %u %g %h %t:%T'; stat -c %Y etc/hello dir") +
        string.Join(' ', ((string[])["dir/sub", "etc/hello"]).SelectMany(name => ExtendedAttributes.Read($"{directory}/{name}")).Select(a => $"{a.Name}={Encoding.UTF8.GetString(a.Value)}"));

    private static string Export(TestStore store, CapsuleManifest manifest, CapsuleName? capsule = null, ExportOptions? options = null)
    {
        string path = store.Directory + "/image.tar";
        using var file = new FileStream(path, FileMode.Create);
        new OciExporter(store.Layout).Export(manifest, capsule, "web:latest", options ?? new(), file);
        return path;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_capsule_that_was_exported_is_imported_the_same(bool compress)
    {
        using TestStore source = new(), target = new();
        CapsuleManifest web = Web(source.MakeLayer(1, Tree));
        ExtendedAttributes.Write(source.Layout.Layer(web.Layers[0]) + "/dir/sub", "trusted.overlay.opaque", "y"u8);
        ExtendedAttributes.Write(source.Layout.Layer(web.Layers[0]) + "/etc/hello", "user.note", "x"u8);
        string archive = Export(source, web, options: new(Compress: compress));
        var (image, manifest) = new OciImporter(target.Layout).Import(archive, null);
        Picture(target.Layout.Layer(manifest.Layers.Single())).ShouldBe(Picture(source.Layout.Layer(web.Layers[0])));
        ManifestJson.Write(manifest with { Layers = web.Layers }).ShouldBe(ManifestJson.Write(web));
        File.Exists(target.Layout.Image(image) + "/manifest.json").ShouldBeTrue();
        Directory.GetFileSystemEntries(target.Layout.Temporary).ShouldBeEmpty();
        new OciImporter(target.Layout).Import(archive, null).Image.ShouldBe(image);
    }

    [Fact]
    public void Secrets_and_state_are_in_it_only_when_asked_for()
    {
        using var store = new TestStore();
        CapsuleManifest web = Web(store.MakeLayer(1, "mkdir bin"));
        CapsuleName name = CapsuleName.Parse("web");
        Directory.CreateDirectory(store.Layout.Secrets(name) + "/etc");
        File.WriteAllText(store.Layout.Secrets(name) + "/etc/pass", "TOPSECRET");
        Directory.CreateDirectory(store.Layout.Volume(name, CapsuleName.Parse("data")));
        File.WriteAllText(store.Layout.Volume(name, CapsuleName.Parse("data")) + "/rows", "ROWS");
        bool Has(ExportOptions options, string text) => File.ReadAllBytes(Export(store, web, name, options)).AsSpan().IndexOf(Encoding.ASCII.GetBytes(text)) >= 0;
        Has(new(Compress: false), "TOPSECRET").ShouldBeFalse();
        Has(new(Compress: false), "ROWS").ShouldBeFalse();
        Has(new(WithSecrets: true, Compress: false), "TOPSECRET").ShouldBeTrue();
        Has(new(WithState: true, Compress: false), "ROWS").ShouldBeTrue();
    }

    [Fact]
    public void Equal_capsules_give_equal_archives()
    {
        using var store = new TestStore();
        CapsuleManifest web = Web(store.MakeLayer(1, "mkdir a; echo x > a/b; touch -d @0 a/b a"));
        byte[] first = File.ReadAllBytes(Export(store, web));
        File.ReadAllBytes(Export(store, web)).ShouldBe(first);
    }

    [Fact]
    public void Several_services_without_a_shell_cannot_be_exported()
    {
        using var store = new TestStore();
        CapsuleManifest web = Web(store.MakeLayer(1, "mkdir bin"));
        web = web with { Services = [web.Services[0], web.Services[0] with { Name = "second" }] };
        Should.Throw<CapsuleException>(() => Export(store, web)).Problem.Code.ShouldBe("CAP6107");
    }

    public static TheoryData<string, TarMember[]> Hostile => new()
    {
        { "absolute", [Entry("/etc/x")] },
        { "upwards", [Entry("a/../../x")] },
        { "symbolic link", [Entry("a", TarMemberKind.SymbolicLink, "/tmp"), Entry("a/x")] },
        { "symbolic link", [Entry("a", TarMemberKind.SymbolicLink, ".."), Entry("a/x")] },
        { "symbolic link", [Entry("a", TarMemberKind.SymbolicLink, "nowhere"), Entry("a/x")] },
        { "device", [Entry("sda", TarMemberKind.BlockDevice)] },
        { "device", [Entry("null", TarMemberKind.CharacterDevice)] },
        { "upwards", [Entry("p", TarMemberKind.HardLink, "../../etc/passwd")] },
        { "absolute", [Entry("p", TarMemberKind.HardLink, "/etc/passwd")] },
        { "symbolic link", [Entry("a", TarMemberKind.SymbolicLink, "/etc"), Entry("p", TarMemberKind.HardLink, "a/passwd")] },
        { "not in the layer", [Entry("p", TarMemberKind.HardLink, "nothing")] },
        { "whiteout", [Entry(".wh...")] },
        { "whiteout", [Entry(".wh.")] },
        { "too long", [Entry(new string('n', 300))] },
        { "root", [Entry(".", TarMemberKind.SymbolicLink, "/")] },
        { "file", [Entry("a"), Entry("a/b")] },
        { "directory", [Entry("d", TarMemberKind.Directory), Entry("d", TarMemberKind.SymbolicLink, "/")] },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_layer_is_refused_and_nothing_stays(string says, TarMember[] entries)
    {
        using var store = new TestStore();
        var problem = Should.Throw<CapsuleException>(() => new OciImporter(store.Layout).Import(ArchiveOf(store, entries), null)).Problem;
        problem.Code.ShouldBe("CAP6103");
        problem.Cause!.ShouldContain(says);
        Directory.GetFileSystemEntries(store.Layout.Temporary).ShouldBeEmpty();
        Directory.Exists(store.Layout.Images).ShouldBeFalse();
    }

    [Fact]
    public void A_bomb_is_stopped()
    {
        using var store = new TestStore();
        string archive = ArchiveOf(store, [.. Enumerable.Range(0, 50).Select(i => Entry($"f{i}"))]);
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout, new(1 << 20, 10)).Import(archive, null)).Problem.Code.ShouldBe("CAP6104");
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout, new(20, 1000)).Import(archive, null)).Problem.Code.ShouldBe("CAP6104");
        Directory.GetFileSystemEntries(store.Layout.Temporary).ShouldBeEmpty();
    }

    [Fact]
    public void A_damaged_archive_is_refused()
    {
        using var store = new TestStore();
        string archive = ArchiveOf(store, [Entry("a")]);
        byte[] bytes = File.ReadAllBytes(archive);
        bytes[bytes.AsSpan().IndexOf("content"u8)] ^= 1;
        File.WriteAllBytes(archive, bytes);
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout).Import(archive, null)).Problem.Code.ShouldBe("CAP6102");
        File.WriteAllText(archive, "no archive");
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout).Import(archive, null)).Problem.Code.ShouldBe("CAP6101");
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout).Import(store.Directory + "/absent", null)).Problem.Code.ShouldBe("CAP6101");
    }

    private static TarMember Entry(string name, TarMemberKind kind = TarMemberKind.File, string target = "") =>
        new() { Name = Encoding.UTF8.GetBytes(name), Kind = kind, Mode = 0x1A4, LinkTarget = Encoding.UTF8.GetBytes(target) };

    /// <summary>A well-formed OCI archive around one layer of these entries.</summary>
    private static string ArchiveOf(TestStore store, TarMember[] entries)
    {
        byte[] layer = Tar(tar =>
        {
            foreach (TarMember entry in entries) tar.Add(entry, entry.Kind == TarMemberKind.File ? "content"u8 : []);
        });
        byte[] config = ImageJson.Write(new ImageConfig { Architecture = CapsuleImage.ArchitectureOf("x86_64"), DiffIds = [DigestOf(layer)] });
        byte[] manifest = ImageJson.Write(new ImageManifest(new(MediaTypes.Config, DigestOf(config), config.Length), [new(MediaTypes.Layer, DigestOf(layer), layer.Length)]));
        byte[] index = ImageJson.Write(new ImageIndex([new(MediaTypes.Manifest, DigestOf(manifest), manifest.Length)]));
        string path = store.Directory + "/hostile.tar";
        File.WriteAllBytes(path, Tar(tar =>
        {
            tar.Add(Entry("index.json"), index);
            foreach (byte[] blob in (byte[][])[config, manifest, layer]) tar.Add(Entry("blobs/sha256/" + DigestOf(blob).Hex), blob);
        }));
        return path;
    }

    private static byte[] Tar(Action<TarWriter> write)
    {
        var stream = new MemoryStream();
        var tar = new TarWriter(stream);
        write(tar);
        tar.End();
        return stream.ToArray();
    }

    private static Digest DigestOf(byte[] bytes) => Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(bytes));
}
