using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>What is attached for a link.</summary>
public sealed partial class LinkRunner
{
    /// <summary>The links by which software is merged at a path, who wins first.</summary>
    private ImmutableArray<CapsuleLink> MergedAt(CapsuleRecord capsule, GuestPath path) => [.. CapsuleLink.ByPriority(capsule.Links).Where(l => l.Merge && store.Offered(l.Import)?.Path == path)];

    /// <summary>The owners' software among the capsule's own files; the owners need not run for it.</summary>
    private (Descriptor? Merged, string? Why) OpenMerged(CapsuleRecord capsule, ImmutableArray<CapsuleLink> links, GuestPath path) =>
        MergedSoftware.Make(_layout, _runner.Running(capsule.Name)!, [.. links.Select(l => store.Manifest(store.Get($"{l.Import.From}").Image).Layers)], path) is { } merged ? (merged, null) : (null, $"neither {string.Join(", ", links.Select(l => l.Import.From))} nor {capsule.Name} has {path}");

    /// <summary>A copy of the owner's mount: from its root when it runs, else of the directory on disk, through the owner's ids.</summary>
    private (Descriptor? Clone, string? Why) OpenSource(CapsuleRecord capsule, CapsuleRecord owner, GuestPath path)
    {
        if (_runner.Running(owner.Name) is not null)
        {
            using Descriptor root = FileCalls.Open(_layout.RunOf(owner.Name) + "/peer", OpenFlags.PathOnly | OpenFlags.Directory);
            var (at, errno) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
            if (at is null) return (null, errno == Errno.ENOENT ? $"{owner.Name} has no {path} yet" : $"{path} of {owner.Name}: {Errno.Name(errno)}");
            using (at) return (MountCalls.Clone(at, "", recursive: true), null);
        }
        ImmutableArray<StateVolume> volumes = owner.Folded(store.Manifest(owner.Image)).Volumes;
        if (volumes.FirstOrDefault(v => v.Kind == VolumeKind.Directory && path.IsWithin(v.Path)) is not { } volume || volumes.Any(v => v != volume && v.Path.IsWithin(path))) return (null, $"{owner.Name} does not run");
        using Descriptor data = FileCalls.Open(owner.PlaceOf(_layout, volume.Name), OpenFlags.PathOnly | OpenFlags.Directory);
        string below = path.ToString()[volume.Path.ToString().Length..].TrimStart('/');
        var (found, problem) = FileCalls.TryOpenResolved(data, below.Length == 0 ? "." : below, OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.Beneath | ResolveFlags.NoMagicLinks);
        if (found is null) return (null, $"{path} of {owner.Name}: {Errno.Name(problem)}");
        using (found)
        {
            Descriptor clone = MountCalls.Clone(found, "");
            if (Host.IsInitial) WithIdsOf(capsule, owner, ids => MountCalls.MapIds(clone, ids, path.ToString()));
            return (clone, null);
        }
    }

    private void WithIdsOf(CapsuleRecord capsule, CapsuleRecord owner, Action<Descriptor> work)
    {
        StackRecord stack = _runner.Stacks.Ensure(owner.Stack, store.Manifest(owner.Image).Identity);
        string pin = $"{_layout.RunOf(capsule.Name)}/ids.{Environment.ProcessId}.tmp";
        FileCalls.MakeNode(null, pin, FileKind.Regular, 0x180);
        try
        {
            NamespaceHolder.Make(NamespaceKinds.None, stack.UserMap, stack.GroupMap, null, _ => pin);
            using Descriptor ids = FileCalls.Open(pin, OpenFlags.ReadOnly);
            work(ids);
        }
        finally
        {
            MountCalls.Detach(pin);
            FileCalls.Remove(null, pin);
        }
    }
}
