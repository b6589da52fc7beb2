using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Comparing;

/// <summary>A snapshot on disk: docs/formats/snapshot.md. Each path is what it shares with the one before it, and its own rest.</summary>
public static class SnapshotFile
{
    private static ReadOnlySpan<byte> Magic => "CAPSNAP\u0001"u8;
    private const int MostName = 1 << 20;

    /// <summary>The file's bytes.</summary>
    public static byte[] Write(TreeSnapshot snapshot)
    {
        var buffer = new MemoryStream(64 + snapshot.Entries.Length * 64);
        buffer.Write(Magic);
        Number(buffer, (ulong)snapshot.Packages.Length);
        foreach (InstalledPackage package in snapshot.Packages)
            foreach (string word in (string[])[package.Name, package.Version, package.Architecture]) Bytes(buffer, Encoding.UTF8.GetBytes(word));
        Number(buffer, (ulong)snapshot.Entries.Length);
        GuestPath last = GuestPath.Root;
        foreach (TreeEntry entry in snapshot.Entries)
        {
            int shared = last.Bytes.CommonPrefixLength(entry.Path.Bytes);
            Number(buffer, (ulong)shared);
            Bytes(buffer, entry.Path.Bytes[shared..]);
            Number(buffer, (ulong)entry.Kind);
            Number(buffer, (ulong)entry.Mode);
            Number(buffer, entry.Uid);
            Number(buffer, entry.Gid);
            Number(buffer, (ulong)entry.Size);
            Number(buffer, (ulong)entry.Modified);
            Number(buffer, (ulong)entry.Changed);
            Number(buffer, entry.Inode);
            Bytes(buffer, entry.Target.Span);
            last = entry.Path;
        }
        return buffer.ToArray();
    }

    /// <summary>Reads it.</summary>
    /// <exception cref="FormatException">It is no snapshot, is cut off, or is out of order.</exception>
    public static TreeSnapshot Read(ReadOnlyMemory<byte> bytes)
    {
        if (!bytes.Span.StartsWith(Magic)) throw new FormatException("it is no snapshot of this version");
        int at = Magic.Length;
        int count = Count(3);
        var packages = ImmutableArray.CreateBuilder<InstalledPackage>(count);
        for (int i = 0; i < count; i++) packages.Add(new(Word(), Word(), Word()));
        count = Count(10);
        var entries = ImmutableArray.CreateBuilder<TreeEntry>(count);
        GuestPath last = GuestPath.Root;
        for (int i = 0; i < count; i++)
        {
            int shared = (int)Math.Min(Next(), int.MaxValue);
            ReadOnlyMemory<byte> rest = Part();
            if (shared > last.Bytes.Length) throw new FormatException($"entry {i} shares more than the path before it has");
            if (!GuestPath.TryParse((byte[])[.. last.Bytes[..shared], .. rest.Span], out GuestPath path)) throw new FormatException($"the path of entry {i} is none");
            if (i > 0 && path <= last) throw new FormatException($"entry {i} is out of order");
            ulong kind = Next();
            if (kind > (ulong)EntryKind.BlockDevice) throw new FormatException($"entry {i} is of no kind");
            entries.Add(new(path, (EntryKind)kind, (int)(Next() & 0xFFFF), (uint)Next(), (uint)Next(), (long)Next(), (long)Next(), (long)Next(), Next(), Part()));
            last = path;
        }
        if (at != bytes.Length) throw new FormatException("something follows its end");
        return new(entries.MoveToImmutable(), packages.MoveToImmutable());

        // No more than the bytes that are left can hold: a broken number asks for no memory.
        int Count(int least) => Next() is var number && number <= (ulong)((bytes.Length - at) / least) ? (int)number : throw new FormatException("a count is larger than the file");

        string Word() => Encoding.UTF8.GetString(Part().Span);

        ReadOnlyMemory<byte> Part()
        {
            ulong length = Next();
            if (length > MostName || length > (ulong)(bytes.Length - at)) throw new FormatException("it is cut off");
            at += (int)length;
            return bytes.Slice(at - (int)length, (int)length);
        }

        ulong Next()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                if (at >= bytes.Length) throw new FormatException("it is cut off");
                byte next = bytes.Span[at++];
                value |= (ulong)(next & 0x7F) << shift;
                if (next < 0x80) return value;
            }
            throw new FormatException("a number is too long");
        }
    }

    private static void Bytes(MemoryStream to, ReadOnlySpan<byte> bytes)
    {
        Number(to, (ulong)bytes.Length);
        to.Write(bytes);
    }

    private static void Number(MemoryStream to, ulong value)
    {
        for (; value >= 0x80; value >>= 7) to.WriteByte((byte)(value | 0x80));
        to.WriteByte((byte)value);
    }
}
