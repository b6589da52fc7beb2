using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Opening;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Images;

/// <summary>What an open capsule shows of its source, as it travels: names, sizes and times exactly, contents only of what was filled, and nothing hostile.</summary>
public sealed class OpenArchiveTests
{
    private static readonly CapsuleName Web = CapsuleName.Parse("web");
    private static readonly SshAddress Old = SshAddress.Parse("ssh://root@old:2222");

    private static readonly CapturePlan Plan = new()
    {
        Source = SourceReference.OfRoot("/mnt/disk"),
        Application = "web",
        Stack = Web,
        Manifest = new() { Name = Web },
        Reasons = [new("the service runs it", null)],
        Paths = [new(GuestPath.Parse("/bin/web"), PathKind.Code, EntryKind.Regular, 7, 0)],
    };

    private const string Tree = """
        mkdir -p etc usr/lib var/lib/bits/sub var/lib/half; cd usr/lib
        for f in filled hollow large ".wh.odd" "$(printf 'a\nb\377')"; do echo "content of $f" > "$f"; done; truncate -s 20G large; : > empty
        chmod 4755 hollow; chown 33:44 hollow; ln -s ../etc link; mkfifo pipe; cd ../..
        echo 1 > var/lib/bits/a; echo 2 > var/lib/bits/sub/b; echo 3 > var/lib/half/c
        find . -exec touch -h -d @1000000000.123456789 {} +; touch -d @-5.25 usr/lib/hollow
        """;

    /// <summary>An open capsule in a store; all its files wait for their content but usr/lib/filled, and the folder bits is whole.</summary>
    private static CapsuleRecord Make(TestStore store)
    {
        Digest layer = store.MakeLayer(1, "mkdir bin; echo program > bin/web; ln -s web bin/sh");
        byte[] manifest = ManifestJson.Write(new() { Name = Web, Layers = [layer], Services = [new() { Name = "web", Command = ["/bin/web"] }] });
        Digest image = Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(manifest));
        Directory.CreateDirectory(store.Layout.Image(image));
        File.WriteAllBytes(store.Layout.Image(image) + "/manifest.json", manifest);
        File.WriteAllBytes(store.Layout.Image(image) + "/plan.json", CapturePlanJson.Write(Plan));
        File.WriteAllText(store.Layout.Image(image) + "/left-out.jsonl", """{"path":"/etc/other","why":"nothing needs it"}""" + "\n");
        return new CapsuleStore(store.Layout).Create(new() { Name = Web, Image = image, Stack = Web, Created = DateTimeOffset.UnixEpoch, Source = "root:/mnt/disk", Open = true }, half =>
        {
            string tree = half + "/open/tree";
            Directory.CreateDirectory(tree);
            TestStore.Sh(tree, Tree);
            ExtendedAttributes.Write(tree + "/usr/lib/hollow", "security.capability", Convert.FromHexString("0000000200040000000000000000000000000000"));
            Mark(new NativePath(tree));
            OpenTree.Complete(half + "/open", SourceReference.OfRoot("/mnt/disk"), DateTimeOffset.UnixEpoch);
            UnfilledMark.Remove(tree + "/usr/lib/filled");
            UnfilledMark.SetWhole(tree + "/var/lib/bits");
            UnfilledMark.Remove(tree + "/var/lib/bits/sub/b"); // killed between the folder's mark and the last file's: a keeps its own
        });

