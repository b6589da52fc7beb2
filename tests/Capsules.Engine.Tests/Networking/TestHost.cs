using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Engine.Networking;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Xunit;

namespace Capsules.Engine.Tests.Networking;

/// <summary>
/// A host in a network namespace of its own, with one link called out (192.0.2.1/24) to a namespace outside (192.0.2.254, the host's
/// gateway). Nothing in here can reach the machine's own links, addresses or rules.
/// </summary>
internal sealed class TestHost : IDisposable
{
    private readonly string _directory;
    private readonly List<Descriptor> _spaces = [];

    public TestHost()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root: makes network namespaces");
        _directory = Directory.CreateTempSubdirectory("capsule-net-").FullName;
        Layout = new(_directory + "/state", _directory + "/run");
        (Space, Outside) = (CreateSpace(), CreateSpace());
        using var host = RouteSocket.Open(Space);
        using var outside = RouteSocket.Open(Outside);
        host.Apply(new RouteBatch().CreateVeth(new() { Name = "out", PeerName = "lan", PeerNamespace = Outside }));
        host.Apply(new RouteBatch().AddAddress(host.FindLink("out")!.Index, IPAddress.Parse("192.0.2.1"), 24));
        outside.Apply(new RouteBatch().ChangeLink("lan", new() { Up = true }).AddAddress(outside.FindLink("lan")!.Index, IPAddress.Parse("192.0.2.254"), 24));
        host.Apply(new RouteBatch().AddRoute(new() { IsIPv6 = false, Gateway = IPAddress.Parse("192.0.2.254") }));
    }

    public Descriptor Space { get; }
    public Descriptor Outside { get; }
    public StoreLayout Layout { get; }

    public Descriptor CreateSpace()
    {
        Descriptor space = NetworkNamespace.Create();
        _spaces.Add(space);
        using var route = RouteSocket.Open(space);
        route.Apply(new RouteBatch().ChangeLink(1, new() { Up = true }));
        return space;
    }

    /// <summary>Runs work on the host.</summary>
    public T On<T>(Func<StackNetwork, T> work) => NetworkNamespace.Inside(Space, () => work(new(Layout)));

    /// <summary>Claims and applies; the stack's namespace and its plan.</summary>
    public (Descriptor Space, IdentityPlan Plan) Start(IdentityRequest request)
    {
        Descriptor space = CreateSpace();
        return (space, On(network =>
        {
            using var rollback = new Rollback();
            IdentityPlan plan = network.Claim(request, rollback);
            network.Apply(plan.Network, space);
            rollback.Commit();
            return plan;
        }));
    }

    public void Stop(string stack) => On(network =>
    {
        network.Release(CapsuleName.Parse(stack));
        return 0;
    });

    public static Socket Listen(Descriptor space, int port) => NetworkNamespace.Inside(space, () =>
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, port));
        socket.Listen();
        return socket;
    });

    /// <summary>Connects; the client's address as the listener sees it, or null when nothing arrives.</summary>
    public static string? Connect(Descriptor from, string address, int port, Socket listener, int milliseconds = 2000)
    {
        using Socket client = NetworkNamespace.Inside(from, () => new Socket(IPAddress.Parse(address).AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        client.Blocking = false;
        try { client.Connect(IPAddress.Parse(address), port); }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress) { }
        catch (SocketException) { return null; }
        if (!listener.Poll(TimeSpan.FromMilliseconds(milliseconds), SelectMode.SelectRead)) return null;
        using Socket server = listener.Accept();
        if (!client.Poll(TimeSpan.FromMilliseconds(milliseconds), SelectMode.SelectWrite)) return null; // the answer found its way back, too
        IPAddress seen = ((IPEndPoint)server.RemoteEndPoint!).Address;
        return (seen.IsIPv4MappedToIPv6 ? seen.MapToIPv4() : seen).ToString();
    }

    public static string Run(Descriptor space, string program, params string[] arguments) => NetworkNamespace.Inside(space, () =>
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program}: {output}");
    });

    /// <summary>All that a stack could leave behind on the host.</summary>
    public string Picture() => Run(Space, "nft", "list", "ruleset") + Run(Space, "ip", "-o", "link") + Run(Space, "ip", "-o", "-4", "address") + Run(Space, "ip", "route");

    public void Dispose()
    {
        foreach (Descriptor space in _spaces) space.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}
