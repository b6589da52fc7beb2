using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>Where what an open capsule shows of its source is unpacked, and from where it will be filled.</summary>
/// <param name="Place">A directory that is not there yet.</param>
/// <param name="SourceOf">The source that the archive names to the one that is meant here.</param>
/// <param name="IsWanted">Else it is only seen whether it is there.</param>
/// <param name="IsDemanded">An archive of a capsule that was not open is an error.</param>
internal sealed record OpenImport(string Place, Func<SourceReference, SourceReference> SourceOf, bool IsWanted, bool IsDemanded)
{
    /// <summary>The archive has one.</summary>
    public bool WasThere { get; set; }
    /// <summary>What was made there.</summary>
    public OpenSource? Made { get; set; }
}

/// <summary>Brings an image from an archive into the store: every layer is verified against its digests, and present only when it is whole.</summary>
/// <param name="layout">The store.</param>
/// <param name="limits">How much may be unpacked; <see cref="ImportLimits.Default"/> when null.</param>
public sealed class OciImporter(StoreLayout layout, ImportLimits? limits = null)
{
    /// <summary>Imports; the image's digest in our store, and its manifest.</summary>
    /// <param name="path">An OCI archive or a docker-archive.</param>
    /// <param name="name">The capsule's name, unless the image carries a manifest of ours; from the archive when null.</param>
    /// <exception cref="CapsuleException">It is no image, is damaged, hostile or too large. Nothing half-made stays.</exception>
    public (Digest Image, CapsuleManifest Manifest) Import(string path, CapsuleName? name) => Import(path, name, null);

    /// <summary>As the other, with what the capsule showed of its source, when it was open and this is wanted.</summary>
    internal (Digest Image, CapsuleManifest Manifest) Import(string path, CapsuleName? name, OpenImport? open)
    {
        using FileStream file = OpenFile(path);
        ImageArchive archive = ImageArchive.Read(file, path, RuntimeInformation.OSArchitecture switch { Architecture.X64 => "amd64", Architecture.Arm64 => "arm64", var other => other.ToString().ToLowerInvariant() });
        CapsuleManifest manifest;
        try { manifest = CapsuleImage.ManifestOf(archive.Config, name ?? NameFrom(archive.Reference ?? Path.GetFileNameWithoutExtension(path))); }
        catch (FormatException e) { throw new CapsuleException(Problems.NotAnImage(path, FactText.Of(e)), e); }

        if (open is { IsDemanded: true } && archive.Open is null) throw new CapsuleException(Problems.ArchiveNotOpen(path));
        ImportLimits left = limits ?? ImportLimits.Default;
        long room = new DriveInfo(Directory.CreateDirectory(layout.State).FullName).AvailableFreeSpace;
        left = left with { Bytes = Math.Min(left.Bytes, room) };
        foreach (Digest layer in manifest.Layers) left = ImportLayer(archive, archive.Config.DiffIds.IndexOf(layer), left);

        if (open is not null) open.WasThere = archive.Open is not null;
        (CapturePlan Plan, byte[] LeftOut)? plan = open is { IsWanted: true } && archive.Open is { } tree ? ImportOpen(archive, tree, open, manifest, left) : null;

        byte[] bytes = ManifestJson.Write(manifest);
        Digest image = Digest.FromSha256(SHA256.HashData(bytes));
        if (FileCalls.TryStat(null, layout.Image(image)) is null)
            Place(layout.Image(image), half => SmallFiles.Write(half + "/manifest.json", bytes));
        if (plan is var (made, leftOut) && FileCalls.TryStat(null, layout.Image(image) + "/plan.json") is null) // without it nothing can be sealed
        {
            SmallFiles.Write(layout.Image(image) + "/left-out.jsonl", leftOut);
            SmallFiles.Write(layout.Image(image) + "/plan.json", CapturePlanJson.Write(made));
        }
        return (image, manifest);
    }

    private static (CapturePlan, byte[]) ImportOpen(ImageArchive archive, (string Part, Digest Digest, string MediaType) blob, OpenImport open, CapsuleManifest manifest, ImportLimits left)
    {
        FileCalls.MakeDirectory(null, open.Place, 0x1C0);
        Unpack(archive, blob, open.Place, left, open: true);
        try
        {
            var (source, plan, leftOut) = OpenArchive.Complete(open.Place, open.SourceOf);
            open.Made = source;
            return (plan with { Manifest = manifest, Source = source.Source }, leftOut); // and not for one of a source that is here
        }
        catch (FormatException e) { throw new CapsuleException(Problems.NotAnImage(blob.Part, FactText.Of(e)), e); }
    }

