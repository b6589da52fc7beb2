using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>Makes what is to be mounted on, beneath the root of a capsule: no link of it leads out (openat2(2), RESOLVE_IN_ROOT).</summary>
internal static class BeneathRoot
{
    /// <summary>The directory, made with those above it where they are missing. Symbolic links are followed as if the root were /.</summary>
    public static Descriptor MakeDirectories(Descriptor root, GuestPath path, ICollection<GuestPath>? made = null, ResolveFlags resolve = ResolveFlags.InRoot)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, resolve);
        if (found is not null) return found;
        if (errno != Errno.ENOENT || path.IsRoot) throw new SyscallException("openat2", path.ToString(), errno);
        using (Descriptor parent = MakeDirectories(root, path.Parent, made, resolve))
            try
            {
                FileCalls.MakeDirectory(parent, new NativePath(path.Name));
                made?.Add(path);
            }
            catch (SyscallException e) when (e.Errno == Errno.EEXIST) { } // a dangling link: the next line names it
        return FileCalls.OpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, resolve);
    }

    /// <summary>The entry itself, made an empty file where it is missing: what is mounted on a link covers the link, and not what it leads to.</summary>
    public static Descriptor MakeEntry(Descriptor root, GuestPath path, ICollection<GuestPath>? made = null, ResolveFlags resolve = ResolveFlags.InRoot)
    {
        using Descriptor parent = MakeDirectories(root, path.Parent, made, resolve);
        var name = new NativePath(path.Name);
        var (found, errno) = FileCalls.TryOpenAt(parent, name, OpenFlags.PathOnly | OpenFlags.NoFollow);
        if (found is not null) return found;
        if (errno != Errno.ENOENT) throw new SyscallException("openat", path.ToString(), errno);
        FileCalls.MakeNode(parent, name, FileKind.Regular, 0x1A4);
        made?.Add(path);
        return FileCalls.OpenAt(parent, name, OpenFlags.PathOnly | OpenFlags.NoFollow);
    }

    /// <summary>The file, made empty where it is missing; a link that leads nowhere gets its target.</summary>
    public static Descriptor MakeFile(Descriptor root, GuestPath path, ICollection<GuestPath>? made = null, int depth = 0)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly, ResolveFlags.InRoot);
        if (found is not null) return found;
        if (errno != Errno.ENOENT || depth > 8) throw new SyscallException("openat2", path.ToString(), errno);
        using (Descriptor parent = MakeDirectories(root, path.Parent, made))
        {
            var name = new NativePath(path.Name);
            if (FileCalls.TryStat(parent, name) is { IsSymbolicLink: true }) return MakeFile(root, path.Parent.Combine(FileCalls.ReadLink(parent, name)), made, depth + 1);
            FileCalls.MakeNode(parent, name, FileKind.Regular, 0x1A4);
            made?.Add(path);
        }
        return FileCalls.OpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly, ResolveFlags.InRoot);
    }
}
