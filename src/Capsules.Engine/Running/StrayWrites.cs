using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>What happened to a path outside the declared state.</summary>
public enum StrayKind
{
    /// <summary>It was not in the layers.</summary>
    Added,
    /// <summary>It was, with other content or attributes.</summary>
    Changed,
    /// <summary>It was, and is gone.</summary>
    Deleted,
}

/// <summary>One path of the capsule's own writable layer.</summary>
public sealed record StrayWrite(StrayKind Kind, GuestPath Path)
{
    /// <summary>Who wrote it last, when that was seen.</summary>
    public StrayWriter? Writer { get; init; }
}

/// <summary>Reads the writable layer of a capsule: writes outside declared state, kept over stop, crash and restart.</summary>
public static class StrayWrites
{
    /// <summary>All of them, in the order of paths. What is there only for a mount to stand on is left out.</summary>
    public static IReadOnlyList<StrayWrite> Of(CapsuleStore store, CapsuleRecord capsule)
    {
        if (capsule.Committed) return []; // the layer only waits to be emptied
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        string upper = store.Layout.Writable(capsule.Name) + "/upper";
        string[] lower = [store.Layout.Secrets(capsule.Name), .. LayerOrder.TopmostFirst(manifest.Layers).Select(store.Layout.Layer)];
        var places = MountPlaces(manifest, capsule);
        var found = new List<StrayWrite>();
        var (root, _) = FileCalls.TryOpenAt(null, upper, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (root is null) return [];
        var (byPath, byInode) = StrayWriters.Read(store.Layout, capsule.Name);
        StrayWriter? WriterOf(GuestPath path, ulong inode) => byPath.GetValueOrDefault(path.ToString()) ?? byInode.GetValueOrDefault(inode);
        using (root) Walk(root, GuestPath.Root, lower, places, WriterOf, found);
        return found;
    }

    /// <summary>Places that mounts stand on: what is there is no write of the capsule's.</summary>
    internal static ImmutableHashSet<GuestPath> MountPlaces(CapsuleManifest manifest, CapsuleRecord capsule) =>
    [
        .. new[] { "/proc", "/dev", "/sys", "/run", "/tmp", "/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf" }.Select(GuestPath.Parse),
        .. manifest.Volumes.Concat(capsule.FurtherVolumes).Select(v => v.Path), .. capsule.HostDirectories.Select(d => d.Target),
    ];

    /// <summary>Whether trees over each other, the topmost first, show a path: what one of them hides, the lower ones do not show.</summary>
    private static bool IsShown(GuestPath path, string[] trees)
    {
        foreach (string tree in trees)
        {
            if (FileCalls.TryStat(null, Place(tree, path)) is { } status) return !IsHidden(status);
            for (GuestPath above = path.Parent; !above.IsRoot; above = above.Parent)
                if (FileCalls.TryStat(null, Place(tree, above)) is { IsDirectory: false }) return false;
        }
        return false;
    }

    private static NativePath Place(string tree, GuestPath path) => new NativePath(tree + "/").Append(path.RelativeTo(GuestPath.Root));

    private static bool IsHidden(FileStatus status) => status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 };

    private static void Walk(Descriptor directory, GuestPath at, string[] lower, ImmutableHashSet<GuestPath> places, Func<GuestPath, ulong, StrayWriter?> writerOf, List<StrayWrite> found)
    {
        foreach (var (name, _) in FileCalls.List(directory))
        {
            GuestPath path = at.Child(name);
            if (places.Contains(path)) continue;
            FileStatus status = FileCalls.TryStat(directory, name)!.Value;
            bool before = IsShown(path, lower);
            if (IsHidden(status))
            {
                if (before) found.Add(new(StrayKind.Deleted, path));
                continue;
            }
            if (status.IsDirectory)
            {
                bool onlyForMounts = !before && places.Any(p => p != path && p.IsWithin(path));
                if (!before && !onlyForMounts) found.Add(new(StrayKind.Added, path));
                using Descriptor below = FileCalls.OpenAt(directory, name, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                Walk(below, path, lower, places, writerOf, found);
                continue;
            }
            found.Add(new(before ? StrayKind.Changed : StrayKind.Added, path) { Writer = writerOf(path, status.Inode) });
        }
    }
}
