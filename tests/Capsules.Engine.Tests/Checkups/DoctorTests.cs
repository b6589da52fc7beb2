using Capsules.Engine.Checkups;
using Capsules.Engine.Tests.Images;
using Capsules.Linux;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Checkups;

public sealed class DoctorTests
{
    [Fact]
    public void What_is_being_made_is_no_leftover()
    {
        using TestStore place = new();
        string temporary = place.Layout.Temporary;
        Directory.CreateDirectory(temporary + "/adopt-held");
        Directory.CreateDirectory(temporary + "/adopt-left");
        Directory.CreateDirectory($"{temporary}/web.{Environment.ProcessId}");
        using Descriptor held = FileCalls.Open(temporary + "/adopt-held/lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(held, exclusive: true, wait: true);
        new Doctor(new(place.Layout)).Leftovers(fix: true).ShouldContain(r => r.What.Contains("adopt-left", StringComparison.Ordinal));
        Directory.GetDirectories(temporary).Select(Path.GetFileName).Order(StringComparer.Ordinal).ShouldBe(["adopt-held", $"web.{Environment.ProcessId}"]);
    }

    [Fact]
    public void Of_a_stack_its_place_alone_is_a_leftover_at_once_and_its_identity_when_no_capsule_has_come()
    {
        using TestStore place = new();
        foreach (string name in (string[])["empty", "held", "young", "old"]) Directory.CreateDirectory($"{place.Layout.Stacks}/{name}");
        foreach (string name in (string[])["young", "old"]) File.WriteAllText($"{place.Layout.Stacks}/{name}/stack.json", "{}");
        File.SetLastWriteTimeUtc($"{place.Layout.Stacks}/old/stack.json", DateTime.UtcNow.AddMinutes(-2));
        using Descriptor held = FileCalls.Open($"{place.Layout.Stacks}/held/lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(held, exclusive: true, wait: true);
        new Doctor(new(place.Layout)).Leftovers(fix: false).Count(r => r.Level == CheckLevel.Left).ShouldBe(2);
        _ = new Doctor(new(place.Layout)).Leftovers(fix: true).Count();
        Directory.GetDirectories(place.Layout.Stacks).Select(Path.GetFileName).Order(StringComparer.Ordinal).ShouldBe(["held", "young"]);
    }
}
