using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Engine.Images;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>A directory tree as a canonical tar archive: the same order, the same bytes, for the same tree. Layers are named by its SHA-256.</summary>
public static class TreeArchive
{
    private const int BufferSize = 1 << 20;

    /// <summary>The diff id of a layer's tree.</summary>
    public static Digest DigestOf(string directory)
    {
        using var hash = new HashingStream(Stream.Null);
        Write(directory, hash);
        return hash.Digest();
    }

    /// <summary>Writes a tree as tar, uncompressed; names are relative to it, a directory before what is in it, in the order of bytes. Sockets are left out.</summary>
    public static void Write(string directory, Stream to)
    {
        var writer = new TarWriter(to);
        using Descriptor root = FileCalls.Open(directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        byte[] buffer = new byte[BufferSize];
        var names = new Dictionary<(ulong, ulong), byte[]>();
        writer.Add(Entry(FileCalls.Stat(root), "."u8.ToArray(), [], $"/proc/self/fd/{root.Number}/."));
        Walk(root, []);
        writer.End();

        void Walk(Descriptor at, byte[] prefix)
        {
            foreach (var (name, _) in FileCalls.List(at))
            {
                FileStatus status = FileCalls.TryStat(at, name.AsSpan()) ?? throw new SyscallException("statx", BytePicture.Of(name), Errno.ENOENT);
                if (status.Kind == FileKind.Socket) continue;
                byte[] path = prefix.Length == 0 ? name : [.. prefix, (byte)'/', .. name];
                NativePath place = new([.. Encoding.ASCII.GetBytes($"/proc/self/fd/{at.Number}/"), .. name]);
                if (status.LinkCount > 1 && !status.IsDirectory && !names.TryAdd((status.Device, status.Inode), path))
                {
                    writer.Add(Entry(status, path, [], null) with { Kind = TarMemberKind.HardLink, Size = 0, LinkTarget = names[(status.Device, status.Inode)] });
                    continue;
                }
                writer.Add(Entry(status, path, status.IsSymbolicLink ? FileCalls.ReadLink(at, name.AsSpan()) : [], place));
                if (status.IsRegular) Content(at, name, status.Size);
                else if (status.IsDirectory)
                {
                    using Descriptor child = FileCalls.OpenAt(at, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                    Walk(child, path);
                }
            }
        }

        void Content(Descriptor at, byte[] name, long size)
        {
            using Descriptor file = FileCalls.OpenAt(at, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.NoFollow);
            for (long done = 0; done < size;)
            {
                int count = FileCalls.ReadAt(file, buffer.AsSpan(0, (int)Math.Min(buffer.Length, size - done)), done);
                if (count == 0) throw new SyscallException("read", BytePicture.Of(name), Errno.EIO); // it became shorter under our hands
                writer.Write(buffer.AsSpan(0, count));
                done += count;
            }
        }
    }

    private static TarMember Entry(FileStatus status, byte[] path, byte[] target, NativePath? place) => new()
    {
        Name = path,
        Kind = status.Kind switch
        {
            FileKind.Directory => TarMemberKind.Directory,
            FileKind.SymbolicLink => TarMemberKind.SymbolicLink,
            FileKind.CharacterDevice => TarMemberKind.CharacterDevice,
            FileKind.BlockDevice => TarMemberKind.BlockDevice,
            FileKind.Fifo => TarMemberKind.Fifo,
            _ => TarMemberKind.File,
        },
        Mode = status.Mode,
        Uid = status.Uid,
        Gid = status.Gid,
        Size = status.IsRegular ? status.Size : 0,
        Modified = status.Modified.Seconds,
        Nanoseconds = status.Modified.Nanoseconds,
        LinkTarget = target,
        DeviceMajor = status.DeviceMajor,
        DeviceMinor = status.DeviceMinor,
        Attributes = place is { } at ? [.. ExtendedAttributes.Read(at).Select(a => (a.Name, (ReadOnlyMemory<byte>)a.Value))] : ImmutableArray<(string, ReadOnlyMemory<byte>)>.Empty,
    };
}
