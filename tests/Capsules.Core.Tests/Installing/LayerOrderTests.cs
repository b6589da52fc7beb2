using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Installing;

public sealed class LayerOrderTests
{
    private static Digest Of(char digit) => Digest.Parse("sha256:" + new string(digit, 64));

    [Fact]
    public void A_layer_that_is_there_twice_is_taken_once_where_it_is_highest() =>
        LayerOrder.TopmostFirst([Of('a'), Of('e'), Of('b'), Of('e')]).ShouldBe([Of('e'), Of('b'), Of('a')]);
}
