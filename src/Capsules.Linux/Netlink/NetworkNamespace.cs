using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;

namespace Capsules.Linux.Netlink;

/// <summary>
/// network_namespaces(7). A socket stays bound to the namespace in which it was made: it is made inside, by a thread that comes back at
/// once, and used from anywhere. The namespace is the thread's own; no other thread changes with it.
/// </summary>
public static class NetworkNamespace
{
    /// <summary>The network namespace of the calling thread.</summary>
    public static Descriptor Current() => FileCalls.Open("/proc/thread-self/ns/net", OpenFlags.ReadOnly);

    /// <summary>unshare(2): a new network namespace that lives as long as the descriptor (or a mount of it). Only a loopback link that is down is in it.</summary>
    public static Descriptor Create() => AndBack(() =>
    {
        Native.Check(Native.Call(SyscallNumber.Unshare, (nint)(uint)NamespaceKinds.Network), "unshare", "network namespace");
        return Current();
    });

    /// <summary>setns(2): does <paramref name="work"/> inside, or where the caller is when the namespace is null. The work must start no thread and no task: they would stay inside.</summary>
    public static T Inside<T>(Descriptor? networkNamespace, Func<T> work) => networkNamespace is null ? work() : AndBack(() =>
    {
        Enter(networkNamespace);
        return work();
    });

    private static T AndBack<T>(Func<T> work)
    {
        using Descriptor before = Current();
        try { return work(); }
        finally
        {
            try { Enter(before); }
            catch (SyscallException e) { Environment.FailFast($"this thread cannot leave a network namespace that it entered: {e.Message}"); } // what it does next would be done to a capsule
        }
    }

    private static void Enter(Descriptor space) => Threads.Enter(space, NamespaceKinds.Network, "network namespace");
}
