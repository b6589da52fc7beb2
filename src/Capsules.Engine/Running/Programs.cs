using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>The two programs, each as the other finds it: beside itself, in the usual place of helpers, or where PATH would.</summary>
public static class Programs
{
    private const string RuntimeName = "capsule", ToolsName = "capsule-tools", Self = "/proc/self/exe";

    private static string Here => Path.GetDirectoryName(System.Environment.ProcessPath) ?? "/usr/bin";

    /// <summary>`capsule`.</summary>
    /// <exception cref="SyscallException">It is not there.</exception>
    public static string Runtime => Path.GetFileName(System.Environment.ProcessPath) != ToolsName ? Self
        : First(Here + "/" + RuntimeName, Here + "/../../bin/" + RuntimeName, "/usr/bin/" + RuntimeName, "/usr/local/bin/" + RuntimeName) ?? throw new SyscallException("open", $"{Here}/{RuntimeName}", Errno.ENOENT);

    /// <summary>`capsule-tools`.</summary>
    /// <exception cref="CapsuleException">It is not there.</exception>
    public static string Tools => Path.GetFileName(System.Environment.ProcessPath) == ToolsName ? Self
        : First(Here + "/" + ToolsName, Here + "/../libexec/capsule/" + ToolsName, "/usr/libexec/capsule/" + ToolsName) ?? throw new CapsuleException(Problems.ToolsMissing(Here));

    /// <summary>Starts one of them in the background, under a guard that starts it again; it gets the variables that decide where capsules are.</summary>
    /// <param name="program">The program.</param>
    /// <param name="words">The verb and its arguments.</param>
    /// <param name="input">Its standard input; nothing when null.</param>
    /// <param name="log">The file to which what it says is appended.</param>
    internal static void StartGuarded(string program, string[] words, Descriptor? input, string log)
    {
        using Descriptor opened = FileCalls.Open(program, OpenFlags.PathOnly);
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
        using Descriptor said = FileCalls.Open(log, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append, 0x180);
        Guard.Start(opened, [RuntimeName, .. words], Environment, input ?? nothing, said);
    }

    private static readonly string[] s_passed = ["CAPSULE_STATE", "CAPSULE_RUN", "CAPSULE_CGROUP", Realms.Realm.Mark, "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME", "PATH"];

    /// <summary>The variables that decide where capsules are, for a program of ours.</summary>
    internal static string[] Environment => [.. s_passed.Where(n => System.Environment.GetEnvironmentVariable(n) is not null).Select(n => $"{n}={System.Environment.GetEnvironmentVariable(n)}")];

    private static string? First(params ReadOnlySpan<string> places)
    {
        foreach (string place in places)
            if (File.Exists(place)) return place;
        return null;
    }
}
