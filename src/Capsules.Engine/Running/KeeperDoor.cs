using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>
/// The way to the keeper: a fifo on which whoever changed something knocks. Who finds nobody there starts one. What the keeper must know
/// stands on disk before the knock, so a knock that is lost loses nothing.
/// </summary>
internal static class KeeperDoor
{
    /// <summary>Where one knocks.</summary>
    public static string Fifo(StoreLayout layout) => layout.Run + "/keeper";

    /// <summary>Held by the one keeper.</summary>
    public static string LockFile(StoreLayout layout) => layout.Run + "/keeper.lock";

    /// <summary>Tells the keeper to look, or starts one.</summary>
    public static void Knock(StoreLayout layout)
    {
        for (int attempt = 0; attempt < 200; attempt++)
        {
            if (TryKnock(layout)) return;
            if (!SmallFiles.IsLocked(LockFile(layout)))
            {
                Start(layout);
                return;
            }
            Thread.Sleep(10); // one that just comes will look by itself, and opens its door first; one that just goes will be gone
        }
    }

    private static bool TryKnock(StoreLayout layout)
    {
        var (fifo, _) = FileCalls.TryOpenAt(null, Fifo(layout), OpenFlags.WriteOnly | OpenFlags.NonBlock);
        if (fifo is null) return false;
        using (fifo)
            try { FileCalls.Write(fifo, "k"u8, "keeper"); }
            catch (SyscallException e) when (e.Errno is Errno.EAGAIN or Errno.EPIPE) { } // full: it will look anyway; gone: its guard starts the next, which looks first
        return true;
    }

    private static void Start(StoreLayout layout)
    {
        SmallFiles.MakeDirectories(layout.Run);
        Programs.StartGuarded(Programs.Runtime, ["keeper"], null, layout.Run + "/keeper.log");
    }
}
