using Capsules.Core.Formats;
using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Journals;

/// <summary>
/// The journal of a capsule on disk, in two halves: what is written goes into `new.jsonl`; when that is full it becomes `old.jsonl` by one rename, and what was there
/// goes. A line that was written by half is skipped by who reads, and ended by who writes next.
/// </summary>
internal sealed class JournalFile : IDisposable
{
    /// <summary>The most that a half has.</summary>
    public const int MostOfHalf = 4 << 20;

    private const string New = "/new.jsonl", Old = "/old.jsonl";

    private readonly string _directory;
    private Descriptor _file;
    private long _size;

    /// <summary>Opens the journal of a capsule to write to it.</summary>
    public JournalFile(StoreLayout layout, CapsuleName capsule)
    {
        _directory = layout.Journal(capsule);
        SmallFiles.MakeDirectories(_directory, 0x1C0);
        _file = Open();
        _size = FileCalls.Stat(_file).Size;
        Span<byte> last = stackalloc byte[1];
        if (_size > 0 && FileCalls.ReadAt(_file, last, _size - 1) == 1 && last[0] != '\n') Append("\n"u8.ToArray());
    }

    /// <summary>Appends records, all by one write.</summary>
    public void Append(IReadOnlyCollection<WriteRecord> records)
    {
        var batch = new List<byte>();
        foreach (WriteRecord record in records)
        {
            byte[] line = record.ToLine();
            if (_size + batch.Count + line.Length > MostOfHalf)
            {
                Append([.. batch]);
                batch.Clear();
                FileCalls.Rename(null, _directory + New, null, _directory + Old);
                _file.Dispose();
                _file = Open();
                _size = 0;
            }
            batch.AddRange(line);
        }
        Append([.. batch]);
    }

    /// <summary>All records of a capsule's journal, the oldest first.</summary>
    public static List<WriteRecord> Read(StoreLayout layout, CapsuleName capsule)
    {
        string directory = layout.Journal(capsule);
        // The newer half is opened first: if it becomes the old one meanwhile, it is read once.
        var (newer, _) = FileCalls.TryOpenAt(null, directory + New, OpenFlags.ReadOnly);
        var (older, _) = FileCalls.TryOpenAt(null, directory + Old, OpenFlags.ReadOnly);
        using (newer)
        using (older)
        {
            var records = new List<WriteRecord>();
            bool isOne = newer is not null && older is not null && FileCalls.Stat(newer).Inode == FileCalls.Stat(older).Inode;
            foreach (Descriptor? half in (Descriptor?[])[isOne ? null : older, newer])
                if (half is not null)
                    foreach (ReadOnlyMemory<byte> line in ByteLines.Of(FileCalls.ReadToEnd(half, "journal")))
                        if (WriteRecord.TryParse(line) is { } record) records.Add(record);
            return records;
        }
    }

    /// <summary>How many bytes a capsule's journal has.</summary>
    public static long SizeOf(StoreLayout layout, CapsuleName capsule) => ((string[])[New, Old]).Sum(half => FileCalls.TryStat(null, layout.Journal(capsule) + half)?.Size ?? 0);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private Descriptor Open() => FileCalls.Open(_directory + New, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Append, 0x180);

    private void Append(byte[] bytes)
    {
        if (bytes.Length == 0) return;
        FileCalls.Write(_file, bytes, _directory + New);
        _size += bytes.Length;
    }
}
