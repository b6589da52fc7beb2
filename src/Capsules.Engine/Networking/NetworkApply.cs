using System.Net;
using System.Net.Sockets;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;
using Capsules.Linux.Nftables;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Networking;

/// <summary>Does the steps of a network plan, from top to bottom. What is inside the stack's namespace is gathered and sent together.</summary>
internal sealed class NetworkApply : IDisposable
{
    private readonly CapsuleName _stack;
    private readonly Descriptor _space;
    private readonly RouteSocket _host, _guest;
    private readonly NftSocket _nft;
    private readonly TimeSpan _probeTime;
    private readonly Dictionary<string, LinkStatus> _guestLinks = [];
    private RouteBatch _pending = new();
    private NetworkStep? _firstPending;

    public NetworkApply(CapsuleName stack, Descriptor space, RouteSocket host, NftSocket nft, TimeSpan probeTime)
    {
        (_stack, _space, _host, _nft, _probeTime) = (stack, space, host, nft, probeTime);
        _guest = RouteSocket.Open(space);
    }

    public void Run(IReadOnlyList<NetworkStep> steps)
    {
        for (int i = 0; i < steps.Count; i++)
        {
            NetworkStep step = steps[i];
            try
            {
                if (step is NetworkStep.Probe { Inside: true })
                {
                    int first = i;
                    while (i + 1 < steps.Count && steps[i + 1] is NetworkStep.Probe { Inside: true }) i++;
                    ProbeInside(steps.Skip(first).Take(i - first + 1).Cast<NetworkStep.Probe>());
                }
                else Do(step);
            }
            catch (SyscallException e) { throw new CapsuleException(ProblemOf(step, e), e); }
        }
        try { Flush(); }
        catch (SyscallException e) { throw new CapsuleException(ProblemOf(_firstPending ?? steps[^1], e), e); }
    }

    /// <inheritdoc/>
    public void Dispose() => _guest.Dispose();

    private void Do(NetworkStep step)
    {
        switch (step)
        {
            case NetworkStep.Bridge s: EnsureBridge(s); break;
            case NetworkStep.Forwarding s: HostSettings.Forward(s.IPv6, _host); break;
            case NetworkStep.Rules s:
                new CapsuleTable(_nft).Ensure(s.BridgeName);
                HostSettings.Write($"ipv4/conf/{s.BridgeName}/route_localnet", "1"); // 127.0.0.1 of the host may lead to a capsule
                break;
            case NetworkStep.Admission s: new Admissions(_nft).Ensure(s); break;
            case NetworkStep.GatewayAddress s: Tolerating(Errno.EEXIST, () => _host.Apply(new RouteBatch().AddAddress(IndexOf(s.BridgeName), s.Address.Address, s.Address.PrefixLength))); break;
            case NetworkStep.ProxyArp s:
                HostSettings.Write($"ipv4/neigh/{s.BridgeName}/proxy_delay", "0");
                HostSettings.Write($"ipv4/conf/{s.BridgeName}/proxy_arp", "1");
                break;
            case NetworkStep.HostRoute s: Tolerating(Errno.EEXIST, () => _host.Apply(new RouteBatch().AddRoute(RouteTo(s, IndexOf(s.BridgeName))))); break;
            case NetworkStep.Veth s:
                _host.Apply(new RouteBatch()
                    .CreateVeth(new() { Name = s.HostName, Master = IndexOf(s.BridgeName), PeerName = s.GuestName, PeerAddress = new(s.Mac.Value), PeerNamespace = _space, Mtu = s.Mtu })
                    .ChangeLink(s.HostName, new() { Alias = $"capsule:{_stack}" }));
                break;
            case NetworkStep.Macvlan s:
                _host.Apply(new RouteBatch().CreateMacvlan(new() { Name = s.GuestName, Parent = IndexOf(s.Parent), Address = new(s.Mac.Value), Namespace = _space, Mtu = s.Mtu }));
                break;
            case NetworkStep.GuestUp { Link: "lo" } s:
                HostSettings.WriteInside(_space, "ipv6/conf/default/accept_ra", "0"); // the addresses are the identity's, and no others
                Later(s, b => b.ChangeLink(1, new() { Up = true }));
                break;
            case NetworkStep.GuestUp s: Later(s, b => b.ChangeLink(GuestLink(s.Link).Index, new() { Up = true })); break;
            case NetworkStep.GuestAddress s: Later(s, b => b.AddAddress(GuestLink(s.Link).Index, s.Address.Address, s.Address.PrefixLength)); break;
            case NetworkStep.GuestRoute s:
                Later(s, b => b.AddRoute(new()
                {
                    IsIPv6 = !(s.Route.Gateway ?? s.Route.Destination?.Address ?? IPAddress.Any).IsIPv4(),
                    Destination = s.Route.Destination?.Address, PrefixLength = s.Route.Destination?.PrefixLength ?? 0,
                    Gateway = s.Route.Gateway, Link = GuestLink(s.Link).Index, Metric = s.Route.Metric ?? 0, OnLink = s.OnLink,
                }));
                break;
            case NetworkStep.Publish s: Publish(s); break;
            case NetworkStep.Announce s:
                Flush();
                AddressProbe.Announce(_space, GuestLink(s.Link), s.Address);
                break;
            case NetworkStep.Probe: break; // on the host's link: was done before the first effect
            default: throw new InvalidOperationException($"a step that nobody does: {step}");
        }
    }

