using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>Whether an open capsule can be filled over ssh: its machine answers, and has a file that the capsule waits for as the capsule knows it.</summary>
public static class SourceCheck
{
    /// <summary>What is wrong; null when nothing is.</summary>
    public static string? Look(StoreLayout layout, CapsuleName name, Core.Capture.Opening.OpenSource source)
    {
        using var machine = new SshSource(SshAddress.Parse(source.Source.Place));
        try
        {
            using IFillSource opened = machine.Open();
            using var tree = new RootTree(layout.OpenTree(name));
            return FindUnfilled(tree, GuestPath.Root) is var (file, modified, size) && opened.Look(file) is var look && (look is not { Kind: FileKind.Regular } there || there.Size != size || !there.IsOf(modified))
                ? $"{(look is null ? $"it does not have {file}" : $"its {file} is another")}: is it the machine, and the directory, from which the capsule was made?" : null;
        }
        catch (Exception e) when (e is SourceException or SyscallException) { return e.Message; }
    }

    private static (GuestPath File, Timestamp Modified, long Size)? FindUnfilled(RootTree tree, GuestPath directory)
    {
        var entries = tree.List(directory);
        foreach (FileFact entry in entries)
            if (entry.IsRegular && UnfilledMark.Find(OpenTree.PlaceOf(tree.Directory, entry.Path)) is { } modified) return (entry.Path, modified, entry.Size);
        foreach (FileFact entry in entries)
            if (entry.IsDirectory && FindUnfilled(tree, entry.Path) is { } found) return found;
        return null;
    }
}
