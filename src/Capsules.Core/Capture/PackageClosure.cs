using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A chosen package and why.</summary>
/// <param name="Package">The package.</param>
/// <param name="Why">A sentence.</param>
/// <param name="Because">The package that led to it; null for a beginning.</param>
public sealed record ChosenPackage(PackageFact Package, string Why, string? Because);

/// <summary>
/// Which packages an application is: those it begins with, everything they depend on, and packages that plug into it though nothing of it
/// depends on them (php8.2-sqlite3, libapache2-mod-php8.2, a PostgreSQL extension).
/// </summary>
/// <param name="index">The source's packages.</param>
/// <param name="isUnused">Packages that a dependency alone does not bring.</param>
public sealed class PackageClosure(PackageIndex index, Func<PackageFact, bool>? isUnused = null)
{
    private readonly Dictionary<string, ChosenPackage> _chosen = new(StringComparer.Ordinal);
    private readonly HashSet<string> _sources = new(StringComparer.Ordinal);
    private readonly List<PackageFact> _family = [];
    private readonly HashSet<GuestPath> _named = [];

    /// <summary>Everything chosen, in the order of choice.</summary>
    public IReadOnlyCollection<ChosenPackage> Chosen => _chosen.Values;

    /// <summary>The application's own packages: beginnings, plug-ins, and dependencies made from the same source.</summary>
    public IReadOnlyList<PackageFact> Family => _family;

    /// <summary>Whether a package is chosen.</summary>
    public bool Has(string name) => _chosen.ContainsKey(name);

    /// <summary>The application's program names a directory: what another package of its source puts there, it uses.</summary>
    public void AddNamed(GuestPath directory) => _named.Add(directory);

    /// <summary>Adds a beginning of the application with its dependencies.</summary>
    public void AddOwn(PackageFact package, string why, string? because = null)
    {
        _sources.Add(package.Package.Source);
        Add(package, why, because);
    }

    /// <summary>Adds a package with its dependencies.</summary>
    public void Add(PackageFact package, string why, string? because = null)
    {
        var queue = new Queue<ChosenPackage>();
        queue.Enqueue(new(package, why, because));
        while (queue.TryDequeue(out ChosenPackage? next))
        {
            if (!_chosen.TryAdd(next.Package.Name, next)) continue;
            foreach (ImmutableArray<string> group in next.Package.Package.Depends)
            {
                // Of alternatives those that are installed count: whichever the program uses, it is there.
                foreach (PackageFact needed in group.SelectMany(index.Satisfying))
                    if (!CaptureTables.InstallationOnly.Contains(needed.Name) && isUnused?.Invoke(needed) != true) queue.Enqueue(new(needed, $"{next.Package.Name} depends on {needed.Name}", next.Package.Name));
            }
        }
        RefreshFamily();
    }

    /// <summary>Adds plug-ins until there are no more; each joins the family, so that its own plug-ins follow.</summary>
    public void AddPlugIns()
    {
        bool again = true;
        while (again)
        {
            again = false;
            var names = _family.SelectMany(p => p.Package.Provides.Append(p.Name)).ToHashSet(StringComparer.Ordinal);
            var moduleDirectories = _family.SelectMany(p => index.FilesOf(p)).Where(IsModuleDirectory).ToHashSet();
            foreach (PackageFact candidate in index.All)
            {
                if (_chosen.ContainsKey(candidate.Name) && _family.Contains(candidate) || CaptureTables.InstallationOnly.Contains(candidate.Name)) continue;
                string? host = candidate.Package.Depends.SelectMany(g => g).FirstOrDefault(names.Contains);
                if (host is null || !PlugsIn(candidate, host, moduleDirectories)) continue;
                AddOwn(candidate, $"{candidate.Name} plugs into it (depends on {host})", index.Satisfying(host).FirstOrDefault(_family.Contains)?.Name);
                again = true;
                break;
            }
        }
    }

    private bool PlugsIn(PackageFact candidate, string host, HashSet<GuestPath> moduleDirectories)
    {
        bool isInterface = host.Contains("api", StringComparison.Ordinal) || host.Contains("abi", StringComparison.Ordinal);
        // A part that its distribution packs apart (dovecot-imapd), and not one for another server (libapache2-mod-php8.2 beside php8.2-fpm).
        bool isOfSource = _sources.Contains(candidate.Package.Source), fillsNamed = false, hasProgram = false;
        bool hasModule = isOfSource && !candidate.Package.Depends.SelectMany(g => g).SelectMany(index.Satisfying).Any(d => !_chosen.ContainsKey(d.Name) && !CaptureTables.InstallationOnly.Contains(d.Name) && HasProgram(d));
        foreach (GuestPath file in index.FilesOf(candidate))
        {
            GuestPath parent = file.Parent;
            string name = Encoding.UTF8.GetString(file.Name);
            hasProgram |= parent == Binaries || parent == SystemBinaries;
            fillsNamed |= isOfSource && _named.Any(d => file != d && file.IsWithin(d));
            if (name.EndsWith(".so", StringComparison.Ordinal) || name.EndsWith(".control", StringComparison.Ordinal) || name.EndsWith(".load", StringComparison.Ordinal))
                hasModule |= isInterface || moduleDirectories.Contains(parent);
        }
        return fillsNamed || hasModule && !hasProgram; // with a program of its own it is no part
    }

    private bool HasProgram(PackageFact package) => index.FilesOf(package).Any(f => f.Parent == Binaries || f.Parent == SystemBinaries);

    private static readonly GuestPath Binaries = GuestPath.Parse("/usr/bin"), SystemBinaries = GuestPath.Parse("/usr/sbin");

    /// <summary>Deep enough to be somebody's: /usr/lib/php/20220829, not /usr/lib/x86_64-linux-gnu.</summary>
    private static bool IsModuleDirectory(GuestPath path)
    {
        int depth = path.Bytes.Count((byte)'/');
        return depth >= 4 && (path.Bytes.StartsWith("/usr/lib"u8) || path.Bytes.StartsWith("/usr/share"u8) || path.Bytes.StartsWith("/etc/"u8)) && !path.Bytes.StartsWith("/usr/share/doc"u8);
    }

    private void RefreshFamily()
    {
        foreach (ChosenPackage chosen in _chosen.Values)
            if (_sources.Contains(chosen.Package.Package.Source) && !_family.Contains(chosen.Package)) _family.Add(chosen.Package);
    }
}
