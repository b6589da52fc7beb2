namespace Capsules.Linux.Namespaces;

/// <summary>CLONE_NEW*: kinds of namespaces (clone(2), namespaces(7)).</summary>
[Flags]
public enum NamespaceKinds : uint
{
    None = 0, Time = 0x80, Mount = 0x20000, Cgroup = 0x2000000, Uts = 0x4000000, Ipc = 0x8000000, User = 0x10000000, Pid = 0x20000000, Network = 0x40000000,
}

/// <summary>CLONE_*: the other flags of clone3(2) and unshare(2) that are used here.</summary>
[Flags]
public enum CloneFlags : ulong
{
    None = 0, FileSystem = 0x200, Parent = 0x8000, ParentSetTid = 0x100000, ChildSetTid = 0x1000000,
}
