using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>How one entry looked when it was copied: another look tells whether it must be copied again.</summary>
internal readonly record struct Likeness(ulong Device, ulong Inode, long Size, Timestamp Modified, Timestamp Changed, FileKind Kind)
{
    public static Likeness Of(FileStatus status) => new(status.Device, status.Inode, status.IsDirectory ? 0 : status.Size, status.Modified, status.Changed, status.Kind);
}

/// <summary>
/// Copies entries of a source exactly: content with its holes, owner, mode, times, extended attributes (capabilities, ACLs), links, hard links,
/// fifos and devices. Below the target nothing is ever followed, so that no name or link of the source leads out of it.
/// </summary>
internal sealed class TreeCopier : IDisposable
{
    private const int BufferSize = 1 << 20, Tries = 3;

    private readonly RootTree _source;
    private readonly Descriptor _target;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly Dictionary<(ulong, ulong), GuestPath> _names = [];
    private readonly List<(GuestPath Path, FileStatus Status, List<(string Name, byte[] Value)> Attributes)> _directories = [];
    private readonly GuestPath _from;
    private readonly long? _latest;
    private readonly bool _isHollow;
    private readonly ForkOwners? _owners;
    private (GuestPath Path, Descriptor Directory)? _parent;

    /// <summary>Copies into a directory that exists; <paramref name="from"/> of the source becomes its root.</summary>
    /// <param name="latest">What is younger is dated so; null leaves all times.</param>
    /// <param name="hollow">Files get name, size and attributes, and a mark in the place of their content.</param>
    /// <param name="owners">Whose the copies are; null leaves all owners.</param>
    public TreeCopier(RootTree source, GuestPath from, string target, long? latest = null, bool hollow = false, ForkOwners? owners = null)
    {
        (_source, _from, _latest, _isHollow, _owners) = (source, from, latest, hollow, owners);
        _target = FileCalls.Open(target, OpenFlags.ReadOnly | OpenFlags.Directory);
    }

    /// <summary>Copies a whole tree into a directory that exists.</summary>
    public static void CopyAll(string from, string target, Func<GuestPath, bool> isLeft)
    {
        using var source = new RootTree(from);
        using var copier = new TreeCopier(source, GuestPath.Root, target);
        Walk(GuestPath.Root);
        copier.Finish();

        void Walk(GuestPath path)
        {
            if (isLeft(path) || copier.Copy(path) is not { IsDirectory: true }) return;
            foreach (Core.Facts.FileFact entry in source.List(path)) Walk(entry.Path);
        }
    }

    /// <summary>The place in the target.</summary>
    private static NativePath Relative(GuestPath path) => path.IsRoot ? new NativePath(".") : new NativePath(path.Bytes[1..]);

    /// <summary>Copies one entry with the given place below <c>from</c>; a directory without what is in it. Null when the source does not have it any more.</summary>
    /// <exception cref="CapsuleException">It cannot be read, or another file stands there at every try.</exception>
    public FileStatus? Copy(GuestPath place)
    {
        GuestPath path = place.IsRoot ? _from : _from.Combine(place.Bytes[1..]);
        try
        {
            for (int attempt = 0; attempt < Tries; attempt++)
            {
                using Descriptor? entry = _source.TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
                if (entry is null) return null;
                FileStatus before = FileCalls.Stat(entry);
                if (before.Kind == FileKind.Socket) return null;
                Make(place, path, entry, before);
                if (!before.IsRegular || _isHollow) return before;
                using Descriptor? again = _source.TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
                if (again is not null && Likeness.Of(FileCalls.Stat(again)) == Likeness.Of(before)) return before;
            }
        }
        catch (SyscallException e) when (e.Errno == Errno.ENOSPC || e.Errno == 122) // EDQUOT
        {
            throw new CapsuleException(Problems.StoreFull("the store", e.Message), e);
        }
        catch (SyscallException e)
        {
            throw new CapsuleException(Problems.CannotCopy(path.ToString(), e.Message), e);
        }
        throw new CapsuleException(Problems.SourceKeepsChanging(path.ToString()));
    }

    /// <summary>As <see cref="Copy"/>, for what may change under the copy (state), with how it looked when it was copied before: one try, the last pass counts.</summary>
    public FileStatus? CopyOnce(GuestPath place, FileStatus status, Likeness? before)
    {
        GuestPath path = place.IsRoot ? _from : _from.Combine(place.Bytes[1..]);
        using Descriptor? entry = _source.TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
        if (entry is null) return null;
        FileStatus now = FileCalls.Stat(entry);
        if (now.Kind != status.Kind) return null;
        if (!TryUpdate(place, path, entry, now, before)) Make(place, path, entry, now);
        return now;
    }

