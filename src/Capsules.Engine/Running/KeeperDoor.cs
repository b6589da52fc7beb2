using Capsules.Engine.Store;

namespace Capsules.Engine.Running;

/// <summary>The way to the keeper.</summary>
internal static class KeeperDoor
{
    /// <summary>Where one knocks.</summary>
    public static string Fifo(StoreLayout layout) => layout.Run + "/keeper";

    /// <summary>Held by the one keeper.</summary>
    public static string LockFile(StoreLayout layout) => layout.Run + "/keeper.lock";

    /// <summary>Tells the keeper to look, or starts one.</summary>
    public static void Knock(StoreLayout layout) => new Doorbell(Fifo(layout), LockFile(layout), () => Start(layout)).Knock();

    private static void Start(StoreLayout layout)
    {
        SmallFiles.MakeDirectories(layout.Run);
        Programs.StartGuarded(Programs.Runtime, ["keeper"], null, layout.Run + "/keeper.log");
    }
}
