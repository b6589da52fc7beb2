using Capsules.Core.Launch;

namespace Capsules.Core.Links.Checking;

public static partial class LinkChecker
{
    /// <summary>Whose /dev/shm the capsule's programs have.</summary>
    private static IEnumerable<LinkFinding> Memory(Asked a)
    {
        if (!a.Export.SharesMemory) yield break;
        string place = CapsuleSpecs.SharedMemory.ToString();
        if (a.AreTogether)
        {
            yield return new(LinkLevel.Ok, LinkConcern.Memory, place, "the capsules of a stack have one shared memory");
            yield break;
        }
        if (a.Preset < LinkPreset.Partner)
            yield return new(LinkLevel.Error, LinkConcern.Memory, place, $"{a.Here.Name} cannot have the shared memory of {a.There.Name} as {Word(a.Preset)}", "whoever opens shared memory or a semaphore writes to it", a.LinkWith("--preset partner"));
        if (a.Here.Links.FirstOrDefault(l => l.SharesMemory && l.Link.Import != a.Question.Import) is { } other)
            yield return new(LinkLevel.Error, LinkConcern.NestedLink, place, $"{a.Here.Name} has the shared memory of {other.Link.Import.From} already", $"there is one {place}", $"capsule link rm {a.Here.Name} {other.Link.Import}");
        yield return a.Question.Users.IsEmpty
            ? new(LinkLevel.Warning, LinkConcern.Memory, place, $"no user of {a.Here.Name} is one of {a.There.Name}: they share what is open to everybody (mode 0666) alone", "shared memory belongs to the user who made it", a.LinkWith("--as HERE=THERE"))
            : new(LinkLevel.Ok, LinkConcern.Memory, place, $"what {string.Join(", ", a.Question.Users.Select(u => u.Here))} of {a.Here.Name} makes there belongs to {string.Join(", ", a.Question.Users.Select(u => u.There))} of {a.There.Name}");
    }
}
