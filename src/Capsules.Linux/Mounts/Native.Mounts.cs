namespace Capsules.Linux;

internal static unsafe partial class Native
{
    /// <summary>struct mount_attr of mount_setattr(2), 32 bytes.</summary>
    internal struct MountAttributeRequest { public ulong Set, Clear, Propagation, UserNamespace; }
}
