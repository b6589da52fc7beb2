using Capsules.Core.CommandLine;
using Capsules.Core.Facts;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.House;

/// <summary>What SPECIFICATION.md shows of tables in the code is what the code has; what it names exists.</summary>
public sealed class SpecificationTests
{
    private static readonly string[] Lines = Repository.Read("SPECIFICATION.md").Split('\n');

    [Fact]
    public void The_table_of_kernel_features_is_that_of_the_code()
    {
        Section("## Kernels").ShouldBe([.. KernelFacts.Table.Select(r => $"| {r.Name} | {r.Since} | {r.Without} |")]);
        Lines.ShouldContain(l => l.Contains($"Linux {KernelFacts.Oldest} and later", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_kernel_feature_is_asked_for_somewhere()
    {
        string sources = string.Concat(Repository.Sources("src/Capsules.Engine").Select(File.ReadAllText));
        foreach (KernelFeatureRow row in KernelFacts.Table) sources.ShouldContain($"KernelFeature.{row.Feature}"); // by Has, or of the kernel itself
    }

    [Fact]
    public void The_matrix_of_rootless_is_that_of_the_code() =>
        Section("## Without root").ShouldBe([.. RootlessMatrix.Table.Select(r => $"| {string.Join(", ", r.Verbs.Select(v => $"`{v}`"))} | {r.Level.ToString().ToLowerInvariant()}{(r.Level == Rootless.Refused ? " (CAP1006)" : "")} | {r.Note} |"),
            .. RootlessMatrix.Options.Select(o => $"| {o} | refused (CAP1010) | {o.Why} |")]);

    [Fact]
    public void Every_test_that_is_named_as_a_proof_exists()
    {
        string tests = string.Concat(Repository.Sources("tests").Select(File.ReadAllText));
        foreach (string name in Section("## Promises").SelectMany(l => l.Split('`').Where((_, i) => i % 2 == 1)).Where(w => w.Contains('_', StringComparison.Ordinal)))
            tests.ShouldContain($" {name}(", customMessage: name);
    }

    [Fact]
    public void Links_between_pages_lead_somewhere()
    {
        foreach (string page in Directory.GetFiles(Repository.Root, "*.md").Concat(Directory.GetFiles(Path.Combine(Repository.Root, "docs"), "*.md", SearchOption.AllDirectories)))
            foreach (string target in File.ReadAllText(page).Split("](").Skip(1).Select(p => p.Split(')')[0].Split('#')[0]).Where(t => t.Length > 0 && !t.Contains("://", StringComparison.Ordinal)))
                Path.Exists(Path.Combine(Path.GetDirectoryName(page)!, target)).ShouldBeTrue($"{page}: {target}");
    }

    /// <summary>The rows of the first table of a section, without its heading.</summary>
    private static string[] Section(string heading)
    {
        int start = Array.IndexOf(Lines, heading);
        start.ShouldBeGreaterThanOrEqualTo(0, heading);
        return [.. Lines.Skip(start + 1).TakeWhile(l => !l.StartsWith("## ", StringComparison.Ordinal)).Where(l => l.StartsWith('|')).Skip(2)];
    }
}
