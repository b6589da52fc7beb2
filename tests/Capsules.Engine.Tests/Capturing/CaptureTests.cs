using System.Diagnostics;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Capturing;

/// <summary>Captures of small trees that are made here, on the real kernel.</summary>
public sealed class CaptureTests : IDisposable
{
    private readonly string _place = Directory.CreateTempSubdirectory("capture-tests-").FullName;

    private string Source => _place + "/source";
    private StoreLayout Layout => new(_place + "/state", _place + "/run");

    public CaptureTests() => Directory.CreateDirectory(Source);

    public void Dispose() => SmallFiles.RemoveTree(_place);

    [Fact]
    public void A_copy_is_the_same_archive_as_its_source()
    {
        MakeOddTree();
        string copy = _place + "/copy";
        Directory.CreateDirectory(copy);
        using (var tree = new RootTree(Source))
        using (var copier = new StateCopier(tree, GuestPath.Root, copy)) copier.Pass(isLast: true);
        TreeArchive.DigestOf(copy).ShouldBe(TreeArchive.DigestOf(Source));
        FileCalls.TryStat(null, copy + "/hole")!.Value.AllocatedBytes.ShouldBeLessThan(1 << 20);
        FileCalls.TryStat(null, copy + "/one")!.Value.Inode.ShouldBe(FileCalls.TryStat(null, copy + "/d/two")!.Value.Inode);
    }

    [Fact]
    public void Further_passes_take_what_changed_and_drop_what_vanished()
    {
        string copy = _place + "/copy";
        Directory.CreateDirectory(copy);
        Directory.CreateDirectory(Source + "/gone/deep");
        File.WriteAllText(Source + "/gone/deep/x", "x");
        byte[] large = new byte[9 << 20];
        new Random(1).NextBytes(large);
        File.WriteAllBytes(Source + "/large", large);
        File.WriteAllText(Source + "/becomes", "a file");
        using var tree = new RootTree(Source);
        using var copier = new StateCopier(tree, GuestPath.Root, copy);
        copier.Pass(isLast: false);
        Directory.Delete(Source + "/gone", true);
        File.Delete(Source + "/becomes");
        Directory.CreateDirectory(Source + "/becomes/a/directory");
        using (FileStream file = File.OpenWrite(Source + "/large"))
        {
            file.Position = 5_000_000;
            file.WriteByte((byte)(large[5_000_000] + 1));
            file.SetLength(8 << 20);
        }
        copier.Pass(isLast: true).ShouldBe(1);
        TreeArchive.DigestOf(copy).ShouldBe(TreeArchive.DigestOf(Source));
        copier.Pass(isLast: true).ShouldBe(0);
    }

    [Fact]
    public void No_link_of_a_source_leads_out_of_it()
    {
        File.WriteAllText(_place + "/outside", "secret of the host");
        File.CreateSymbolicLink(Source + "/absolute", _place + "/outside");
        File.CreateSymbolicLink(Source + "/climbing", "../../../../../../../.." + _place + "/outside");
        using var tree = new RootTree(Source);
        tree.Read(GuestPath.Parse("/absolute")).ShouldBeNull();
        tree.Read(GuestPath.Parse("/climbing")).ShouldBeNull();
    }

    [Fact]
    public void A_plan_that_would_write_through_a_link_is_refused()
    {
        Directory.CreateDirectory(_place + "/victim");
        Directory.CreateDirectory(Source + _place + "/victim");
        File.WriteAllText(Source + _place + "/victim/b", "would be written on the host");
        File.CreateSymbolicLink(Source + "/a", _place + "/victim");
        CapturePlan plan = Plan() with { Paths = [Code("/a", EntryKind.SymbolicLink), Code("/a/b", EntryKind.Regular)] };
        Should.Throw<CapsuleException>(() => Apply(plan));
        Directory.GetFileSystemEntries(_place + "/victim").ShouldBeEmpty();
        Left().ShouldBeEmpty();
    }

