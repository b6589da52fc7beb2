using Capsules.Engine.Store;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>The mark of one who holds a capsule's processes still: whose pause it is when he and his guard were killed.</summary>
internal static class HeldMark
{
    /// <summary>Whether a capsule stands still for one who is gone.</summary>
    public static bool IsLost(StoreLayout layout, RunRecord run)
    {
        string mark = layout.HeldMark(run.Name);
        return FileCalls.TryStat(null, mark) is not null && !SmallFiles.IsLocked(mark) && FileCalls.ReadText(mark) == StoreLayout.Held;
    }

    /// <summary>Lets it go on.</summary>
    public static void LetGo(StoreLayout layout, RunRecord run)
    {
        Cgroup.At(run.Cgroup, run.Controllers, Host.Hierarchies).Thaw();
        FileCalls.WriteText(layout.HeldMark(run.Name), StoreLayout.LetGo);
    }
}
