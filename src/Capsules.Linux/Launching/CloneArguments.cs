namespace Capsules.Linux.Launching;

/// <summary>struct clone_args of clone3(2), 88 bytes.</summary>
internal struct CloneArguments
{
    public const int Size = 88, ChildTidAt = 16, ParentTidAt = 24;

    public ulong Flags, PidFd, ChildTid, ParentTid, ExitSignal, Stack, StackSize, Tls, SetTid, SetTidSize, Cgroup;
}
