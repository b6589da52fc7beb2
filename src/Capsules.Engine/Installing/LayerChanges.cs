using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Installing;

/// <summary>Reads the upper directory of an overlay against what is below it. What was copied up and is the same again is no change.</summary>
internal static class LayerChanges
{
    private const int Chunk = 256 << 10;

    /// <summary>Every change, in the order of paths.</summary>
    /// <param name="upper">The upper directory.</param>
    /// <param name="below">What the layers below show.</param>
    /// <param name="leave">Places that were made for mounts to stand on.</param>
    public static ImmutableArray<TreeChange> Read(string upper, RootTree below, ImmutableHashSet<GuestPath> leave)
    {
        var found = new List<TreeChange>();
        using Descriptor root = FileCalls.Open(upper, OpenFlags.ReadOnly | OpenFlags.Directory);
        Walk(root, GuestPath.Root, isHidden: false);
        found.Sort((a, b) => a.Path.CompareTo(b.Path));
        return [.. found];

        void Walk(Descriptor directory, GuestPath at, bool isHidden)
        {
            foreach (var (name, _) in FileCalls.List(directory))
            {
                GuestPath path = at.Child(name);
                if (leave.Contains(path)) continue;
                FileStatus status = FileCalls.TryStat(directory, name.AsSpan())!.Value;
                FileFact? before = isHidden ? null : below.Look(path);
                if (status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 })
                {
                    if (before is not null) found.Add(new(path, ChangeKind.Deleted, before.Kind));
                    continue;
                }
                if (before is null) found.Add(new(path, ChangeKind.Added, RootTree.KindOf(status.Kind)));
                else if (!IsSame(directory, name, status, before)) found.Add(new(path, ChangeKind.Changed, RootTree.KindOf(status.Kind)));
                if (!status.IsDirectory) continue;
                using Descriptor inner = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                VolumeSeeder.Refuse(inner, path);
                bool opaque = ExtendedAttributes.Read(inner).Any(a => a.Name == Host.OverlayAttribute("opaque") && a.Value is [(byte)'y']);
                if (opaque && before is { IsDirectory: true })
                    foreach (FileFact old in below.List(path))
                        if (FileCalls.TryStat(inner, old.Path.Name) is null) found.Add(new(old.Path, ChangeKind.Deleted, old.Kind));
                // Below an opaque directory each name is still compared: made anew with the same content, it is the same.
                Walk(inner, path, isHidden || before is not { IsDirectory: true });
            }
        }

        bool IsSame(Descriptor directory, byte[] name, FileStatus now, FileFact before)
        {
            if (RootTree.KindOf(now.Kind) != before.Kind || now.Uid != before.Uid || now.Gid != before.Gid || !now.IsSymbolicLink && now.Mode != before.Mode) return false;
            if (now.IsSymbolicLink) return before.Target.AsSpan().SequenceEqual(FileCalls.ReadLink(directory, name.AsSpan()));
            if (now.IsDirectory)
            {
                using Descriptor mine = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                using Descriptor? theirs = below.TryOpen(before.Path, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                return theirs is not null && Attributes(mine).SequenceEqual(Attributes(theirs));
            }
            if (!now.IsRegular) return true;
            if (now.Size != before.Size) return false;
            using Descriptor content = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.NoFollow);
            using Descriptor old = below.OpenToRead(before.Path, follow: false);
            return FileComparison.IsSame(content, old, now.Size, Chunk) && Attributes(content).SequenceEqual(Attributes(old));
        }
    }

    private static IEnumerable<string> Attributes(Descriptor file) =>
        ExtendedAttributes.Read(file).Where(a => LayerAttributes.IsCarried(a.Name)).Select(a => a.Name + "=" + Convert.ToHexString(a.Value)).Order(StringComparer.Ordinal);
}

/// <summary>Contents, compared without a digest.</summary>
internal static class FileComparison
{
    /// <summary>Whether two files have the same first <paramref name="size"/> bytes.</summary>
    public static bool IsSame(Descriptor one, Descriptor other, long size, int chunk)
    {
        byte[] left = new byte[Math.Min(size, chunk)], right = new byte[left.Length];
        for (long at = 0; at < size;)
        {
            int count = FileCalls.ReadAt(one, left.AsSpan(0, (int)Math.Min(left.Length, size - at)), at);
            if (count == 0 || FileCalls.ReadAt(other, right.AsSpan(0, count), at) != count || !left.AsSpan(0, count).SequenceEqual(right.AsSpan(0, count))) return false;
            at += count;
        }
        return true;
    }
}
