using System.Text;
using Capsules.Core.Formats.Accounts;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class SubordinateIdsTests
{
    private static SubordinateRange[] Read(string text) => [.. SubordinateIds.Of(Encoding.UTF8.GetBytes(text), "anna", 1000)];

    [Fact]
    public void Ranges_are_found_by_name_and_by_number() =>
        Read("root:1:2\nanna:100000:65536\n1000:300000:10\nannabel:5:5\n").ShouldBe([new(100_000, 65_536), new(300_000, 10)]);

    [Theory]
    [InlineData("anna:100000")]
    [InlineData("anna:x:65536")]
    [InlineData("anna:100000:0")]
    [InlineData("anna:4294967000:65536")]
    [InlineData("#anna:100000:65536")]
    [InlineData("")]
    public void Broken_lines_give_nothing(string text) => Read(text).ShouldBeEmpty();

    [Fact]
    public void Root_inside_is_the_user_and_his_ranges_follow() =>
        string.Join(' ', SubordinateIds.MapWords(1000, [new(100_000, 65_536), new(300_000, 10)])).ShouldBe("0 1000 1 1 100000 65536 65537 300000 10");
}
