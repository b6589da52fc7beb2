using System.Text;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Learning;

/// <summary>
/// A control group of version 2 that holds everything that a watched command starts, wherever it goes. A guard ends all of it when the learner is gone, for whatever
/// reason: a program whose calls nobody answers any more would fail in each of them (seccomp_unotify(2), ENOSYS).
/// </summary>
internal sealed class WatchGroup : IDisposable
{
    private readonly string _directory;
    private readonly ThawGuard _guard;

    private WatchGroup(string directory, string path, ThawGuard guard) => (_directory, Path, _guard) = (directory, path, guard);

    /// <summary>As /proc/PID/cgroup shows it.</summary>
    public string Path { get; }

    /// <summary>Groups whose learner is gone.</summary>
    public static IReadOnlyList<string> Left(StoreLayout layout)
    {
        if (CgroupHierarchies.Read().FirstOrDefault(h => h.IsUnified) is not { } hierarchy) return [];
        string prefix = Prefix(layout);
        using Descriptor all = FileCalls.Open(hierarchy.MountPoint, OpenFlags.ReadOnly | OpenFlags.Directory);
        return [.. FileCalls.List(all).Select(e => Encoding.UTF8.GetString(e.Name)).Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && FileCalls.TryStat(null, "/proc/" + n[prefix.Length..].Split('-')[0]) is null).Select(n => $"{hierarchy.MountPoint}/{n}")];
    }

    /// <summary>Ends what is in a group, and removes it.</summary>
    public static void Remove(string directory)
    {
        FileCalls.WriteText(directory + "/cgroup.kill", "1");
        for (int attempt = 0; attempt < 200 && !TryRemove(directory); attempt++) Thread.Sleep(5);
    }

    private static string Prefix(StoreLayout layout) => layout.Cgroup.Replace('/', '-') + "-learn-";

    /// <summary>Makes it, and removes those that a killed learner left.</summary>
    /// <exception cref="CapsuleException">The host shows no control groups of version 2.</exception>
    public static WatchGroup Make(StoreLayout layout)
    {
        if (CgroupHierarchies.Read().FirstOrDefault(h => h.IsUnified) is not { } hierarchy)
            throw new CapsuleException(Problems.CannotWatch("no control groups of version 2 are mounted below /sys/fs/cgroup", "mount them: mount -t cgroup2 none /sys/fs/cgroup/unified"));
        foreach (string left in Left(layout)) Remove(left);
        string path = $"/{Prefix(layout)}{Environment.ProcessId}-{Convert.ToHexStringLower(Randomness.Get(4))}", directory = hierarchy.MountPoint + path;
        FileCalls.MakeDirectory(null, directory);
        return new(directory, path, ThawGuard.Start([], [(directory + "/cgroup.kill", "1")]));
    }

    /// <summary>The file by which a process enters.</summary>
    public Descriptor OpenForEntering() => FileCalls.Open(_directory + "/cgroup.procs", OpenFlags.WriteOnly);

    /// <summary>The processes in it.</summary>
    public int[] Processes() => [.. FileCalls.ReadText(_directory + "/cgroup.procs").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).Where(p => p > 0)];

    /// <summary>Whether a process is in it; false when it is gone.</summary>
    public bool Holds(int pid) => SmallFiles.TryRead($"/proc/{pid}/cgroup") is { } text && Encoding.UTF8.GetString(text).Split('\n').Contains("0::" + Path);

    /// <summary>cgroup.kill: ends all of them.</summary>
    public void Kill() => FileCalls.WriteText(_directory + "/cgroup.kill", "1");

    /// <inheritdoc/>
    public void Dispose()
    {
        _guard.Dispose();
        Remove(_directory);
    }

    private static bool TryRemove(string directory)
    {
        try { return FileCalls.Remove(null, directory, isDirectory: true); }
        catch (SyscallException e) when (e.Errno == Errno.EBUSY) { return false; }
    }
}
