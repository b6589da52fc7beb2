using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Comparing;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Comparing;

public sealed class SnapshotTests
{
    private static TreeEntry File(string path, long size = 1, long modified = 5, long changed = 5, ulong inode = 7, int mode = 0x1A4) => new(GuestPath.Parse(path), EntryKind.Regular, mode, 0, 0, size, modified, changed, inode, default);

    private static TreeSnapshot Of(params TreeEntry[] entries) => new([.. entries], []);

    private static readonly TreeSnapshot Sample = new(
    [
        new(GuestPath.Parse("/a"), EntryKind.Directory, 0x1ED, 1, 2, 0, -1, long.MaxValue, ulong.MaxValue, default), File("/a/b", size: 1L << 40), File("/a/bc"),
        new(GuestPath.Parse("/link"), EntryKind.SymbolicLink, 0x1FF, uint.MaxValue, 0, 0, 1, 1, 1, Encoding.UTF8.GetBytes("a/b")), new(GuestPath.Parse([(byte)'/', 0xFF]), EntryKind.Fifo, 0, 0, 0, 0, 0, 0, 0, default),
    ], [new("p", "1:2-3", "amd64")]);

    [Fact]
    public void A_snapshot_is_read_as_it_was_written()
    {
        TreeSnapshot again = SnapshotFile.Read(SnapshotFile.Write(Sample));
        again.Packages.ShouldBe(Sample.Packages);
        again.Entries.Select(e => e with { Target = default }).ShouldBe(Sample.Entries.Select(e => e with { Target = default }));
        again.Entries[3].Target.ToArray().ShouldBe("a/b"u8.ToArray());
        SnapshotFile.Write(again).ShouldBe(SnapshotFile.Write(Sample));
    }

    [Fact]
    public void A_broken_snapshot_is_refused_and_nothing_else_happens()
    {
        byte[] whole = SnapshotFile.Write(Sample);
        for (int length = 0; length < whole.Length; length++) Should.Throw<FormatException>(() => SnapshotFile.Read(whole.AsMemory(0, length)));
        var random = new Random(4);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] broken = [.. whole];
            for (int i = random.Next(1, 4); i > 0; i--) broken[random.Next(broken.Length)] = (byte)random.Next(256);
            try { SnapshotFile.Read(broken); }
            catch (FormatException) { }
        }
    }

    [Fact]
    public void Another_size_is_a_change_and_another_time_a_suspicion()
    {
        TreeDifference difference = TreeDifference.Between(Of(File("/a"), File("/b"), File("/c"), File("/d"), File("/e")), Of(File("/a", size: 2), File("/b", modified: 6), File("/c", mode: 0x180), File("/d", inode: 8, changed: 9), File("/f")), isSameTree: false);
        difference.Changes.ShouldBe([new(GuestPath.Parse("/a"), ChangeKind.Changed, EntryKind.Regular), new(GuestPath.Parse("/c"), ChangeKind.Changed, EntryKind.Regular), new(GuestPath.Parse("/e"), ChangeKind.Deleted, EntryKind.Regular), new(GuestPath.Parse("/f"), ChangeKind.Added, EntryKind.Regular)]);
        difference.Suspects.ShouldBe([GuestPath.Parse("/b")]);
        TreeDifference.Between(Of(File("/d")), Of(File("/d", inode: 8)), isSameTree: true).Suspects.ShouldBe([GuestPath.Parse("/d")]);
    }

    [Fact]
    public void A_tree_does_not_differ_from_itself()
    {
        TreeDifference difference = TreeDifference.Between(Sample, SnapshotFile.Read(SnapshotFile.Write(Sample)), isSameTree: true);
        difference.Changes.ShouldBeEmpty();
        difference.Suspects.ShouldBeEmpty();
    }
}
