using System.Text;
using Capsules.Core.Formats;
using Capsules.Core.Launch;
using Capsules.Core.Problems;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class LineSplitterTests
{
    private static (string Text, bool IsWhole)[] Split(int longest, params string[] parts)
    {
        var splitter = new LineSplitter(longest);
        return [.. parts.SelectMany(p => splitter.Add(Encoding.UTF8.GetBytes(p)).Select(l => (Encoding.UTF8.GetString(l.Bytes), l.IsWhole)).ToArray()), (Encoding.UTF8.GetString(splitter.Rest), true)];
    }

    [Fact]
    public void Lines_are_put_together_over_parts() => Split(100, "a\nb", "c", "\n\nd").ShouldBe([("a\n", true), ("bc\n", true), ("\n", true), ("d", true)]);

    [Fact]
    public void A_line_that_is_too_long_comes_in_pieces() => Split(4, "abcdefgh", "ij\nkl\n").ShouldBe([("abcd", false), ("efgh", false), ("ij\n", false), ("kl\n", true), ("", true)]);

    [Fact]
    public void Sequences_are_merged_by_time_and_one_element_of_each_is_read_ahead()
    {
        int read = 0;
        IEnumerable<(string Name, int Second)> Endless(string name, int from)
        {
            for (int i = from; ; i += 2)
            {
                read++;
                yield return (name, i);
            }
        }
        var merged = LineSplitter.MergeByTime([Endless("a", 0), Endless("b", 1), new[] { (Name: "c", Second: 1) }], e => DateTimeOffset.UnixEpoch.AddSeconds(e.Second));
        merged.Take(5).ShouldBe([("a", 0), ("b", 1), ("c", 1), ("a", 2), ("b", 3)]);
        read.ShouldBeLessThan(8);
    }

    private static IEnumerable<string> Endless()
    {
        yield return "web:x:105:107::/srv:/bin/sh";
        while (true) yield return "someone:x:1:1::/:";
    }

    [Fact]
    public void A_name_is_found_without_reading_the_whole_file() => UserResolver.Resolve("web", null, [], Endless(), ["web:x:107:", "adm:x:4:web"]).ShouldBeEquivalentTo(new ResolvedUser("web", 105, 107, [107, 4], "/srv") { Shell = "/bin/sh" });

    [Fact]
    public void Numbers_and_root_need_no_files()
    {
        UserResolver.Resolve(null, null, [], [], []).Uid.ShouldBe(0u);
        UserResolver.Resolve("12:34", null, [], [], []).Gid.ShouldBe(34u);
        Should.Throw<CapsuleException>(() => UserResolver.Resolve("web", null, [], [], [])).Problem.Code.ShouldBe("CAP5012");
        UserResolver.Resolve("105", "adm", ["web"], ["web:x:105:107::/srv:/bin/sh"], ["web:x:107:", "adm:x:4:", "x:x:9:a,web"]).ShouldBeEquivalentTo(new ResolvedUser("web", 105, 4, [4, 9, 107], "/srv") { Shell = "/bin/sh" });
    }
}
