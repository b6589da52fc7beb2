using System.Buffers.Binary;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Running;

/// <summary>
/// The log of one service: NAME.log holds its bytes as they came, NAME.log.times when they came (pairs of an offset and a time), NAME.log.1
/// and its times what was before the last rotation. Bytes go from the pipe to the file inside the kernel, so that whoever is killed in
/// between loses none (docs/formats/log.md). Several programs may do it; a lock keeps their offsets apart.
/// </summary>
internal sealed class LogFile(string directory, string service, long mostBytes = LogFile.DefaultMostBytes)
{
    /// <summary>The size at which a log is rotated, in bytes.</summary>
    public const long DefaultMostBytes = 10 << 20;

    /// <summary>The log of what came by /dev/log.</summary>
    public const string SystemLog = "syslog";

    /// <summary>How much one turn takes from a pipe.</summary>
    private const int Turn = 1 << 20;

    /// <summary>How much is held in memory while a log is read.</summary>
    private const int Part = 64 * 1024;

    private string Current => $"{directory}/{service}.log";
    private string Times => Current + ".times";

    /// <summary>
    /// Takes the messages that are in a /dev/log socket (RFC 3164), one a line, without the priority in front. Each leaves the socket after
    /// it was written: who is killed in between leaves it to be written twice, never lost.
    /// </summary>
    public void TakeMessages(Descriptor socket)
    {
        using Descriptor? held = TryLock();
        if (held is null)
            while (UnixDatagram.Receive(socket) is not null) { }
        while (UnixDatagram.Receive(socket, peek: true) is { } message)
        {
            ReadOnlySpan<byte> text = message.AsSpan().TrimEnd("\0\n"u8);
            if (text.Length > 0 && text[0] == '<' && text.IndexOf((byte)'>') is > 0 and < 5 and int end) text = text[(end + 1)..];
            using (Descriptor file = FileCalls.Open(Current, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180))
            {
                long size = FileCalls.Stat(file).Size;
                FileCalls.Write(file, [.. text, (byte)'\n'], Current);
                NoteTime(size);
                if (size >= mostBytes) Rotate();
            }
            UnixDatagram.Receive(socket);
        }
    }

    /// <summary>Moves everything that is in the pipe to the file; whether there was anything.</summary>
    public bool Take(Descriptor pipe)
    {
        using Descriptor? held = TryLock();
        bool any = false;
        while (true)
        {
            using Descriptor file = held is null ? FileCalls.Open("/dev/null", OpenFlags.WriteOnly) : FileCalls.Open(Current, OpenFlags.WriteOnly | OpenFlags.Create, 0x180);
            long size = FileCalls.Stat(file).Size;
            if (size >= mostBytes)
            {
                Rotate();
                continue;
            }
            long moved;
            try { moved = Splicing.Move(pipe, file, size, Turn); }
            catch (SyscallException e) when (e.Errno == Errno.ENOSPC && FileCalls.Remove(null, Current + ".1")) { continue; } // the oldest goes first
            if (moved == 0) return any;
            any = true;
            if (held is not null) NoteTime(size);
        }
    }

    /// <summary>The parts, oldest first, with the time at which each came. They are read as they are asked for.</summary>
    /// <param name="end">Where the current file is read to: what comes later belongs to <see cref="ReadFrom"/>.</param>
    /// <param name="most">Only the last so many bytes.</param>
    public IEnumerable<(DateTimeOffset Time, byte[] Bytes)> Read(LogPosition end, long most)
    {
        bool rotated = (FileCalls.TryStat(null, Current)?.Inode ?? 0) != end.Inode; // since the position was taken: that file is the older one now
        long older = rotated ? 0 : FileCalls.TryStat(null, Current + ".1")?.Size ?? 0;
        long skip = Math.Max(0, end.Offset + older - most);
        if (!rotated)
            foreach (var part in ReadOne(Current + ".1", skip, long.MaxValue)) yield return part;
        foreach (var part in ReadOne(rotated ? Current + ".1" : Current, Math.Max(0, skip - older), end.Offset)) yield return part;
    }

