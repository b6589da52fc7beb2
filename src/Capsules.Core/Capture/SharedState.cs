using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>
/// Directories that several applications of one stack have as state, such as the pages that a web server serves and PHP runs: one of them owns
/// the volume, the others see the same directory. A copy for each would drift apart with the first write.
/// </summary>
public static class SharedState
{
    private const int MostEntries = 4000;

    /// <summary>The plans, with an owner for each volume that is another's. Of a directory inside another's volume the outer one is shared (a rename between two mounts would fail).</summary>
    public static ImmutableArray<CapturePlan> Apply(SourceView view, ImmutableArray<CapturePlan> plans)
    {
        ImmutableArray<CapturePlan> result = plans;
        for (int i = 0; i < plans.Length; i++)
        {
            CapturePlan plan = plans[i];
            var volumes = ImmutableArray.CreateBuilder<PlannedVolume>();
            foreach (PlannedVolume volume in plan.Volumes)
            {
                CapturePlan[] others = [.. plans.Where(p => p != plan && p.Stack == plan.Stack && p.Volumes.Any(v => volume.Path.IsWithin(v.Path)))];
                if (others.Length == 0)
                {
                    volumes.Add(volume);
                    continue;
                }
                GuestPath path = others.SelectMany(o => o.Volumes).Where(v => volume.Path.IsWithin(v.Path)).MinBy(v => v.Path.Bytes.Length)!.Path;
                CapturePlan[] candidates = [.. plans.Where(p => p.Stack == plan.Stack && p.Volumes.Any(v => v.Path == path))]; // in the order in which they were asked for
                CapturePlan owner = candidates.MaxBy(p => Entries(view, p, path))!;
                if (owner == plan) volumes.Add(volume);
                else if (!volumes.Any(v => v.Path == path))
                    volumes.Add(volume with { Path = path, Size = 0, Files = 0, Owner = (owner.Manifest.Name, owner.Volumes.First(v => v.Path == path).Name) });
            }
            if (volumes.Count == plan.Volumes.Length && volumes.All(v => v.Owner is null)) continue;
            result = result.SetItem(i, plan with
            {
                Volumes = volumes.ToImmutable(),
                Manifest = plan.Manifest with { Volumes = [.. volumes.Select(v => plan.Manifest.Volumes.First(m => m.Name == v.Name) with { Path = v.Path })] },
                Paths = [.. plan.Paths.Where(p => !volumes.Any(v => v.Owner is not null && p.Path != v.Path && p.Path.IsWithin(v.Path)))],
            });
        }
        return result;
    }

    /// <summary>How much of a directory belongs to an application's users.</summary>
    private static int Entries(SourceView view, CapturePlan plan, GuestPath path)
    {
        var users = plan.Processes.Select(p => view.Facts.Processes.FirstOrDefault(f => f.Pid == p.Pid)?.Uid ?? 0)
            .Concat(plan.Manifest.Services.Select(s => view.Facts.Users.FirstOrDefault(u => u.Name == s.User)?.Uid ?? 0)).Where(uid => uid != 0).ToHashSet();
        int seen = 0, found = view.Resolver.Look(path) is { } top && users.Contains(top.Uid) ? 1 : 0;
        if (users.Count > 0) Walk(path, 16);
        return found;

        void Walk(GuestPath directory, int depth)
        {
            foreach (FileFact entry in depth == 0 ? [] : view.Resolver.Tree.List(directory))
            {
                if (++seen > MostEntries) return;
                if (users.Contains(entry.Uid)) found++;
                if (entry.IsDirectory) Walk(entry.Path, depth - 1);
            }
        }
    }
}
