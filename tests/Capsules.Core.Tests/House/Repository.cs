using System.Runtime.CompilerServices;

namespace Capsules.Core.Tests.House;

/// <summary>The files of the project, for tests about the house itself.</summary>
internal static class Repository
{
    /// <summary>Where the solution is.</summary>
    public static string Root { get; } = Find();

    /// <summary>Every C# file below a directory of the project; what the compiler makes is elsewhere.</summary>
    public static IEnumerable<string> Sources(string below) => Directory.EnumerateFiles(Path.Combine(Root, below), "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.Contains("/bin/", StringComparison.Ordinal));

    /// <summary>A file's text.</summary>
    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    private static string Find([CallerFilePath] string here = "")
    {
        for (string? at = Path.GetDirectoryName(here); at is not null; at = Path.GetDirectoryName(at))
            if (File.Exists(at + "/Capsules.slnx")) return at;
        throw new InvalidOperationException("the sources are not where they were built");
    }
}