    /// <summary>The bytes as they came, of the file before the last rotation and of the current one.</summary>
    public void CopyTo(Stream output)
    {
        byte[] buffer = new byte[64 * 1024];
        foreach (string path in (string[])[Current + ".1", Current])
        {
            var (file, _) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadOnly);
            if (file is null) continue;
            using (file)
                for (int count; (count = FileCalls.Read(file, buffer)) > 0;) output.Write(buffer, 0, count);
        }
    }

    /// <summary>What came after a position; the position to go on from. A rotation in between starts at the new file's beginning.</summary>
    public (byte[] Bytes, LogPosition Next) ReadFrom(LogPosition position)
    {
        var (file, _) = FileCalls.TryOpenAt(null, Current, OpenFlags.ReadOnly);
        if (file is null) return ([], position);
        using (file)
        {
            FileStatus status = FileCalls.Stat(file);
            long offset = status.Inode == position.Inode ? position.Offset : 0;
            byte[] rest = [];
            if (position.Inode != 0 && status.Inode != position.Inode) rest = RestOfRotated(position);
            byte[] bytes = new byte[Math.Max(0, Math.Min(status.Size - offset, 4 << 20))];
            int read = FileCalls.ReadAt(file, bytes, offset);
            return ([.. rest, .. bytes.AsSpan(0, read)], new(status.Inode, offset + read));
        }
    }

    /// <summary>The end of what is there now.</summary>
    public LogPosition End() => FileCalls.TryStat(null, Current) is { } status ? new(status.Inode, status.Size) : default;

    private byte[] RestOfRotated(LogPosition position)
    {
        var (file, _) = FileCalls.TryOpenAt(null, Current + ".1", OpenFlags.ReadOnly);
        if (file is null) return [];
        using (file)
        {
            FileStatus status = FileCalls.Stat(file);
            if (status.Inode != position.Inode) return [];
            byte[] bytes = new byte[Math.Max(0, status.Size - position.Offset)];
            return bytes[..FileCalls.ReadAt(file, bytes, position.Offset)];
        }
    }

    private static IEnumerable<(DateTimeOffset Time, byte[] Bytes)> ReadOne(string path, long from, long end)
    {
        var (file, _) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadOnly);
        if (file is null) yield break;
        var (times, _) = FileCalls.TryOpenAt(null, path + ".times", OpenFlags.ReadOnly);
        using (file)
        using (times)
        {
            end = Math.Min(end, FileCalls.Stat(file).Size);
            long time = 0;
            bool first = true;
            foreach (var mark in Marks(times).Append((Offset: end, Time: 0L)))
            {
                if (first) time = mark.Time; // a mark lost in a crash: the next one's time
                first = false;
                for (long to = Math.Min(mark.Offset, end); from < to;)
                {
                    byte[] bytes = new byte[Math.Min(to - from, Part)];
                    int count = FileCalls.ReadAt(file, bytes, from);
                    if (count == 0) yield break;
                    from += count;
                    yield return (DateTimeOffset.FromUnixTimeMilliseconds(time), count == bytes.Length ? bytes : bytes[..count]);
                }
                time = mark.Time;
            }
        }
    }

    private static IEnumerable<(long Offset, long Time)> Marks(Descriptor? times)
    {
        if (times is null) yield break;
        byte[] buffer = new byte[16 * 1024];
        long at = 0;
        for (int count; (count = FileCalls.ReadAt(times, buffer, at) & ~15) > 0; at += count)
            for (int i = 0; i < count; i += 16) yield return (BinaryPrimitives.ReadInt64LittleEndian(buffer.AsSpan(i)), BinaryPrimitives.ReadInt64LittleEndian(buffer.AsSpan(i + 8)));
    }

    /// <summary>Null when the capsule has been removed: it is not made again for the last lines of its log, which go.</summary>
    private Descriptor? TryLock()
    {
        try { FileCalls.MakeDirectory(null, directory, 0x1C0); }
        catch (SyscallException e) when (e.Errno is Errno.EEXIST or Errno.ENOENT) { }
        var (held, errno) = FileCalls.TryOpenAt(null, directory + "/.lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        if (held is not null) FileCalls.Lock(held, exclusive: true, wait: true);
        else if (errno != Errno.ENOENT) throw new SyscallException("open", directory + "/.lock", errno);
        return held;
    }

    private void NoteTime(long offset)
    {
        byte[] mark = new byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(mark, offset);
        BinaryPrimitives.WriteInt64LittleEndian(mark.AsSpan(8), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        using Descriptor times = FileCalls.Open(Times, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180);
        try { FileCalls.Write(times, mark, Times); }
        catch (SyscallException e) when (e.Errno == Errno.ENOSPC) { } // the bytes are what matters; without a mark they take the neighbour's time
    }

    private void Rotate()
    {
        if (FileCalls.TryStat(null, Times) is not null) FileCalls.Rename(null, Times, null, Current + ".1.times");
        FileCalls.Rename(null, Current, null, Current + ".1");
    }
}

/// <summary>A place in a log.</summary>
public readonly record struct LogPosition(ulong Inode, long Offset);
