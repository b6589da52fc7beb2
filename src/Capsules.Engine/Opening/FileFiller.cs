using System.Collections.Concurrent;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>How an attempt to fill a file ended.</summary>
/// <param name="Errno">0, or what its reader is told.</param>
/// <param name="Reason">Why not.</param>
/// <param name="Folder">The folder it was filled with.</param>
/// <param name="IsNew">It had no content before.</param>
internal sealed record FillResult(int Errno, string? Reason = null, GuestPath? Folder = null, bool IsNew = false);

/// <summary>
/// Takes contents from the source into an open capsule's tree. The mark of a file goes only when its content is on the disk; of a data folder when
/// all contents are. What is not as it was when the names were read is not taken: size and time of files, and of a folder's directories.
/// </summary>
/// <param name="tree">The tree, as the host has it.</param>
/// <param name="openSource">Opens its source.</param>
internal sealed class FileFiller(string tree, Func<IFillSource> openSource)
{
    private readonly ConcurrentDictionary<GuestPath, Lock> _units = [];

    /// <summary>Fills a file, with the data folder that it belongs to. Several threads may do so.</summary>
    public FillResult Fill(GuestPath file)
    {
        if (Surroundings.CompanionOf(file) is { } companion) Fill(companion); // whether it could be filled, or is there at all, is for who opens that one
        GuestPath? folder = Surroundings.FolderOf(file);
        lock (_units.GetOrAdd(folder ?? file, _ => new()))
            try
            {
                if (UnfilledMark.Find(Place(file)) is null) return new(0);
                using IFillSource source = openSource();
                if (folder is { } whole) FillFolder(source, whole);
                else
                {
                    Copy(source, file);
                    UnfilledMark.Remove(Place(file));
                }
                return new(0, Folder: folder, IsNew: true);
            }
            catch (SyscallException e) { return new(e.Errno is Errno.ENOSPC or Errno.EDQUOT ? Errno.ENOSPC : Errno.EIO, e.Errno == Errno.ENOENT ? $"the source does not have it any more ({e.Message})" : e.Message, folder); }
            catch (Exception e) { return new(Errno.EIO, e is SourceException ? e.Message : FactText.Of(e), folder); } // whatever it is: its reader must have an answer
    }

    /// <summary>All contents first, then one mark that counts for all, then the marks of the files: whoever goes on after a kill sees how far it came.</summary>
    private void FillFolder(IFillSource source, GuestPath folder)
    {
        List<GuestPath> files = [], directories = [];
        using (var own = new RootTree(tree)) Gather(own, folder);
        if (!UnfilledMark.IsWhole(Place(folder)))
        {
            foreach (GuestPath file in files) Copy(source, file);
            foreach (GuestPath directory in directories) // a file that came since has no name in the tree
                if (FileCalls.TryStat(null, Place(directory)) is not { } known || !LookAt(source, directory).IsOf(known.Modified)) throw new SourceException($"{directory} has changed since the capture: the folder would not be whole");
            foreach (GuestPath file in files) CheckUnchanged(LookAt(source, file), file, Known(file)); // as one state of all: nothing was written while the others were copied
            UnfilledMark.SetWhole(Place(folder));
            using Descriptor opened = FileCalls.Open(Place(folder), OpenFlags.ReadOnly | OpenFlags.Directory);
            FileCalls.Sync(opened, folder.ToString());
        }
        foreach (GuestPath file in files) UnfilledMark.Remove(Place(file));

        void Gather(RootTree own, GuestPath directory)
        {
            directories.Add(directory);
            foreach (FileFact entry in own.List(directory))
                if (entry.IsDirectory) Gather(own, entry.Path);
                else if (entry.IsRegular && UnfilledMark.Find(Place(entry.Path)) is not null) files.Add(entry.Path);
        }
    }

    private void Copy(IFillSource source, GuestPath file)
    {
        SourceLook known = Known(file);
        using (Descriptor to = FileCalls.Open(Place(file), OpenFlags.ReadWrite | OpenFlags.NoFollow))
        {
            FileStatus status = FileCalls.Stat(to);
            UnfilledMark.KeepCapability(Place(file));
            try { source.Copy(file, to, known, look => CheckUnchanged(look, file, known)); }
            catch (SyscallException)
            {
                FileContent.TryRelease(to, status.Size); // what it has taken of a full disk
                throw;
            }
            UnfilledMark.GiveCapabilityBack(Place(file));
            FileCalls.ChangeMode(null, $"/proc/self/fd/{to.Number}", status.Mode); // a write takes set-uid bits away
            FileCalls.SetModified(null, Place(file), known.Modified);
            FileCalls.Sync(to, file.ToString());
        }
    }

    /// <summary>How a file looked that has no content yet.</summary>
    private SourceLook Known(GuestPath file) => new(FileKind.Regular, FileCalls.TryStat(null, Place(file))?.Size ?? throw new SyscallException("statx", file.ToString(), Errno.ENOENT),
        UnfilledMark.Find(Place(file)) ?? throw new FormatException($"{file} lost its mark while it was filled"));

    private static void CheckUnchanged(SourceLook now, GuestPath file, SourceLook known)
    {
        if (now.Kind != FileKind.Regular || now.Size != known.Size || !now.IsOf(known.Modified)) throw new SourceException($"{file} has changed at the source since the capture");
    }

    private static SourceLook LookAt(IFillSource source, GuestPath path) => source.Look(path) ?? throw new SourceException($"the source does not have {path} any more");

    private NativePath Place(GuestPath path) => OpenTree.PlaceOf(tree, path);
}
