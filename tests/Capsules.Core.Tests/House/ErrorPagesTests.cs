using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.House;

/// <summary>A code, its one factory and its page belong together.</summary>
public sealed partial class ErrorPagesTests
{
    private static readonly string[] Codes = [.. Repository.Sources("src/Capsules.Core/Problems").SelectMany(f => Made().Matches(File.ReadAllText(f))).Select(m => m.Groups[1].Value)];

    private static readonly string[] Pages = [.. Directory.GetFiles(Path.Combine(Repository.Root, "docs/errors"), "*.md").Select(f => Path.GetFileNameWithoutExtension(f)!)];

    [Fact]
    public void Every_code_is_made_by_one_factory() => Codes.GroupBy(c => c).Where(g => g.Count() > 1).Select(g => g.Key).ShouldBeEmpty();

    [Fact]
    public void Every_code_has_a_page() => Codes.Except(Pages).Order(StringComparer.Ordinal).ShouldBeEmpty();

    [Fact]
    public void Every_page_has_a_code() => Pages.Except(Codes).Order(StringComparer.Ordinal).ShouldBeEmpty();

    [Fact]
    public void Problems_are_made_nowhere_else()
    {
        foreach (string file in Repository.Sources("src").Where(f => !f.Contains("/Core/Problems/", StringComparison.Ordinal) && !f.Contains("Capsules.Core/Problems/", StringComparison.Ordinal)))
            Made().IsMatch(File.ReadAllText(file)).ShouldBeFalse(file);
    }

    [Fact]
    public void Every_page_says_what_to_do()
    {
        foreach (string page in Pages)
        {
            string text = Repository.Read($"docs/errors/{page}.md");
            text.ShouldStartWith($"# {page}: ", customMessage: page);
            text.ShouldMatch("## (Fixes|Fix|What to do)", page);
        }
    }

    [Fact]
    public void Every_code_that_is_named_somewhere_exists()
    {
        foreach (string file in Repository.Sources("src"))
            Named().Matches(File.ReadAllText(file)).Select(m => m.Value).Except(Codes).ShouldBeEmpty(file);
    }

    [GeneratedRegex(@"new\(\s*""(CAP\d{4})""")]
    private static partial Regex Made();

    [GeneratedRegex(@"CAP\d{4}")]
    private static partial Regex Named();
}
