using System.Text;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Crossings;

/// <summary>Who has made a connection, as the kernel says.</summary>
/// <param name="Program">The file that it executes, as a path of its capsule.</param>
/// <param name="User">Its user, as its capsule numbers it; null for one that the capsule does not have.</param>
/// <param name="Group">Its group, likewise.</param>
/// <param name="HasBorrowedRights">Its real, effective, saved and file-system ids are not all the same.</param>
/// <param name="Inside">The crossing as part of which it runs; 0 for none.</param>
internal sealed record Caller(GuestPath Program, uint? User, uint? Group, bool HasBorrowedRights, long Inside)
{
    /// <summary>Looks; null when the process is gone, or none of the capsule's.</summary>
    public static Caller? Of(UnixPeer peer, UsingCapsule capsule)
    {
        try
        {
            string process = $"/proc/{peer.Pid}";
            if (PlaceIn(capsule.Run, peer.Pid, out long inside) == false) return null;
            uint[] users = [], groups = [];
            foreach (string line in FileCalls.ReadText(process + "/status").Split('\n'))
                if (line.StartsWith("Uid:", StringComparison.Ordinal)) users = Numbers(line);
                else if (line.StartsWith("Gid:", StringComparison.Ordinal)) groups = Numbers(line);
            byte[] program = FileCalls.ReadLink(null, process + "/exe");
            if (users.Length != 4 || groups.Length != 4 || !GuestPath.TryParse(program, out GuestPath path)) return null;
            // All that was read was read of this process, if it is there still: its number cannot have become another's.
            if (FileCalls.WaitReadable(peer.Process, 0)) return null;
            return new(path, capsule.Users.Inside(users[1]), capsule.Groups.Inside(groups[1]), users.Distinct().Count() > 1 || groups.Distinct().Count() > 1, inside);
        }
        catch (SyscallException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH or Errno.EACCES or Errno.EPERM) { return null; }
    }

    /// <summary>Whether it is that user of its capsule: by the capsule's own files, with his own main group.</summary>
    public bool Is(ResolvedUser user) => User == user.Uid && Group == user.Gid;

    /// <summary>
    /// Whether a process is in a capsule's control group or below it; there, the name of the group tells in which crossing it runs. Where there are no groups, its PID
    /// namespace tells.
    /// </summary>
    private static bool PlaceIn(RunRecord run, int pid, out long inside)
    {
        inside = 0;
        if (!Host.IsInitial)
        {
            inside = CrossingGroup.OfDescendant(pid);
            return ProcessTable.NamespaceOf(pid, "pid") is { } space && space == ProcessTable.NamespaceOf(run.Init, "pid");
        }
        return IsIn(run, FileCalls.ReadText($"/proc/{pid}/cgroup"), out inside);
    }

    /// <summary>Whether /proc/PID/cgroup tells a capsule's group, or one below it.</summary>
    internal static bool IsIn(RunRecord run, string groups, out long inside)
    {
        inside = 0;
        string own = "/" + run.Cgroup.Trim('/');
        bool isOf = false;
        foreach (string line in groups.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] fields = line.Split(':', 3); // cgroups(7): number, controllers, path
            if (fields.Length != 3 || !(fields[1].Split(',').Contains("freezer") || (fields[0] == "0" && !isOf))) continue;
            if (fields[2] != own && !fields[2].StartsWith(own + "/", StringComparison.Ordinal))
            {
                if (fields[0] == "0") continue; // beside a freezer of version 1 the other hierarchy may hold nobody
                return false;
            }
            isOf = true;
            inside = Math.Max(inside, CrossingGroup.NumberIn(fields[2][own.Length..]));
        }
        return isOf;
    }

    private static uint[] Numbers(string line) => [.. line[4..].Split('\t', StringSplitOptions.RemoveEmptyEntries).Select(n => uint.Parse(n))];
}
