using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>
/// The directory `open` of a capsule as it travels (docs/formats/open.md): the record of its source, the plan without which it could not be sealed, and
/// the tree, in which files have their content only when they were filled.
/// </summary>
internal static class OpenArchive
{
    private const string Plan = "/plan.json", LeftOut = "/left-out.jsonl";
    private const long LongestDocument = 64 << 20;

    /// <summary>Writes that of a capsule that does not run.</summary>
    public static void Pack(TarWriter tar, StoreLayout layout, CapsuleName capsule, Digest image)
    {
        foreach (var (directory, name) in ((string, string)[])[(layout.Open(capsule), OpenTree.Source), (layout.Image(image), Plan), (layout.Image(image), LeftOut)])
            if (SmallFiles.TryRead(directory + name) is { } bytes) tar.Add(new() { Name = Encoding.ASCII.GetBytes(name[1..]), Kind = TarMemberKind.File, Mode = 0x180 }, bytes);
        new LayerPacker(tar, open: true).Pack(layout.OpenTree(capsule), OpenTree.Tree);
    }

    /// <summary>Whether an entry belongs to such an archive, by its path without "./" in front.</summary>
    public static bool IsPart(ReadOnlySpan<byte> path, TarMember entry)
    {
        ReadOnlySpan<byte> tree = "tree"u8;
        if (path.StartsWith(tree)) return path.Length == tree.Length ? entry.Kind == TarMemberKind.Directory : path[tree.Length] == '/';
        string name = "/" + Encoding.Latin1.GetString(path);
        return name is OpenTree.Source or Plan or LeftOut && entry.Kind == TarMemberKind.File && entry.Size <= LongestDocument;
    }

    /// <summary>Reads the documents of one that was unpacked, and makes it the directory of a capsule: nothing that it says of its tree is believed.</summary>
    /// <param name="place">Where it was unpacked.</param>
    /// <param name="sourceOf">The recorded source to the one from which it will be filled.</param>
    /// <exception cref="FormatException">A document is broken or missing, or the tree does not agree with itself.</exception>
    public static (OpenSource Source, CapturePlan Plan, byte[] LeftOut) Complete(string place, Func<SourceReference, SourceReference> sourceOf)
    {
        OpenSource recorded = OpenSource.FromJson(Required(OpenTree.Source));
        CapturePlan plan = CapturePlanJson.Read(Required(Plan));
        byte[] leftOut = LeftOutFile.Write(LeftOutFile.Read(SmallFiles.TryRead(place + LeftOut) ?? []));
        FileCalls.Remove(null, place + Plan);
        FileCalls.Remove(null, place + LeftOut);
        if (FileCalls.TryStat(null, place + OpenTree.Tree) is not { IsDirectory: true }) throw new FormatException("its open tree is missing");
        return (OpenTree.Complete(place, sourceOf(recorded.Source), recorded.Captured), plan, leftOut);

        byte[] Required(string name) => SmallFiles.TryRead(place + name) ?? throw new FormatException($"{name[1..]} of its open tree is missing");
    }
}
