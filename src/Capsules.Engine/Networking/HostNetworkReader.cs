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
    /// <param name="layout">Where records are.</param>
    /// <param name="kernel">Sockets to ask about links, routes and rules; null when the network will have none, and the answers would not matter.</param>
    /// <param name="leases">Who holds what.</param>
    /// <param name="running">Stacks that are up.</param>
    public static HostNetworkFacts Read(StoreLayout layout, (RouteSocket Route, NftSocket Nft)? kernel, ImmutableArray<IdentityLease> leases, ImmutableArray<CapsuleName> running)
    {
        var facts = new HostNetworkFacts
        {
            Leases = leases,
            RunningStacks = running,
            LastPool = ReadPool(layout),
            ResolvConf = TextOf("/etc/resolv.conf") ?? "",
            SystemdResolvConf = TextOf("/run/systemd/resolve/resolv.conf"),
            HostName = Environment.MachineName,
        };
        if (kernel is not var (route, nft)) return facts;
        var links = route.Links();
        var names = links.ToDictionary(l => l.Index, l => l.Name);
        string NameOf(int index) => names.GetValueOrDefault(index, "");
        var routes = ImmutableArray.CreateBuilder<HostRoute>();
        foreach (RouteStatus r in route.Routes())
            if (r.Type == Unicast) routes.Add(new(r.Destination is { } to ? new InterfaceAddress(to, r.PrefixLength) : null, r.Gateway, NameOf(r.Link)));
        return facts with
        {
            Links = [.. links.Select(l => new HostLink(l.Name, l.Kind, l.Address is { } a ? new MacAddress(a.Value) : null, l.IsUp, l.Mtu))],
            Addresses = [.. route.Addresses().Select(a => new HostAddress(NameOf(a.Link), new(a.Address, a.PrefixLength)))],
            Routes = routes.ToImmutable(),
            ForwardChains = ReadForwardChains(nft),
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
        SmallFiles.Write(PoolPath(layout), Encoding.UTF8.GetBytes($"{pool.Gateway}\n"), durable: false);
    }

    private static string PoolPath(StoreLayout layout) => layout.State + "/pool";

    private static ImmutableArray<ForwardChain> ReadForwardChains(NftSocket nft)
    {
        var chains = ImmutableArray.CreateBuilder<ForwardChain>();
        foreach (var c in nft.Chains())
            if (c.Table != CapsuleTable.Name && ((c.Hook == NftHook.Forward && c.Type == "filter") || c.Name == "DOCKER-USER"))
                chains.Add(new(c.Family switch { NftFamily.IPv4 => "ip", NftFamily.IPv6 => "ip6", _ => "inet" }, c.Table, c.Name, c.DropsByPolicy && c.Hook is not null));
        return chains.ToImmutable();
    }

    private static string? TextOf(string path)
    {
        try { return FileCalls.ReadText(path); }
        catch (SyscallException) { return null; } // a host without the file: what it would say is not known
    }
}
