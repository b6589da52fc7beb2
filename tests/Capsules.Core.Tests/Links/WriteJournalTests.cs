using System.Text;
using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Links;

/// <summary>The journal of writes: its lines, what is told of what happens, what is watched, and what is answered.</summary>
public sealed class WriteJournalTests
{
    private static readonly DateTimeOffset s_noon = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

    private static CapsuleName Name(string name) => CapsuleName.Parse(name);

    private static GuestPath At(string path) => GuestPath.Parse(path);

    private static WriteRecord Record(WriteKind kind, string path, string? from = null, int second = 0, string? capsule = "db", int pid = 7) => new()
    {
        Time = s_noon.AddSeconds(second),
        Kind = kind,
        Path = At(path),
        From = from is null ? null : At(from),
        By = new() { Capsule = capsule is null ? null : Name(capsule), Pid = pid, Program = "/bin/sh", User = 33 },
    };

    private static WriteRecord Mark(WriteKind kind, int second) => new() { Time = s_noon.AddSeconds(second), Kind = kind };

    private static string[] Ask(string path, params WriteRecord[] records) => [.. WriteQuery.Ask(records, At(path), isRunning: true).Writes.Select(w => w.ToString())];

    [Fact]
    public void A_line_is_read_as_it_was_written()
    {
        WriteRecord renamed = Record(WriteKind.Renamed, "/data/\\xff\"", "/data/old") with { IsDirectory = true, Times = 3 };
        Encoding.UTF8.GetString(renamed.ToLine()).ShouldBe("""{"time":"2026-01-31T12:00:00.000Z","did":"renamed","path":"/data/\\xff\"","from":"/data/old","directory":true,"capsule":"db","user":33,"pid":7,"program":"/bin/sh","times":3}""" + "\n");
        WriteRecord.TryParse(renamed.ToLine()).ShouldBe(renamed);
        foreach (WriteRecord record in (WriteRecord[])[Record(WriteKind.Written, "/a", capsule: null) with { By = new() { IsHost = true, Pid = 1 } }, Record(WriteKind.Removed, "/a") with { By = new() { Pid = 9 } }, Mark(WriteKind.Began, 1), Mark(WriteKind.Lost, 2)])
            WriteRecord.TryParse(record.ToLine()).ShouldBe(record);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","path":"/a","pid":7""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","pid":7}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"renamed","path":"/a","pid":7}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"eaten","path":"/a"}""")]
    [InlineData("""{"time":"yesterday","did":"written","path":"/a"}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","path":"../a"}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","path":"/a","capsule":"no name"}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","path":"/a","user":-1}""")]
    [InlineData("""{"time":"2026-01-31T12:00:00Z","did":"written","path":"/a","times":0}""")]
    public void A_line_that_is_none_is_skipped(string line) => WriteRecord.TryParse(Encoding.UTF8.GetBytes(line)).ShouldBeNull();

    [Fact]
    public void Whatever_bytes_a_line_has_it_is_read_or_skipped()
    {
        byte[] line = (Record(WriteKind.Renamed, "/data/\\xff", "/data/old") with { Times = 3 }).ToLine();
        Gen.Select(Gen.Int[0, line.Length], Gen.Byte.Array[0, 12], Gen.Int[0, 12]).Sample((at, bytes, cut) =>
        {
            byte[] damaged = [.. line[..at], .. bytes, .. line[Math.Min(line.Length, at + cut)..]];
            if (WriteRecord.TryParse(damaged) is { } read) WriteRecord.TryParse(read.ToLine())!.Kind.ShouldBe(read.Kind);
        }, iter: 5000);
        Gen.Byte.Array[0, 200].Sample(bytes => { WriteRecord.TryParse(bytes); }, iter: 5000);
    }

    [Fact]
    public void Any_record_is_read_as_it_was_written()
    {
        Gen<GuestPath> path = Gen.Byte.Array[1, 20].Where(b => GuestPath.IsName(b)).Array[1, 4].Select(names => names.Aggregate(GuestPath.Root, (p, n) => p.Child(n)));
        Gen.Select(path, path, Gen.Enum<WriteKind>(), Gen.UInt, Gen.Int[0, 1 << 22], Gen.Int[1, 100]).Sample((to, from, kind, user, pid, times) =>
        {
            bool isWrite = kind <= WriteKind.Removed;
            var record = new WriteRecord { Time = s_noon, Kind = kind, Path = to, From = kind == WriteKind.Renamed ? from : null, By = isWrite ? new() { Capsule = Name("a"), User = user, Pid = pid } : null, Times = times };
            WriteRecord.TryParse(record.ToLine()).ShouldBe(record);
            record.ToLine().Count(b => b == '\n').ShouldBe(1);
        });
    }

    [Fact]
    public void The_first_is_told_at_once_and_more_of_the_same_once_a_second_with_its_number()
    {
        var coalescer = new WriteCoalescer();
        WriteRecord write = Record(WriteKind.Written, "/data/x");
        coalescer.Take(write, 0).ShouldBe(write);
        coalescer.Due.ShouldBe(1000);
        coalescer.Take(write with { Time = s_noon.AddSeconds(0.5) }, 500).ShouldBeNull();
        coalescer.Take(write with { Time = s_noon.AddSeconds(0.9) }, 900).ShouldBeNull();
        coalescer.Take(write with { Path = At("/data/y") }, 900).ShouldNotBeNull();
        coalescer.Take(write with { By = write.By! with { Pid = 8 } }, 900).ShouldNotBeNull("another process");
        coalescer.Take(write with { Kind = WriteKind.Removed }, 900).ShouldNotBeNull();
        coalescer.Expired(999).ShouldBeEmpty();
        coalescer.Expired(1000).ShouldBe([write with { Time = s_noon.AddSeconds(0.9), Times = 2 }]);
        coalescer.Take(write, 1100).ShouldBeNull("it goes on");
        coalescer.Expired(2000).ShouldBe([write with { Times = 1 }]);
        coalescer.Expired(3000).ShouldBeEmpty();
        coalescer.Due.ShouldBeNull();
        coalescer.Take(write, 4000).ShouldBe(write, "and begins anew");
    }

    [Fact]
    public void A_query_follows_renames_into_the_past()
    {
        Ask("/d/x", Record(WriteKind.Created, "/d/x.tmp", pid: 1), Record(WriteKind.Written, "/d/x.tmp", pid: 1), Record(WriteKind.Written, "/d/other"), Record(WriteKind.Renamed, "/d/x", "/d/x.tmp"), Record(WriteKind.Created, "/d/x.tmp", pid: 2), Record(WriteKind.Written, "/d/x.tmp", pid: 2))
            .ShouldBe(["Renamed /d/x", "Written /d/x.tmp", "Created /d/x.tmp"]);
        Ask("/d/old", Record(WriteKind.Written, "/d/old"), Record(WriteKind.Renamed, "/d/new", "/d/old"), Record(WriteKind.Written, "/d/new")).ShouldBe(["Renamed /d/new", "Written /d/old"], "what went away");
    }

    [Fact]
    public void A_query_follows_what_moved_with_the_directory_above_it()
    {
        Ask("/d/b/x", Record(WriteKind.Written, "/d/a/x"), Record(WriteKind.Written, "/d/a/y"), Record(WriteKind.Renamed, "/d/b", "/d/a"), Record(WriteKind.Written, "/d/b/x")).ShouldBe(["Written /d/b/x", "Renamed /d/b", "Written /d/a/x"]);
        Ask("/d/b", Record(WriteKind.Written, "/in"), Record(WriteKind.Renamed, "/d/b/in", "/in"), Record(WriteKind.Written, "/d/c")).ShouldBe(["Renamed /d/b/in", "Written /in"]);
    }

    [Fact]
    public void A_directory_has_all_below_it_and_a_name_that_only_begins_alike_has_nothing()
    {
        Ask("/d", Record(WriteKind.Written, "/d/a/x"), Record(WriteKind.Written, "/de"), Record(WriteKind.Removed, "/d/a/x", second: 1)).ShouldBe(["Removed /d/a/x", "Written /d/a/x"]);
    }

    [Fact]
    public void Times_of_which_nothing_is_known_are_told_the_newest_first()
    {
        WriteRecord[] records = [Mark(WriteKind.Began, 0), Record(WriteKind.Written, "/a", second: 1), Mark(WriteKind.Lost, 2), Mark(WriteKind.Ended, 3), Mark(WriteKind.Began, 9), Record(WriteKind.Written, "/a", second: 10), Mark(WriteKind.Began, 20), Mark(WriteKind.Ended, 30)];
        WriteQuery.Ask(records, At("/a"), isRunning: false).Gaps.Select(g => $"{(g.From - s_noon).TotalSeconds} {(g.To - s_noon)?.TotalSeconds} {g.Why}").ShouldBe(["30  NobodyRan", "10 20 Interrupted", "3 9 NobodyRan", "1 2 Overflow"]);
        WriteQuery.Ask(records[..2], At("/a"), isRunning: false).Gaps.Single().Why.ShouldBe(GapReason.Interrupted);
        WriteQuery.Ask(records[..2], At("/a"), isRunning: true).Gaps.ShouldBeEmpty();
        WriteQuery.Ask([], At("/a"), isRunning: false).Since.ShouldBeNull();
        WriteQuery.Ask([Mark(WriteKind.Unwatched, 0) with { Path = At("/a/b") }], At("/a"), isRunning: true).Unwatched.ShouldBe([At("/a/b")]);
    }

    private static readonly JournalledCapsule s_db = new(Name("db"), [(Name("data"), At("/data")), (Name("inner"), At("/data/inner"))]);

    private static string[] Views(params WritingCapsule[] running) => [.. JournalPlanner.Plan([s_db], running).SelectMany(r => r.Views.Select(v => $"{r.Volume}: {v.Capsule} {v.Path} {v.Below}"))];

    [Fact]
    public void The_owner_and_who_has_a_link_are_watched_by_the_mounts_that_they_have()
    {
        Views(new WritingCapsule(Name("db"), [])).ShouldBe(["data: db /data /", "inner: db /data/inner /"]);
        Views(new WritingCapsule(Name("app"), [(Name("db"), At("/data/below"))])).ShouldBe(["data: app /data/below /below"]);
        Views(new WritingCapsule(Name("app"), [(Name("db"), At("/data/inner/below"))])).ShouldBe(["inner: app /data/inner/below /below"], "the innermost volume shows it");
        Views(new WritingCapsule(Name("app"), [(Name("db"), At("/data"))])).ShouldBe(["data: app /data /", "inner: app /data/inner /"], "the volume below comes along with a mount of its own");
    }

    [Fact]
    public void Nothing_is_watched_when_nobody_runs_who_could_write()
    {
        JournalPlanner.Plan([s_db], []).ShouldBeEmpty();
        JournalPlanner.Plan([s_db], [new(Name("app"), [(Name("other"), At("/data"))])]).ShouldBeEmpty();
        JournalPlanner.Plan([s_db], [new(Name("app"), [(Name("db"), At("/data/below"))])]).Length.ShouldBe(2, "names are watched in all of its state");
    }
}
