using System.Buffers.Binary;
using System.Text;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Linker;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

/// <summary>ELF files and loader caches made by hand, no larger than they must be.</summary>
public sealed class SmallElf
{
    internal static byte[] Bytes => Make("/lib64/ld.so", ["libc.so.6", "libx.so.1"], runPath: "$ORIGIN/../lib:/opt/lib");

    internal static byte[] Cache => MakeCache([("libc.so.6", "/lib/libc.so.6", 0), ("libc.so.6", "/lib/glibc-hwcaps/x86-64-v3/libc.so.6", 1UL << 62)]);

    [Fact]
    public void What_the_loader_reads_is_read()
    {
        var elf = ElfFile.Parse(Bytes);
        elf.Interpreter.ShouldBe("/lib64/ld.so");
        elf.Needed.ShouldBe(["libc.so.6", "libx.so.1"]);
        elf.RunPath.ShouldBe(["$ORIGIN/../lib", "/opt/lib"]);
        elf.Machine.ShouldBe(62);
    }

    [Fact]
    public void A_cache_tells_variants_from_the_rest() =>
        LinkerCache.Parse(Cache).Select(e => (e.Path, e.IsVariant)).ShouldBe([("/lib/libc.so.6", false), ("/lib/glibc-hwcaps/x86-64-v3/libc.so.6", true)]);

    [Fact]
    public void Names_of_libraries_in_the_text_may_be_loaded_later() =>
        ElfFile.SharedObjectNames("xx\0libextra.so.1\0lib%s.so\0/opt/x/plug.so\0 libnot.so!"u8).ShouldBe(["/opt/x/plug.so", "libextra.so.1"]);

    internal static byte[] Make(string? interpreter, string[] needed, string? runPath = null)
    {
        var strings = new List<byte> { 0 };
        ulong Add(string text)
        {
            ulong at = (ulong)strings.Count;
            strings.AddRange(Encoding.UTF8.GetBytes(text + "\0"));
            return at;
        }
        var dynamic = new List<(ulong Tag, ulong Value)>();
        foreach (string name in needed) dynamic.Add((1, Add(name)));
        if (runPath is not null) dynamic.Add((29, Add(runPath)));
        byte[] loader = interpreter is null ? [] : Encoding.UTF8.GetBytes(interpreter + "\0");
        int headers = interpreter is null ? 2 : 3, loaderAt = 64 + headers * 56, dynamicAt = loaderAt + loader.Length, dynamicLength = (dynamic.Count + 3) * 16, stringsAt = dynamicAt + dynamicLength;
        dynamic.Add((5, (ulong)stringsAt));
        dynamic.Add((10, (ulong)strings.Count));
        dynamic.Add((0, 0));
        byte[] file = new byte[stringsAt + strings.Count];
        "\u007fELF"u8.CopyTo(file);
        (file[4], file[5], file[6], file[16], file[18], file[54], file[56]) = (2, 1, 1, 3, 62, 56, (byte)headers);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(32), 64);
        Header(0, 1, 0, file.Length);
        Header(1, 2, dynamicAt, dynamicLength);
        if (interpreter is not null) Header(2, 3, loaderAt, loader.Length);
        loader.CopyTo(file, loaderAt);
        for (int i = 0; i < dynamic.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(dynamicAt + i * 16), dynamic[i].Tag);
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(dynamicAt + i * 16 + 8), dynamic[i].Value);
        }
        strings.CopyTo(file, stringsAt);
        return file;

        void Header(int index, uint kind, int offset, int length)
        {
            Span<byte> header = file.AsSpan(64 + index * 56, 56);
            BinaryPrimitives.WriteUInt32LittleEndian(header, kind);
            BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)offset);
            BinaryPrimitives.WriteUInt64LittleEndian(header[16..], (ulong)offset);
            BinaryPrimitives.WriteUInt64LittleEndian(header[32..], (ulong)length);
        }
    }

    internal static byte[] MakeCache((string Name, string Path, ulong Capabilities)[] entries)
    {
        var strings = new List<byte>();
        byte[] table = new byte[48 + entries.Length * 24];
        "glibc-ld.so.cache1.1"u8.CopyTo(table);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(20), (uint)entries.Length);
        for (int i = 0; i < entries.Length; i++)
        {
            Span<byte> entry = table.AsSpan(48 + i * 24);
            BinaryPrimitives.WriteInt32LittleEndian(entry, 0x0303);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], (uint)(table.Length + strings.Count));
            strings.AddRange(Encoding.UTF8.GetBytes(entries[i].Name + "\0"));
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], (uint)(table.Length + strings.Count));
            strings.AddRange(Encoding.UTF8.GetBytes(entries[i].Path + "\0"));
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], entries[i].Capabilities);
        }
        return [.. table, .. strings];
    }
}
