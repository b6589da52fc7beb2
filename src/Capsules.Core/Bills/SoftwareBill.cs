using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Bills;

/// <summary>A package in a capsule.</summary>
/// <param name="Fact">What its database says of it.</param>
/// <param name="Url">Its package URL (purl-spec).</param>
public sealed record BillPackage(PackageFact Fact, string Url);

/// <summary>A file that no package owns.</summary>
/// <param name="Path">Where it is in the capsule.</param>
/// <param name="Sha1">SHA-1 of its content, which SPDX demands.</param>
/// <param name="Sha256">SHA-256 of its content.</param>
/// <param name="IsExecutable">Whether somebody may execute it.</param>
public sealed record BillFile(GuestPath Path, string Sha1, string Sha256, bool IsExecutable);

/// <summary>What is in a capsule's layers: the bill of materials that scanners read. State and secrets are not in it.</summary>
public sealed record SoftwareBill
{
    /// <summary>The capsule's manifest.</summary>
    public required CapsuleManifest Manifest { get; init; }
    /// <summary>Its image.</summary>
    public required Digest Image { get; init; }
    /// <summary>When the capsule was made.</summary>
    public required DateTimeOffset Created { get; init; }
    /// <summary>The version of the program that wrote the bill.</summary>
    public required string Tool { get; init; }
    /// <summary>Packages by name.</summary>
    public ImmutableArray<BillPackage> Packages { get; init; } = [];
    /// <summary>Files that no package owns, by path.</summary>
    public ImmutableArray<BillFile> Files { get; init; } = [];

    /// <summary>Indices of the packages that one depends on, as far as they are in the capsule.</summary>
    public ImmutableArray<ImmutableArray<int>> Dependencies()
    {
        var names = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int i = 0; i < Packages.Length; i++)
            foreach (string name in (string[])[Packages[i].Fact.Name, .. Packages[i].Fact.Package.Provides]) names.TryAdd(name, i);
        return [.. Packages.Select(p => p.Fact.Package.Depends.SelectMany(group => group).Select(name => names.GetValueOrDefault(name, -1)).Where(i => i >= 0).Distinct().Order().ToImmutableArray())];
    }

    /// <summary>The package URL of a package of a distribution: pkg:deb/debian/NAME@VERSION?arch=ARCH&amp;distro=debian-12.</summary>
    /// <param name="package">The package.</param>
    /// <param name="system">os-release(5) of the tree.</param>
    /// <param name="isRpm">Whether it is of an rpm database.</param>
    public static string UrlOf(PackageFact package, ImmutableSortedDictionary<string, string> system, bool isRpm)
    {
        string id = system.GetValueOrDefault("ID", isRpm ? "rpm" : "debian"), version = system.GetValueOrDefault("VERSION_ID", "");
        var url = new StringBuilder($"pkg:{(isRpm ? "rpm" : "deb")}/{Escape(id)}/{Escape(package.Name)}@{Escape(package.Package.Version)}");
        var qualifiers = new List<string>();
        if (package.Package.Architecture.Length > 0) qualifiers.Add("arch=" + Escape(package.Package.Architecture));
        if (version.Length > 0) qualifiers.Add("distro=" + Escape($"{id}-{version}"));
        if (qualifiers.Count > 0) url.Append('?').AppendJoin('&', qualifiers);
        return url.ToString();
    }

    private static string Escape(string text) => Uri.EscapeDataString(text).Replace("%3A", ":", StringComparison.Ordinal);
}
