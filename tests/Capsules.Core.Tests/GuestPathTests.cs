using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests;

public sealed class GuestPathTests
{
    [Theory]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("//")]
    [InlineData("/a/")]
    [InlineData("/a//b")]
    [InlineData("/a/../b")]
    [InlineData("/./a")]
    [InlineData("/a\\x00b")]
    public void A_path_that_is_not_canonical_is_refused(string text) => Should.Throw<FormatException>(() => GuestPath.Parse(text));

    [Fact]
    public void Dots_never_climb_above_the_root() => GuestPath.Normalize("/a/../../../etc/./passwd"u8).ShouldBe(GuestPath.Parse("/etc/passwd"));

    [Fact]
    public void A_name_that_begins_alike_is_not_within() => GuestPath.Parse("/var/library").IsWithin(GuestPath.Parse("/var/lib")).ShouldBeFalse();

    [Fact]
    public void A_relative_path_starts_at_the_directory() => GuestPath.Parse("/etc/alternatives").Combine("../../usr/bin/x").ShouldBe(GuestPath.Parse("/usr/bin/x"));

    [Fact]
    public void The_picture_of_any_bytes_gives_back_the_same_bytes() =>
        Gen.Byte.Array.Sample(bytes => BytePicture.FromPicture(BytePicture.Of(bytes)).ShouldBe(bytes));

    [Fact]
    public void Every_name_is_a_child_of_its_parent() =>
        Gen.Byte[1, 255].Where(b => b != '/').Array[1, 40].Where(n => GuestPath.IsName(n)).Sample(name =>
        {
            GuestPath child = GuestPath.Parse("/srv").Child(name);
            child.Parent.ShouldBe(GuestPath.Parse("/srv"));
            child.Name.ToArray().ShouldBe(name);
            child.RelativeTo(GuestPath.Parse("/srv")).ToArray().ShouldBe(name);
        });
}
