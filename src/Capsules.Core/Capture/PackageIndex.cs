using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Who owns a path, and what a package's paths are when links in their directories are followed (a package says /lib/…, the tree has /usr/lib/…).</summary>
public sealed class PackageIndex
{
    private readonly Dictionary<GuestPath, List<PackageFact>> _owners = [];
    private readonly TreeResolver _resolver;
    private readonly Dictionary<string, PackageFact> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<PackageFact>> _providers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ImmutableArray<GuestPath>> _files = new(StringComparer.Ordinal);

    /// <summary>Reads the packages of the facts.</summary>
    public PackageIndex(HostFacts facts, TreeResolver resolver)
    {
        _resolver = resolver;
        var diverted = facts.Diversions.ToLookup(d => d.From);
        foreach (PackageFact package in facts.Packages)
        {
            _byName.TryAdd(package.Name, package);
            foreach (string name in package.Package.Provides)
            {
                if (!_providers.TryGetValue(name, out List<PackageFact>? list)) _providers[name] = list = [];
                list.Add(package);
            }
            var files = ImmutableArray.CreateBuilder<GuestPath>(package.Files.Length);
            foreach (GuestPath named in package.Files)
            {
                GuestPath path = diverted[named].FirstOrDefault(d => d.By != package.Name)?.To ?? named;
                if (resolver.PlaceOf(path) is not { } place) continue;
                files.Add(place);
                if (!_owners.TryGetValue(place, out List<PackageFact>? owners)) _owners[place] = owners = new(1);
                owners.Add(package);
            }
            _files[package.Name] = files.ToImmutable();
        }
        All = facts.Packages;
    }

    /// <summary>Every installed package.</summary>
    public ImmutableArray<PackageFact> All { get; }

    /// <summary>The packages that own a path (several share directories); none for an unowned one.</summary>
    public IReadOnlyList<PackageFact> OwnersOf(GuestPath canonical) => _owners.TryGetValue(canonical, out List<PackageFact>? owners) ? owners : [];

    /// <summary>The package that owns a file.</summary>
    public PackageFact? OwnerOf(GuestPath canonical) => OwnersOf(canonical) is [var owner, ..] ? owner : null;

    /// <summary>An installed package by name.</summary>
    public PackageFact? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Installed packages that a dependency on a name can mean: it itself, those that provide it, or (rpm) the owner of a path.</summary>
    public IEnumerable<PackageFact> Satisfying(string name) =>
        name.StartsWith('/') && _resolver.ResolveParent(GuestPath.Normalize(System.Text.Encoding.UTF8.GetBytes(name))) is { } place ? OwnersOf(place.Path)
        : _byName.TryGetValue(name, out PackageFact? package) ? [package] : _providers.TryGetValue(name, out List<PackageFact>? list) ? list : [];

    /// <summary>A package's paths in the tree.</summary>
    public ImmutableArray<GuestPath> FilesOf(PackageFact package) => _files[package.Name];
}
