using System.Collections.Immutable;
using System.Security.Cryptography;
using Capsules.Core.Bills;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>Reads what is in a capsule's layers for its bill of materials: packages from the database in them, and what no package owns.</summary>
public static class BillReader
{
    /// <summary>The bill of a capsule.</summary>
    /// <exception cref="CapsuleException">A layer or the package database cannot be read.</exception>
    public static SoftwareBill Read(CapsuleStore store, CapsuleRecord capsule, string tool)
    {
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        if (manifest.Layers.IsEmpty || manifest.Layers.Any(l => FileCalls.TryStat(null, store.Layout.Layer(l)) is null)) throw new CapsuleException(Problems.BadFile(store.Layout.Image(capsule.Image), "its layers are not there"));
        using Overlay shown = Overlay.OfLayers(store.Layout, manifest.Layers);
        using var tree = new RootTree(shown.Place);
        var troubles = new List<string>();
        ImmutableArray<PackageFact> packages = PackageReader.Read(tree, troubles);
        if (packages.IsEmpty && troubles is [var trouble, ..]) throw new CapsuleException(Problems.BadFile(store.Layout.Image(capsule.Image), trouble));
        bool isRpm = tree.Look(PackageReader.Database.Child("status")) is null;
        ImmutableSortedDictionary<string, string> system = OsRelease.Parse(tree.Read(GuestPath.Parse("/etc/os-release")) ?? tree.Read(GuestPath.Parse("/usr/lib/os-release")) ?? default);
        var resolver = new TreeResolver(tree);
        var index = new Core.Capture.PackageIndex(new HostFacts { Source = SourceReference.Live, Packages = packages, Diversions = PackageReader.ReadDiversions(tree, troubles) }, resolver);
        var files = ImmutableArray.CreateBuilder<BillFile>();
        Walk(GuestPath.Root);
        return new()
        {
            Manifest = manifest,
            Image = capsule.Image,
            Created = capsule.Created,
            Tool = tool,
            Packages = [.. packages.OrderBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Package.Architecture, StringComparer.Ordinal).Select(p => new BillPackage(p, SoftwareBill.UrlOf(p, system, isRpm)))],
            Files = files.ToImmutable(),
        };

        void Walk(GuestPath directory)
        {
            foreach (FileFact entry in tree.List(directory))
            {
                if (entry.IsDirectory) Walk(entry.Path);
                else if (entry.IsRegular && index.OwnerOf(entry.Path) is null && !entry.Path.IsWithin(PackageReader.Database))
                {
                    using Descriptor content = tree.OpenToRead(entry.Path, follow: false);
                    files.Add(Hashed(entry, content));
                }
            }
        }
    }

    private static BillFile Hashed(FileFact entry, Descriptor content)
    {
#pragma warning disable CA5350 // SPDX 2.3 demands a SHA-1 of every file; nothing is trusted because of it
        using var sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
#pragma warning restore CA5350
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[128 * 1024];
        for (int count; (count = FileCalls.Read(content, buffer)) > 0;)
        {
            sha1.AppendData(buffer.AsSpan(0, count));
            sha256.AppendData(buffer.AsSpan(0, count));
        }
        return new(entry.Path, Convert.ToHexStringLower(sha1.GetHashAndReset()), Convert.ToHexStringLower(sha256.GetHashAndReset()), (entry.Mode & 0x49) != 0);
    }
}