    /// <summary>The same file as before with other content: its copy is brought up to it in place.</summary>
    private bool TryUpdate(GuestPath place, GuestPath path, Descriptor entry, FileStatus now, Likeness? before)
    {
        if (!now.IsRegular || now.LinkCount != 1 || before is not { Kind: FileKind.Regular } old || (old.Device, old.Inode) != (now.Device, now.Inode)) return false;
        Descriptor directory = Parent(place);
        if (FileCalls.TryStat(directory, place.Name) is not { IsRegular: true, LinkCount: 1 }) return false;
        using (Descriptor from = _source.OpenToRead(path, follow: false))
        using (Descriptor to = FileCalls.OpenAt(directory, place.Name, OpenFlags.ReadWrite | OpenFlags.NoFollow))
        {
            if (FileCalls.Stat(from) is not { IsRegular: true } status || status.Inode != now.Inode) return false;
            FileContent.SyncPages(from, path.ToString()); // what a mapping changes after this look at it, the next one sees
            FileUpdate.Apply(from, to, status.Size, path.ToString());
        }
        Dress(directory, new(place.Name), now, ExtendedAttributes.Read(entry));
        return true;
    }

    /// <summary>Removes an entry of the target with everything below it.</summary>
    public void Remove(GuestPath place)
    {
        Descriptor directory = Parent(place);
        if (FileCalls.TryStat(directory, place.Name) is not { } status) return;
        if (status.IsDirectory)
        {
            using (Descriptor inner = FileCalls.OpenAt(directory, place.Name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow))
                foreach (var (name, _) in FileCalls.List(inner)) Remove(place.Child(name));
            directory = Parent(place);
        }
        FileCalls.Remove(directory, place.Name, status.IsDirectory);
    }

    /// <summary>Hides a name of the layers below: a device 0:0 (overlayfs.rst, whiteouts and opaque directories).</summary>
    public void Hide(GuestPath place)
    {
        Descriptor directory = Parent(place);
        FileCalls.MakeNode(directory, place.Name, FileKind.CharacterDevice, 0x180);
        FileCalls.SetModified(directory, place.Name, new(_latest ?? 0, 0)); // nobody sees it, and a layer's digest does
    }

    /// <summary>Names in a directory of the target.</summary>
    public List<(byte[] Name, FileKind Kind)> ListTarget(GuestPath place)
    {
        using Descriptor directory = FileCalls.OpenResolved(_target, Relative(place), OpenFlags.ReadOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks);
        return FileCalls.List(directory);
    }

    /// <summary>Forgets which inodes were copied, before another pass: their content may be another now.</summary>
    public void ForgetNames() => _names.Clear();

    /// <summary>Gives directories their owner, mode, attributes and times, the innermost first: what was made in them changed their times.</summary>
    public void Finish()
    {
        for (int i = _directories.Count - 1; i >= 0; i--)
        {
            var (place, status, attributes) = _directories[i];
            if (place.IsRoot) Dress(_target, ".", status, attributes);
            else if (FileCalls.TryStat(Parent(place), place.Name) is { IsDirectory: true }) Dress(Parent(place), new(place.Name), status, attributes);
        }
        _directories.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _parent?.Directory.Dispose();
        _target.Dispose();
    }

