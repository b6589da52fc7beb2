using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Engine.Opening;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>Writes a tree of the store as a layer: entries in the order of bytes, overlay's whiteouts as the image specification has them (layer.md).</summary>
/// <param name="tar">Where to.</param>
/// <param name="open">It is the tree of an open capsule: files without content are written so, with their marks, and all times exactly, because the source is compared by them.</param>
internal sealed class LayerPacker(TarWriter tar, bool open = false)
{
    private readonly Dictionary<(ulong Device, ulong Inode), byte[]> _seen = [];
    private readonly byte[] _buffer = new byte[128 * 1024];

    /// <summary>Writes all below <paramref name="root"/>, at <paramref name="at"/> in the archive (empty: its root). The directories above are not written.</summary>
    public void Pack(string root, string at = "")
    {
        using Descriptor directory = FileCalls.Open(root, OpenFlags.ReadOnly | OpenFlags.Directory);
        byte[] prefix = Encoding.UTF8.GetBytes(at.Trim('/'));
        if (prefix.Length > 0) tar.Add(Head(prefix, FileCalls.Stat(directory), TarMemberKind.Directory) with { Attributes = AttributesOf(root) });
        Walk(directory, prefix, isWhole: false);
    }

    /// <param name="directory">Whose entries are written.</param>
    /// <param name="prefix">Its name in the archive.</param>
    /// <param name="isWhole">All files below have their content, whatever their own marks say.</param>
    private void Walk(Descriptor directory, byte[] prefix, bool isWhole)
    {
        foreach (var (name, _) in FileCalls.List(directory))
        {
            if (FileCalls.TryStat(directory, name) is not { } status) continue; // gone meanwhile
            byte[] path = prefix.Length == 0 ? name : [.. prefix, (byte)'/', .. name];
            NativePath place = Place(directory, name);
            if (status.Kind == FileKind.CharacterDevice && status is { DeviceMajor: 0, DeviceMinor: 0 })
            {
                tar.Add(new() { Name = (byte[])[.. prefix.Length == 0 ? [] : (byte[])[.. prefix, (byte)'/'], .. ".wh."u8, .. name], Kind = TarMemberKind.File, Mode = 0x1A4 }, []);
                continue;
            }
            if (status.LinkCount > 1 && !status.IsDirectory)
            {
                if (_seen.TryGetValue((status.Device, status.Inode), out byte[]? first))
                {
                    tar.Add(Head(path, status, TarMemberKind.HardLink) with { LinkTarget = first });
                    continue;
                }
                _seen.Add((status.Device, status.Inode), path);
            }
            switch (status.Kind)
            {
                case FileKind.Directory: PackDirectory(directory, name, path, place, status, isWhole); break;
                case FileKind.Regular when open && !isWhole && ExtendedAttributes.Find(place, UnfilledMark.Unfilled) is not null:
                    tar.Add(Head(path, status, TarMemberKind.File) with { HollowSize = status.Size, Attributes = AttributesOf(place) });
                    break;
                case FileKind.Regular: PackFile(directory, name, path, place, status); break;
                case FileKind.SymbolicLink: tar.Add(Head(path, status, TarMemberKind.SymbolicLink) with { LinkTarget = FileCalls.ReadLink(directory, name) }); break;
                case FileKind.Fifo: tar.Add(Head(path, status, TarMemberKind.Fifo)); break;
            } // sockets have no meaning without their server, and devices are made by the engine
        }
    }

    private void PackDirectory(Descriptor directory, byte[] name, byte[] path, NativePath place, FileStatus status, bool isWhole)
    {
        tar.Add(Head(path, status, TarMemberKind.Directory) with { Attributes = AttributesOf(place) });
        if (!open && IsOpaque(place)) tar.Add(new() { Name = (byte[])[.. path, .. "/.wh..wh..opq"u8], Kind = TarMemberKind.File, Mode = 0x1A4 }, []);
        using Descriptor below = FileCalls.OpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
        Walk(below, path, isWhole || open && UnfilledMark.IsWhole(place));
    }

    private void PackFile(Descriptor directory, byte[] name, byte[] path, NativePath place, FileStatus status)
    {
        using Descriptor file = FileCalls.OpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.NoFollow);
        tar.Add(Head(path, status, TarMemberKind.File) with { Size = status.Size, Attributes = [.. AttributesOf(place).Where(a => a.Item1 != UnfilledMark.Unfilled)] });
        long left = status.Size;
        while (left > 0)
        {
            int count = FileCalls.Read(file, _buffer.AsSpan(0, (int)Math.Min(left, _buffer.Length)));
            if (count == 0) throw new IOException($"{Encoding.UTF8.GetString(path)} became shorter while it was read");
            tar.Write(_buffer.AsSpan(0, count));
            left -= count;
        }
    }

    private TarMember Head(ReadOnlyMemory<byte> path, FileStatus status, TarMemberKind kind) =>
        new() { Name = path, Kind = kind, Mode = status.Mode, Uid = status.Uid, Gid = status.Gid, Modified = status.Modified.Seconds, Nanoseconds = open ? status.Modified.Nanoseconds : 0 };

    private static bool IsOpaque(NativePath place) => ExtendedAttributes.Read(place).Any(a => a.Name is "trusted.overlay.opaque" or "user.overlay.opaque" && a.Value is [(byte)'y']);

    private ImmutableArray<(string, ReadOnlyMemory<byte>)> AttributesOf(NativePath place) =>
        [.. ExtendedAttributes.Read(place).Where(a => LayerAttributes.IsCarried(a.Name) || open && UnfilledMark.IsOne(a.Name)).Select(a => (a.Name, (ReadOnlyMemory<byte>)a.Value))];

    /// <summary>The entry by the directory's descriptor: calls on extended attributes know only paths.</summary>
    internal static NativePath Place(Descriptor directory, ReadOnlySpan<byte> name) => new NativePath($"/proc/self/fd/{directory.Number}").Append(name);
}

/// <summary>Which extended attributes belong to a file's content, and not to the file system or the host.</summary>
internal static class LayerAttributes
{
    /// <summary>File capabilities, ACLs and user attributes.</summary>
    public static bool IsCarried(string name) =>
        name is "security.capability" or "system.posix_acl_access" or "system.posix_acl_default" || (name.StartsWith("user.", StringComparison.Ordinal) && !name.StartsWith("user.overlay.", StringComparison.Ordinal));
}
