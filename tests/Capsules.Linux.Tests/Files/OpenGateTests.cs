using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Files;

/// <summary>The group that holds up opens, as far as nobody waits; that somebody does is tested with open capsules.</summary>
public sealed class OpenGateTests
{
    [Fact]
    public void Whether_an_answer_may_name_an_errno_is_what_the_kernel_says()
    {
        using Descriptor group = OpenGate.TryCreate()!;
        string[] release = File.ReadAllText("/proc/sys/kernel/osrelease").Split('.', '-');
        OpenGate.TellsErrno(group).ShouldBe(new Version(int.Parse(release[0]), int.Parse(release[1])) >= new Version(6, 14));
    }

    [Fact]
    public void An_answer_to_nobody_is_no_error()
    {
        using Descriptor group = OpenGate.TryCreate()!;
        OpenGate.TryAnswer(group, 77, Errno.EIO).ShouldBeFalse();
        OpenGate.TryAnswer(group, 77, 0).ShouldBeFalse();
    }
}
