using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Scanning;

/// <summary>
/// Reads the processes of one PID namespace, and their sockets, from this host's /proc. Of the processes only those belong to the source
/// whose root directory is the source's, or lies in it (a worker that has locked itself up by chroot(2)).
/// </summary>
internal sealed class ProcessReader(RootTree tree, string pidNamespace)
{
    /// <summary>Reads every process; one that ends meanwhile is left out.</summary>
    public ImmutableArray<ProcessFact> Read()
    {
        var processes = ImmutableArray.CreateBuilder<ProcessFact>();
        var root = tree.RootIdentity;
        var prefixes = new Dictionary<string, string>(StringComparer.Ordinal); // where the source's root is, in each mount namespace that has it
        var elsewhere = new List<int>();
        using Descriptor proc = FileCalls.Open("/proc", OpenFlags.ReadOnly | OpenFlags.Directory);
        foreach (var (name, _) in FileCalls.List(proc))
        {
            if (!int.TryParse(name, NumberStyles.None, null, out int pid) || pid == Environment.ProcessId) continue;
            try
            {
                if (Link($"/proc/{pid}/ns/pid") != pidNamespace) continue;
                if (FileCalls.TryStatFollowing(null, $"/proc/{pid}/root") is not { } status) continue;
                if ((status.Device, status.Inode) != root)
                {
                    elsewhere.Add(pid);
                    continue;
                }
                string prefix = Link($"/proc/{pid}/root") is { Length: > 1 } at ? at : "";
                prefixes.TryAdd(Link($"/proc/{pid}/ns/mnt"), prefix);
                if (Read(pid, prefix) is { } process) processes.Add(process);
            }
            catch (SyscallException e) when (IsGone(e)) { }
            catch (FormatException) { } // a process that ended while its files were read shows half of them
        }
        foreach (int pid in elsewhere)
            try
            {
                if (prefixes.TryGetValue(Link($"/proc/{pid}/ns/mnt"), out string? prefix) && Link($"/proc/{pid}/root").StartsWith(prefix + "/", StringComparison.Ordinal) && Read(pid, prefix) is { } process) processes.Add(process);
            }
            catch (SyscallException e) when (IsGone(e)) { }
            catch (FormatException) { }
        return [.. processes.OrderBy(p => p.Pid)];
    }

    /// <summary>The listening sockets and loopback connections of a process's network namespace, with who of the processes holds them.</summary>
    public static (ImmutableArray<ListenerFact> Listeners, ImmutableArray<ConnectionFact> Connections) ReadSockets(string net, ImmutableArray<ProcessFact> processes)
    {
        var holders = new Dictionary<ulong, List<int>>();
        foreach (ProcessFact process in processes)
            foreach (ulong inode in process.Sockets)
            {
                if (!holders.TryGetValue(inode, out List<int>? pids)) holders[inode] = pids = [];
                pids.Add(process.Pid);
            }
        var listeners = ImmutableArray.CreateBuilder<ListenerFact>();
        var connections = ImmutableArray.CreateBuilder<ConnectionFact>();
        foreach (var (table, protocol) in (ReadOnlySpan<(string, string)>)[("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")])
        {
            if (!TryRead($"{net}/{table}", out byte[] bytes)) continue;
            foreach (InternetSocket socket in SocketTable.Internet(bytes))
            {
                const int connected = 1, closed = 7, listening = 10;
                if (!holders.TryGetValue(socket.Inode, out List<int>? pids)) continue;
                if (protocol == "tcp" && socket.State == listening || protocol == "udp" && socket.State == closed) listeners.Add(new(protocol, socket.Local, null, socket.Inode, [.. pids]));
                else if (socket.State == connected) connections.Add(new(socket.Local, socket.Remote, [.. pids]));
            }
        }
        if (TryRead($"{net}/unix", out byte[] unix))
            foreach (UnixSocket socket in SocketTable.Unix(unix))
                if (socket.IsListening && holders.TryGetValue(socket.Inode, out List<int>? pids))
                    listeners.Add(new("unix", null, Canonical(socket.Path.AsSpan()), socket.Inode, [.. pids]));
        return (listeners.ToImmutable(), connections.ToImmutable());
    }

    /// <summary>It ended, or is not ours to see.</summary>
    private static bool IsGone(SyscallException e) => e.Errno is Errno.ENOENT or Errno.ESRCH or Errno.EACCES or Errno.EPERM;

