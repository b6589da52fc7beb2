using System.Text;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>How much an import may unpack.</summary>
/// <param name="Bytes">Content of all layers together.</param>
/// <param name="Entries">Entries of all layers together.</param>
public sealed record ImportLimits(long Bytes, long Entries)
{
    /// <summary>Room for any real server, and an end for bombs.</summary>
    public static ImportLimits Default => new(256L << 30, 4_000_000);
}

/// <summary>
/// Unpacks a layer that may be hostile into an empty directory: every name is walked below that directory, by descriptors, without any
/// symbolic link on the way (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS). What could reach outside is refused, not mended.
/// </summary>
/// <param name="root">The empty directory.</param>
/// <param name="limits">How much.</param>
/// <param name="open">It is the directory of an open capsule: files may be without content when their mark says so, and only then; there are no whiteouts and no hard links.</param>
internal sealed class LayerUnpacker(Descriptor root, ImportLimits limits, bool open = false)
{
    private const ResolveFlags Inside = ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks | ResolveFlags.NoMagicLinks;
    private const int LongestName = 255;

    private readonly Dictionary<string, Timestamp> _directoryTimes = new(StringComparer.Ordinal);
    private readonly byte[] _buffer = new byte[128 * 1024];

    /// <summary>Bytes of content so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Entries so far.</summary>
    public long Entries { get; private set; }

    /// <summary>Unpacks everything.</summary>
    /// <exception cref="CapsuleException">An entry is refused, or the limits are passed.</exception>
    public void Unpack(TarReader tar)
    {
        while (tar.Next() is { } entry)
        {
            if (++Entries > limits.Entries) throw new CapsuleException(Problems.LayerTooLarge($"more than {limits.Entries} entries"));
            if (entry.Size > limits.Bytes - Bytes) throw new CapsuleException(Problems.LayerTooLarge($"more than {limits.Bytes} bytes"));
            Bytes += entry.Size;
            try { Make(entry, tar); }
            catch (SyscallException e) when (e.Errno is Errno.ELOOP or Errno.EXDEV or Errno.ENOTDIR) { throw Refuse(entry, "it leads through a symbolic link or a file", e); }
            catch (SyscallException e) when (e.Errno is Errno.ENAMETOOLONG) { throw Refuse(entry, "its name is too long", e); }
        }
        foreach (var (path, time) in _directoryTimes.OrderByDescending(d => d.Key.Length))
        {
            byte[] name = Encoding.Latin1.GetBytes(path);
            if (name.Length == 0) FileCalls.SetModified(root, ".", time);
            else
                using (Descriptor parent = ParentOf(name, out byte[] last))
                    if (FileCalls.TryStat(parent, last) is { IsDirectory: true }) FileCalls.SetModified(parent, last, time);
        }
    }

    private void Make(TarMember entry, TarReader tar)
    {
        byte[] path = Checked(entry, entry.Name.Span, "it");
        if (open && !OpenArchive.IsPart(path, entry)) throw Refuse(entry, "it does not belong to an open tree"); // nor does the directory itself: it is the capsule's
        if (path.Length == 0)
        {
            if (entry.Kind != TarMemberKind.Directory) throw Refuse(entry, "it would replace the root");
            Dress(root, ".", entry, path);
            return;
        }
        CheckHollow(entry);
        using Descriptor parent = ParentOf(path, out byte[] name);
        if (!open && name.AsSpan().StartsWith(".wh."u8))
        {
            Whiteout(entry, parent, name);
            return;
        }
        FileStatus? there = FileCalls.TryStat(parent, name);
        if (there is { IsDirectory: true } && entry.Kind != TarMemberKind.Directory) throw Refuse(entry, "it would replace a directory of the same layer");
        if (there is { IsDirectory: false }) FileCalls.Remove(parent, name);
        switch (entry.Kind)
        {
            case TarMemberKind.Directory:
                if (there is not { IsDirectory: true }) FileCalls.MakeDirectory(parent, name, 0x1C0);
                break;
            case TarMemberKind.File: WriteFile(parent, name, entry, tar); break;
            case TarMemberKind.SymbolicLink:
                if (entry.LinkTarget.Length is 0 or > 4095 || entry.LinkTarget.Span.Contains((byte)0)) throw Refuse(entry, "its target is no path");
                FileCalls.MakeSymbolicLink(entry.LinkTarget.Span, parent, name); // wherever it leads: nothing here follows it
                break;
            case TarMemberKind.HardLink when open: throw Refuse(entry, "it is a hard link, which an open tree has none of");
            case TarMemberKind.HardLink:
                byte[] target = Checked(entry, entry.LinkTarget.Span, "its target");
                if (target.Length == 0) throw Refuse(entry, "its target is the root");
                using (Descriptor from = ParentOf(target, out byte[] existing, make: false))
                {
                    if (FileCalls.TryStat(from, existing) is not { IsDirectory: false }) throw Refuse(entry, "its target is not in the layer before it");
                    FileCalls.MakeHardLink(from, existing, parent, name);
                }
                return; // one inode: its owner and mode are those of the first name
            case TarMemberKind.Fifo: FileCalls.MakeNode(parent, name, FileKind.Fifo, 0x180); break;
            default: throw Refuse(entry, "it is a device, which belongs to a host and not to an image");
        }
        Dress(parent, name, entry, path);
    }

