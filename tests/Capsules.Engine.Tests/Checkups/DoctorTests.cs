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
}
