using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>
/// Where programs log by syslog(3). A daemon makes that socket anew whenever it starts, so that a link cannot show the socket itself: it shows the owner's /dev, in which
/// the socket is, and /dev/log of the capsule leads there (docs/adr/0037).
/// </summary>
public static class SystemLogPlace
{
    /// <summary>The socket.</summary>
    public static GuestPath Path { get; } = GuestPath.Parse("/dev/log");

    /// <summary>Where a capsule sees the directory of its owner's socket. Each has one of its own, because those of a stack have one /run.</summary>
    public static GuestPath OwnersDirectory(CapsuleName capsule) => GuestPath.Parse($"/run/capsule/log/{capsule}");
}
