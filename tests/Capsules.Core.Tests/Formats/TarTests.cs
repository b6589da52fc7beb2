using System.Text;
using Capsules.Core.Formats.Tar;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class TarTests
{
    private static readonly TarMemberKind[] Kinds = [TarMemberKind.File, TarMemberKind.Directory, TarMemberKind.SymbolicLink, TarMemberKind.Fifo, TarMemberKind.CharacterDevice];

    private static readonly Gen<byte[]> AnyName = Gen.Byte[1, 255].Where(b => b != '/').Array[1, 90].Array[1, 4].Select(parts => string.Join("/", parts.Select(Encoding.Latin1.GetString))).Select(Encoding.Latin1.GetBytes);

    private static readonly Gen<(TarMember Entry, byte[] Content)> AnyEntry =
        Gen.Select(AnyName, Gen.Int[0, Kinds.Length - 1].Select(i => Kinds[i]), Gen.Int[0, 0xFFF], Gen.UInt, Gen.Long[-1000, 1L << 40], AnyName, Gen.Byte.Array[0, 2000])
            .Select((name, kind, mode, uid, modified, target, content) => (new TarMember
            {
                Name = name,
                Kind = kind,
                Mode = mode,
                Uid = uid,
                Gid = uid / 3,
                Modified = modified,
                Nanoseconds = mode % 2 == 0 ? uid % 1_000_000_000 : 0,
                HollowSize = kind == TarMemberKind.File && mode % 4 == 0 ? Math.Abs(modified) : null,
                LinkTarget = kind == TarMemberKind.SymbolicLink ? target : [],
                DeviceMajor = kind == TarMemberKind.CharacterDevice ? 5u : 0,
                DeviceMinor = kind == TarMemberKind.CharacterDevice ? 1u : 0,
                Attributes = kind == TarMemberKind.File ? [("security.capability", (ReadOnlyMemory<byte>)content)] : [],
                Size = kind == TarMemberKind.File && mode % 4 != 0 ? content.Length : 0,
            }, kind == TarMemberKind.File && mode % 4 != 0 ? content : []));

    private static byte[] Write(params (TarMember Entry, byte[] Content)[] entries)
    {
        var stream = new MemoryStream();
        var tar = new TarWriter(stream);
        foreach (var (entry, content) in entries) tar.Add(entry, content);
        tar.End();
        return stream.ToArray();
    }

    private static string Text(TarMember e, byte[] content) =>
        $"{Convert.ToHexString(e.Name.Span)} {e.Kind} {e.Mode} {e.Uid} {e.Gid} {e.Size} {e.HollowSize} {e.Modified}.{e.Nanoseconds} {Convert.ToHexString(e.LinkTarget.Span)} {e.DeviceMajor}:{e.DeviceMinor} {string.Join(',', e.Attributes.Select(a => a.Name + Convert.ToHexString(a.Value.Span)))} {Convert.ToHexString(content)}";

    private static List<string> ReadAll(byte[] archive)
    {
        var tar = new TarReader(new MemoryStream(archive));
        var read = new List<string>();
        while (tar.Next() is { } entry)
        {
            byte[] content = new byte[entry.Kind == TarMemberKind.File ? entry.Size : 0];
            for (int done = 0; done < content.Length;) done += tar.Read(content.AsSpan(done));
            read.Add(Text(entry, content));
        }
        return read;
    }

    [Fact]
    public void What_was_written_is_read_back() => AnyEntry.Array[0, 6].Sample(entries => ReadAll(Write(entries)).ShouldBe(entries.Select(e => Text(e.Entry, e.Content))));

    [Fact]
    public void Any_bytes_end_in_entries_or_in_a_format_error() => Gen.Select(AnyEntry.Array[1, 3], Gen.Int[0, 4000], Gen.Byte, Gen.Int[0, 4000]).Sample((entries, at, value, cut) =>
    {
        byte[] archive = Write(entries);
        archive[at % archive.Length] = value;
        try { ReadAll(archive[..(archive.Length - (cut % archive.Length))]); }
        catch (FormatException) { }
    });

    [Fact]
    public void Equal_entries_give_equal_bytes() => AnyEntry.Sample(entry => Write(entry).ShouldBe(Write(entry)));

    [Theory]
    [InlineData("9 path=a", "pax")]
    [InlineData("99999999 path=a\n", "pax")]
    [InlineData("11 size=-5\n", "negative")]
    [InlineData("15 size=banana\n", "number")]
    [InlineData("13 mtime=1.x\n", "number")]
    [InlineData("20 CAPSULES.size=-1\n", "no content")]
    [InlineData("24 CAPSULES.size=banana\n", "number")]
    public void A_broken_pax_header_is_refused(string records, string says)
    {
        byte[] content = Encoding.ASCII.GetBytes(records);
        byte[] archive = Write((new TarMember { Name = "h"u8.ToArray(), Kind = TarMemberKind.File }, content), (new TarMember { Name = "f"u8.ToArray(), Kind = TarMemberKind.File }, []));
        archive[156] = (byte)'x';
        int sum = 8 * ' ' + archive.Take(512).Where((_, i) => i is < 148 or >= 156).Sum(b => b);
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(archive, 148);
        Should.Throw<FormatException>(() => ReadAll(archive)).Message.ShouldContain(says);
    }
}
