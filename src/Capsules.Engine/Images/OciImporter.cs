using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Images;

/// <summary>Brings an image from an archive into the store: every layer is verified against its digests, and present only when it is whole.</summary>
/// <param name="layout">The store.</param>
/// <param name="limits">How much may be unpacked; <see cref="ImportLimits.Default"/> when null.</param>
public sealed class OciImporter(StoreLayout layout, ImportLimits? limits = null)
{
    /// <summary>Imports; the image's digest in our store, and its manifest.</summary>
    /// <param name="path">An OCI archive or a docker-archive.</param>
    /// <param name="name">The capsule's name, unless the image carries a manifest of ours; from the archive when null.</param>
    /// <exception cref="CapsuleException">It is no image, is damaged, hostile or too large. Nothing half-made stays.</exception>
    public (Digest Image, CapsuleManifest Manifest) Import(string path, CapsuleName? name)
    {
        using FileStream file = OpenArchive(path);
        ImageArchive archive = ImageArchive.Open(file, path, RuntimeInformation.OSArchitecture switch { Architecture.X64 => "amd64", Architecture.Arm64 => "arm64", var other => other.ToString().ToLowerInvariant() });
        CapsuleManifest manifest;
        try { manifest = CapsuleImage.ManifestOf(archive.Config, name ?? NameFrom(archive.Reference ?? Path.GetFileNameWithoutExtension(path))); }
        catch (FormatException e) { throw new CapsuleException(Problems.NotAnImage(path, FactText.Of(e)), e); }

        ImportLimits left = limits ?? ImportLimits.Default;
        long room = new DriveInfo(Directory.CreateDirectory(layout.State).FullName).AvailableFreeSpace;
        left = left with { Bytes = Math.Min(left.Bytes, room) };
        foreach (Digest layer in manifest.Layers) left = ImportLayer(archive, archive.Config.DiffIds.IndexOf(layer), left);

        byte[] bytes = ManifestJson.Write(manifest);
        Digest image = Digest.FromSha256(SHA256.HashData(bytes));
        if (FileCalls.TryStat(null, layout.Image(image)) is null)
            Place(layout.Image(image), half => SmallFiles.Write(half + "/manifest.json", bytes));
        return (image, manifest);
    }

    private ImportLimits ImportLayer(ImageArchive archive, int index, ImportLimits left)
    {
        Digest diffId = archive.Config.DiffIds[index];
        if (FileCalls.TryStat(null, layout.Layer(diffId)) is not null) return left; // verified when it came
        var (part, digest, mediaType) = archive.Layers[index];
        ImportLimits after = left;
        Place(layout.Layer(diffId), half =>
        {
            using Descriptor root = FileCalls.Open(half, OpenFlags.ReadOnly | OpenFlags.Directory);
            using var blob = new HashingStream(archive.OpenLayer(part));
            using Stream unpacked = Decompress(blob, mediaType);
            using var plain = new HashingStream(unpacked);
            var unpacker = new LayerUnpacker(root, left);
            try
            {
                unpacker.Unpack(new TarReader(plain));
                Drain(plain, left.Bytes);
                Drain(blob, long.MaxValue);
            }
            catch (Exception e) when (e is FormatException or InvalidDataException) { throw new CapsuleException(Problems.NotAnImage(part, FactText.Of(e)), e); }
            if (digest is { } expected && blob.Digest() != expected) throw new CapsuleException(Problems.DigestMismatch(part, expected.ToString(), blob.Digest().ToString()));
            if (plain.Digest() != diffId) throw new CapsuleException(Problems.DigestMismatch($"the content of {part}", diffId.ToString(), plain.Digest().ToString()));
            after = new(left.Bytes - unpacker.Bytes, left.Entries - unpacker.Entries);
        });
        return after;
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

    private static FileStream OpenArchive(string path)
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
