using System.Collections.Immutable;
using System.Security.Cryptography;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Engine.Scanning;
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
        using var hash = new HashingStream();
        Write(directory, hash);
        return hash.Digest();
    }

    /// <summary>Writes a tree as tar, uncompressed; names are relative to it, a directory before what is in it, in the order of bytes. Sockets are left out.</summary>
    public static void Write(string directory, Stream to)
    {
        using var writer = new TarWriter(to);
        using Descriptor root = FileCalls.Open(directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        byte[] buffer = new byte[BufferSize];
        var names = new Dictionary<(ulong, ulong), ImmutableArray<byte>>();
        writer.Add(Entry(FileCalls.Stat(root), [.. "."u8], [], $"/proc/self/fd/{root.Number}/."));
        Walk(root, []);

        void Walk(Descriptor at, ImmutableArray<byte> prefix)
        {
            foreach (var (name, _) in FileCalls.List(at))
            {
                FileStatus status = FileCalls.TryStat(at, name.AsSpan()) ?? throw new SyscallException("statx", BytePicture.Of(name), Errno.ENOENT);
                if (status.Kind == FileKind.Socket) continue;
                ImmutableArray<byte> path = prefix.IsEmpty ? [.. name] : [.. prefix, (byte)'/', .. name];
                if (status.LinkCount > 1 && !status.IsDirectory && !names.TryAdd((status.Device, status.Inode), path))
                {
                    writer.Add(new() { Name = path, Kind = RootTree.KindOf(status.Kind), IsHardLink = true, Target = names[(status.Device, status.Inode)], Mode = status.Mode, Uid = status.Uid, Gid = status.Gid, Seconds = status.Modified.Seconds, Nanoseconds = status.Modified.Nanoseconds });
                    continue;
                }
                NativePath place = new([.. System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{at.Number}/"), .. name]);
                writer.Add(Entry(status, path, status.IsSymbolicLink ? [.. FileCalls.ReadLink(at, name.AsSpan())] : [], place));
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
                writer.Content(buffer.AsSpan(0, count));
                done += count;
            }
        }
    }

    private static TarEntry Entry(FileStatus status, ImmutableArray<byte> path, ImmutableArray<byte> target, NativePath place) => new()
    {
        Name = path,
        Kind = RootTree.KindOf(status.Kind),
        Mode = status.Mode,
        Uid = status.Uid,
        Gid = status.Gid,
        Size = status.IsRegular ? status.Size : 0,
        Seconds = status.Modified.Seconds,
        Nanoseconds = status.Modified.Nanoseconds,
        Target = target,
        Major = status.DeviceMajor,
        Minor = status.DeviceMinor,
        Attributes = [.. ExtendedAttributes.Read(place).Select(a => (a.Name, a.Value.ToImmutableArray()))],
    };

    /// <summary>Takes bytes and keeps only their SHA-256.</summary>
    private sealed class HashingStream : Stream
    {
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        public Digest Digest() => Core.Model.Digest.FromSha256(_hash.GetHashAndReset());

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer) => _hash.AppendData(buffer);
        public override void Write(byte[] buffer, int offset, int count) => _hash.AppendData(buffer, offset, count);
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing) _hash.Dispose();
            base.Dispose(disposing);
        }
    }
}
