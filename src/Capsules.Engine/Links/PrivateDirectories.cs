using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// Directories below a linked one that are state of the capsule's own: volumes of its own, mounted on the owner's directories of that name. They come and go with the
/// linked directory as one tree of mounts, so that there is no moment in which what is written there reaches the owner (docs/adr/0035).
/// </summary>
/// <param name="store">Capsules and images.</param>
/// <param name="capsule">The capsule, which runs.</param>
/// <param name="link">Its link.</param>
internal sealed class PrivateDirectories(CapsuleStore store, CapsuleRecord capsule, CapsuleLink link)
{
    private readonly PeerVolumes _volumes = new(store, capsule); // before something lies over the run directory

    /// <summary>Whether each of them is what the capsule sees at its path.</summary>
    public bool AreSeen() => link.Private.All(_volumes.IsSeen);

    /// <summary>The owner's directory with the capsule's own in it; attached nowhere.</summary>
    /// <param name="linked">A detached copy of the owner's mount.</param>
    /// <param name="path">Where it is seen.</param>
    /// <exception cref="CapsuleException">The owner has no directory in whose place one of them is seen.</exception>
    public Descriptor Over(Descriptor linked, GuestPath path) => Threads.InPrivateMountNamespace(_ =>
    {
        MountCalls.Attach(linked, null, store.Layout.RunOf(capsule.Name)); // seen by this thread alone
        foreach (GuestPath own in link.Private)
        {
            // Nothing of the owner's leads elsewhere: its links are not followed.
            var (point, errno) = FileCalls.TryOpenResolved(linked, own.RelativeTo(path).ToArray(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoSymbolicLinks | ResolveFlags.NoMagicLinks);
            if (point is null) throw new CapsuleException(Problems.NoPlaceForPrivate($"{capsule.Name}", $"{link.Import.From}", $"{own}", Errno.Name(errno)));
            using (point)
            using (Descriptor volume = _volumes.Clone(own)) MountCalls.Attach(volume, point, "");
        }
        return MountCalls.Clone(linked, "", recursive: true);
    });

    /// <summary>After the link went: what lay over it is seen where the capsule has it without the link.</summary>
    public void Uncover()
    {
        foreach (GuestPath own in link.Private) _volumes.Show(own);
    }
}
