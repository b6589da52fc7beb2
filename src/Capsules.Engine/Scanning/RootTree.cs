using System.Buffers;
using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Scanning;

/// <summary>
/// A root directory as a source's tree. Every name is resolved by the kernel as if chrooted there (openat2, RESOLVE_IN_ROOT), so no link of
/// the source leads to a file of this host. Nothing is changed, not even access times where the kernel allows it.
/// </summary>
public sealed class RootTree : ISourceTree, IDisposable
{
    private readonly Descriptor _root;

    /// <summary>Opens the root.</summary>
    public RootTree(string directory)
    {
        Directory = directory;
        _root = FileCalls.Open(directory, OpenFlags.PathOnly | OpenFlags.Directory);
    }

    /// <summary>Where the root is on this host.</summary>
    public string Directory { get; }

    /// <summary>The root, opened.</summary>
    internal Descriptor Root => _root;

    /// <summary>Device and inode of the root, to compare with those of processes.</summary>
    internal (ulong Device, ulong Inode) RootIdentity
    {
        get
        {
            FileStatus status = FileCalls.Stat(_root);
            return (status.Device, status.Inode);
        }
    }

    /// <summary>Opens a place in the tree; null when it is not there or may not be opened.</summary>
    internal Descriptor? TryOpen(GuestPath path, OpenFlags flags)
    {
        var (file, _) = FileCalls.TryOpenResolved(_root, path.Bytes, flags, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        return file;
    }

    /// <summary>Opens a file to read its content, without marking the access where that is allowed (O_NOATIME wants the owner or CAP_FOWNER).</summary>
    internal Descriptor OpenToRead(GuestPath path, bool follow = true)
    {
        OpenFlags flags = OpenFlags.ReadOnly | OpenFlags.NonBlock | OpenFlags.NoControllingTerminal | (follow ? 0 : OpenFlags.NoFollow);
        var (file, errno) = FileCalls.TryOpenResolved(_root, path.Bytes, flags | OpenFlags.NoAccessTime, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        if (file is null && errno == Errno.EPERM) (file, errno) = FileCalls.TryOpenResolved(_root, path.Bytes, flags, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        return file ?? throw new SyscallException("openat2", path.ToString(), errno);
    }

    /// <inheritdoc/>
    public FileFact? Look(GuestPath path)
    {
        using Descriptor? entry = TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
        if (entry is null) return null;
        FileStatus status = FileCalls.Stat(entry);
        return Fact(path, status, status.IsSymbolicLink ? [.. FileCalls.ReadLink(entry, "")] : []);
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? Read(GuestPath path, int limit = 16 << 20)
    {
        using (Descriptor? entry = TryOpen(path, OpenFlags.PathOnly))
            if (entry is null || FileCalls.Stat(entry) is not { IsRegular: true } status || status.Size > limit) return null;
        try
        {
            using Descriptor file = OpenToRead(path);
            return FileCalls.ReadToEnd(file, path.ToString(), limit);
        }
        catch (SyscallException)
        {
            return null; // unreadable is as absent, for looking; copying reports it
        }
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? ReadStart(GuestPath path, int count)
    {
        using (Descriptor? entry = TryOpen(path, OpenFlags.PathOnly))
            if (entry is null || !FileCalls.Stat(entry).IsRegular) return null;
        try
        {
            using Descriptor file = OpenToRead(path);
            byte[] start = new byte[count];
            return start.AsMemory(0, FileCalls.ReadAt(file, start, 0));
        }
        catch (SyscallException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public bool Contains(GuestPath path, ReadOnlySpan<byte> bytes)
    {
        using (Descriptor? entry = TryOpen(path, OpenFlags.PathOnly))
            if (entry is null || !FileCalls.Stat(entry).IsRegular) return false;
        byte[] piece = ArrayPool<byte>.Shared.Rent(128 << 10);
        try
        {
            using Descriptor file = OpenToRead(path);
            int kept = 0; // what may be the beginning of it, from the piece before
            for (int count; (count = FileCalls.Read(file, piece.AsSpan(kept))) > 0;)
            {
                ReadOnlySpan<byte> known = piece.AsSpan(0, kept + count);
                if (known.IndexOf(bytes) >= 0) return true;
                kept = Math.Min(known.Length, bytes.Length - 1);
                known[^kept..].CopyTo(piece);
            }
            return false;
        }
        catch (SyscallException)
        {
            return false; // unreadable is as absent
        }
        finally { ArrayPool<byte>.Shared.Return(piece); }
    }

    /// <inheritdoc/>
    public ImmutableArray<FileFact> List(GuestPath directory)
    {
        using Descriptor? opened = TryOpen(directory, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NonBlock);
        if (opened is null) return [];
        try
        {
            var entries = ImmutableArray.CreateBuilder<FileFact>();
            foreach (var (name, _) in FileCalls.List(opened))
                if (FileCalls.TryStat(opened, name.AsSpan()) is { } status)
                    entries.Add(Fact(directory.Child(name), status, status.IsSymbolicLink ? [.. FileCalls.ReadLink(opened, name.AsSpan())] : []));
            return entries.ToImmutable();
        }
        catch (SyscallException)
        {
            return []; // the directory went away under the look, or its disk is broken
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _root.Dispose();

    private static FileFact Fact(GuestPath path, FileStatus status, ImmutableArray<byte> target) =>
        new(path, KindOf(status.Kind), status.Mode, status.Uid, status.Gid, status.Size, target);

    internal static EntryKind KindOf(FileKind kind) => kind switch
    {
        FileKind.Directory => EntryKind.Directory,
        FileKind.SymbolicLink => EntryKind.SymbolicLink,
        FileKind.Fifo => EntryKind.Fifo,
        FileKind.Socket => EntryKind.Socket,
        FileKind.CharacterDevice => EntryKind.CharacterDevice,
        FileKind.BlockDevice => EntryKind.BlockDevice,
        _ => EntryKind.Regular,
    };
}
