using System.Net;
using System.Net.Sockets;
using Capsules.Core.Verifying.Tls;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Verifying;

/// <summary>A connection on which a recorded client's words are said again: plain at first, TLS from where the client changed over.</summary>
internal sealed class ReplayLine : IDisposable
{
    private readonly Socket _socket;
    private TlsClient? _tls;

    /// <summary>Connects, in the network of the calling thread.</summary>
    public ReplayLine(IPEndPoint to)
    {
        _socket = new(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try { _socket.Connect(to); }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>The certificate that the server showed, DER; empty before TLS.</summary>
    public byte[] Certificate => _tls?.Certificate ?? [];

    /// <summary>The application protocol that was agreed on; empty when none was.</summary>
    public string Protocol => _tls?.Protocol ?? "";

    /// <summary>Changes over to TLS, asking for what the recorded client asked for.</summary>
    public void ChangeOver(TlsFacts recorded, int patience)
    {
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReceiveTimeout, patience);
        _tls = new(_socket, recorded.ServerName, recorded.Offered);
    }

    /// <summary>Says something.</summary>
    public void Say(ReadOnlySpan<byte> words)
    {
        if (_tls is not null) _tls.Send(words);
        else
            for (int sent = 0; sent < words.Length;) sent += _socket.Send(words[sent..]);
    }

    /// <summary>Hears what comes next; 0 when the server has closed, -1 when nothing came in time.</summary>
    public int Hear(Span<byte> buffer, TimeSpan patience) =>
        _tls is not null ? _tls.Receive(buffer, patience)
        : _socket.Poll(patience, SelectMode.SelectRead) ? _socket.Receive(buffer)
        : -1;

    /// <summary>More is there already.</summary>
    public bool HasMore => _tls is { HasMore: true } || _socket.Available > 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        _tls?.Dispose();
        _socket.Dispose();
    }
}
