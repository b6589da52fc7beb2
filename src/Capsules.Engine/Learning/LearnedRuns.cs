using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Learning;

/// <summary>The observation logs of a name, one file a run, and other files of learning.</summary>
public sealed class LearnedRuns(StoreLayout layout, CapsuleName name)
{
    private readonly string _directory = layout.Learned(name);

    /// <summary>Their files, the earliest first; none when nothing was learned.</summary>
    public ImmutableArray<string> Files()
    {
        var (opened, _) = FileCalls.TryOpenAt(null, _directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return [];
        using (opened) return [.. FileCalls.List(opened).Select(e => Encoding.UTF8.GetString(e.Name)).Where(n => n.EndsWith(".jsonl", StringComparison.Ordinal)).Select(n => $"{_directory}/{n}")];
    }

    /// <summary>Begins the log of a further run.</summary>
    public LearnLog Begin(TimeProvider clock, string way, LearnedCommand? command)
    {
        SmallFiles.MakeDirectories(_directory, 0x1C0);
        DateTimeOffset now = clock.GetUtcNow();
        return new($"{_directory}/{now.UtcDateTime.ToString("yyyyMMdd'T'HHmmssfff", CultureInfo.InvariantCulture)}-{Environment.ProcessId}.jsonl", now, way, command);
    }

    /// <summary>Reads them all.</summary>
    /// <exception cref="CapsuleException">There is none, or one is none of ours.</exception>
    public ImmutableArray<ObservedRun> Read()
    {
        ImmutableArray<ObservedRun> runs = [.. Files().Where(HasBegun).Select(file => Parse(file, ObservationLog.Parse, "remove the file: this run counts no more, and the others do"))];
        return runs.IsEmpty ? throw new CapsuleException(Problems.NothingLearned(name.ToString())) : runs;
    }

    /// <summary>A run that was killed before its first line was written met nothing.</summary>
    private static bool HasBegun(string file) => SmallFiles.TryRead(file) is { } bytes && bytes.Contains((byte)'\n');

    /// <summary>Removes logs of earlier runs.</summary>
    public static void Forget(ImmutableArray<string> files)
    {
        foreach (string file in files) FileCalls.Remove(null, file);
    }

    /// <summary>Reads a table of rules.</summary>
    /// <exception cref="CapsuleException">It is not there, or a line is no rule.</exception>
    public static WideningRules Rules(string file) => Parse(file, WideningRules.Parse, "correct the file; `capsule learn --show-rules` prints a table of rules that holds");

    /// <summary>What a capsule holds though little speaks for it.</summary>
    public static ImmutableArray<LeftOutPath> Uncertain(StoreLayout layout, CapsuleName capsule) =>
        SmallFiles.TryRead(layout.Uncertain(capsule)) is { } bytes ? [.. LeftOutFile.Read(bytes)] : [];

    private static T Parse<T>(string file, Func<ReadOnlyMemory<byte>, T> parse, string fix)
    {
        try { return parse(SmallFiles.TryRead(file) ?? throw new FormatException("there is no such file")); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadLearningFile(file, FactText.Of(e), fix), e); }
    }
}
