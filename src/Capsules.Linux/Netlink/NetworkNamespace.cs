using System.Runtime.ExceptionServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Netlink;

/// <summary>
/// network_namespaces(7). A socket stays bound to the namespace in which it was made: it is made inside, on a thread that is thrown away,
/// and used from anywhere.
/// </summary>
public static class NetworkNamespace
{
    private const nint CloneNewNet = 0x40000000;

    /// <summary>The network namespace of the calling thread.</summary>
    public static Descriptor Current() => FileCalls.Open("/proc/thread-self/ns/net", OpenFlags.ReadOnly);

    /// <summary>unshare(2): a new network namespace that lives as long as the descriptor (or a mount of it). Only a loopback link that is down is in it.</summary>
    public static Descriptor Create() => OnItsOwnThread(() =>
    {
        Native.Check(Native.Call(SyscallNumber.Unshare, CloneNewNet), "unshare", "network namespace");
        return Current();
    });

    /// <summary>setns(2): does <paramref name="work"/> inside, or where the caller is when the namespace is null. The work must start no thread and no task.</summary>
    public static T Inside<T>(Descriptor? networkNamespace, Func<T> work) => networkNamespace is null ? work() : OnItsOwnThread(() =>
    {
        Native.Check(Native.Call(SyscallNumber.Setns, networkNamespace.Number, CloneNewNet), "setns", "network namespace");
        return work();
    });

    private static T OnItsOwnThread<T>(Func<T> work)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try { result = work(); }
            catch (Exception e) { failure = ExceptionDispatchInfo.Capture(e); }
        }, 256 * 1024);
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result;
    }
}
