using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Files;

/// <summary>Events with names, of a real directory.</summary>
public sealed class FileEventsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("events").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static List<string> Take(FileEvents events)
    {
        var told = new List<string>();
        events.Take(e => told.Add($"{e.Kind} {System.Text.Encoding.UTF8.GetString(e.OldName)}{(e.OldName.Length > 0 ? " " : "")}{System.Text.Encoding.UTF8.GetString(e.Name)}{(e.IsDirectory ? "/" : "")}"));
        return told;
    }

    [Fact]
    public void Names_and_writes_of_a_directory_are_told_by_its_key()
    {
        using FileEvents events = FileEvents.Open();
        using Descriptor directory = FileCalls.Open(_directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        events.MarkDirectory(directory);
        File.WriteAllText(_directory + "/a", "x");
        File.Move(_directory + "/a", _directory + "/b");
        File.Delete(_directory + "/b");
        Directory.CreateDirectory(_directory + "/below");
        File.WriteAllText(_directory + "/below/unseen", "x");
        var told = new List<FileEvent>();
        events.Take(told.Add);
        told.Select(e => $"{e.Kind} {System.Text.Encoding.UTF8.GetString(e.Name)}").ShouldBe(["Created a", "Written a", "Renamed b", "Removed b", "Created below"]);
        told.ShouldAllBe(e => e.Pid == Environment.ProcessId && e.Directory == FileEvents.KeyOf(directory));
        System.Text.Encoding.UTF8.GetString(told[2].OldName).ShouldBe("a");
        told[2].OldDirectory.ShouldBe(told[2].Directory);
        told[4].IsDirectory.ShouldBeTrue();

        using Descriptor again = FileEvents.TryOpen(directory, told[0].Directory!.Value)!;
        FileCalls.Stat(again).Inode.ShouldBe(FileCalls.Stat(directory).Inode);
    }

    [Fact]
    public void A_directory_that_is_gone_is_not_opened()
    {
        Directory.CreateDirectory(_directory + "/below");
        using Descriptor directory = FileCalls.Open(_directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        DirectoryKey key;
        using (Descriptor below = FileCalls.Open(_directory + "/below", OpenFlags.ReadOnly | OpenFlags.Directory)) key = FileEvents.KeyOf(below);
        key.IsBeside(FileEvents.KeyOf(directory)).ShouldBeTrue();
        key.ShouldNotBe(FileEvents.KeyOf(directory));
        Directory.Delete(_directory + "/below");
        FileEvents.TryOpen(directory, key).ShouldBeNull();
    }

    [Fact]
    public void A_queue_that_is_full_says_so()
    {
        using FileEvents events = FileEvents.Open();
        using Descriptor directory = FileCalls.Open(_directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        events.MarkDirectory(directory);
        int most = int.Parse(File.ReadAllText("/proc/sys/fs/fanotify/max_queued_events"));
        for (int i = 0; i <= most; i++) File.WriteAllText($"{_directory}/{i}", "");
        Take(events)[^1].ShouldBe("Lost ");
    }
}
