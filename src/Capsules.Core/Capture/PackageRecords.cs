using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>
/// The package database of a capsule: that of its source, cut to the packages of which it has a file, so that scanners see what is in it and
/// nothing else. An rpm database is one file of its own kind, and is not cut.
/// </summary>
internal static class PackageRecords
{
    private static readonly GuestPath Status = GuestPath.Parse("/var/lib/dpkg/status"), Info = GuestPath.Parse("/var/lib/dpkg/info");
    private static readonly ImmutableArray<string> Kinds = ["list", "md5sums", "conffiles"];

    /// <summary>Adds the database; what its files hold in the capsule.</summary>
    public static ImmutableArray<ReplacedContent> Add(PlanBuilder builder, SourceView view)
    {
        if (view.Resolver.Tree.Read(Status, 256 << 20) is not { } status) return [];
        HashSet<GuestPath> taken = [.. builder.Paths.Where(p => p.Entry == EntryKind.Regular && !p.Path.Bytes.StartsWith("/usr/share/doc/"u8)).Select(p => p.Path)];
        ImmutableArray<PackageFact> packages = [.. view.Packages.All.Where(p => view.Packages.FilesOf(p).Any(taken.Contains))];
        if (packages.IsEmpty) return [];
        HashSet<(string, string)> names = [.. packages.Select(p => (p.Name, p.Package.Architecture))];
        ImmutableArray<byte> kept;
        try { kept = DpkgStatus.Keep(status, p => names.Contains((p.Name, p.Architecture))); }
        catch (FormatException) { return []; } // the scan has said that it cannot be read

        Because why = new("the package database, cut to the packages that are in the capsule: scanners read it");
        builder.Add(Status, PathKind.Code, why);
        foreach (PackageFact package in packages)
            foreach (string kind in Kinds)
                foreach (string name in (string[])[$"{package.Name}:{package.Package.Architecture}.{kind}", $"{package.Name}.{kind}"])
                    builder.Add(Info.Child(Encoding.UTF8.GetBytes(name)), PathKind.Code, why);
        return builder.Find(Status) is { Entry: EntryKind.Regular } ? [new(Status, kept)] : [];
    }
}
