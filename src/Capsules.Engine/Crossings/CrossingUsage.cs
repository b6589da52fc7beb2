using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Store;

namespace Capsules.Engine.Crossings;

/// <summary>What the programs of others have used that a capsule ran since it was started (docs/formats/crossing.md): one row for each owner, export and program.</summary>
internal sealed class CrossingUsage(string file)
{
    private sealed class Row
    {
        public long Count, Refused, Cpu, MemoryPeak;
        public DateTimeOffset Last;
    }

    private readonly SortedDictionary<(string Owner, string Export, string Program), Row> _rows = [];
    private long _refusedElsewhere;

    /// <summary>Something was counted that is not written yet.</summary>
    public bool IsDirty { get; private set; }

    /// <summary>A program has ended.</summary>
    public void Count(CapsuleName owner, CapsuleName export, GuestPath program, long? cpu, long? memoryPeak, DateTimeOffset now)
    {
        Row row = Of(owner, export, program);
        row.Count++;
        row.Cpu += cpu ?? 0;
        row.MemoryPeak = Math.Max(row.MemoryPeak, memoryPeak ?? 0);
        row.Last = now;
        IsDirty = true;
    }

    /// <summary>A call was refused; of no export when none has such a program.</summary>
    public void CountRefusal(CapsuleName? owner, CapsuleName? export, GuestPath program)
    {
        if (owner is { } known && export is { } name) Of(known, name, program).Refused++;
        else _refusedElsewhere++;
        IsDirty = true;
    }

    /// <summary>Writes the file, unless its directory is gone with the capsule.</summary>
    public void Write()
    {
        if (!IsDirty) return;
        IsDirty = false;
        byte[] bytes = JsonWriting.Document(w =>
        {
            w.WriteNumber("schemaVersion", 1);
            w.WriteNumber("refused", _refusedElsewhere);
            w.Objects("programs", _rows, r =>
            {
                w.WriteString("owner", r.Key.Owner);
                w.WriteString("export", r.Key.Export);
                w.WriteString("program", r.Key.Program);
                w.WriteNumber("count", r.Value.Count);
                w.WriteNumber("refused", r.Value.Refused);
                w.WriteNumber("cpuNanoseconds", r.Value.Cpu);
                w.WriteNumber("memoryPeak", r.Value.MemoryPeak);
                if (r.Value.Count > 0) w.Time("last", r.Value.Last);
            });
        });
        try { SmallFiles.Write(file, bytes, durable: false); }
        catch (Linux.SyscallException e) when (e.Errno == Linux.Errno.ENOENT) { }
    }

    private Row Of(CapsuleName owner, CapsuleName export, GuestPath program)
    {
        var key = (owner.ToString(), export.ToString(), program.ToString());
        if (!_rows.TryGetValue(key, out Row? row)) _rows[key] = row = new();
        return row;
    }
}
