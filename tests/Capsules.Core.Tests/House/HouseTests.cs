using System.Text.RegularExpressions;
using System.Xml.Linq;
using Capsules.Core.CommandLine;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.House;

/// <summary>Rules of the house that a compiler does not know.</summary>
public sealed partial class HouseTests
{
    [Theory]
    [InlineData("Core")]
    [InlineData("Linux")]
    [InlineData("Tail")]
    [InlineData("Shim")]
    [InlineData("Engine", "Core", "Linux")]
    [InlineData("Runtime", "Engine")]
    [InlineData("Tools", "Engine")]
    public void Projects_refer_in_one_direction(string project, params string[] allowed)
    {
        XDocument file = XDocument.Load(Path.Combine(Repository.Root, $"src/Capsules.{project}/Capsules.{project}.csproj"));
        string[] found = [.. file.Descendants("ProjectReference")
            .Where(r => (string?)r.Attribute("ReferenceOutputAssembly") != "false") // Linux carries tail and shim as bytes, and compiles nothing against it
            .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value)["Capsules.".Length..]).Order(StringComparer.Ordinal)];
        found.ShouldBe(allowed);
    }

    [Fact]
    public void Every_project_of_src_is_named_in_that_rule() =>
        Directory.GetDirectories(Path.Combine(Repository.Root, "src")).Select(Path.GetFileName).Order(StringComparer.Ordinal)
            .ShouldBe(["Capsules.Core", "Capsules.Engine", "Capsules.Linux", "Capsules.Runtime", "Capsules.Shim", "Capsules.Tail", "Capsules.Tools"]);

    [Fact]
    public void Only_the_kernels_room_and_the_tail_are_unsafe()
    {
        foreach (string project in (string[])["Core", "Engine", "Runtime", "Tools"])
            foreach (string file in Repository.Sources("src/Capsules." + project))
                Code(file).ShouldNotContain(line => UnsafeWord().IsMatch(line), file);
    }

    [Fact]
    public void No_file_is_longer_than_six_hundred_lines()
    {
        foreach (string file in Repository.Sources("src")) File.ReadLines(file).Count().ShouldBeLessThanOrEqualTo(600, file);
    }

    [Fact]
    public void Nothing_is_left_for_later_in_the_sources()
    {
        foreach (string file in Repository.Sources("src"))
            File.ReadLines(file).ShouldNotContain(line => LeftForLater().IsMatch(line), file);
    }

    [Fact]
    public void Every_verb_is_handled_by_the_program_of_its_door()
    {
        string runtime = string.Concat(Repository.Sources("src/Capsules.Runtime").Select(File.ReadAllText)), tools = string.Concat(Repository.Sources("src/Capsules.Tools").Select(File.ReadAllText));
        foreach (Verb verb in VerbTable.Verbs)
            HandledVerb().Matches(verb.Door == Door.Runtime ? runtime : tools).Select(m => m.Groups[1].Value + m.Groups[2].Value).ShouldContain(verb.Name, $"{verb.Name} ({verb.Door})");
    }

    [Fact]
    public void Every_verb_is_in_one_row_of_the_rootless_matrix()
    {
        VerbTable.Verbs.Select(v => v.Name).Order(StringComparer.Ordinal).ShouldBe(RootlessMatrix.Table.SelectMany(r => r.Verbs).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void No_test_may_be_skipped() => Repository.Read("tests/skips.txt").Trim().ShouldBe("");

    /// <summary>Lines without what stands in comments.</summary>
    private static IEnumerable<string> Code(string file) => File.ReadLines(file).Select(l => l.Split("//")[0]);

    [GeneratedRegex(@"\b(unsafe|fixed\s*\(|LibraryImport|DllImport|Marshal\.)")]
    private static partial Regex UnsafeWord();

    [GeneratedRegex(@"NotImplementedException|\bTODO\b|\bFIXME\b|\bHACK\b|\bXXX\b")]
    private static partial Regex LeftForLater();

    [GeneratedRegex(@"""([a-z -]+)"" =>|case ""([a-z -]+)"":")]
    private static partial Regex HandledVerb();
}