    private static ProcessFact? Read(int pid, string rootPrefix)
    {
        string at = $"/proc/{pid}";
        ProcStatus status = ProcStatus.Parse(FileCalls.ReadAll(at + "/status"));
        if (status.State is 'Z' or 'X') return null;
        if (!TryLink(at + "/exe", out byte[] exe)) return null; // a kernel thread
        var open = ImmutableArray.CreateBuilder<OpenFileFact>();
        var sockets = ImmutableArray.CreateBuilder<ulong>();
        ReadDescriptors(at, rootPrefix, open, sockets);
        (ulong start, _) = ProcFiles.Stat(FileCalls.ReadAll(at + "/stat"));
        return new()
        {
            Pid = pid,
            InnerPid = status.NamespacePids is [.., int inner] ? inner : pid,
            ParentPid = status.ParentPid,
            Name = status.Name,
            Executable = Inside(exe, rootPrefix),
            Arguments = ProcFiles.Strings(FileCalls.ReadAll(at + "/cmdline")),
            Environment = TryRead(at + "/environ", out byte[] environment) ? ProcFiles.Strings(environment) : [],
            WorkingDirectory = TryLink(at + "/cwd", out byte[] cwd) ? Inside(cwd, rootPrefix) ?? GuestPath.Root : GuestPath.Root,
            Uid = status.Uids is [_, uint uid, ..] ? uid : 0,
            Gid = status.Gids is [_, uint gid, ..] ? gid : 0,
            Umask = status.Umask,
            StartTicks = start,
            Unit = TryRead(at + "/cgroup", out byte[] cgroup) ? UnitOf(cgroup) : null,
            OpenFiles = open.ToImmutable(),
            Mapped = TryRead(at + "/maps", out byte[] maps)
                ? [.. ProcFiles.Maps(maps).Where(m => !m.IsDeleted).Select(m => Inside(m.Path.Bytes.ToArray(), rootPrefix)).OfType<GuestPath>()]
                : [],
            Sockets = sockets.ToImmutable(),
        };
    }

    private static void ReadDescriptors(string at, string rootPrefix, ImmutableArray<OpenFileFact>.Builder open, ImmutableArray<ulong>.Builder sockets)
    {
        using Descriptor directory = FileCalls.Open(at + "/fd", OpenFlags.ReadOnly | OpenFlags.Directory);
        foreach (var (name, _) in FileCalls.List(directory))
        {
            byte[] target;
            try { target = FileCalls.ReadLink(directory, name.AsSpan()); }
            catch (SyscallException e) when (e.Errno == Errno.ENOENT) { continue; } // closed meanwhile
            string text = Encoding.UTF8.GetString(target);
            if (text.StartsWith("socket:[", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(8, text.Length - 9), out ulong inode)) sockets.Add(inode);
            else if (target is [(byte)'/', ..] && !text.EndsWith(" (deleted)", StringComparison.Ordinal) && Inside(target, rootPrefix) is { } path)
                open.Add(new(path, IsWritable(at, Encoding.ASCII.GetString(name))));
        }
    }

    private static bool IsWritable(string at, string descriptor)
    {
        // "flags:\t0100002": octal, the access mode in the last two bits (proc(5), fdinfo)
        if (!TryRead($"{at}/fdinfo/{descriptor}", out byte[] bytes)) return false;
        foreach (string line in Encoding.ASCII.GetString(bytes).Split('\n'))
            if (line.StartsWith("flags:", StringComparison.Ordinal) && line.Trim() is { Length: > 6 } flags) return flags[^1] is '1' or '2' or '5' or '6';
        return false;
    }

    /// <summary>The last service in a control group's path: /system.slice/system-postgresql.slice/postgresql@15-main.service.</summary>
    private static string? UnitOf(byte[] cgroup)
    {
        foreach (var (_, path) in ProcFiles.Cgroups(cgroup))
            foreach (string part in path.Split('/').Reverse())
                if (part.EndsWith(".service", StringComparison.Ordinal)) return part;
        return null;
    }

    /// <summary>A path as the kernel shows it to us, seen from the process's root.</summary>
    private static GuestPath? Inside(byte[] path, string rootPrefix)
    {
        ReadOnlySpan<byte> bytes = path;
        if (bytes.EndsWith(" (deleted)"u8)) bytes = bytes[..^10];
        byte[] prefix = Encoding.UTF8.GetBytes(rootPrefix);
        if (prefix.Length > 0)
        {
            if (!bytes.StartsWith(prefix) || bytes.Length > prefix.Length && bytes[prefix.Length] != '/') return null;
            bytes = bytes.Length == prefix.Length ? "/"u8 : bytes[prefix.Length..];
        }
        return Canonical(bytes);
    }

    private static GuestPath? Canonical(ReadOnlySpan<byte> path)
    {
        if (path.Length == 0 || path[0] != '/' || path.Contains((byte)0)) return null;
        return GuestPath.Normalize(path);
    }

    private static bool TryLink(string path, out byte[] target)
    {
        try
        {
            target = FileCalls.ReadLink(null, path);
            return true;
        }
        catch (SyscallException)
        {
            target = [];
            return false;
        }
    }

    internal static string Link(string path) => Encoding.UTF8.GetString(FileCalls.ReadLink(null, path));

    private static bool TryRead(string path, out byte[] bytes)
    {
        try
        {
            bytes = FileCalls.ReadAll(path);
            return true;
        }
        catch (SyscallException)
        {
            bytes = [];
            return false;
        }
    }
}
