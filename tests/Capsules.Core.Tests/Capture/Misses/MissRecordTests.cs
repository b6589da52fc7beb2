using System.Text;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Misses;

public sealed class MissRecordTests
{
    private static readonly MissRecord Filled = new(new(2026, 1, 31, 12, 0, 0, 250, TimeSpan.Zero), MissKind.Filled, GuestPath.Parse("/usr/share/zoneinfo/Asia/Tokyo"), "/usr/bin/python3.11") { Size = 309, Service = "clock" };
    private static readonly MissRecord Failed = new(new(2026, 1, 31, 12, 0, 1, TimeSpan.Zero), MissKind.Failed, GuestPath.Parse("/srv/a\nb"u8), null) { Reason = "the source is gone" };

    [Fact]
    public void A_record_is_one_line_and_comes_back() =>
        MissRecord.ReadAll((byte[])[.. Filled.ToLine(), .. Failed.ToLine()]).ShouldBe([Filled, Failed]);

    [Fact]
    public void The_line_names_its_members_as_the_format_says() =>
        Encoding.UTF8.GetString(Filled.ToLine()).ShouldBe("""{"time":"2026-01-31T12:00:00.250Z","what":"filled","path":"/usr/share/zoneinfo/Asia/Tokyo","program":"/usr/bin/python3.11","service":"clock","size":309}""" + "\n");

    [Fact]
    public void A_last_line_that_was_cut_off_is_left_out_and_a_broken_one_before_is_an_error()
    {
        MissRecord.ReadAll((byte[])[.. Filled.ToLine(), .. "{\"time\":\"20"u8]).ShouldBe([Filled]);
        Should.Throw<FormatException>(() => MissRecord.ReadAll((byte[])[.. "{}\n"u8, .. Filled.ToLine()]).ToArray());
    }
}
