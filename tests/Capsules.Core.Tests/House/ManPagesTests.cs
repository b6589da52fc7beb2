using Capsules.Core.CommandLine;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.House;

public sealed class ManPagesTests
{
    [Fact]
    public void The_manual_pages_are_those_of_the_table_of_verbs()
    {
        string directory = Path.Combine(Repository.Root, "docs/man");
        var pages = ManPages.All();
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            if (Directory.Exists(directory)) Directory.Delete(directory, recursive: true);
            Directory.CreateDirectory(directory);
            foreach (var (file, text) in pages) File.WriteAllText(Path.Combine(directory, file), text);
        }
        Directory.GetFiles(directory).Select(Path.GetFileName).Order(StringComparer.Ordinal).ShouldBe(pages.Select(p => p.File).Order(StringComparer.Ordinal));
        foreach (var (file, text) in pages) File.ReadAllText(Path.Combine(directory, file)).ShouldBe(text, $"{file} (UPDATE_GOLDEN=1 writes it)");
    }
}
