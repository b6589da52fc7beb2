using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Store;

/// <summary>How our own small files are written: beside their place, synced, renamed. A reader sees the old one or the new one, whole.</summary>
internal static class SmallFiles
{
    /// <summary>Writes a file by rename.</summary>
    public static void Write(string path, ReadOnlySpan<byte> content, int mode = 0x1A4, bool durable = true)
    {
        string beside = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            using (Descriptor file = FileCalls.Open(beside, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate, mode))
            {
                FileCalls.Write(file, content, path);
                if (durable) FileCalls.Sync(file, path);
            }
            FileCalls.Rename(null, beside, null, path);
        }
        catch
        {
            FileCalls.Remove(null, beside);
            throw;
        }
    }

    /// <summary>Writes a new file in place, in a directory that nobody looks into before a mark says so.</summary>
    public static void WriteNew(string path, ReadOnlySpan<byte> content, int mode)
    {
        using Descriptor file = FileCalls.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate, mode);
        FileCalls.Write(file, content, path);
    }

    /// <summary>The file's bytes; null when it is not there.</summary>
    public static byte[]? TryRead(string path)
    {
        var (file, errno) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadOnly);
        if (file is null) return errno is Errno.ENOENT or Errno.ENOTDIR ? null : throw new SyscallException("open", path, errno);
        using (file) return FileCalls.ReadToEnd(file, path);
    }

    /// <summary>The names in a directory; none when it is not there.</summary>
    public static IReadOnlyList<string> Names(string directory)
    {
        var (opened, _) = FileCalls.TryOpenAt(null, directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return [];
        using (opened) return [.. FileCalls.List(opened).Select(e => System.Text.Encoding.UTF8.GetString(e.Name))];
    }

    /// <summary>Whether somebody holds the lock of a file; a file that is not there is held by nobody.</summary>
    public static bool IsLocked(string path)
    {
        var (file, _) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadWrite);
        if (file is null) return false;
        using (file) return !FileCalls.Lock(file, exclusive: true, wait: false);
    }

    /// <summary>Makes a directory and those above it.</summary>
    public static void MakeDirectories(string path, int mode = 0x1ED)
    {
        if (FileCalls.TryStatFollowing(null, path) is { IsDirectory: true }) return;
        int slash = path.LastIndexOf('/');
        if (slash > 0) MakeDirectories(path[..slash]);
        try { FileCalls.MakeDirectory(null, path, mode); }
        catch (SyscallException e) when (e.Errno == Errno.EEXIST) { } // another process was faster
    }

    /// <summary>Removes a tree that is gone, for everybody else, by one rename.</summary>
    /// <param name="path">The tree.</param>
    /// <param name="temporary">Where it is emptied; of the same file system, and cleared of what is left there by `doctor`.</param>
    public static void RemoveAtOnce(string path, string temporary)
    {
        string gone = $"{temporary}{path[path.LastIndexOf('/')..]}.{Environment.ProcessId}.gone";
        MakeDirectories(temporary);
        RemoveTree(gone); // of a removal that failed
        FileCalls.Rename(null, path, null, gone);
        RemoveTree(gone);
    }

    /// <summary>Removes a tree without following links or crossing into other mounts.</summary>
    public static void RemoveTree(string path)
    {
        var (directory, errno) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
        if (directory is null)
        {
            if (errno == Errno.ENOENT) return;
            if (errno is not (Errno.ENOTDIR or Errno.ELOOP)) throw new SyscallException("open", path, errno);
            FileCalls.Remove(null, path);
            return;
        }
        using (directory) Empty(directory, FileCalls.Stat(directory).MountId);
        FileCalls.Remove(null, path, isDirectory: true);
    }

    private static void Empty(Descriptor directory, ulong mountId)
    {
        foreach (var (name, kind) in FileCalls.List(directory))
        {
            FileKind known = kind == FileKind.Unknown ? FileCalls.TryStat(directory, name)?.Kind ?? FileKind.Unknown : kind;
            if (known == FileKind.Directory)
                using (Descriptor below = FileCalls.OpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow))
                {
                    if (FileCalls.Stat(below).MountId != mountId) throw new SyscallException("remove", new NativePath(name).ToString() + " (a file system is mounted there)", Errno.EBUSY);
                    Empty(below, mountId);
                }
            FileCalls.Remove(directory, name, known == FileKind.Directory);
        }
    }
}
