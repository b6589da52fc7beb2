using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Linux.Processes;

namespace Capsules.Runtime;

/// <summary>The way to the other program behind the word `capsule`.</summary>
internal static class Tools
{
    /// <summary>Becomes capsule-tools: beside this program, or in the usual place of helpers.</summary>
    public static int Become(string[] words)
    {
        List<string> environment = [];
        foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables()) environment.Add($"{variable.Key}={variable.Value}");
        ProcessCalls.Execute(Programs.Tools, ["capsule", .. words], [.. environment]);
        throw new System.Diagnostics.UnreachableException();
    }
}
