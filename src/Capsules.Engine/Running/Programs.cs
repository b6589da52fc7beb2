using Capsules.Linux;

namespace Capsules.Engine.Running;

/// <summary>The two programs, each as the other finds it: beside itself, in the usual place of helpers, or where PATH would.</summary>
public static class Programs
{
    private const string RuntimeName = "capsule", ToolsName = "capsule-tools", Self = "/proc/self/exe";

    private static string Here => Path.GetDirectoryName(Environment.ProcessPath) ?? "/usr/bin";

    /// <summary>`capsule`.</summary>
    /// <exception cref="SyscallException">It is not there.</exception>
    public static string Runtime => Path.GetFileName(Environment.ProcessPath) != ToolsName ? Self
        : First(Here + "/" + RuntimeName, Here + "/../../bin/" + RuntimeName, "/usr/bin/" + RuntimeName, "/usr/local/bin/" + RuntimeName) ?? throw new SyscallException("open", $"{Here}/{RuntimeName}", Errno.ENOENT);

    /// <summary>`capsule-tools`; null when it is not there.</summary>
    public static string? Tools => Path.GetFileName(Environment.ProcessPath) == ToolsName ? Self : First(Here + "/" + ToolsName, Here + "/../libexec/capsule/" + ToolsName, "/usr/libexec/capsule/" + ToolsName);

    /// <summary>The variables that decide where capsules are, as whoever is started in the background gets them.</summary>
    internal static string[] PassedEnvironment => [.. s_passed.Where(n => Environment.GetEnvironmentVariable(n) is not null).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}")];

    private static readonly string[] s_passed = ["CAPSULE_STATE", "CAPSULE_RUN", "CAPSULE_CGROUP", Realms.Realm.Mark, "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME", "PATH"];

    private static string? First(params ReadOnlySpan<string> places)
    {
        foreach (string place in places)
            if (File.Exists(place)) return place;
        return null;
    }
}
