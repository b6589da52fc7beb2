using System.Collections.Immutable;
using System.Globalization;
using System.Net;

namespace Capsules.Core.Identities;

/// <summary>The -p option: a port of the host that leads to one of the stack.</summary>
/// <param name="HostAddress">The host's address that is meant; null for all.</param>
/// <param name="HostPort">Port on the host.</param>
/// <param name="GuestPort">Port in the stack.</param>
/// <param name="Protocol">tcp or udp.</param>
public sealed record PublishedPort(IPAddress? HostAddress, int HostPort, int GuestPort, string Protocol)
{
    /// <summary>Reads [ADDRESS:][HOST:]GUEST[/tcp|udp]; HOST and GUEST may be ranges of the same length, such as 8000-8003.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static ImmutableArray<PublishedPort> Parse(string text)
    {
        string rest = text, protocol = "tcp";
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        if (slash >= 0) (rest, protocol) = (rest[..slash], rest[(slash + 1)..]);
        if (protocol is not ("tcp" or "udp")) throw Bad();
        int last = rest.LastIndexOf(':');
        var guest = Range(rest[(last + 1)..]);
        var host = guest;
        IPAddress? address = null;
        if (last >= 0)
        {
            int before = rest.LastIndexOf(':', Math.Max(0, last - 1));
            host = Range(rest[(before + 1)..last]);
            if (before >= 0)
            {
                string written = rest[..before];
                if (written.StartsWith('[') != written.Contains(':', StringComparison.Ordinal)) throw Bad();
                if (!IPAddress.TryParse(written.Trim('[', ']'), out address)) throw Bad();
                if (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)) address = null;
            }
        }
        if (host.Count != guest.Count) throw Bad();
        return [.. Enumerable.Range(0, host.Count).Select(i => new PublishedPort(address, host.First + i, guest.First + i, protocol))];

        (int First, int Count) Range(string ports)
        {
            int dash = ports.IndexOf('-', StringComparison.Ordinal);
            int first = Port(dash < 0 ? ports : ports[..dash]), end = dash < 0 ? first : Port(ports[(dash + 1)..]);
            return end >= first ? (first, end - first + 1) : throw Bad();
        }

        int Port(string number) => ushort.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port != 0 ? port : throw Bad();

        FormatException Bad() => new($"'{text}' is not a port to publish: [ADDRESS:][HOST:]GUEST[/tcp|udp], such as 8080:80");
    }

    /// <summary>The option as it would be written.</summary>
    public override string ToString()
    {
        string address = HostAddress is null ? "" : HostAddress.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{HostAddress}]:" : $"{HostAddress}:";
        return $"{address}{HostPort}:{GuestPort}/{Protocol}";
    }
}
