using System.Text;
using Capsules.Linux.Files;

namespace Capsules.Linux.Sockets;

/// <summary>sd_notify(3): a datagram socket on which a service says READY=1.</summary>
public sealed unsafe class NotifySocket : IDisposable
{
    private const int Unix = 1, Datagram = 2, CloseOnExec = 0x80000, NonBlocking = 0x800;
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
        string file = $"{run}/{name}";
        FileCalls.Remove(null, file);
        var socket = new Descriptor(Native.Check(Native.socket(Unix, Datagram | CloseOnExec | NonBlocking, 0), "socket", "unix"));
        byte[] path = Encoding.UTF8.GetBytes(file);
        if (path.Length > 107) throw new SyscallException("bind", file, Errno.ENAMETOOLONG);
        byte* address = stackalloc byte[110]; // struct sockaddr_un
        *(ushort*)address = Unix;
        path.CopyTo(new Span<byte>(address + 2, 107));
        Native.Check(Native.bind(socket.Number, address, (uint)(3 + path.Length)), "bind", file);
        FileCalls.ChangeMode(null, file, 0x1B6); // services run under other users
        return new(socket, file, $"NOTIFY_SOCKET=/run/{name}");
    }

    /// <summary>Whether READY=1 has come.</summary>
    public bool IsReady()
    {
        byte* buffer = stackalloc byte[4096];
        while (true)
        {
            nint length = Native.recvfrom(_socket.Number, buffer, 4096, 0, null, null);
            if (Native.Interrupted(length)) continue;
            if (length < 0) return false; // EAGAIN: nothing yet
            if (Encoding.UTF8.GetString(new ReadOnlySpan<byte>(buffer, (int)length)).Split('\n').Contains("READY=1")) return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();
        FileCalls.Remove(null, _file);
    }
}
