using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Sockets;

/// <summary>sd_notify(3): a datagram socket on which a service says READY=1.</summary>
public sealed class NotifySocket : IDisposable
{
    private readonly Descriptor _socket;
    private readonly string _file;

    private NotifySocket(Descriptor socket, string file, string variable) => (_socket, _file, Variable) = (socket, file, variable);

    /// <summary>NOTIFY_SOCKET=…, as the service sees it.</summary>
    public string Variable { get; }

    /// <summary>Makes the socket below a capsule's /run.</summary>
    /// <param name="run">The host's directory that is /run inside.</param>
    /// <param name="service">The service's name.</param>
    public static NotifySocket Open(string run, string service)
    {
        string name = $"capsule-notify-{service}";
        return new(UnixDatagram.Bind($"{run}/{name}"), $"{run}/{name}", $"NOTIFY_SOCKET=/run/{name}");
    }

    /// <summary>Whether READY=1 has come.</summary>
    public bool IsReady()
    {
        while (UnixDatagram.Receive(_socket) is { } message)
            if (Encoding.UTF8.GetString(message).Split('\n').Contains("READY=1")) return true;
        return false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();
        FileCalls.Remove(null, _file);
    }
}
