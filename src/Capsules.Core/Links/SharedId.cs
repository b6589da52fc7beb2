using System.Collections.Immutable;
using Capsules.Core.Oci;

namespace Capsules.Core.Links;

/// <summary>A number of a stack's user or group that the kernel takes for another stack's: who has it is one of the owner's, and so are the files that he makes.</summary>
/// <param name="Inside">The number in the stack.</param>
/// <param name="Outside">The kernel's number: the owner's.</param>
public sealed record SharedId(uint Inside, uint Outside)
{
    /// <summary>The most extents that a map may have (user_namespaces(7), since Linux 4.15).</summary>
    public const int MostExtents = 340;

    /// <summary>The map of a stack with a range of its own, in which some numbers are another's. In order, as few extents as there can be.</summary>
    /// <param name="idBase">The kernel's number of the stack's root.</param>
    /// <param name="count">How many numbers it has.</param>
    /// <param name="shared">Those that are another's, each number inside once.</param>
    public static ImmutableArray<IdMapping> Map(uint idBase, uint count, IEnumerable<SharedId> shared)
    {
        var map = ImmutableArray.CreateBuilder<IdMapping>();
        uint next = 0;
        foreach (SharedId id in shared.Where(i => i.Inside < count).OrderBy(i => i.Inside))
        {
            if (id.Inside > next) map.Add(new(next, idBase + next, id.Inside - next));
            map.Add(new(id.Inside, id.Outside, 1));
            next = id.Inside + 1;
        }
        if (next < count) map.Add(new(next, idBase + next, count - next));
        return map.ToImmutable();
    }
}
