using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>Takes away what steps made, from bottom to top. Each step may have been made or not; what lies inside the namespace goes with it.</summary>
internal sealed class NetworkUndo(CapsuleName stack, RouteSocket host, NftSocket nft)
{
    public void Run(IEnumerable<NetworkStep> steps)
    {
        foreach (NetworkStep step in steps.Reverse())
            switch (step)
            {
                case NetworkStep.Publish s: new CapsuleTable(nft).Withdraw(stack, s); break;
                case NetworkStep.HostRoute s: WithLink(s.BridgeName, link => Without([Errno.ESRCH], () => host.Apply(new RouteBatch().RemoveRoute(NetworkApply.RouteTo(s, link.Index))))); break;
                case NetworkStep.Veth s: WithLink(s.HostName, link => Without([Errno.ENODEV], () => host.Apply(new RouteBatch().DeleteLink(link.Index)))); break;
                case NetworkStep.GatewayAddress s: WithLink(s.BridgeName, link => Without([99 /* EADDRNOTAVAIL */], () => host.Apply(new RouteBatch().RemoveAddress(link.Index, s.Address.Address, s.Address.PrefixLength)))); break;
                case NetworkStep.ProxyArp s: WithLink(s.BridgeName, _ => HostSettings.Write($"ipv4/conf/{s.BridgeName}/proxy_arp", "0")); break;
                case NetworkStep.Admission s: new Admissions(nft).Remove(s); break;
                case NetworkStep.Rules: new CapsuleTable(nft).Remove(); break;
                case NetworkStep.Bridge s: RemoveBridge(s.Name); break;
            }
    }

    /// <summary>The bridge goes with its last port; somebody else's port on it keeps it.</summary>
    public bool RemoveBridge(string name)
    {
        if (host.FindLink(name) is not { Kind: "bridge" } bridge || host.Links().Any(l => l.Master == bridge.Index)) return false;
        host.Apply(new RouteBatch().DeleteLink(bridge.Index));
        return true;
    }

    private void WithLink(string name, Action<LinkStatus> action)
    {
        if (host.FindLink(name) is { } link) action(link);
    }

    private static void Without(int[] expected, Action action)
    {
        try { action(); }
        catch (SyscallException e) when (expected.Contains(e.Errno)) { } // was never made, or is gone already
    }
}
