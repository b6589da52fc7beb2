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

    private string Current => $"{directory}/{service}.log";
    private string Times => Current + ".times";

    /// <summary>
    /// Takes the messages that are in a /dev/log socket (RFC 3164), one a line, without the priority in front. Each leaves the socket after
    /// it was written: who is killed in between leaves it to be written twice, never lost.
    /// </summary>
    public void TakeMessages(Descriptor socket)
    {
        using Descriptor held = Lock();
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
        using Descriptor held = Lock();
        bool any = false;
        while (true)
        {
            using Descriptor file = FileCalls.Open(Current, OpenFlags.WriteOnly | OpenFlags.Create, 0x180);
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
            NoteTime(size);
        }
    }

    /// <summary>The parts, oldest first, with the time at which each came.</summary>
    /// <param name="end">Where the current file is read to: what comes later belongs to <see cref="ReadFrom"/>.</param>
    /// <param name="most">Only the last so many bytes.</param>
    public IEnumerable<(DateTimeOffset Time, byte[] Bytes)> Read(LogPosition end, long most)
    {
        long skip = Math.Max(0, end.Offset + (FileCalls.TryStat(null, Current + ".1")?.Size ?? 0) - most);
        foreach (string file in (string[])[Current + ".1", Current])
            foreach (var (time, bytes) in ReadOne(file, file == Current ? end.Offset : long.MaxValue))
            {
                long left = Math.Min(skip, bytes.Length);
                skip -= left;
                if (left < bytes.Length) yield return (time, left == 0 ? bytes : bytes[(int)left..]);
            }
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

    private static IEnumerable<(DateTimeOffset Time, byte[] Bytes)> ReadOne(string file, long end)
    {
        if (SmallFiles.TryRead(file) is not { } bytes) yield break;
        if (bytes.Length > end) bytes = bytes[..(int)end];
        byte[] times = SmallFiles.TryRead(file + ".times") ?? [];
        var marks = new List<(long Offset, long Time)>();
        for (int at = 0; at + 16 <= times.Length; at += 16)
            marks.Add((BinaryPrimitives.ReadInt64LittleEndian(times.AsSpan(at)), BinaryPrimitives.ReadInt64LittleEndian(times.AsSpan(at + 8))));
        if (marks.Count == 0 || marks[0].Offset > 0) marks.Insert(0, (0, marks.Count > 0 ? marks[0].Time : 0)); // a mark lost in a crash: the next one's time
        for (int i = 0; i < marks.Count; i++)
        {
            long from = Math.Min(marks[i].Offset, bytes.Length), to = i + 1 < marks.Count ? Math.Min(marks[i + 1].Offset, bytes.Length) : bytes.Length;
            if (to > from) yield return (DateTimeOffset.FromUnixTimeMilliseconds(marks[i].Time), bytes[(int)from..(int)to]);
        }
    }

    private Descriptor Lock()
    {
        SmallFiles.MakeDirectories(directory, 0x1C0);
        Descriptor held = FileCalls.Open(directory + "/.lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(held, exclusive: true, wait: true);
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
