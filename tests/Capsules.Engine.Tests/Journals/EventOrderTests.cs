using System.Text;
using Capsules.Core.Model;
using Capsules.Engine.Journals;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Journals;

/// <summary>What several queues tell, in the one order in which it can have been.</summary>
public sealed class EventOrderTests
{
    private static readonly CapsuleName s_app = CapsuleName.Parse("app");
    private static readonly DirectoryKey s_directory = new([.. "fs-fs-fshandle"u8]), s_other = new([.. "fs-fs-fsother!"u8]);

    private static byte[] Bytes(string name) => Encoding.UTF8.GetBytes(name);
    private static FileEvent Did(FileEventKind kind, string name, DirectoryKey? directory = null) => new(kind, 7, false, directory ?? s_directory, Bytes(name), null, []);
    private static FileEvent Renamed(string from, string to) => new(FileEventKind.Renamed, 7, false, s_directory, Bytes(to), s_directory, Bytes(from));
    private static (FileEvent, CapsuleName?) Written(string name, DirectoryKey? directory = null) => (Did(FileEventKind.Written, name, directory), s_app);

    private static string[] Merge(FileEvent[] names, params (FileEvent Event, CapsuleName? By)[] written) =>
        [.. EventOrder.Merge(names, written).Select(e => $"{e.Event.Kind} {Encoding.UTF8.GetString(e.Event.Name)}{(e.By is null ? "" : $" by {e.By}")}")];

    [Fact]
    public void What_is_written_beside_and_renamed_was_written_before()
    {
        Merge([Did(FileEventKind.Created, "a.tmp"), Renamed("a.tmp", "a")], Written("a.tmp")).ShouldBe(["Created a.tmp", "Written a.tmp by app", "Renamed a"]);
        Merge([Did(FileEventKind.Created, "a"), Did(FileEventKind.Removed, "a")], Written("a")).ShouldBe(["Created a", "Written a by app", "Removed a"]);
    }

    [Fact]
    public void One_event_for_a_name_that_was_used_again_and_again_counts_for_each()
    {
        Merge([Did(FileEventKind.Created, "t"), Renamed("t", "one"), Did(FileEventKind.Created, "t"), Renamed("t", "two"), Did(FileEventKind.Created, "t")], Written("t"))
            .ShouldBe(["Created t", "Written t by app", "Renamed one", "Created t", "Written t by app", "Renamed two", "Created t", "Written t by app"]);
    }

    [Fact]
    public void What_keeps_its_name_comes_behind_it_and_other_directories_are_others()
    {
        Merge([Did(FileEventKind.Created, "a"), Renamed("b", "c")], Written("a"), Written("b", s_other), Written("c")).ShouldBe(["Created a", "Renamed c", "Written a by app", "Written b by app", "Written c by app"]);
        Merge([Did(FileEventKind.Created, "a")], (new(FileEventKind.Lost, 0, false, null, [], null, []), s_app)).ShouldBe(["Lost  by app", "Created a"]);
    }

    [Fact]
    public void What_is_written_under_a_name_that_came_later_waits_for_it()
    {
        var (ready, early) = EventOrder.Split([Written("old"), Written("new"), Written("new", s_other)], [Did(FileEventKind.Created, "new"), Did(FileEventKind.Removed, "old")]);
        ready.ShouldBe([Written("old"), Written("new", s_other)], Comparer());
        early.ShouldBe([Written("new")], Comparer());
        EventOrder.Split([Written("old")], []).Ready.Count.ShouldBe(1);
    }

    private static EqualityComparer<(FileEvent, CapsuleName?)> Comparer() => EqualityComparer<(FileEvent, CapsuleName?)>.Create((one, other) =>
        one.Item1.Kind == other.Item1.Kind && one.Item1.Directory == other.Item1.Directory && one.Item1.Name.AsSpan().SequenceEqual(other.Item1.Name), e => (int)e.Item1.Kind);
}
