using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Capsules.Linux.Netlink;
using Xunit;

namespace Capsules.Linux.Tests;

/// <summary>Network namespaces for tests: nothing in here can reach the machine's own links, addresses or rules.</summary>
internal static class PrivateNetwork
{
    /// <summary>A namespace with its loopback up. Skips the test when it may not be made.</summary>
    public static Descriptor Create()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root: makes network namespaces");
        Descriptor space = NetworkNamespace.Create();
        using var route = RouteSocket.Open(space);
        route.Apply(new RouteBatch().ChangeLink(1, new() { Up = true }));
        return space;
    }

    /// <summary>Two namespaces joined by a veth pair; the links are called near and far and have these addresses.</summary>
    public static (Descriptor Near, Descriptor Far) CreatePair(string near, string far, int prefixLength = 24)
    {
        var (a, b) = (Create(), Create());
        using var routeA = RouteSocket.Open(a);
        using var routeB = RouteSocket.Open(b);
        routeA.Apply(new RouteBatch().CreateVeth(new() { Name = "near", PeerName = "far", PeerNamespace = b }));
        routeA.Apply(new RouteBatch().AddAddress(routeA.FindLink("near")!.Index, IPAddress.Parse(near), prefixLength));
        routeB.Apply(new RouteBatch().ChangeLink("far", new() { Up = true }).AddAddress(routeB.FindLink("far")!.Index, IPAddress.Parse(far), prefixLength));
        return (a, b);
    }

    /// <summary>A listener inside; it tells each client from where it came.</summary>
    public static Socket Listen(Descriptor space, int port) => NetworkNamespace.Inside(space, () =>
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, port));
        socket.Listen();
        return socket;
    });

    /// <summary>Connects from inside <paramref name="from"/>; the client's address as <paramref name="listener"/> sees it, or null when there is no answer.</summary>
    public static string? Connect(Descriptor from, string address, int port, Socket listener)
    {
        using Socket client = NetworkNamespace.Inside(from, () => new Socket(IPAddress.Parse(address).AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        client.Blocking = false;
        try { client.Connect(IPAddress.Parse(address), port); }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress) { }
        catch (SocketException) { return null; }
        if (!listener.Poll(TimeSpan.FromSeconds(2), SelectMode.SelectRead)) return null;
        using Socket server = listener.Accept();
        IPAddress seen = ((IPEndPoint)server.RemoteEndPoint!).Address;
        return (seen.IsIPv4MappedToIPv6 ? seen.MapToIPv4() : seen).ToString();
    }

    /// <summary>Runs a program inside and gives what it printed.</summary>
    public static string Run(Descriptor space, string program, params string[] arguments) => NetworkNamespace.Inside(space, () =>
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program}: {output}");
    });
}
