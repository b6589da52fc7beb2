using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Engine.Opening;

/// <summary>What a capture leaves open.</summary>
/// <param name="Facts">The source's accounts.</param>
/// <param name="Leave">What is not shown.</param>
/// <param name="Process">Whose root the source is, when it is a process's.</param>
public sealed record OpenRequest(HostFacts Facts, ImmutableArray<GuestPath> Leave, SourceProcess? Process)
{
    /// <summary>Of a source.</summary>
    /// <exception cref="CapsuleException">It is gone, or will be when it would be needed.</exception>
    public static OpenRequest Of(ScannedSource source, ImmutableArray<GuestPath> leave) => new(source.Facts, leave, source.Facts.Source.Kind switch
    {
        SourceKind.Live or SourceKind.Root => null,
        SourceKind.PidNamespace when SourceTree.ProcessOf(source) is { } process => process,
        _ => throw new CapsuleException(Problems.CannotStayOpen(source.Facts.Source.ToString())),
    });
}

/// <summary>The directory `open` of a capsule (docs/formats/open.md).</summary>
internal static class OpenTree
{
    /// <summary>The list of directories in which files may be unfilled, each ended by a zero byte, below the directory `open`.</summary>
    public const string Directories = "/directories", Tree = "/tree", Source = "/source.json";

    /// <summary>File systems without files of their own, by statfs(2): proc, sysfs, devpts, tmpfs, ramfs, cgroup, cgroup2, bpf, debugfs, tracefs, securityfs, mqueue, hugetlbfs, autofs, nsfs; and roots of containers (overlay), and FUSE.</summary>
    private static readonly ImmutableHashSet<long> Virtual = [0x9FA0, 0x62656572, 0x1CD1, 0x01021994, unchecked((long)0x858458F6), 0x27E0EB, 0x63677270, unchecked((long)0xCAFE4A11), 0x64626720, 0x74726163, 0x73636673, 0x19800202, unchecked((long)0x958458F6), 0x187, 0x6E736673, 0x794C7630, 0x65735546];

    /// <summary>Reads the names and attributes of a source into a new directory.</summary>
    /// <returns>What is in it.</returns>
    public static OpenSource Make(string place, CapturePlan plan, OpenRequest request, RootTree source, StoreLayout layout, DateTimeOffset now)
    {
        FileCalls.MakeDirectory(null, place, 0x1C0);
        FileCalls.MakeDirectory(null, place + Tree);
        var surroundings = new Surroundings(plan, request.Facts, source, request.Leave);
        FileStatus store = FileCalls.TryStatFollowing(null, layout.State) ?? throw new SyscallException("statx", layout.State, Errno.ENOENT);
        using (var copier = new TreeCopier(source, GuestPath.Root, place + Tree, hollow: true))
        {
            copier.Copy(GuestPath.Root);
            Walk(copier, GuestPath.Root, FileCalls.Stat(source.Root).Device);
            copier.Finish();
        }
        return Complete(place, plan.Source, now, request.Process);

        void Walk(TreeCopier copier, GuestPath directory, ulong device)
        {
            foreach (FileFact entry in source.List(directory))
            {
                Showing showing = surroundings.Of(entry);
                if (showing == Showing.Hidden || copier.Copy(entry.Path) is not { } status) continue;
                if (!status.IsDirectory || showing == Showing.Empty || (status.Device, status.Inode) == (store.Device, store.Inode)) continue;
                if (status.Device == device || !IsVirtual(entry.Path)) Walk(copier, entry.Path, status.Device);
            }
        }

        bool IsVirtual(GuestPath path)
        {
            using Descriptor? opened = source.TryOpen(path, OpenFlags.PathOnly | OpenFlags.Directory);
            return opened is null || Virtual.Contains(MountCalls.FileSystemMagic(opened));
        }
    }

    /// <summary>The directories in which files may be unfilled.</summary>
    /// <exception cref="CapsuleException">The list is not there.</exception>
    public static IEnumerable<GuestPath> DirectoriesWithFiles(StoreLayout layout, CapsuleName name)
    {
        byte[] list = SmallFiles.TryRead(layout.Open(name) + Directories) ?? throw new CapsuleException(Problems.BadFile(layout.Open(name) + Directories, "it is not there"));
        for (int at = 0, end; (end = list.AsSpan(at).IndexOf((byte)0)) >= 0; at += end + 1) yield return GuestPath.Parse(list.AsSpan(at, end));
    }

    /// <summary>Writes what is known of a tree that is there: the directories to be guarded are those that it has, whoever made it.</summary>
    /// <exception cref="FormatException">A folder says that it is whole, and has a file without content.</exception>
    public static OpenSource Complete(string place, SourceReference source, DateTimeOffset captured, SourceProcess? process = null)
    {
        using var tree = new RootTree(place + Tree);
        using var directories = new MemoryStream();
        long files = 0, bytes = 0;
        Walk(GuestPath.Root, isWhole: false);
        SmallFiles.Write(place + Directories, directories.ToArray(), 0x180, durable: false);
        var record = new OpenSource(source, captured, files, bytes, process);
        SmallFiles.Write(place + Source, record.ToJson(), durable: false);
        return record;

        void Walk(GuestPath directory, bool isWhole)
        {
            isWhole = isWhole || UnfilledMark.IsWhole(PlaceOf(place + Tree, directory));
            bool holdsFiles = false;
            foreach (FileFact entry in tree.List(directory))
            {
                if (entry.IsDirectory) Walk(entry.Path, isWhole);
                if (!entry.IsRegular) continue;
                if (isWhole && UnfilledMark.Find(PlaceOf(place + Tree, entry.Path)) is not null) throw new FormatException($"{entry.Path} has no content, and the folder that it is in is said to be whole");
                holdsFiles = true;
                files++;
                bytes += entry.Size;
            }
            if (!holdsFiles) return;
            directories.Write(directory.Bytes);
            directories.WriteByte(0);
        }
    }

    /// <summary>A place in the tree of a capsule, as the host has it.</summary>
    public static NativePath PlaceOf(string tree, GuestPath path) => path.IsRoot ? tree : new NativePath([.. Encoding.UTF8.GetBytes(tree), .. path.Bytes]);
}
