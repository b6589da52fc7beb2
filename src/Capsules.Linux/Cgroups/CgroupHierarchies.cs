using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Cgroups;

/// <summary>One mounted hierarchy of control groups (cgroups(7)): a v1 one with its controllers, or the v2 one.</summary>
/// <param name="MountPoint">Where it is mounted.</param>
/// <param name="IsUnified">Whether it is version 2.</param>
/// <param name="Controllers">v1: those it was mounted with; v2: those in cgroup.controllers.</param>
/// <param name="Name">v1: the name of one without controllers, such as systemd.</param>
public sealed record CgroupHierarchy(string MountPoint, bool IsUnified, IReadOnlyList<string> Controllers, string? Name)
{
    /// <summary>What mount(2) must be told to show it again.</summary>
    public string MountOptions => IsUnified ? "" : Name is null ? string.Join(',', Controllers) : $"none,name={Name}";
}

/// <summary>The hierarchies of this host: pure v1, pure v2, or v1 beside a v2 tree that owns few controllers or none (hybrid).</summary>
public static class CgroupHierarchies
{
    private const int FreshMilliseconds = 1000;
    private static (long At, IReadOnlyList<CgroupHierarchy> Found)? _last;

    /// <summary>Reads /proc/self/mounts; one launch asks many times, so the answer of the last second is given again. Only what is mounted below /sys/fs/cgroup counts.</summary>
    public static IReadOnlyList<CgroupHierarchy> Read()
    {
        if (_last is { } last && Environment.TickCount64 - last.At < FreshMilliseconds) return last.Found;
        var found = new List<CgroupHierarchy>();
        ReadOnlySpan<byte> mounts = FileCalls.ReadAll("/proc/self/mounts");
        foreach (Range range in mounts.Split((byte)'\n'))
        {
            if (mounts[range].IndexOf(" /sys/fs/cgroup"u8) < 0) continue; // a host with many capsules has thousands of other mounts
            string[] fields = Encoding.UTF8.GetString(mounts[range]).Split(' ');
            if (fields.Length < 4 || !fields[1].StartsWith("/sys/fs/cgroup", StringComparison.Ordinal) || found.Any(f => f.MountPoint == fields[1])) continue;
            if (fields[2] == "cgroup2") found.Add(new(fields[1], true, FileCalls.ReadText(fields[1] + "/cgroup.controllers").Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries), null));
            else if (fields[2] == "cgroup") found.Add(FromOptions(fields[1], fields[3]));
        }
        _last = (Environment.TickCount64, found);
        return found;
    }

    private static CgroupHierarchy FromOptions(string mountPoint, string options)
    {
        string[] known = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc", "debug"];
        string[] words = options.Split(',');
        return new(mountPoint, false, [.. words.Where(known.Contains)], words.FirstOrDefault(w => w.StartsWith("name=", StringComparison.Ordinal))?["name=".Length..]);
    }
}
