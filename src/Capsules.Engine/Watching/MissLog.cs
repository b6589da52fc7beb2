using System.Collections.Immutable;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Watching;

/// <summary>capsules/NAME/misses.jsonl: what a capsule did not have when it was wanted. Lines are appended, each by one write.</summary>
public static class MissLog
{
    /// <summary>What stands there; nothing when no such file is.</summary>
    /// <exception cref="CapsuleException">A line is none of ours.</exception>
    public static ImmutableArray<MissRecord> Read(StoreLayout layout, CapsuleName name)
    {
        if (SmallFiles.TryRead(layout.Misses(name)) is not { } bytes) return [];
        try { return [.. MissRecord.ReadAll(bytes)]; }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(layout.Misses(name), FactText.Of(e)), e); }
    }

    /// <summary>Appends one.</summary>
    public static void Append(StoreLayout layout, CapsuleName name, MissRecord record)
    {
        using Descriptor file = FileCalls.Open(layout.Misses(name), OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180);
        FileCalls.Write(file, record.ToLine(), "misses.jsonl");
    }
}