    private void EnsureBridge(NetworkStep.Bridge step)
    {
        if (_host.FindLink(step.Name) is { } there)
        {
            if (there.Kind != "bridge") throw new SyscallException("bridge", step.Name, Errno.EEXIST, $"there is a {there.Kind ?? "network card"} of that name");
        }
        else _host.Apply(new RouteBatch().CreateBridge(step.Name, new(step.Mac.Value)));
        int index = IndexOf(step.Name);
        Tolerating(Errno.EEXIST, () => _host.Apply(new RouteBatch().AddAddress(index, step.Address.Address, step.Address.PrefixLength)));
    }

    private void ProbeInside(IEnumerable<NetworkStep.Probe> probes)
    {
        Flush();
        using var guard = new AddressGuard(_probeTime);
        foreach (NetworkStep.Probe probe in probes) guard.Ask(_space, GuestLink(probe.Link), probe.Address);
        guard.Check();
    }

    /// <summary>A program of the host that listens on the port would be cut off silently: that is refused here; another stack's port by the kernel.</summary>
    private void Publish(NetworkStep.Publish step)
    {
        IPAddress at = step.Port.HostAddress ?? (step.To.IsIPv4() ? IPAddress.Any : IPAddress.IPv6Any);
        bool udp = step.Port.Protocol == "udp";
        using (var socket = new Socket(at.AddressFamily, udp ? SocketType.Dgram : SocketType.Stream, udp ? ProtocolType.Udp : ProtocolType.Tcp))
        {
            try { socket.Bind(new IPEndPoint(at, step.Port.HostPort)); }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse) { throw new CapsuleException(Problems.PortTaken(step.Port.ToString(), "a program of this host listens there"), e); }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressNotAvailable) { } // an address that the host has not yet: the rule waits for it
        }
        var table = new CapsuleTable(_nft);
        try { table.Publish(_stack, step); }
        catch (SyscallException e) when (e.Errno == Errno.EEXIST && table.HolderOf(step) is { } holder && holder != _stack.ToString())
        {
            throw new CapsuleException(Problems.PortTaken(step.Port.ToString(), $"it leads to `{holder}`"), e);
        }
    }

    private void Later(NetworkStep step, Action<RouteBatch> add)
    {
        _firstPending ??= step;
        add(_pending);
    }

    private void Flush()
    {
        RouteBatch batch = _pending;
        _pending = new();
        _guest.Apply(batch);
        _firstPending = null;
    }

    private LinkStatus GuestLink(string name)
    {
        if (_guestLinks.TryGetValue(name, out LinkStatus? known)) return known;
        return _guestLinks[name] = _guest.FindLink(name) ?? throw new SyscallException("rtnetlink", name, Errno.ENODEV);
    }

    private int IndexOf(string name) => _host.FindLink(name)?.Index ?? throw new SyscallException("rtnetlink", name, Errno.ENODEV);

    internal static RouteStatus RouteTo(NetworkStep.HostRoute step, int link) =>
        new() { IsIPv6 = !step.Destination.IsIPv4(), Destination = step.Destination, PrefixLength = step.Destination.IsIPv4() ? 32 : 128, Link = link, Source = step.Source };

    private static Problem ProblemOf(NetworkStep step, SyscallException e) => (step, e.Errno) switch
    {
        (NetworkStep.Macvlan s, Errno.EADDRINUSE) => Problems.MacHeldByHost(s.Mac, s.Parent),
        _ => Problems.NetworkStepFailed(step.ToString(), e.Message),
    };

    private static void Tolerating(int errno, Action action)
    {
        try { action(); }
        catch (SyscallException e) when (e.Errno == errno) { } // another stack, or an earlier life of this one, has made it
    }
}