        static void Mark(NativePath directory)
        {
            using Descriptor opened = FileCalls.Open(directory, OpenFlags.ReadOnly | OpenFlags.Directory);
            foreach (var (name, kind) in FileCalls.List(opened))
                if (kind == FileKind.Directory) Mark(directory.Append([.. "/"u8, .. name]));
                else if (kind == FileKind.Regular) UnfilledMark.Set(directory.Append([.. "/"u8, .. name]), FileCalls.TryStat(opened, name)!.Value.Modified);
        }
    }

    private static string Export(TestStore store, CapsuleRecord capsule, bool compress = true)
    {
        string path = store.Directory + "/web.tar";
        using var file = new FileStream(path, FileMode.Create);
        new CapsuleImages(new(store.Layout)).Export(capsule, new(Open: true, Compress: compress), file);
        return path;
    }

    private static ImportedCapsule Import(TestStore store, string archive, SshAddress? source, string? name = null) => new CapsuleImages(new(store.Layout)).Import(archive, name is null ? null : CapsuleName.Parse(name), TimeProvider.System, source);

    private static string Picture(string tree) =>
        TestStore.Sh(tree, "find . -print0 | sort -z | xargs -0 stat -c '%N %f %u %g %s %y %h'") + TestStore.Run(tree, "python3", "-c", """
            import os
            for root, dirs, files in os.walk(b"."):
                dirs.sort()
                for n in [b"."] + sorted(files): p = os.path.join(root, n); print(p, [(a, os.getxattr(p, a, follow_symlinks=False)) for a in sorted(os.listxattr(p, follow_symlinks=False))])
            """);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_open_capsule_is_the_same_on_another_host_and_its_contents_stay_where_they_are(bool compress)
    {
        using TestStore source = new(), target = new();
        CapsuleRecord web = Make(source);
        string archive = Export(source, web, compress);
        new FileInfo(archive).Length.ShouldBeLessThan(200_000, "20 GB of it are at its source");
        ImportedCapsule imported = Import(target, archive, Old);
        (imported.Capsule.Open, imported.Capsule.Source).ShouldBe((true, "ssh://root@old:2222/mnt/disk"));
        string from = source.Layout.OpenTree(Web), to = target.Layout.OpenTree(Web);
        UnfilledMark.Find(from + "/var/lib/bits/a").ShouldNotBeNull();
        UnfilledMark.Remove(from + "/var/lib/bits/a"); // the folder's mark counts for it, and it travels with its content
        Picture(to).ShouldBe(Picture(from));
        foreach (string path in (string[])["/usr/lib/hollow", "/usr/lib/large", "/usr/lib/.wh.odd", "/usr/lib/empty", "/var/lib/half/c"])
            UnfilledMark.Find(to + path).ShouldBe(UnfilledMark.Find(from + path) ?? throw new InvalidOperationException(path));
        File.ReadAllText(to + "/usr/lib/filled").ShouldBe("content of filled\n");
        File.ReadAllText(to + "/var/lib/bits/a").ShouldBe("1\n");
        File.ReadAllText(to + "/usr/lib/hollow").ShouldNotContain("content", customMessage: "it is at the source");
        File.ReadAllBytes(target.Layout.Open(Web) + "/directories").ShouldBe(File.ReadAllBytes(source.Layout.Open(Web) + "/directories"));
        OpenSource there = OpenSource.FromJson(File.ReadAllBytes(target.Layout.Open(Web) + "/source.json"));
        (there.Source.ToString(), there.Captured, there.Files).ShouldBe(("ssh://root@old:2222/mnt/disk", DateTimeOffset.UnixEpoch, 9));
        Directory.GetFileSystemEntries(target.Layout.Open(Web)).Length.ShouldBe(3);
        Directory.GetFileSystemEntries(target.Layout.Temporary).ShouldBeEmpty();
        CapturePlanJson.Read(File.ReadAllBytes(target.Layout.Image(imported.Capsule.Image) + "/plan.json")).Source.Kind.ShouldBe(SourceKind.Ssh);
        File.ReadAllText(target.Layout.Image(imported.Capsule.Image) + "/left-out.jsonl").ShouldContain("/etc/other");

        // It goes on from there: what is recorded is a machine that can be reached from anywhere, until it is sealed.
        using TestStore third = new();
        CapsuleRecord further = Import(third, Export(target, imported.Capsule, compress), null, "third").Capsule;
        (further.Open, further.Source).ShouldBe((true, imported.Capsule.Source));
        SealResult result = new SealRunner(new(target.Layout)).Seal(Web);
        result.Files.ShouldBe(3);
        Should.Throw<CapsuleException>(() => Import(third, Export2(target), Old, "fourth")).Problem.Code.ShouldBe("CAP2038");
        Directory.Exists(third.Layout.Capsule(CapsuleName.Parse("fourth"))).ShouldBeFalse();
    }

    private static string Export2(TestStore store)
    {
        string path = store.Directory + "/sealed.tar";
        using var file = new FileStream(path, FileMode.Create);
        var capsules = new CapsuleStore(store.Layout);
        Should.Throw<CapsuleException>(() => new CapsuleImages(capsules).Export(capsules.Get("web"), new(Open: true), Stream.Null)).Problem.Code.ShouldBe("CAP2035");
        new CapsuleImages(capsules).Export(capsules.Get("web"), new(), file);
        return path;
    }

    [Fact]
    public void Without_a_source_that_can_be_reached_it_is_sealed_with_what_had_been_filled()
    {
        using TestStore source = new(), target = new();
        CapsuleRecord web = Make(source);
        Should.Throw<CapsuleException>(() => new CapsuleImages(new(source.Layout)).Export(web, new(), Stream.Null)).Problem.Code.ShouldBe("CAP2034");
        ImportedCapsule imported = Import(target, Export(source, web), null);
        imported.Sealed!.Files.ShouldBe(3);
        (imported.Capsule.Open, imported.Capsule.Source).ShouldBe((false, null));
        Directory.Exists(target.Layout.Open(Web)).ShouldBeFalse();
        CapsuleManifest manifest = new CapsuleStore(target.Layout).Manifest(imported.Capsule.Image);
        manifest.Layers.Length.ShouldBe(2);
        TestStore.Sh(target.Layout.Layer(manifest.Layers[0]), "find . -type f | sort").ShouldBe("./usr/lib/filled\n./var/lib/bits/a\n./var/lib/bits/sub/b\n");
        Directory.GetFileSystemEntries(target.Layout.Temporary).ShouldBeEmpty();
    }

    [Fact]
    public void Equal_capsules_give_equal_archives()
    {
        using var store = new TestStore();
        CapsuleRecord web = Make(store);
        byte[] first = File.ReadAllBytes(Export(store, web));
        File.ReadAllBytes(Export(store, web)).ShouldBe(first);
    }

    private static TarMember Entry(string name, TarMemberKind kind = TarMemberKind.File, string target = "", long? hollow = null, params (string, string)[] attributes) => new()
    {
        Name = Encoding.UTF8.GetBytes(name),
        Kind = kind,
        Mode = 0x1ED,
        LinkTarget = Encoding.UTF8.GetBytes(target),
        HollowSize = hollow,
        Attributes = [.. attributes.Select(a => (a.Item1, (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(a.Item2)))],
    };

    private static readonly (string, string) Unfilled = ("trusted.capsule.unfilled", "1000000000.000000000"), Whole = ("trusted.capsule.whole", "1");

    public static TheoryData<string, string, TarMember[]> Hostile => new()
    {
        { "CAP6103", "absolute", [Entry("/tree/x")] },
        { "CAP6103", "upwards", [Entry("tree/../../x")] },
        { "CAP6103", "symbolic link", [Entry("tree/a", TarMemberKind.SymbolicLink, "/tmp"), Entry("tree/a/x")] },
        { "CAP6103", "symbolic link", [Entry("tree/a", TarMemberKind.SymbolicLink, "/tmp"), Entry("tree/a/x", hollow: 5, attributes: Unfilled)] },
        { "CAP6103", "belong", [Entry("tree", TarMemberKind.SymbolicLink, "/etc")] },
        { "CAP6103", "belong", [Entry("tree")] },
        { "CAP6103", "belong", [Entry("directories")] },
        { "CAP6103", "belong", [Entry(".", TarMemberKind.Directory)] },
        { "CAP6103", "belong", [Entry("capsule.json")] },
        { "CAP6103", "belong", [Entry("treehouse/x")] },
        { "CAP6103", "belong", [Entry("source.json", TarMemberKind.SymbolicLink, "/etc/passwd")] },
        { "CAP6103", "belong", [Entry("plan.json", TarMemberKind.Directory)] },
        { "CAP6103", "hard link", [Entry("tree/a", hollow: 5, attributes: Unfilled), Entry("tree/b", TarMemberKind.HardLink, "tree/a")] },
        { "CAP6103", "device", [Entry("tree/null", TarMemberKind.CharacterDevice)] },
        { "CAP6103", "do not agree", [Entry("tree/zeros", hollow: 4096)] },
        { "CAP6103", "do not agree", [Entry("tree/overwritten", attributes: Unfilled)] },
        { "CAP6103", "do not agree", [Entry("tree/d", TarMemberKind.Directory, attributes: Unfilled)] },
        { "CAP6103", "do not agree", [Entry("tree/a", hollow: 1, attributes: ("trusted.capsule.unfilled", "yesterday"))] },
        { "CAP6103", "do not agree", [Entry("tree/a", hollow: 1, attributes: ("trusted.capsule.unfilled", "1.4294967295"))] },
        { "CAP6103", "bytes", [Entry("tree/a", hollow: long.MaxValue, attributes: Unfilled)] },
        { "CAP6101", "whole", [Entry("tree/var/lib/x", TarMemberKind.Directory, attributes: Whole), Entry("tree/var/lib/x/y/zeros", hollow: 9, attributes: Unfilled)] },
        { "CAP6101", "source.json", [Entry("tree", TarMemberKind.Directory)] },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void A_hostile_open_tree_is_refused_and_no_capsule_stays(string code, string says, TarMember[] entries)
    {
        using var store = new TestStore();
        string archive = ArchiveOf(store, Tar(entries, documents: says != "source.json"));
        Problem problem = Should.Throw<CapsuleException>(() => Import(store, archive, Old, "web")).Problem;
        (problem.Code + problem.Cause).ShouldContain(code);
        problem.Cause!.ShouldContain(says);
        Directory.GetFileSystemEntries(store.Layout.Temporary).ShouldBeEmpty();
        Directory.GetFileSystemEntries(store.Layout.Capsules).ShouldBeEmpty();
    }

    [Fact]
    public void A_layer_of_an_image_has_all_contents()
    {
        using var store = new TestStore();
        byte[] bytes = Tar([Entry("zeros", hollow: 4096)], documents: false);
        using var root = FileCalls.Open(Directory.CreateDirectory(store.Directory + "/layer").FullName, OpenFlags.ReadOnly | OpenFlags.Directory);
        Should.Throw<CapsuleException>(() => new LayerUnpacker(root, ImportLimits.Default).Unpack(new TarReader(new MemoryStream(bytes)))).Problem.Code.ShouldBe("CAP6103");
    }

    [Fact]
    public void A_bomb_and_a_damaged_blob_are_refused()
    {
        using var store = new TestStore();
        string archive = ArchiveOf(store, Tar([.. Enumerable.Range(0, 50).Select(i => Entry($"tree/{i}", hollow: 1L << 30, attributes: Unfilled))]));
        OpenImport open = new(store.Directory + "/open", _ => SourceReference.Live, IsWanted: true, IsDemanded: true);
        Should.Throw<CapsuleException>(() => new OciImporter(store.Layout, new(1 << 20, 10)).Import(archive, null, open)).Problem.Code.ShouldBe("CAP6104");
        byte[] bytes = File.ReadAllBytes(archive);
        bytes[bytes.AsSpan().LastIndexOf("tree/49"u8)] ^= 1;
        File.WriteAllBytes(archive, bytes);
        Should.Throw<CapsuleException>(() => Import(store, archive, Old, "web"));
        Directory.GetFileSystemEntries(store.Layout.Temporary).ShouldBeEmpty();
    }

    /// <summary>Bytes changed anywhere, with a digest that is right again: whatever comes in agrees with itself, and no file without content lacks its mark.</summary>
    [Fact]
    public void Any_bytes_end_in_a_capsule_that_agrees_with_itself_or_in_a_problem()
    {
        byte[] good = Tar([Entry("tree", TarMemberKind.Directory), Entry("tree/a"), Entry("tree/b", hollow: 77, attributes: Unfilled), Entry("tree/var/lib/x", TarMemberKind.Directory, attributes: Whole), Entry("tree/var/lib/x/y"), Entry("tree/l", TarMemberKind.SymbolicLink, "b")]);
        var random = new Random(20);
        int refused = 0, taken = 0;
        using var store = new TestStore();
        for (int round = 0; round < 400; round++)
        {
            byte[] bytes = [.. good];
            for (int change = 0; change <= random.Next(3); change++) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            for (int head = 0; head + 512 <= bytes.Length && random.Next(8) > 0; head += 512) // a right check sum lets the change through to what is behind it
                if (bytes.AsSpan(head + 257, 5).SequenceEqual("ustar"u8))
                {
                    int sum = 8 * ' ' + bytes.Skip(head).Take(512).Where((_, i) => i is < 148 or >= 156).Sum(b => b);
                    Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(bytes, head + 148);
                }
            string place = $"{store.Directory}/fuzz{round}";
            try
            {
                new OciImporter(store.Layout).Import(ArchiveOf(store, bytes), null, new(place, _ => SourceReference.Live, IsWanted: true, IsDemanded: true));
                taken++;
            }
            catch (CapsuleException)
            {
                refused++;
                continue;
            }
            string open = place + "/tree";
            foreach (string line in TestStore.Sh(open, "find . -type f -size +0 -exec sh -c 'for f; do [ \"$(head -c 7 \"$f\")\" = content ] || printf \"%s\\n\" \"$f\"; done' sh {} + | tr -cd 'a-z./\\n'").Split('\n', StringSplitOptions.RemoveEmptyEntries))
                if (File.Exists(open + "/" + line) && !File.ReadAllText(open + "/" + line).Any(c => c != 0)) UnfilledMark.Find(open + "/" + line).ShouldNotBeNull($"round {round}: {line} would be read as zeros");
            OpenSource.FromJson(File.ReadAllBytes(place + "/source.json"));
        }
        refused.ShouldBeGreaterThan(40);
        taken.ShouldBeGreaterThan(40);
    }

    /// <summary>An open tree's archive, with what every one has.</summary>
    private static byte[] Tar(TarMember[] entries, bool documents = true)
    {
        var stream = new MemoryStream();
        var tar = new TarWriter(stream);
        if (documents)
        {
            tar.Add(Entry("source.json"), new OpenSource(SourceReference.Live, DateTimeOffset.UnixEpoch, 0, 0).ToJson());
            tar.Add(Entry("plan.json"), CapturePlanJson.Write(Plan));
            tar.Add(Entry("tree/made", TarMemberKind.Directory));
        }
        foreach (TarMember entry in entries) tar.Add(entry, entry is { Kind: TarMemberKind.File, HollowSize: null } ? "content"u8 : []);
        tar.End();
        return stream.ToArray();
    }

    /// <summary>An image with one empty layer, and this open tree.</summary>
    private static string ArchiveOf(TestStore store, byte[] open)
    {
        byte[] layer = new byte[1024];
        byte[] config = ImageJson.Write(new ImageConfig { Architecture = CapsuleImage.ArchitectureOf("x86_64"), DiffIds = [DigestOf(layer)] });
        byte[] manifest = ImageJson.Write(new ImageManifest(new(MediaTypes.Config, DigestOf(config), config.Length), [new(MediaTypes.Layer, DigestOf(layer), layer.Length)]));
        BlobDescriptor entry = new(MediaTypes.Manifest, DigestOf(manifest), manifest.Length);
        byte[] index = ImageJson.Write(new ImageIndex([entry with { Annotations = OpenTreeBlob.Annotate(entry.Annotations, new(MediaTypes.OpenTree, DigestOf(open), open.Length)) }]));
        string path = store.Directory + "/hostile.tar";
        using var file = new FileStream(path, FileMode.Create);
        var tar = new TarWriter(file);
        tar.Add(Entry("index.json"), index);
        foreach (byte[] blob in (byte[][])[config, manifest, layer, open]) tar.Add(Entry("blobs/sha256/" + DigestOf(blob).Hex), blob);
        tar.End();
        return path;
    }

    private static Digest DigestOf(byte[] bytes) => Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(bytes));
}
