using System.Text;
using System.Text.Json;
using Capsules.Core.Formats;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>Who wrote a file outside the declared state: the program as the capsule sees it, and the service that it belongs to, as far as known.</summary>
public sealed record StrayWriter(string Program, string? Service)
{
    /// <inheritdoc/>
    public override string ToString() => Service is null ? Program : $"{Program} of {Service}";
}

/// <summary>
/// Notes of who wrote what outside the declared state (capsules/NAME/writers.jsonl, docs/formats/store.md), taken from the queue of events that
/// PID 1 holds. State, /run and /tmp are other file systems and give no events; a file gives one while its inode is in memory.
/// </summary>
internal sealed class StrayWriters(StoreLayout layout, RunningCapsule running)
{
    private const int MostNotes = 4096; // of one life: a program that litters costs neither memory nor disk without bound
    private const int MostAncestors = 64;

    private readonly HashSet<int> _noted = [];

    /// <summary>Notes what is in the queue.</summary>
    public void Take(Descriptor queue) => WriteWatch.Take(queue, (file, pid) =>
    {
        if (_noted.Count >= MostNotes || PathOf(file) is not { } path || ProgramOf(pid) is not { } program) return;
        string picture = path.ToString();
        if (!_noted.Add(HashCode.Combine(picture, program))) return;
        ulong inode = FileCalls.Stat(file).Inode;
        string? service = ServiceOf(pid);
        byte[] line = JsonWriting.Document(w =>
        {
            w.Text("path", picture);
            w.WriteNumber("inode", inode);
            w.Text("program", program);
            w.Text("service", service);
        }, indented: false);
        using Descriptor notes = FileCalls.Open(layout.Writers(running.Record.Name), OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180);
        FileCalls.Write(notes, line, "writers.jsonl");
    });

    /// <summary>The writers of paths of the writable layer: by path, or by inode for what got another name after it was written.</summary>
    public static (Dictionary<string, StrayWriter> ByPath, Dictionary<ulong, StrayWriter> ByInode) Read(StoreLayout layout, CapsuleName name)
    {
        var byPath = new Dictionary<string, StrayWriter>(StringComparer.Ordinal);
        var byInode = new Dictionary<ulong, StrayWriter>();
        if (SmallFiles.TryRead(layout.Writers(name)) is not { } bytes) return (byPath, byInode);
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
            try
            {
                JsonElement note = ManifestJson.Parse(line);
                var writer = new StrayWriter(note.RequiredText("program"), note.Text("service"));
                byPath[note.RequiredText("path")] = writer;
                if (note.Unsigned("inode") is { } inode) byInode[inode] = writer;
            }
            catch (FormatException) { } // the last line of a keeper that was killed
        return (byPath, byInode);
    }

    /// <summary>Begins a life: what was noted of former ones stays, unless it grew large.</summary>
    public static void Begin(StoreLayout layout, CapsuleName name)
    {
        const long most = 1 << 20;
        if (FileCalls.TryStat(null, layout.Writers(name)) is { Size: > most }) FileCalls.Remove(null, layout.Writers(name));
    }

    /// <summary>As the capsule names it; null when it has no name any more.</summary>
    private GuestPath? PathOf(Descriptor file)
    {
        ReadOnlySpan<byte> path = FileCalls.ReadLink(null, $"/proc/self/fd/{file.Number}");
        if (path.EndsWith(" (deleted)"u8)) return null;
        ReadOnlySpan<byte> peer = Encoding.UTF8.GetBytes(layout.RunOf(running.Record.Name) + "/peer");
        if (path.StartsWith(peer)) path = path[peer.Length..]; // written from the host's side
        return path.StartsWith("/"u8) ? GuestPath.Normalize(path) : null;
    }

    /// <summary>The executable as its root shows it; of a process that has just ended its name, and null when nobody knows it any more.</summary>
    internal static string? ProgramOf(int pid)
    {
        try { return BytePicture.Of(FileCalls.ReadLink(null, $"/proc/{pid}/exe")); }
        catch (SyscallException) { }
        return SmallFiles.TryRead($"/proc/{pid}/comm") is { Length: > 1 } name ? BytePicture.Of(name.AsSpan().TrimEnd((byte)'\n')) : null;
    }

    /// <summary>The service whose main process is this one or above it; null for a command of exec, or a daemon whose starter is gone.</summary>
    internal string? ServiceOf(int pid)
    {
        BoardState[] board;
        try { board = running.Board(); }
        catch (SyscallException) { return null; }
        for (int at = pid, steps = 0; at > 1 && at != running.Record.Init && steps < MostAncestors; steps++)
        {
            int? inside = ProcessTable.PidInside(at);
            for (int i = 0; i < board.Length && i < running.Record.Services.Length; i++)
                if (board[i].Running && board[i].Pid == inside) return running.Record.Services[i].Name;
            if (ProcessTable.TryRead(at) is not { } status) return null;
            at = status.Parent;
        }
        return null;
    }
}
