using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Opening;

public sealed class OpenSourceTests
{
    [Fact]
    public void A_record_is_read_as_it_was_written()
    {
        var directory = new OpenSource(SourceReference.OfRoot("/srv/other"), DateTimeOffset.UnixEpoch, 3, 4_000_000_000);
        OpenSource.FromJson(directory.ToJson()).ShouldBe(directory);
        var process = new OpenSource(SourceReference.OfPidNamespace(17), DateTimeOffset.UnixEpoch, 3, 4, new(ulong.MaxValue / 4, "0f3c"));
        OpenSource.FromJson(process.ToJson()).ShouldBe(process);
    }
}
