using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>
/// Shows a running capsule the /dev/shm of another stack over its own. It is below a file system that only the capsule has, so it is attached in the capsule's own mount
/// namespace; a process that has left that for one of its own keeps what it saw. The caller holds the capsule's lock.
/// </summary>
/// <param name="runner">Capsules and stacks.</param>
/// <param name="capsule">The capsule, which runs.</param>
internal sealed class MemoryOfOthers(CapsuleRunner runner, CapsuleRecord capsule)
{
    private const int MostCovers = 8; // one killed between the two steps of a change leaves one

    /// <summary>Whether that of a stack is seen.</summary>
    public bool IsOf(CapsuleName stack) => DeviceOf(stack) is { } device && Inside(seen => FileCalls.Stat(seen).Device == device);

    /// <summary>That of a stack which is up is seen.</summary>
    /// <exception cref="SyscallException">The kernel refused.</exception>
    public void Use(CapsuleName stack)
    {
        if (IsOf(stack)) return;
        using Descriptor memory = MountCalls.Clone(null, runner.Stacks.SharedMemoryOf(stack));
        Leave();
        Inside(seen =>
        {
            MountCalls.Attach(memory, seen, "");
            return true;
        });
    }

    /// <summary>Its stack's own is seen again.</summary>
    public void Leave()
    {
        ulong? own = DeviceOf(capsule.Stack);
        for (int covers = 0; covers < MostCovers; covers++)
            if (!Inside(seen =>
            {
                if (own is null || FileCalls.Stat(seen).Device == own) return false;
                return MountCalls.Detach(CapsuleSpecs.SharedMemory.ToNative()); // by name: /proc is the capsule's here, and does not know our descriptors
            })) return;
    }

    private ulong? DeviceOf(CapsuleName stack) => FileCalls.TryStat(null, runner.Stacks.SharedMemoryOf(stack)) is { IsDirectory: true } there ? there.Device : null;

    private T Inside<T>(Func<Descriptor, T> work)
    {
        int init = (runner.Running(capsule.Name) ?? throw new SyscallException("open", $"{capsule.Name}", Errno.ESRCH)).Init;
        using Descriptor space = FileCalls.Open($"/proc/{init}/ns/mnt", OpenFlags.ReadOnly);
        return Threads.InNamespace(space, NamespaceKinds.Mount, () =>
        {
            using Descriptor root = FileCalls.Open("/", OpenFlags.PathOnly | OpenFlags.Directory);
            using Descriptor seen = FileCalls.OpenResolved(root, CapsuleSpecs.SharedMemory.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoSymbolicLinks | ResolveFlags.NoMagicLinks);
            return work(seen);
        });
    }
}
