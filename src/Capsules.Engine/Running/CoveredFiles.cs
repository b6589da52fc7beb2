using Capsules.Core.Model;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>Puts what a new file system will cover into it (mount option tmpcopyup), with the mode and owner of the directory itself.</summary>
internal static class CoveredFiles
{
    /// <summary>Copies from a directory to the root of a mount that is attached nowhere yet.</summary>
    public static void Copy(Descriptor covered, Descriptor mount)
    {
        using var source = new RootTree($"/proc/self/fd/{covered.Number}");
        using var copier = new TreeCopier(source, GuestPath.Root, $"/proc/self/fd/{mount.Number}");
        Walk(GuestPath.Root);
        copier.Finish();

        void Walk(GuestPath place)
        {
            if (copier.Copy(place) is not { IsDirectory: true }) return;
            using Descriptor? directory = source.TryOpen(place, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
            if (directory is null) return;
            foreach (var (name, _) in FileCalls.List(directory)) Walk(place.Child(name));
        }
    }
}
