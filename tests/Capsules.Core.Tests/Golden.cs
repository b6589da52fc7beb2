using System.Runtime.CompilerServices;
using Shouldly;

namespace Capsules.Core.Tests;

/// <summary>Texts that stand beside the tests, in Golden/; UPDATE_GOLDEN=1 writes them anew, and the review reads the difference.</summary>
internal static class Golden
{
    public static void Check(string name, string text, [CallerFilePath] string test = "")
    {
        string path = Path.Combine(Path.GetDirectoryName(test)!, "Golden", name);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
        text.ShouldBe(File.Exists(path) ? File.ReadAllText(path) : "", $"{name} (UPDATE_GOLDEN=1 writes it)");
    }
}
