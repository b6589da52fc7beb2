using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Comparing;

/// <summary>What becomes of a change.</summary>
public enum ChangeVerdict
{
    /// <summary>It belongs to the application that came.</summary>
    Taken,
    /// <summary>It is data of the application that came.</summary>
    State,
    /// <summary>It says nothing about an application.</summary>
    Noise,
    /// <summary>It is the work of something that was there before.</summary>
    Others,
}

/// <summary>A change with its verdict.</summary>
/// <param name="Change">The change.</param>
/// <param name="Verdict">What becomes of it.</param>
/// <param name="Rule">The name of the rule that says so.</param>
/// <param name="Why">In words.</param>
public sealed record SortedChange(TreeChange Change, ChangeVerdict Verdict, string Rule, string Why);

/// <summary>A rule of sorting, for people; <see cref="ChangeSorter"/> asks them in this order, after the rules of noise.</summary>
public sealed record SortingRule(string Name, ChangeVerdict Verdict, string Why);

/// <summary>Tells what came with an application from what happened meanwhile. The machine need not have been quiet.</summary>
public static class ChangeSorter
{
    /// <summary>The rules after those of <see cref="ChangeRules.Noise"/>, in order.</summary>
    public static ImmutableArray<SortingRule> Rules { get; } =
    [
        new("gone", ChangeVerdict.Noise, "it is not there any more: there is nothing to take"),
        new("package-database", ChangeVerdict.Noise, "what the package tools write down for themselves"),
        new("new-package", ChangeVerdict.Taken, "a package that was not installed before owns it"),
        new("upgraded-package", ChangeVerdict.Others, "a package that was there before in another version owns it; where the application needs that package, it comes along"),
        new("old-package", ChangeVerdict.Others, "a package that was there before owns it: somebody changed its file"),
        new("accounts", ChangeVerdict.Taken, "the table of users and groups, which every capsule has"),
        new("generated", ChangeVerdict.Noise, "made from what is installed, and made again with it"),
        new("old-data", ChangeVerdict.Others, "below a directory of data that was there before: another service wrote it"),
        new("new-data", ChangeVerdict.State, "below a directory of data that was not there before"),
        new("new-file", ChangeVerdict.Taken, "no package owns it, and it was not there before"),
        new("old-file", ChangeVerdict.Others, "no package owns it, and it was there before"),
    ];

    private static readonly ImmutableArray<PathGlob> Database = [.. ((string[])["/var/lib/dpkg**", "/var/lib/apt**", "/var/lib/rpm**", "/usr/lib/sysimage/rpm**", "/var/lib/systemd/deb-systemd-**", "/var/lib/ucf**", "/var/lib/pam/**", "/var/lib/dnf**"]).Select(p => new PathGlob(p))],
        Accounts = [.. ((string[])["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"]).Select(p => new PathGlob(p))],
        Generated = [.. ((string[])["/etc/ld.so.cache", "/etc/alternatives/**", "/etc/ssl/certs/**", "/usr/share/info/dir", "/usr/share/mime/**", "/usr/share/applications/mimeinfo.cache", "/etc/rc*.d/**", "/usr/share/icons/**.cache", "/**.pyc", "/**/__pycache__", "/etc/apt/**"]).Select(p => new PathGlob(p))];

    /// <summary>Sorts every change; in the same order.</summary>
    /// <param name="view">The tree as it is now.</param>
    /// <param name="before">How it was.</param>
    /// <param name="changes">What differs.</param>
    public static ImmutableArray<SortedChange> Sort(SourceView view, TreeSnapshot before, ImmutableArray<TreeChange> changes)
    {
        var versions = before.Packages.GroupBy(p => p.Name, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Select(p => p.Version).ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal);
        var added = changes.Where(c => c.Kind == ChangeKind.Added).Select(c => c.Path).ToHashSet();
        return [.. changes.Select(Sorted)];

        SortedChange Sorted(TreeChange change)
        {
            PackageFact? owner = view.Packages.OwnerOf(change.Path);
            if (ChangeRules.Of(change, owner is not null) is { } noise) return new(change, ChangeVerdict.Noise, noise.Name, noise.Why);
            SortingRule rule = Rules.First(r => r.Name == NameOf(change, owner));
            return new(change, rule.Verdict, rule.Name, owner is null ? rule.Why : $"{rule.Why} ({owner.Name} {owner.Package.Version})");
        }

        string NameOf(TreeChange change, PackageFact? owner)
        {
            string picture = change.Path.ToString();
            if (change.Kind == ChangeKind.Deleted) return "gone";
            if (Database.Any(p => p.Matches(picture))) return "package-database";
            if (owner is not null) return !versions.TryGetValue(owner.Name, out var known) ? "new-package" : known.Contains(owner.Package.Version) ? "old-package" : "upgraded-package";
            if (Accounts.Any(p => p.Matches(picture))) return "accounts";
            if (Generated.Any(p => p.Matches(picture))) return "generated";
            if (CaptureTables.StateParents.FirstOrDefault(change.Path.IsWithin) is { IsRoot: false } parent)
            {
                GuestPath top = TopBelow(parent, change.Path);
                return added.Contains(top) || view.Packages.OwnerOf(top) is { } place && !versions.ContainsKey(place.Name) ? "new-data" : "old-data";
            }
            return change.Kind == ChangeKind.Added ? "new-file" : "old-file";
        }
    }

    private static GuestPath TopBelow(GuestPath parent, GuestPath path)
    {
        GuestPath at = path;
        while (at.Parent != parent && !at.IsRoot) at = at.Parent;
        return at;
    }

    /// <summary>What the planner is told of: one file of each new package, and each new file of no package.</summary>
    public static ImmutableArray<FoundPath> Found(SourceView view, ImmutableArray<SortedChange> sorted)
    {
        var packages = new HashSet<string>(StringComparer.Ordinal);
        var found = ImmutableArray.CreateBuilder<FoundPath>();
        foreach (SortedChange change in sorted)
        {
            if (change.Verdict is not (ChangeVerdict.Taken or ChangeVerdict.State) || change.Rule == "accounts" || change.Change.Entry == EntryKind.Directory && change.Verdict == ChangeVerdict.Taken) continue;
            if (view.Packages.OwnerOf(change.Change.Path) is { } owner && !packages.Add(owner.Name)) continue;
            if (CaptureTables.TooWide.Contains(change.Change.Path)) continue;
            found.Add(new(change.Change.Path, new($"it came meanwhile: {change.Rule}"), IsWritten: change.Verdict == ChangeVerdict.State));
        }
        return found.ToImmutable();
    }
}