    private ImportLimits ImportLayer(ImageArchive archive, int index, ImportLimits left)
    {
        Digest diffId = archive.Config.DiffIds[index];
        if (FileCalls.TryStat(null, layout.Layer(diffId)) is not null) return left; // verified when it came
        ImportLimits after = left;
        Place(layout.Layer(diffId), half =>
        {
            Digest plain;
            (plain, after) = Unpack(archive, archive.Layers[index], half, left, open: false);
            if (plain != diffId) throw new CapsuleException(Problems.DigestMismatch($"the content of {archive.Layers[index].Part}", diffId.ToString(), plain.ToString()));
        });
        return after;
    }

    /// <summary>Unpacks a part into an empty directory; the digest of its content, and what may be unpacked still.</summary>
    private static (Digest Plain, ImportLimits Left) Unpack(ImageArchive archive, (string Part, Digest? Digest, string MediaType) blob, string half, ImportLimits left, bool open)
    {
        using Descriptor root = FileCalls.Open(half, OpenFlags.ReadOnly | OpenFlags.Directory);
        using var packed = new HashingStream(archive.OpenPart(blob.Part));
        using Stream unpacked = Decompress(packed, blob.MediaType);
        using var plain = new HashingStream(unpacked);
        var unpacker = new LayerUnpacker(root, left, open);
        try
        {
            unpacker.Unpack(new TarReader(plain));
            Drain(plain, left.Bytes);
            Drain(packed, long.MaxValue);
        }
        catch (Exception e) when (e is FormatException or InvalidDataException) { throw new CapsuleException(Problems.NotAnImage(blob.Part, FactText.Of(e)), e); }
        if (blob.Digest is { } expected && packed.Digest() != expected) throw new CapsuleException(Problems.DigestMismatch(blob.Part, expected.ToString(), packed.Digest().ToString()));
        return (plain.Digest(), new(left.Bytes - unpacker.Bytes, left.Entries - unpacker.Entries));
    }

    /// <summary>Makes a directory beside its place, and renames it when all is well.</summary>
    private void Place(string place, Action<string> fill)
    {
        SmallFiles.MakeDirectories(layout.Temporary);
        SmallFiles.MakeDirectories(place[..place.LastIndexOf('/')]);
        string half = $"{layout.Temporary}/import.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}";
        SmallFiles.RemoveTree(half);
        FileCalls.MakeDirectory(null, half);
        try
        {
            fill(half);
            FileCalls.Rename(null, half, null, place);
        }
        catch (SyscallException e) when (e.Errno is Errno.EEXIST or Errno.ENOTEMPTY) { SmallFiles.RemoveTree(half); } // another import was faster with the same content
        catch
        {
            SmallFiles.RemoveTree(half);
            throw;
        }
    }

    /// <summary>By what it is and not by what it is called: archives of docker name no types.</summary>
    private static Stream Decompress(Stream blob, string mediaType)
    {
        byte[] start = new byte[4];
        int count = blob.ReadAtLeast(start, 4, throwOnEndOfStream: false);
        var whole = new PartStream(start.AsMemory(0, count), blob);
        if (start is [0x1F, 0x8B, ..]) return new GZipStream(whole, CompressionMode.Decompress);
        if (start is [0x28, 0xB5, 0x2F, 0xFD]) throw new CapsuleException(Problems.UnknownCompression(mediaType.EndsWith("zstd", StringComparison.Ordinal) ? mediaType : "zstd"));
        return whole;
    }

    /// <summary>What follows the archive's end belongs to the digest too.</summary>
    private static void Drain(Stream stream, long most)
    {
        byte[] buffer = new byte[64 * 1024];
        for (long seen = 0; stream.Read(buffer) is > 0 and var count;)
            if ((seen += count) > most) throw new CapsuleException(Problems.LayerTooLarge($"more than {most} bytes"));
    }

    private static FileStream OpenFile(string path)
    {
        try { return new FileStream(path, FileMode.Open, FileAccess.Read); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new CapsuleException(Problems.NotAnImage(path, FactText.Of(e)), e); }
    }

    /// <summary>"localhost/shop/bill:1.2" → bill.</summary>
    private static CapsuleName NameFrom(string reference)
    {
        string last = reference[(reference.LastIndexOf('/') + 1)..];
        int end = last.IndexOfAny([':', '@']);
        return CapsuleName.From(end > 0 ? last[..end] : last);
    }
}
