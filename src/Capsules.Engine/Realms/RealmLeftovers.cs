using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Realms;

/// <summary>
/// When everybody in a realm was killed, its mounts and its network went with it. What stays are the store, the marks in the run directory, and capsules
/// whose PID 1 was spared: their own namespaces are below a user namespace that can be found by them.
/// </summary>
internal static class RealmLeftovers
{
    /// <summary>Takes away what stands in the run directory for mounts and links that are gone.</summary>
    public static void Clear(StoreLayout layout, RealmRecord before)
    {
        if (before.HasPortGuard) ProcessCalls.Signal(before.PortGuard, Signals.KILL);
        if (before.Connection is { IsAlive: true } connection) ProcessCalls.Signal(connection.Pid, Signals.KILL); // it holds a network in which nobody is
        foreach (CapsuleName stack in DirectoryNames.In(layout.RunningStacks)) FileCalls.Remove(null, layout.RunOfStack(stack) + "/up");
        string[] living = [.. Living(layout).Select(r => r.Name.ToString())];
        if (living.Length > 0) Failures.Warn(Warnings.RealmLost(string.Join(", ", living)));
    }

    /// <summary>The user namespace that held the one of a capsule which still runs.</summary>
    public static Descriptor? UserNamespaceOfLiving(StoreLayout layout)
    {
        foreach (RunRecord run in Living(layout))
        {
            var (own, _) = FileCalls.TryOpenAt(null, $"/proc/{run.Init}/ns/user", OpenFlags.ReadOnly);
            if (own is null) continue;
            using (own)
                if (UserNamespaces.ParentOf(own) is { } parent) return parent;
        }
        return null;
    }

    private static IEnumerable<RunRecord> Living(StoreLayout layout) =>
        DirectoryNames.In(layout.RunningCapsules).Select(n => RunRecord.Find(layout, n)).OfType<RunRecord>().Where(r => r.IsAlive);
}