    [Fact]
    public void A_capsule_has_layers_secrets_state_and_what_was_left_out()
    {
        MakeServer();
        CaptureResult result = Apply(Plan());
        CapsuleRecord record = new CapsuleStore(Layout).Get("srv");
        record.Source.ShouldBe("root:" + Source);
        CapsuleManifest manifest = new CapsuleStore(Layout).Manifest(result.Image);
        manifest.Layers.Length.ShouldBe(2);
        foreach (Digest layer in manifest.Layers) TreeArchive.DigestOf(Layout.Layer(layer)).ShouldBe(layer);
        File.ReadAllText(Layout.Layer(manifest.Layers[0]) + "/opt/srv/bin/srv").ShouldBe("program");
        File.Exists(Layout.Layer(manifest.Layers[1]) + "/etc/srv.key").ShouldBeFalse();
        File.ReadAllText(Layout.Secrets(record.Name) + "/etc/srv.key").ShouldBe("key");
        File.ReadAllText(Layout.Volume(record.Name, CapsuleName.Parse("data")) + "/rows").ShouldBe("1");
        Left().ShouldBeEmpty();
        using var explainer = new MissExplainer(record, Layout);
        explainer.Explain(GuestPath.Parse("/opt/srv/README")).Why.ShouldBe("documentation");
        explainer.Explain(GuestPath.Parse("/opt/other")).ShouldSatisfyAllConditions(m => m.AtSource.ShouldBe(true), m => m.Fix!.ShouldContain("--add /opt/other"));
        explainer.Explain(GuestPath.Parse("/nowhere")).AtSource.ShouldBe(false);
    }

    [Fact]
    public void The_same_source_gives_the_same_image()
    {
        MakeServer();
        Digest first = Apply(Plan()).Image;
        Apply(Plan() with { Manifest = Plan().Manifest with { Name = CapsuleName.Parse("srv") } }, new(_place + "/state2", _place + "/run2")).Image.ShouldBe(first);
    }

    [Fact]
    public void A_name_that_is_taken_is_refused_before_anything_is_done()
    {
        MakeServer();
        Apply(Plan());
        Should.Throw<CapsuleException>(() => Apply(Plan())).Problem.Exit.ShouldBe(ExitCode.Conflict);
        Left().ShouldBeEmpty();
    }

    [Fact]
    public void What_vanished_since_the_plan_is_skipped_and_noted()
    {
        MakeServer();
        CapturePlan plan = Plan();
        File.Delete(Source + "/opt/srv/bin/srv");
        Apply(plan).Skipped.ShouldBe([GuestPath.Parse("/opt/srv/bin/srv")]);
    }

    [Fact]
    public void A_paused_process_stands_still_and_goes_on()
    {
        using Process process = Process.Start("/bin/sh", ["-c", "while :; do :; done"]);
        try
        {
            ulong start = ProcessTable.TryRead(process.Id)!.Value.StartTime;
            using (ProcessPause? pause = ProcessPause.Start([new(process.Id, start, "sh")]))
            {
                pause.ShouldNotBeNull();
                ProcessTable.TryRead(process.Id)!.Value.State.ShouldBe('T');
            }
            SpinWait.SpinUntil(() => ProcessTable.TryRead(process.Id) is { State: not 'T' }, 2000).ShouldBeTrue();
            ProcessPause.Start([new(process.Id, start + 1, "another of the same number")]).ShouldBeNull();
            ulong own = ProcessTable.TryRead(Environment.ProcessId)!.Value.StartTime;
            ProcessPause.Start([new(Environment.ProcessId, own, "whoever stops itself never goes on")]).ShouldBeNull();
        }
        finally { process.Kill(); }
    }

    [Fact]
    public void A_tree_without_anything_known_can_be_scanned()
    {
        File.WriteAllText(Source + "/x", "");
        using ScannedSource source = Scanner.Read(SourceReference.OfRoot(Source));
        ScanReport.Of(new(source.Facts, source.Tree)).Applications.ShouldBeEmpty();
    }

    [Fact]
    public void A_root_that_is_not_there_is_named() => Should.Throw<CapsuleException>(() => Scanner.Read(SourceReference.OfRoot(_place + "/none"))).Problem.Code.ShouldBe("CAP2001");

