namespace Capsules.Engine.Doors;

/// <summary>Where the other program behind the word `capsule` is: beside this one, or in the usual place of helpers.</summary>
public static class ToolsProgram
{
    /// <summary>Its path; null when it is not there.</summary>
    public static string? Find()
    {
        string here = Path.GetDirectoryName(Environment.ProcessPath) ?? "/usr/bin";
        return ((string[])[here, here + "/../libexec/capsule", "/usr/libexec/capsule"]).Select(directory => directory + "/capsule-tools").FirstOrDefault(File.Exists);
    }
}
