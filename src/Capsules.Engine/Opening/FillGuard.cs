using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Opening;

/// <summary>
/// Sets the guard before an open capsule's tree is seen by anybody: a group of events (<see cref="OpenGate"/>) on all its directories, and a filler that
/// answers. The group is held by the filler, by the tail that starts it again, by PID 1 and by the keeper: no reader goes on because one of them is gone.
/// A kernel without <see cref="KernelFeature.ErrnoInAnswer"/>, which is asked and not known by its version, may not tell of opens through the overlay:
/// there the whole root is marked as well when it is mounted (<see cref="LaunchChannels.Gate"/>).
/// </summary>
internal static class FillGuard
{
    private const int PatienceMilliseconds = 20_000, Poll = 5;

    /// <summary>Held by the one filler of a running capsule.</summary>
    public static string LockFile(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/filler/lock";

    /// <summary>What the filler has not answered yet, one link an event: its name is the number, its target the path.</summary>
    public static string Notes(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/filler/waiting";

    /// <summary>Sets it; the capsule's run directory exists.</summary>
    /// <returns>The group, and whether the root is to be marked as well.</returns>
    /// <exception cref="CapsuleException">The host has no such guard, or the filler does not come up.</exception>
    public static (Descriptor Group, bool MarkRoot) Set(StoreLayout layout, CapsuleName name)
    {
        if (!Host.IsInitial) throw new CapsuleException(Problems.CannotGuard(name.ToString(), "only root of the host may hold up an open"));
        Descriptor group = OpenGate.TryCreate() ?? throw new CapsuleException(Problems.CannotGuard(name.ToString(), "the kernel refuses fanotify permission events"));
        try
        {
            foreach (GuestPath directory in OpenTree.DirectoriesWithFiles(layout, name)) OpenGate.Mark(group, OpenTree.PlaceOf(layout.OpenTree(name), directory));
            SmallFiles.MakeDirectories(Notes(layout, name), 0x1C0);
            SmallFiles.Write(LockFile(layout, name), [], 0x180, durable: false);
            Start(layout, name, group);
            for (long until = Environment.TickCount64 + PatienceMilliseconds; !SmallFiles.IsLocked(LockFile(layout, name)); Thread.Sleep(Poll))
                if (Environment.TickCount64 > until) throw new CapsuleException(Problems.FillerMissing(name.ToString(), LogFile(layout)));
            return (group, !OpenGate.TellsErrno(group));
        }
        catch (SyscallException e)
        {
            group.Dispose();
            throw new CapsuleException(Problems.CannotGuard(name.ToString(), e.Message), e);
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    /// <summary>Whether one is at work, or none is needed any more.</summary>
    public static bool HasFiller(StoreLayout layout, CapsuleName name) => FileCalls.TryStat(null, LockFile(layout, name)) is null || SmallFiles.IsLocked(LockFile(layout, name));

    private static string LogFile(StoreLayout layout) => layout.Run + "/keeper.log";

    /// <summary>Starts a filler under a guard of its own.</summary>
    public static void Start(StoreLayout layout, CapsuleName name, Descriptor group) => Programs.StartGuarded(Programs.Tools, ["filler", name.ToString()], group, LogFile(layout));
}
