using System.Net;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Links;
using Capsules.Engine.Store;

namespace Capsules.Engine.Forwarding;

/// <summary>Who listens in the loopback network of a running capsule, as the kernel's tables say (proc(5)).</summary>
internal static class LoopbackSockets
{
    private const int Listens = 10, UnconnectedUdp = 7; // states of /proc/PID/net/tcp and udp

    /// <summary>Ports that are reached at 127.0.0.1 or ::1.</summary>
    public static IEnumerable<LoopbackPort> Ports(int init) =>
        Of(init, "tcp").Select(e => new LoopbackPort(e.Port, "tcp")).Concat(Of(init, "udp").Select(e => new LoopbackPort(e.Port, "udp"))).Distinct();

    /// <summary>Whether one of them is listened on.</summary>
    public static bool Has(int init, LoopbackPort port) => Of(init, port.Protocol).Any(e => e.Port == port.Number);

    /// <summary>The address at which a port is reached: 127.0.0.1, unless only ::1 is listened on.</summary>
    public static IPAddress AddressOf(int init, LoopbackPort port) =>
        Of(init, port.Protocol).Where(e => e.Port == port.Number).All(e => e.Address.Equals(IPAddress.IPv6Loopback)) ? IPAddress.IPv6Loopback : IPAddress.Loopback;

    private static IEnumerable<IPEndPoint> Of(int init, string protocol) => ((string[])[protocol, protocol + "6"])
        .SelectMany(table => SocketTable.Internet(SmallFiles.TryRead($"/proc/{init}/net/{table}") ?? []))
        .Where(s => s.State == (protocol == "tcp" ? Listens : UnconnectedUdp)).Select(s => s.Local)
        .Where(e => e.Address.Equals(IPAddress.Any) || e.Address.Equals(IPAddress.IPv6Any) || e.Address.Equals(IPAddress.Loopback) || e.Address.Equals(IPAddress.IPv6Loopback));
}
