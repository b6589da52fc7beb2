using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>Looks at the host's network: the facts from which identities are planned.</summary>
internal static class HostNetworkReader
{
    private const int Unicast = 1;

    /// <summary>Reads; changes nothing.</summary>
    public static HostNetworkFacts Read(StoreLayout layout, RouteSocket route, NftSocket nft, ImmutableArray<IdentityLease> leases, ImmutableArray<CapsuleName> running)
    {
        var links = route.Links();
        var names = links.ToDictionary(l => l.Index, l => l.Name);
        string NameOf(int index) => names.GetValueOrDefault(index, "");
        return new()
        {
            Links = [.. links.Select(l => new HostLink(l.Name, l.Kind, l.Address is { } a ? new MacAddress(a.Value) : null, l.IsUp, l.Mtu))],
            Addresses = [.. route.Addresses().Select(a => new HostAddress(NameOf(a.Link), new(a.Address, a.PrefixLength)))],
            Routes = [.. route.Routes().Where(r => r.Type == Unicast).Select(r => new HostRoute(r.Destination is { } to ? new InterfaceAddress(to, r.PrefixLength) : null, r.Gateway, NameOf(r.Link)))],
            Leases = leases,
            RunningStacks = running,
            LastPool = ReadPool(layout),
            ForwardChains = ReadForwardChains(nft),
            ResolvConf = TextOf("/etc/resolv.conf") ?? "",
            SystemdResolvConf = TextOf("/run/systemd/resolve/resolv.conf"),
            HostName = Environment.MachineName,
        };
    }

    /// <summary>The subnet of the bridge when it was made last, so that stacks find their addresses again after a reboot.</summary>
    public static AddressPool? ReadPool(StoreLayout layout)
    {
        try { return TextOf(PoolPath(layout)) is { } text ? new(InterfaceAddress.Parse(text.Trim())) : null; }
        catch (FormatException) { return null; } // a preference only: another pool is chosen, and written
    }

    /// <summary>Remembers it.</summary>
    public static void WritePool(StoreLayout layout, AddressPool pool)
    {
        if (ReadPool(layout) == pool) return;
        Directory.CreateDirectory(layout.State);
        WholeFile.Write(PoolPath(layout), Encoding.UTF8.GetBytes($"{pool.Gateway}\n"));
    }

    private static string PoolPath(StoreLayout layout) => layout.State + "/pool";

    private static ImmutableArray<ForwardChain> ReadForwardChains(NftSocket nft) =>
        [.. nft.Chains().Where(c => c.Table != CapsuleTable.Name && ((c.Hook == NftHook.Forward && c.Type == "filter") || c.Name == "DOCKER-USER"))
            .Select(c => new ForwardChain(c.Family switch { NftFamily.IPv4 => "ip", NftFamily.IPv6 => "ip6", _ => "inet" }, c.Table, c.Name, c.DropsByPolicy && c.Hook is not null))];

    private static string? TextOf(string path)
    {
        try { return FileCalls.ReadText(path); }
        catch (SyscallException) { return null; } // a host without the file: what it would say is not known
    }
}
