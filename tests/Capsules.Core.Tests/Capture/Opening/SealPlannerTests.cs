using Capsules.Core.Capture;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Opening;

public sealed class SealPlannerTests
{
    private static readonly CapturePlan Before = new()
    {
        Source = SourceReference.Live,
        Application = "app",
        Stack = CapsuleName.Parse("app"),
        Manifest = new() { Name = CapsuleName.Parse("app") },
        Reasons = [new("the service runs it", null)],
        Paths = [new(GuestPath.Parse("/usr/bin/app"), PathKind.Code, EntryKind.Regular, 7, 0)],
        LeftOut = [new(GuestPath.Parse("/etc/tool.conf"), "nothing needs it")],
    };

    private static CapturePlan Sealed() => SealPlanner.Together(Before,
    [
        new(GuestPath.Parse("/usr/bin/alias"), EntryKind.SymbolicLink, 0, GuestPath.Parse("/usr/bin/app")), new(GuestPath.Parse("/usr/bin/tool-link"), EntryKind.SymbolicLink, 0, GuestPath.Parse("/usr/bin/tool")),
        new(GuestPath.Parse("/usr/bin/tool"), EntryKind.Regular, 9), new(GuestPath.Parse("/etc"), EntryKind.Directory, 0, GuestPath.Parse("/etc/tool.conf")), new(GuestPath.Parse("/etc/tool.conf"), EntryKind.Regular, 1),
    ],
    [
        new(DateTimeOffset.UnixEpoch, MissKind.Failed, GuestPath.Parse("/usr/bin/tool"), "/bin/sh"), new(DateTimeOffset.UnixEpoch.AddSeconds(5), MissKind.Filled, GuestPath.Parse("/usr/bin/tool"), "/bin/bash"),
    ]);

    [Theory]
    [InlineData("/usr/bin/app", "the service runs it")]
    [InlineData("/usr/bin/tool", "opened by /bin/bash at 1970-01-01T00:00:05Z")]
    [InlineData("/usr/bin/tool-link", "a link that leads to /usr/bin/tool ← opened by /bin/bash at 1970-01-01T00:00:05Z")]
    [InlineData("/usr/bin/alias", "a link that leads to /usr/bin/app ← the service runs it")]
    [InlineData("/etc", "/etc/tool.conf is in it ← it is needed by what was read while the capsule was open")]
    public void Every_path_has_the_reason_that_it_was_opened_for(string path, string why) => string.Join(" ← ", Sealed().Why(GuestPath.Parse(path))!.Value).ShouldBe(why);

    [Fact]
    public void What_was_taken_is_not_left_out_any_more_and_configuration_is_told_from_code()
    {
        Sealed().LeftOut.ShouldBeEmpty();
        Sealed().Paths.Single(p => p.Path == GuestPath.Parse("/etc/tool.conf")).Kind.ShouldBe(PathKind.Config);
        Sealed().Paths.Single(p => p.Path == GuestPath.Parse("/usr/bin/tool")).Kind.ShouldBe(PathKind.Code);
    }
}
