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

    /// <summary>Makes the socket in a directory that the capsule sees, read-only: in one that its root can write, a link in the socket's place would lead us astray.</summary>
    /// <param name="directory">The directory on the host.</param>
    /// <param name="inside">The same directory as the service sees it.</param>
    /// <param name="service">The service's name.</param>
    public static NotifySocket Open(string directory, string inside, string service) => new(UnixDatagram.Bind($"{directory}/{service}"), $"{directory}/{service}", $"NOTIFY_SOCKET={inside}/{service}");

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