    [Fact]
    public void The_running_machine_can_be_scanned()
    {
        using ScannedSource source = Scanner.Read(SourceReference.Live);
        source.Facts.Processes.ShouldNotBeEmpty();
        ScanReport.Of(new(source.Facts, source.Tree)).ToJson().ShouldNotBeEmpty();
    }

    private void MakeServer()
    {
        foreach (string directory in (string[])["/opt/srv/bin", "/etc", "/var/lib/srv"]) Directory.CreateDirectory(Source + directory);
        File.WriteAllText(Source + "/opt/srv/bin/srv", "program");
        File.WriteAllText(Source + "/opt/srv/README", "text");
        File.WriteAllText(Source + "/opt/other", "text");
        File.WriteAllText(Source + "/etc/srv.conf", "conf");
        File.WriteAllText(Source + "/etc/srv.key", "key");
        File.WriteAllText(Source + "/var/lib/srv/rows", "1");
    }

    private void MakeOddTree()
    {
        Directory.CreateDirectory(Source + "/d");
        File.WriteAllText(Source + "/one", "content");
        FileCalls.MakeHardLink(null, Source + "/one", null, Source + "/d/two");
        File.CreateSymbolicLink(Source + "/dangling", "/no/where");
        FileCalls.MakeNode(null, Source + "/fifo", FileKind.Fifo, 0x1A0);
        FileCalls.MakeNode(null, new([.. Encoding.UTF8.GetBytes(Source + "/"), 0xFF, (byte)'\n', (byte)' ']), FileKind.Regular, 0x100);
        using (FileStream hole = File.Create(Source + "/hole"))
        {
            hole.SetLength(64 << 20);
            hole.Position = 32 << 20;
            hole.WriteByte(1);
        }
        File.WriteAllText(Source + "/attributed", "x");
        ExtendedAttributes.Write(Source + "/attributed", "user.note", "value"u8);
        if (Environment.UserName == "root") // capabilities and owners are root's to give
        {
            ExtendedAttributes.Write(Source + "/attributed", "security.capability", [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            FileCalls.ChangeOwner(null, Source + "/d/two", 1234, 4321);
            FileCalls.ChangeMode(null, Source + "/d/two", 0x9ED); // set-uid survives only when the owner comes first
        }
        FileCalls.SetModified(null, Source + "/d", new(1_000_000_000, 123_456_789));
    }

    private CapturePlan Plan() => new()
    {
        Source = SourceReference.OfRoot(Source),
        Application = "srv",
        Stack = CapsuleName.Parse("srv"),
        Manifest = new()
        {
            Name = CapsuleName.Parse("srv"),
            Services = [new() { Name = "srv", Command = ["/opt/srv/bin/srv"] }],
            Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/srv") }],
            Secrets = [GuestPath.Parse("/etc/srv.key")],
        },
        Reasons = [new("a test wants it", null)],
        Paths = [Code("/etc/srv.conf", EntryKind.Regular) with { Kind = PathKind.Config }, Code("/etc/srv.key", EntryKind.Regular) with { Kind = PathKind.Secret }, Code("/opt/srv/bin/srv", EntryKind.Regular)],
        Volumes = Directory.Exists(Source + "/var/lib/srv") ? [new(CapsuleName.Parse("data"), GuestPath.Parse("/var/lib/srv"), 1, 1, 0)] : [],
        LeftOut = [new(GuestPath.Parse("/opt/srv/README"), "documentation")],
    };

    private static PlannedPath Code(string path, EntryKind entry) => new(GuestPath.Parse(path), PathKind.Code, entry, 0, 0);

    private CaptureResult Apply(CapturePlan plan, StoreLayout? layout = null)
    {
        using var tree = new RootTree(Source);
        return CaptureRunner.Apply(plan, tree, layout ?? Layout, new() { Clock = TimeProvider.System });
    }

    private string[] Left() => Directory.Exists(Layout.Temporary) ? Directory.GetFileSystemEntries(Layout.Temporary) : [];
}
