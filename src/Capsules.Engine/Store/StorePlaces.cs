using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Store;

/// <summary>
/// The directories of a user, root among them. What is in the store has owners and modes of capsules, set-id bits among them: a program that a capsule's
/// root makes set-uid 0 would be root's for whoever can reach it, so nobody else may walk into it. What is in the run directory tells which processes are
/// entered, and holds the capsules' roots: nobody else may see it.
/// </summary>
public static class StorePlaces
{
    private const int Private = 0x1C0, Others = 0x3F, OthersWrite = 2, GroupWrite = 0x10, Sticky = 0x200;

    /// <summary>Makes both, or checks those that are there.</summary>
    /// <exception cref="CapsuleException">One belongs to somebody else, or lies where somebody else can put another in its place.</exception>
    public static void Prepare(StoreLayout layout)
    {
        Own(layout.Run);
        Own(layout.State);
    }

    /// <summary>The layout, with its directories made or checked; those of a user whose realm cannot be entered are left alone.</summary>
    public static StoreLayout Prepared(StoreLayout layout)
    {
        if (ProcessCalls.IsRoot) Prepare(layout);
        return layout;
    }

    private static void Own(string path)
    {
        string parent = path[..Math.Max(1, path.LastIndexOf('/'))];
        try
        {
            SmallFiles.MakeDirectories(parent, Private);
            FileStatus above = FileCalls.TryStatFollowing(null, parent) ?? throw new SyscallException("stat", parent, Errno.ENOENT);
            if (above.Uid != ProcessCalls.UserId && above.Uid != 0) throw Foreign(parent, $"it belongs to user {above.Uid}");
            int dangerous = above.Gid == ProcessCalls.GroupId ? OthersWrite : OthersWrite | GroupWrite; // a group of his own is he himself (umask 002)
            if ((above.Mode & dangerous) != 0 && (above.Mode & Sticky) == 0) throw Foreign(parent, "others may rename what is in it");
            try { FileCalls.MakeDirectory(null, path, Private); }
            catch (SyscallException e) when (e.Errno == Errno.EEXIST) { } // looked at next, whoever made it
            FileStatus own = FileCalls.TryStat(null, path) ?? throw new SyscallException("stat", path, Errno.ENOENT);
            if (!own.IsDirectory) throw Foreign(path, "it is no directory");
            if (own.Uid != ProcessCalls.UserId) throw Foreign(path, $"it belongs to user {own.Uid}");
            if ((own.Mode & Others) != 0) FileCalls.ChangeMode(null, path, Private);
        }
        catch (SyscallException e) { throw Foreign(path, e.Message, e); }
    }

    private static CapsuleException Foreign(string path, string why, Exception? inner = null) => new(Problems.ForeignDirectory(path, why), inner);
}
