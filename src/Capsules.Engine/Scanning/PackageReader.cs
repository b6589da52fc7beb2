using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Comparing;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Rpm;
using Capsules.Core.Model;
using Capsules.Core.Problems;

namespace Capsules.Engine.Scanning;

/// <summary>Reads the package database of a tree, dpkg's or rpm's, from its own files.</summary>
internal static class PackageReader
{
    /// <summary>Where dpkg's is.</summary>
    internal static readonly GuestPath Database = GuestPath.Parse("/var/lib/dpkg");

    /// <summary>Installed packages with their files; none when there is no database.</summary>
    public static ImmutableArray<PackageFact> Read(ISourceTree tree, List<string> troubles)
    {
        if (Present(tree, troubles) is not { } packages) return ReadRpm(tree, troubles);
        GuestPath info = Database.Child("info");
        var lists = new Dictionary<string, GuestPath>(StringComparer.Ordinal);
        foreach (FileFact entry in tree.List(info))
            if (Encoding.UTF8.GetString(entry.Path.Name) is var name && name.EndsWith(".list", StringComparison.Ordinal)) lists[name] = entry.Path;
        var facts = ImmutableArray.CreateBuilder<PackageFact>();
        foreach (DpkgPackage package in packages)
        {
            GuestPath? list = lists.TryGetValue($"{package.Name}:{package.Architecture}.list", out GuestPath qualified) ? qualified
                : lists.TryGetValue($"{package.Name}.list", out GuestPath plain) ? plain : null;
            if (list is null) troubles.Add($"package {package.Name}: its file list is missing");
            facts.Add(new(package, list is { } path && tree.Read(path, 64 << 20) is { } text ? DpkgFiles.List(text) : []));
        }
        return facts.ToImmutable();
    }

    /// <summary>Installed packages, of which no file is asked for: those of dpkg have a list each, which is not read then.</summary>
    public static ImmutableArray<InstalledPackage> Versions(ISourceTree tree) => Present(tree, []) is { } packages
        ? [.. packages.Select(p => new InstalledPackage(p.Name, p.Version, p.Architecture))]
        : [.. ReadRpm(tree, []).Select(p => new InstalledPackage(p.Name, p.Package.Version, p.Package.Architecture))];

    /// <summary>Those of dpkg's; null when it is not there.</summary>
    private static ImmutableArray<DpkgPackage>? Present(ISourceTree tree, List<string> troubles)
    {
        if (tree.Read(Database.Child("status"), 256 << 20) is not { Length: > 0 } status) return null;
        try { return [.. DpkgStatus.Parse(status).Where(p => p.IsPresent)]; }
        catch (FormatException e)
        {
            troubles.Add($"the package database cannot be read: {FactText.Of(e)}");
            return [];
        }
    }

    private static ImmutableArray<PackageFact> ReadRpm(ISourceTree tree, List<string> troubles)
    {
        foreach (string place in (string[])["/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"])
        {
            if (tree.Read(GuestPath.Parse(place), 1 << 30) is not { } database) continue;
            try { return RpmDatabase.Parse(database); }
            catch (FormatException e) { troubles.Add($"the package database {place} cannot be read: {FactText.Of(e)}"); }
        }
        return [];
    }

    /// <summary>Alternatives.</summary>
    public static ImmutableArray<DpkgAlternative> ReadAlternatives(ISourceTree tree)
    {
        var alternatives = ImmutableArray.CreateBuilder<DpkgAlternative>();
        foreach (FileFact entry in tree.List(Database.Child("alternatives")))
        {
            if (tree.Read(entry.Path, 1 << 20) is not { } text) continue;
            try { alternatives.Add(DpkgFiles.Alternative(Encoding.UTF8.GetString(entry.Path.Name), text)); }
            catch (FormatException) { } // a broken group is no group; its links are still found by following them
        }
        return alternatives.ToImmutable();
    }

    /// <summary>Diversions.</summary>
    public static ImmutableArray<DpkgDiversion> ReadDiversions(ISourceTree tree, List<string> troubles)
    {
        if (tree.Read(Database.Child("diversions")) is not { } text) return [];
        try { return DpkgFiles.Diversions(text); }
        catch (FormatException e)
        {
            troubles.Add(FactText.Of(e));
            return [];
        }
    }
}
