using System.Collections.Immutable;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Realms;

/// <summary>A user who is not root, and the ids that the host lets him map.</summary>
/// <param name="Uid">His number.</param>
/// <param name="Name">His name in /etc/passwd, or what the environment says.</param>
/// <param name="Users">His ranges of subuid(5).</param>
/// <param name="Groups">His ranges of subgid(5).</param>
internal sealed record RealmUser(uint Uid, string Name, ImmutableArray<SubordinateRange> Users, ImmutableArray<SubordinateRange> Groups)
{
    private static readonly string[] UsualPlaces = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];

    /// <summary>Reads.</summary>
    public static RealmUser Read(uint uid)
    {
        string? name = AccountFiles.Users(SmallFiles.TryRead("/etc/passwd") ?? []).FirstOrDefault(u => u.Uid == uid)?.Name
            ?? Environment.GetEnvironmentVariable("LOGNAME") ?? Environment.GetEnvironmentVariable("USER"); // of a directory service; newuidmap looks for itself
        return new(uid, name ?? $"user {uid}", SubordinateIds.Of(SmallFiles.TryRead("/etc/subuid") ?? [], name, uid), SubordinateIds.Of(SmallFiles.TryRead("/etc/subgid") ?? [], name, uid));
    }

    /// <summary>What is missing for a map of more than one id; null when nothing is.</summary>
    public string? Lacks
    {
        get
        {
            string[] files = [.. Users.IsEmpty ? ["/etc/subuid"] : Array.Empty<string>(), .. Groups.IsEmpty ? ["/etc/subgid"] : Array.Empty<string>()];
            if (files.Length > 0) return $"no range of {Name} is in {string.Join(" and ", files)}";
            string[] tools = [.. ((string[])["newuidmap", "newgidmap"]).Where(t => Find(t) is null)];
            return tools.Length > 0 ? $"{string.Join(" and ", tools)} (package uidmap) is not there" : null;
        }
    }

    /// <summary>newuidmap(1) and newgidmap(1): they alone may write a map of more than the user's own id.</summary>
    /// <exception cref="CapsuleException">One of them refused.</exception>
    public void WriteMaps(int pid)
    {
        WriteMap("newuidmap", pid, SubordinateIds.MapWords(Uid, Users));
        WriteMap("newgidmap", pid, SubordinateIds.MapWords(ProcessCalls.GroupId, Groups));
    }

    /// <summary>A program of the host: in the directories of PATH, or in a usual one.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Where(d => d.StartsWith('/')).Concat(UsualPlaces).Select(d => $"{d}/{program}").FirstOrDefault(File.Exists); // false as well for what he may not see

    private void WriteMap(string tool, int pid, ImmutableArray<string> words)
    {
        string program = Find(tool) ?? throw new CapsuleException(Problems.NoSubordinateIds(Name, $"{tool} (package uidmap) is not there"));
        var (status, said) = ToolRun.Run(program, [$"{pid}", .. words], ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], TimeSpan.FromSeconds(20));
        if (status != 0) throw new CapsuleException(Problems.NoSubordinateIds(Name, $"{tool}: {said}"));
    }
}
