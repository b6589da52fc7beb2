using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Running;

public sealed class LogFileTests
{
    [Fact]
    public void The_last_lines_of_a_capsule_that_was_removed_do_not_make_it_again()
    {
        string capsule = Directory.CreateTempSubdirectory("capsule-log").FullName;
        var log = new LogFile(capsule + "/logs", "main");
        var (read, write) = FileCalls.Pipe();
        using (read)
        using (write)
        {
            FileCalls.Write(write, "one\n"u8, "pipe");
            log.Take(read).ShouldBeTrue();
            File.ReadAllText(capsule + "/logs/main.log").ShouldBe("one\n");
            Directory.Delete(capsule, recursive: true);
            FileCalls.Write(write, "two\n"u8, "pipe");
            log.Take(read).ShouldBeTrue(); // nobody else would take it, and who writes must not wait
            log.Take(read).ShouldBeFalse();
        }
        Directory.Exists(capsule).ShouldBeFalse();
    }
}
