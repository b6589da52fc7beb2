using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Launching;

/// <summary>Where things are on a board.</summary>
internal static class BoardLayout
{
    public static int HeaderSize => Unsafe.SizeOf<BoardHeader>();
    public static int EntrySize => Unsafe.SizeOf<BoardEntry>();
    public static int OffsetOf(int entry) => HeaderSize + EntrySize * entry;
    public static int SizeOf(int entries) => OffsetOf(entries);
}

/// <summary>How one service of a capsule is doing, as PID 1 and the service itself wrote it.</summary>
/// <param name="Pid">The last process, as the capsule numbers it; 0 when it was never started.</param>
/// <param name="Running">It was not reaped yet.</param>
/// <param name="Status">Its exit status, 128 + signal if one ended it; null while it runs or was never started.</param>
/// <param name="Signal">The signal that ended it, or 0.</param>
/// <param name="Generation">How often it was started.</param>
/// <param name="Ended">When it ended.</param>
public sealed record BoardState(int Pid, bool Running, int? Status, int Signal, int Generation, DateTimeOffset? Ended);

/// <summary>The file on which the ends of services are kept (docs/formats/board.md): made before the launch, mapped by PID 1, read by anybody.</summary>
public static class Board
{
    /// <summary>Makes the file, with room for <paramref name="entries"/> services.</summary>
    public static Descriptor Create(NativePath path, int entries)
    {
        Descriptor file = FileCalls.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Truncate, 0x180);
        byte[] content = new byte[BoardLayout.SizeOf(entries)];
        MemoryMarshal.Write(content, new BoardHeader { Magic = BoardHeader.ExpectedMagic, Version = BoardHeader.CurrentVersion, EntryCount = (uint)entries });
        FileCalls.Write(file, content, path.ToString());
        return file;
    }

    /// <summary>Every entry.</summary>
    /// <exception cref="FormatException">It is no board, of another version, or cut short.</exception>
    public static BoardState[] Read(NativePath path)
    {
        byte[] bytes = FileCalls.ReadAll(path, 1 << 20);
        if (bytes.Length < BoardLayout.HeaderSize) throw new FormatException($"{path} is too short for a board");
        BoardHeader header = MemoryMarshal.Read<BoardHeader>(bytes);
        if (header.Magic != BoardHeader.ExpectedMagic) throw new FormatException($"{path} is not a board");
        if (header.Version != BoardHeader.CurrentVersion) throw new FormatException($"{path} is a board of version {header.Version}; this program reads {BoardHeader.CurrentVersion}");
        if (header.EntryCount > 4096 || bytes.Length < BoardLayout.SizeOf((int)header.EntryCount)) throw new FormatException($"{path} is cut short");
        var states = new BoardState[header.EntryCount];
        for (int i = 0; i < states.Length; i++)
        {
            BoardEntry entry = MemoryMarshal.Read<BoardEntry>(bytes.AsSpan(BoardLayout.OffsetOf(i)));
            bool ended = entry.State == BoardEntry.Ended;
            int signal = ended ? entry.WaitStatus & 0x7f : 0;
            states[i] = new(entry.Pid, entry.State == BoardEntry.Running, ended ? signal == 0 ? entry.WaitStatus >> 8 & 0xff : 128 + signal : null, signal, entry.Generation,
                ended ? DateTimeOffset.FromUnixTimeSeconds(entry.Seconds).AddTicks(entry.Nanoseconds / 100) : null);
        }
        return states;
    }

    /// <summary>Puts another process on an entry, such as the daemon that a forking service left behind. PID 1 sees it at once: the file is its memory.</summary>
    public static void Replace(NativePath path, int entry, int pid, int generation) => Write(path, entry, new() { Pid = pid, State = BoardEntry.Running, Generation = generation });

    /// <summary>Makes an entry as one that was never started.</summary>
    public static void Clear(NativePath path, int entry) => Write(path, entry, new());

    private static void Write(NativePath path, int entry, BoardEntry content)
    {
        using Descriptor file = FileCalls.Open(path, OpenFlags.WriteOnly);
        FileContent.WriteAt(file, MemoryMarshal.AsBytes(new ReadOnlySpan<BoardEntry>(in content)), BoardLayout.OffsetOf(entry), path.ToString());
    }
}
