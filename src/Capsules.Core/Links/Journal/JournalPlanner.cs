using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Journal;

/// <summary>A capsule whose writes are noted, and its state.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">Its directories that are noted: volumes of its own.</param>
public sealed record JournalledCapsule(CapsuleName Name, ImmutableArray<(CapsuleName Volume, GuestPath Path)> State);

/// <summary>A capsule that runs, and by what it can write to others' state.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Links">Directories that are linked for writing, with their owners.</param>
public sealed record WritingCapsule(CapsuleName Name, ImmutableArray<(CapsuleName Owner, GuestPath Path)> Links);

/// <summary>A mount by which a capsule writes.</summary>
/// <param name="Capsule">The capsule.</param>
/// <param name="Path">Where it sees it.</param>
/// <param name="Below">What it sees there, as a path of the volume.</param>
public sealed record JournalView(CapsuleName Capsule, GuestPath Path, GuestPath Below);

/// <summary>A directory on disk whose writes are noted.</summary>
/// <param name="Owner">Whose it is.</param>
/// <param name="Volume">Its volume.</param>
/// <param name="Path">Where its owner sees it.</param>
/// <param name="Views">The mounts by which capsules that run write to it.</param>
public sealed record JournalRoot(CapsuleName Owner, CapsuleName Volume, GuestPath Path, ImmutableArray<JournalView> Views);

/// <summary>Decides what is watched: each mount by which a capsule writes tells that capsule exactly, and each directory tells names and everybody else.</summary>
public static class JournalPlanner
{
    /// <summary>The directories to watch. Those of an owner to which nobody who runs can write are left out: nothing but this host's own processes would be seen.</summary>
    public static ImmutableArray<JournalRoot> Plan(IEnumerable<JournalledCapsule> owners, IReadOnlyCollection<WritingCapsule> running)
    {
        var roots = ImmutableArray.CreateBuilder<JournalRoot>();
        foreach (JournalledCapsule owner in owners)
        {
            bool isNeeded = false;
            var ofOwner = new List<JournalRoot>();
            foreach (var (volume, path) in owner.State)
            {
                var views = ImmutableArray.CreateBuilder<JournalView>();
                foreach (WritingCapsule capsule in running)
                {
                    if (capsule.Name == owner.Name) views.Add(new(capsule.Name, path, GuestPath.Root));
                    foreach (var (from, linked) in capsule.Links)
                        if (from != owner.Name) continue;
                        else if (path.IsWithin(linked)) views.Add(new(capsule.Name, path, GuestPath.Root)); // the volume's own mount came along
                        else if (linked.IsWithin(path) && VolumeOf(owner, linked) == path) views.Add(new(capsule.Name, linked, GuestPath.Root.Combine(linked.RelativeTo(path))));
                }
                isNeeded |= views.Count > 0;
                ofOwner.Add(new(owner.Name, volume, path, [.. views.Distinct()]));
            }
            if (isNeeded) roots.AddRange(ofOwner);
        }
        return roots.ToImmutable();
    }

    /// <summary>The volume whose mount shows a path: the innermost.</summary>
    private static GuestPath? VolumeOf(JournalledCapsule owner, GuestPath path)
    {
        GuestPath? found = null;
        foreach (var (_, at) in owner.State)
            if (path.IsWithin(at) && (found is null || at.IsWithin(found.Value))) found = at;
        return found;
    }
}
