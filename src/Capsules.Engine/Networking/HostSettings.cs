using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;

namespace Capsules.Engine.Networking;

/// <summary>sysctl(8) below net/: settings of the network namespace of the thread that writes them.</summary>
internal static class HostSettings
{
    private const int FromRouterAdvertisement = 9;

    /// <summary>Lets the host pass packets on.</summary>
    public static void Forward(bool ipv6, RouteSocket host)
    {
        if (Read("ipv4/ip_forward") != "1") Write("ipv4/ip_forward", "1");
        if (!ipv6 || Read("ipv6/conf/all/forwarding") is null or "1") return;
        // A host that forwards takes no router advertisements unless told to (ip-sysctl, accept_ra): it would lose its own default route.
        foreach (int index in host.Routes().Where(r => r.IsIPv6 && r.Protocol == FromRouterAdvertisement).Select(r => r.Link).Distinct())
            if (host.Links().FirstOrDefault(l => l.Index == index) is { } link && Read($"ipv6/conf/{link.Name}/accept_ra") == "1") Write($"ipv6/conf/{link.Name}/accept_ra", "2");
        Write("ipv6/conf/all/forwarding", "1");
    }

    /// <summary>Writes a setting.</summary>
    public static void Write(string name, string value) => FileCalls.WriteText("/proc/sys/net/" + name, value);

    /// <summary>Writes settings of another namespace, where it has them (a kernel may lack IPv6).</summary>
    public static void WriteInside(Descriptor networkNamespace, params (string Name, string Value)[] settings) => NetworkNamespace.Inside(networkNamespace, () =>
    {
        foreach (var (name, value) in settings)
            if (FileCalls.TryStat(null, "/proc/sys/net/" + name) is not null) Write(name, value);
        return true;
    });

    private static string? Read(string name)
    {
        try { return FileCalls.ReadText("/proc/sys/net/" + name).Trim(); }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return null; }
    }
}