    private void Make(GuestPath place, GuestPath path, Descriptor entry, FileStatus status)
    {
        if (status.IsDirectory)
        {
            if (!place.IsRoot && FileCalls.TryStat(Parent(place), place.Name) is { } there)
            {
                if (!there.IsDirectory)
                {
                    Remove(place);
                    FileCalls.MakeDirectory(Parent(place), place.Name, 0x1C0);
                }
            }
            else if (!place.IsRoot) FileCalls.MakeDirectory(Parent(place), place.Name, 0x1C0);
            _directories.Add((place, status, ExtendedAttributes.Read(entry)));
            return;
        }
        Remove(place);
        Descriptor directory = Parent(place);
        if (!_isHollow && status.LinkCount > 1 && _names.TryGetValue((status.Device, status.Inode), out GuestPath first))
        {
            FileCalls.MakeHardLink(_target, Relative(first), directory, place.Name);
            return;
        }
        switch (status.Kind)
        {
            case FileKind.SymbolicLink:
                FileCalls.MakeSymbolicLink(FileCalls.ReadLink(entry, "").AsSpan(), directory, place.Name);
                break;
            case FileKind.Regular when _isHollow:
                using (Descriptor hollow = FileCalls.OpenAt(directory, place.Name, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoFollow, 0x180)) FileContent.SetLength(hollow, status.Size, path.ToString());
                break;
            case FileKind.Regular:
                CopyContent(path, directory, place);
                break;
            default:
                FileCalls.MakeNode(directory, place.Name, status.Kind, 0x180, status.DeviceMajor, status.DeviceMinor);
                break;
        }
        Dress(directory, new(place.Name), status, status.IsSymbolicLink ? [] : ExtendedAttributes.Read(entry));
        if (_isHollow && status.IsRegular) Opening.UnfilledMark.Set(new([.. System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{directory.Number}/"), .. place.Name]), status.Modified);
        if (status.LinkCount > 1) _names[(status.Device, status.Inode)] = place;
    }

    private void CopyContent(GuestPath path, Descriptor directory, GuestPath place)
    {
        using Descriptor from = _source.OpenToRead(path, follow: false);
        using Descriptor to = FileCalls.OpenAt(directory, place.Name, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoFollow, 0x180);
        FileStatus status = FileCalls.Stat(from);
        if (!status.IsRegular) throw new SyscallException("open", path.ToString(), Errno.EINVAL);
        if (status.Size == 0) return;
        FileContent.SyncPages(from, path.ToString());
        if (FileContent.TryClone(from, to)) return;
        CopyData(from, to, status.Size, _buffer, path);
        FileContent.SetLength(to, status.Size, path.ToString());
    }

    /// <summary>Copies the parts that hold data; a file that becomes shorter meanwhile ends early.</summary>
    internal static void CopyData(Descriptor from, Descriptor to, long size, byte[] buffer, GuestPath path)
    {
        foreach (var (offset, length) in FileContent.DataOf(from, size))
            for (long done = 0; done < length;)
            {
                long? copied = FileContent.TryCopy(from, to, offset + done, length - done);
                if (copied is null)
                {
                    int count = FileCalls.ReadAt(from, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - done)), offset + done);
                    FileContent.WriteAt(to, buffer.AsSpan(0, count), offset + done, path.ToString());
                    copied = count;
                }
                if (copied == 0) break; // it became shorter meanwhile; the next look sees that
                done += copied.Value;
            }
    }

    /// <summary>Owner first, because chown(2) takes set-uid bits and capabilities away; then mode, attributes (an ACL and the mode agree), time.</summary>
    private void Dress(Descriptor directory, NativePath name, FileStatus status, List<(string Name, byte[] Value)> attributes)
    {
        FileCalls.ChangeOwner(directory, name, _owners?.User(status.Uid) ?? status.Uid, _owners?.Group(status.Gid) ?? status.Gid);
        if (!status.IsSymbolicLink) FileCalls.ChangeMode(directory, name, status.Mode);
        NativePath place = new([.. System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{directory.Number}/"), .. name.Bytes]);
        foreach (var (key, value) in attributes)
            if (IsKept(key)) ExtendedAttributes.Write(place, key, _owners?.Attribute(key, value) ?? value);
        FileCalls.SetModified(directory, name, _latest is long latest && status.Modified > new Timestamp(latest, 0) ? new(latest, 0) : status.Modified);
    }

    /// <summary>Attributes that belong to the file, not to the host's security policy or to an overlay.</summary>
    private static bool IsKept(string attribute) => attribute is "security.capability" or "system.posix_acl_access" or "system.posix_acl_default" ||
        attribute.StartsWith("user.", StringComparison.Ordinal) && !attribute.StartsWith("user.overlay.", StringComparison.Ordinal) ||
        attribute.StartsWith("trusted.", StringComparison.Ordinal) && !attribute.StartsWith("trusted.overlay.", StringComparison.Ordinal) && !attribute.StartsWith(Opening.UnfilledMark.Prefix, StringComparison.Ordinal);

    private Descriptor Parent(GuestPath place)
    {
        GuestPath parent = place.Parent;
        if (_parent is { } known && known.Path == parent) return known.Directory;
        _parent?.Directory.Dispose();
        _parent = null;
        Descriptor directory = FileCalls.OpenResolved(_target, Relative(parent), OpenFlags.ReadOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks);
        _parent = (parent, directory);
        return directory;
    }
}
