using System.Text;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux.Cgroups;

namespace Capsules.Engine.Stacks;

/// <summary>PID 1 of a stack whose capsules share one numbering of processes (ADR 38).</summary>
internal static class StackInit
{
    /// <summary>Its control group; no capsule has a name with a plus.</summary>
    public static Cgroup GroupOf(StoreLayout layout, CapsuleName stack) => Cgroup.At($"{layout.Cgroup}/{stack}+init", CapsuleLaunch.Controllers, Host.Hierarchies);

    /// <summary>The place that a capsule has taken.</summary>
    /// <exception cref="CapsuleException">It has none.</exception>
    public static Seat SeatOf(StoreLayout layout, CapsuleName name) => TakenBy(layout, name)?.Seat ?? throw new CapsuleException(Problems.BadFile(SeatFile(layout, name), "it names no place"));

    /// <summary>The place that a capsule has taken, and how many services it had then: the image of one that runs may be another since. Null when it has none.</summary>
    public static (Seat Seat, int Services)? TakenBy(StoreLayout layout, CapsuleName name) =>
        SmallFiles.TryRead(SeatFile(layout, name)) is { } bytes && Encoding.UTF8.GetString(bytes).Split(' ') is [var init, var place, var services]
        && int.TryParse(init, out int pid) && int.TryParse(place, out int at) && int.TryParse(services, out int count) ? (new(pid, at), count) : null;

    /// <summary>Where a capsule's place is written down.</summary>
    public static string SeatFile(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/seat";
}