    /// <summary>A file without content whose mark does not say so would be read as zeros; and one that has content and the mark would be overwritten.</summary>
    private void CheckHollow(TarMember entry)
    {
        ReadOnlyMemory<byte>? mark = entry.Attributes.Where(a => a.Name == UnfilledMark.Unfilled).Select(a => (ReadOnlyMemory<byte>?)a.Value).FirstOrDefault();
        if (!open && entry.HollowSize is not null) throw Refuse(entry, "its content is not in it, and a layer has all contents");
        if (!open) return;
        if (mark is null != entry.HollowSize is null || mark is { } value && UnfilledMark.Parse(value.Span) is null) throw Refuse(entry, "its mark and its content do not agree");
    }

    private void WriteFile(Descriptor parent, byte[] name, TarMember entry, TarReader tar)
    {
        using Descriptor file = FileCalls.OpenAt(parent, name, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoFollow, 0x180);
        string subject = BytePicture.Of(name);
        if (entry.HollowSize is { } size)
            try { FileContent.SetLength(file, size, subject); }
            catch (SyscallException e) when (e.Errno is Errno.EFBIG or Errno.EINVAL) { throw Refuse(entry, $"no file here can have {size} bytes", e); }
        while (tar.Read(_buffer) is > 0 and var count) FileCalls.Write(file, _buffer.AsSpan(0, count), subject);
    }

    /// <summary>layer.md, Whiteouts; overlay wants a device 0:0 for a hidden name, and an attribute for a directory that hides everything below.</summary>
    private static void Whiteout(TarMember entry, Descriptor parent, byte[] name)
    {
        if (name.AsSpan().SequenceEqual(".wh..wh..opq"u8))
        {
            ExtendedAttributes.Write($"/proc/self/fd/{parent.Number}/.", Running.Host.OverlayAttribute("opaque"), "y"u8);
            return;
        }
        byte[] hidden = name[4..];
        if (!GuestPath.IsName(hidden) || hidden.AsSpan().StartsWith(".wh."u8)) throw Refuse(entry, "it is no whiteout that the specification knows");
        if (FileCalls.TryStat(parent, hidden) is not null) return; // the layer itself has it: what is below is hidden anyway
        FileCalls.MakeNode(parent, hidden, FileKind.CharacterDevice, 0x180);
    }

    /// <summary>Owner first: changing it takes set-id bits and capabilities away.</summary>
    private void Dress(Descriptor parent, NativePath name, TarMember entry, byte[] path)
    {
        FileCalls.ChangeOwner(parent, name, entry.Uid, entry.Gid);
        if (entry.Kind != TarMemberKind.SymbolicLink) FileCalls.ChangeMode(parent, name, entry.Mode);
        NativePath place = LayerPacker.Place(parent, name.Bytes);
        foreach (var (attribute, value) in entry.Attributes)
            if ((LayerAttributes.IsCarried(attribute) || open && UnfilledMark.IsOne(attribute)) && entry.Kind is TarMemberKind.File or TarMemberKind.Directory) ExtendedAttributes.Write(place, attribute, value.Span);
        var time = new Timestamp(entry.Modified, open ? entry.Nanoseconds : 0);
        if (entry.Kind == TarMemberKind.Directory) _directoryTimes[Encoding.Latin1.GetString(path)] = time; // what is made in it later would change it
        else FileCalls.SetModified(parent, name, time);
    }

    /// <summary>The path below the root, without "./" in front; empty for the root itself.</summary>
    private static byte[] Checked(TarMember entry, ReadOnlySpan<byte> path, string what)
    {
        if (path.Length > 0 && path[0] == '/') throw Refuse(entry, $"{what} is absolute");
        if (path.Contains((byte)0)) throw Refuse(entry, $"{what} has a NUL byte");
        var parts = new List<byte>();
        foreach (Range range in path.Split((byte)'/'))
        {
            ReadOnlySpan<byte> part = path[range];
            if (part.Length == 0 || part.SequenceEqual("."u8)) continue;
            if (part.SequenceEqual(".."u8)) throw Refuse(entry, $"{what} leads upwards");
            if (part.Length > LongestName) throw Refuse(entry, $"{what} is too long");
            if (parts.Count > 0) parts.Add((byte)'/');
            parts.AddRange(part);
        }
        return [.. parts];
    }

    /// <summary>The directory of a path, made where an archive left it out.</summary>
    private Descriptor ParentOf(byte[] path, out byte[] name, bool make = true)
    {
        int slash = path.AsSpan().LastIndexOf((byte)'/');
        name = path[(slash + 1)..];
        if (slash < 0) return FileCalls.OpenAt(root, ".", OpenFlags.ReadOnly | OpenFlags.Directory);
        var (directory, errno) = FileCalls.TryOpenResolved(root, path.AsSpan(0, slash), OpenFlags.ReadOnly | OpenFlags.Directory, Inside);
        if (directory is not null) return directory;
        if (errno != Errno.ENOENT || !make) throw new SyscallException("openat2", BytePicture.Of(path), errno);
        using (Descriptor above = ParentOf(path[..slash], out byte[] last))
            try { FileCalls.MakeDirectory(above, last); }
            catch (SyscallException e) when (e.Errno == Errno.EEXIST) { throw new SyscallException("openat2", BytePicture.Of(path), Errno.ELOOP); } // a link that leads nowhere
        return FileCalls.OpenResolved(root, path.AsSpan(0, slash), OpenFlags.ReadOnly | OpenFlags.Directory, Inside);
    }

    private static CapsuleException Refuse(TarMember entry, string why, Exception? inner = null) => new(Problems.HostileLayer(BytePicture.Of(entry.Name.Span), why), inner);
}
