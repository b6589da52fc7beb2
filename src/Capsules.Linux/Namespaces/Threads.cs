using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Linux.Namespaces;

/// <summary>
/// Work on a thread that is thrown away afterwards, because it changed what the other threads share. A thread that is started from such
/// work would be born into the changed namespaces and live on there, and the thread pool starts its workers from whoever asks: no Task,
/// no async, no timer in there.
/// </summary>
public static class Threads
{
    /// <summary>
    /// unshare(2) of CLONE_FS and CLONE_NEWNS: the thread has its own mount namespace, from which nothing propagates out; what is mounted
    /// outside still arrives. umask is 0 there (it belongs to the file-system context, so only this thread's changes).
    /// </summary>
    public static T InPrivateMountNamespace<T>(Func<PrivateMountNamespace, T> work) => Run(() =>
    {
        using Descriptor outside = FileCalls.Open(OwnMountNamespace, OpenFlags.ReadOnly);
        Native.Check(Native.Call(SyscallNumber.Unshare, (nint)((uint)CloneFlags.FileSystem | (uint)NamespaceKinds.Mount)), "unshare", "mount namespace");
        MountCalls.SetPropagationOfAll(Propagation.Private);
        Native.Call(SyscallNumber.Umask, 0);
        using Descriptor inside = FileCalls.Open(OwnMountNamespace, OpenFlags.ReadOnly);
        return work(new PrivateMountNamespace(outside, inside));
    });

    private const string OwnMountNamespace = "/proc/thread-self/ns/mnt";

    /// <summary>The way out of a private mount namespace and back, for a mount that has to appear outside.</summary>
    public readonly struct PrivateMountNamespace(Descriptor outside, Descriptor inside)
    {
        /// <summary>Does a part of the work in the mount namespace from which the thread came. Root and working directory are that namespace's root.</summary>
        public T Outside<T>(Func<T> part)
        {
            Enter(outside, NamespaceKinds.Mount, "mount namespace");
            try { return part(); }
            finally { Enter(inside, NamespaceKinds.Mount, "mount namespace"); }
        }
    }

    /// <summary>setns(2): the thread works in other namespaces, given by their files in /proc/PID/ns or where they are pinned. Not for PID and user namespaces.</summary>
    public static T InNamespace<T>(Descriptor space, NamespaceKinds kind, Func<T> work) => Run(() =>
    {
        if (kind.HasFlag(NamespaceKinds.Mount)) Native.Check(Native.Call(SyscallNumber.Unshare, (nint)(uint)CloneFlags.FileSystem), "unshare", "file-system context");
        Enter(space, kind, kind.ToString());
        return work();
    });

    /// <summary>
    /// The thread works in another mount namespace, in one of its directories, as a user without capabilities: setresuid(2) and its like are per thread when they
    /// are called so. Numbers are those of our own user namespace; umask is 0 there.
    /// </summary>
    public static unsafe T InMountNamespaceAs<T>(Descriptor space, NativePath directory, uint uid, uint gid, ReadOnlySpan<uint> groups, Func<T> work)
    {
        uint[] all = groups.ToArray();
        return InNamespace(space, NamespaceKinds.Mount, () =>
        {
            Native.Call(SyscallNumber.Umask, 0);
            ChangeDirectory(directory); // as ourselves: what the user may do there is for the work to see
            fixed (uint* list = all) Native.Check(Native.Call(SyscallNumber.Setgroups, all.Length, (nint)list), "setgroups", "");
            Native.Check(Native.Call(SyscallNumber.Setresgid, (nint)gid, (nint)gid, (nint)gid), "setresgid", $"{gid}");
            Native.Check(Native.Call(SyscallNumber.Setresuid, (nint)uid, (nint)uid, (nint)uid), "setresuid", $"{uid}");
            // A user who is root of our own namespace keeps capabilities otherwise: capset(2), version 3 has two words of each set.
            uint* head = stackalloc uint[] { 0x20080522, 0 };
            uint* none = stackalloc uint[6];
            new Span<uint>(none, 6).Clear();
            Native.Check(Native.Call(SyscallNumber.Capset, (nint)head, (nint)none), "capset", "");
            return work();
        });
    }

    /// <summary>setns(2) of the calling thread.</summary>
    internal static void Enter(Descriptor space, NamespaceKinds kind, string subject) => Native.Check(Native.Call(SyscallNumber.Setns, space.Number, (nint)(uint)kind), "setns", subject);

    /// <summary>
    /// setfsuid(2) and setfsgid(2) for a while, capabilities kept; all three are per thread. Needed to mount an overlay whose upper layer
    /// is idmapped: the mounter must be somebody whom the map knows, or the overlay is silently read-only.
    /// </summary>
    /// <param name="uid">The user.</param>
    /// <param name="gid">The group.</param>
    /// <param name="work">What is done meanwhile.</param>
    /// <param name="ownRights">Without our capabilities over files, which setfsuid(2) takes away otherwise: for what is done where the user could have put another's directory.</param>
    public static T WithFileSystemIds<T>(uint uid, uint gid, Func<T> work, bool ownRights = false)
    {
        const int setSecureBits = 28, noSetuidFixup = 4; // PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP
        if (!ownRights) Native.Check(Native.Call(SyscallNumber.Prctl, setSecureBits, noSetuidFixup), "prctl", "SECBIT_NO_SETUID_FIXUP");
        Native.Call(SyscallNumber.Setfsgid, (nint)gid);
        Native.Call(SyscallNumber.Setfsuid, (nint)uid);
        try { return work(); }
        finally
        {
            Native.Call(SyscallNumber.Setfsuid, 0);
            Native.Call(SyscallNumber.Setfsgid, 0);
            Native.Check(Native.Call(SyscallNumber.Prctl, setSecureBits, 0), "prctl", "secure bits");
        }
    }

    /// <summary>chdir(2) for a while, and then to /. Only in the work of <see cref="InPrivateMountNamespace"/>, whose file-system context is its own.</summary>
    public static T InDirectory<T>(NativePath directory, Func<T> work)
    {
        ChangeDirectory(directory);
        try { return work(); }
        finally { ChangeDirectory("/"); }
    }

    private static unsafe void ChangeDirectory(NativePath directory)
    {
        fixed (byte* path = directory.Terminated) Native.Check(Native.Call(SyscallNumber.Chdir, (nint)path), "chdir", directory);
    }

    /// <summary>
    /// pthread_create(3) and pthread_join(3). A thread of the framework's would cost more: whoever starts one turns in a circle of
    /// sched_yield(2) until it runs, which on a busy machine is a tenth of a launch.
    /// </summary>
    private static unsafe T Run<T>(Func<T> work)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        Action all = () =>
        {
            try { result = work(); }
            catch (Exception e) { failure = ExceptionDispatchInfo.Capture(e); }
        };
        var handle = GCHandle.Alloc(all);
        try
        {
            nuint thread;
            int errno = Native.pthread_create(&thread, null, &Enter, (void*)GCHandle.ToIntPtr(handle));
            if (errno != 0) throw new SyscallException("pthread_create", "", errno);
            errno = Native.pthread_join(thread, null);
            if (errno != 0) throw new SyscallException("pthread_join", "", errno);
        }
        finally { handle.Free(); }
        failure?.Throw();
        return result;
    }

    [UnmanagedCallersOnly]
    private static unsafe void* Enter(void* argument)
    {
        ((Action)GCHandle.FromIntPtr((nint)argument).Target!)();
        return null;
    }
}
