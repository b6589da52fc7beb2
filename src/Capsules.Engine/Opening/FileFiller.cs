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
/// <param name="source">Its source.</param>
internal sealed class FileFiller(string tree, OpenSource source)
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
                using RootTree root = SourceTree.Open(source);
                if (folder is { } whole) FillFolder(root, whole);
                else
                {
                    Copy(root, file);
                    UnfilledMark.Remove(Place(file));
                }
                return new(0, Folder: folder, IsNew: true);
            }
            catch (SyscallException e) { return new(e.Errno is Errno.ENOSPC or Errno.EDQUOT ? Errno.ENOSPC : Errno.EIO, e.Errno == Errno.ENOENT ? $"the source does not have it any more ({e.Message})" : e.Message, folder); }
            catch (Exception e) { return new(Errno.EIO, e is ChangedException or SourceGoneException ? e.Message : FactText.Of(e), folder); } // whatever it is: its reader must have an answer
    }

    /// <summary>All contents first, then one mark that counts for all, then the marks of the files: whoever goes on after a kill sees how far it came.</summary>
    private void FillFolder(RootTree root, GuestPath folder)
    {
        List<GuestPath> files = [], directories = [];
        using (var own = new RootTree(tree)) Gather(own, folder);
        if (!UnfilledMark.IsWhole(Place(folder)))
        {
            foreach (GuestPath file in files) Copy(root, file);
            foreach (GuestPath directory in directories) // a file that came since has no name in the tree
                if (FileCalls.TryStat(null, Place(directory)) is not { } known || StatOf(root, directory).Modified != known.Modified) throw new ChangedException($"{directory} has changed since the capture: the folder would not be whole");
            foreach (GuestPath file in files) CheckUnchanged(StatOf(root, file), file, Marked(file)); // as one state of all: nothing was written while the others were copied
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

    private void Copy(RootTree root, GuestPath file)
    {
        Timestamp modified = Marked(file);
        using (Descriptor from = root.OpenToRead(file, follow: false))
        using (Descriptor to = FileCalls.Open(Place(file), OpenFlags.ReadWrite | OpenFlags.NoFollow))
        {
            FileStatus status = FileCalls.Stat(to);
            CheckUnchanged(FileCalls.Stat(from), file, modified);
            try
            {
                if (status.Size > 0 && !FileContent.TryClone(from, to)) TreeCopier.CopyData(from, to, status.Size, new byte[1 << 20], file);
            }
            catch (SyscallException)
            {
                FileContent.TryRelease(to, status.Size); // what it has taken of a full disk
                throw;
            }
            CheckUnchanged(FileCalls.Stat(from), file, modified);
            NativePath written = $"/proc/self/fd/{to.Number}";
            if (ExtendedAttributes.Find(from, Capability) is { } capability) ExtendedAttributes.Write(Place(file), Capability, capability); // a write takes it away
            FileCalls.ChangeMode(null, written, status.Mode); // and set-uid bits
            FileCalls.SetModified(null, Place(file), modified);
            FileCalls.Sync(to, file.ToString());
        }
    }

    private const string Capability = "security.capability";

    private Timestamp Marked(GuestPath file) => UnfilledMark.Find(Place(file)) ?? throw new FormatException($"{file} lost its mark while it was filled");

    private void CheckUnchanged(FileStatus now, GuestPath file, Timestamp modified)
    {
        FileStatus known = FileCalls.TryStat(null, Place(file)) ?? throw new SyscallException("statx", file.ToString(), Errno.ENOENT);
        if (!now.IsRegular || now.Size != known.Size || now.Modified != modified) throw new ChangedException($"{file} has changed at the source since the capture");
    }

    private static FileStatus StatOf(RootTree root, GuestPath path)
    {
        using Descriptor? entry = root.TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
        return entry is null ? throw new ChangedException($"the source does not have {path} any more") : FileCalls.Stat(entry);
    }

    private NativePath Place(GuestPath path) => OpenTree.PlaceOf(tree, path);

    /// <summary>The source is not what it was.</summary>
    private sealed class ChangedException(string what) : Exception(what);
}
