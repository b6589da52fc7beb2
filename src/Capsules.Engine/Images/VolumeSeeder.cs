using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>
/// Fills a directory with what an overlay of several trees would show at a path: the first content of a state volume. Files that are hidden
/// (a device 0:0) and directories that hide what is below (an attribute) are understood as overlayfs.rst tells.
/// </summary>
internal static class VolumeSeeder
{
    private static string Opaque => Running.Host.OverlayAttribute("opaque");

    /// <summary>Makes <paramref name="target"/>, which is not there yet. False, and no directory, when the trees have no directory at the path.</summary>
    /// <param name="trees">The trees, lowest first; one that is not there is empty.</param>
    /// <param name="path">The path in all of them.</param>
    /// <param name="target">The volume's directory.</param>
    public static bool Seed(IEnumerable<string> trees, GuestPath path, string target)
    {
        bool made = false;
        foreach (string tree in trees)
        {
            var (root, _) = FileCalls.TryOpenAt(null, tree, OpenFlags.ReadOnly | OpenFlags.Directory);
            if (root is null) continue;
            using (root)
            {
                var (isThere, hides) = Look(root, path);
                if (hides && made)
                {
                    SmallFiles.RemoveTree(target);
                    made = false;
                }
                if (!isThere) continue;
                if (!made) FileCalls.MakeDirectory(null, target, 0x1C0);
                made = true;
                Merge(tree, path, target);
            }
        }
        return made;
    }

    /// <summary>Whether one tree has the directory, and whether it hides what lower ones have at the path.</summary>
    private static (bool IsThere, bool Hides) Look(Descriptor root, GuestPath path)
    {
        bool hides = IsOpaque(root);
        Descriptor at = root;
        try
        {
            foreach (Range part in Parts(path))
            {
                ReadOnlySpan<byte> name = path.Bytes[part];
                if (FileCalls.TryStat(at, name) is not { } status) return (false, hides);
                if (!status.IsDirectory) return (false, true); // hidden, or a file or link in its place
                Descriptor below = FileCalls.OpenAt(at, name.ToArray(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                if (at != root) at.Dispose();
                at = below;
                hides |= IsOpaque(at);
            }
            return (true, hides);
        }
        finally
        {
            if (at != root) at.Dispose();
        }
    }

    private static List<Range> Parts(GuestPath path)
    {
        var parts = new List<Range>();
        ReadOnlySpan<byte> bytes = path.Bytes;
        for (int start = 1, end; start < bytes.Length; start = end + 1)
        {
            int slash = bytes[start..].IndexOf((byte)'/');
            end = slash < 0 ? bytes.Length : start + slash;
            parts.Add(start..end);
        }
        return parts;
    }

    private static void Merge(string tree, GuestPath path, string target)
    {
        using var source = new RootTree(tree);
        using var copier = new TreeCopier(source, path, target);
        Walk(GuestPath.Root);
        copier.Finish();

        void Walk(GuestPath place)
        {
            copier.Copy(place);
            GuestPath full = place.IsRoot ? path : path.Combine(place.Bytes[1..]);
            using Descriptor? directory = source.TryOpen(full, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
            if (directory is null) return;
            Refuse(directory, full);
            foreach (var (name, _) in FileCalls.List(directory))
            {
                if (FileCalls.TryStat(directory, name.AsSpan()) is not { } status) continue;
                GuestPath child = place.Child(name);
                if (status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 }) copier.Remove(child);
                else if (!status.IsDirectory)
                {
                    using (Descriptor? entry = source.TryOpen(full.Child(name), OpenFlags.PathOnly | OpenFlags.NoFollow))
                        if (entry is not null && status.IsRegular) Refuse(entry, full.Child(name));
                    copier.Copy(child);
                }
                else
                {
                    using (Descriptor below = FileCalls.OpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow))
                        if (IsOpaque(below)) copier.Remove(child);
                    Walk(child);
                }
            }
        }
    }

    private static bool IsOpaque(Descriptor directory) => ExtendedAttributes.Read(directory).Any(a => a.Name == Opaque && a.Value is [(byte)'y']);

    /// <summary>A tree that tells only part of an entry (its content is elsewhere in another layer) cannot be read without the kernel's overlay.</summary>
    internal static void Refuse(Descriptor entry, GuestPath path)
    {
        if (ExtendedAttributes.Read(entry).Any(a => a.Name is "trusted.overlay.redirect" or "trusted.overlay.metacopy" or "user.overlay.redirect" or "user.overlay.metacopy"))
            throw new CapsuleException(Problems.CannotCopy(path.ToString(), "its overlay entry refers to another place (redirect_dir or metacopy is on)"));
    }
}
