using Capsules.Linux.Files;

namespace Capsules.Linux.Namespaces;

/// <summary>What user namespaces say about themselves (user_namespaces(7), ioctl_ns(2)).</summary>
public static class UserNamespaces
{
    private const ulong EveryId = 4294967295;

    /// <summary>The map of users of the calling process's namespace.</summary>
    public static List<IdExtent> OwnMap() => IdMaps.Parse(FileCalls.ReadText("/proc/self/uid_map"));

    /// <summary>Whether a map is that of the initial user namespace: every id is itself.</summary>
    public static bool IsInitial(IReadOnlyList<IdExtent> map) => map is [{ Inside: 0, Outside: 0, Count: var count }] && count == EveryId;

    /// <summary>NS_GET_PARENT: the user namespace above; null when that is not ours to see.</summary>
    public static Descriptor? ParentOf(Descriptor userNamespace)
    {
        nint number = Native.Call(SyscallNumber.Ioctl, userNamespace.Number, 0xB702);
        return number < 0 ? null : new Descriptor((int)number);
    }
}
