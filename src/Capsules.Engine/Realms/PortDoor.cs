using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Realms;

/// <summary>The way to the relay of published ports: a socket on which it answers, and a fifo on which its guard waits to start it.</summary>
internal static class PortDoor
{
    private const int Attempts = 600, Pause = 10, KnockEvery = 100;

    /// <summary>Where its guard waits.</summary>
    public static string Fifo(StoreLayout layout) => layout.Run + "/ports";

    /// <summary>Where it answers.</summary>
    public static string SocketFile(StoreLayout layout) => layout.Run + "/ports.socket";

    /// <summary>By what a port is named between both.</summary>
    public static string NameOf(CapsuleName stack, NetworkStep.Publish step) => $"{stack} {step.Port} {step.To}";

    /// <summary>Opens the ports of a stack, whose record is written.</summary>
    /// <exception cref="CapsuleException">One of them could not be had.</exception>
    public static void Open(StoreLayout layout, NetworkPlan plan)
    {
        NetworkStep.Publish[] ports = [.. plan.Steps.OfType<NetworkStep.Publish>()];
        if (ports.Length == 0) return;
        string[] answer = Ask(layout, start: true)?.Split('\n') ?? throw new CapsuleException(Problems.PortNotRelayed(ports[0].Port.ToString(), "nobody answers for the ports of your realm"));
        foreach (NetworkStep.Publish step in ports)
        {
            string name = NameOf(plan.Stack, step), port = step.Port.ToString();
            if (answer.FirstOrDefault(l => l.StartsWith(name + '\t', StringComparison.Ordinal)) is not { } line) continue;
            int errno = int.Parse(line[(name.Length + 1)..], CultureInfo.InvariantCulture);
            throw new CapsuleException(errno switch
            {
                Errno.EADDRINUSE => Problems.PortTaken(port, "a program of this host listens there"),
                Errno.EACCES => Problems.PortOfRoot(port, answer[0]),
                _ => Problems.PortNotRelayed(port, Errno.Name(errno)),
            });
        }
    }

    /// <summary>The ports of a stack, whose record is gone, are closed when this returns.</summary>
    public static void Close(StoreLayout layout, NetworkPlan plan)
    {
        if (plan.Steps.Any(s => s is NetworkStep.Publish)) Ask(layout, start: false);
    }

    /// <summary>A byte for the guard: it starts the relay.</summary>
    public static void Knock(StoreLayout layout)
    {
        var (fifo, _) = FileCalls.TryOpenAt(null, Fifo(layout), OpenFlags.WriteOnly | OpenFlags.NonBlock);
        if (fifo is null) return; // no guard: the next command makes one
        using (fifo)
            try { FileCalls.Write(fifo, "k"u8, "ports"); }
            catch (SyscallException e) when (e.Errno is Errno.EAGAIN or Errno.EPIPE) { } // knocked often enough, or gone just now
    }

    /// <summary>What the relay answers when it has looked at all records; null when nobody does.</summary>
    private static string? Ask(StoreLayout layout, bool start)
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (TryAsk(layout) is { } answer) return answer;
            if (!start) return null;
            if (attempt % KnockEvery == 0) Knock(layout);
            Thread.Sleep(Pause);
        }
        return null;
    }

    private static string? TryAsk(StoreLayout layout)
    {
        if (FileCalls.TryStat(null, SocketFile(layout)) is null) return null;
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.ReceiveTimeout = 10_000;
            socket.Connect(new UnixDomainSocketEndPoint(SocketFile(layout)));
            var answer = new StringBuilder();
            byte[] buffer = new byte[4096];
            while (socket.Receive(buffer) is > 0 and var count) answer.Append(Encoding.UTF8.GetString(buffer, 0, count));
            return answer.Length > 0 ? answer.ToString() : null; // it went while it was asked
        }
        catch (SocketException) { return null; }
    }
}
