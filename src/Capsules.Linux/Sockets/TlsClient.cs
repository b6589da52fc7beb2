using System.Collections.Immutable;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Capsules.Linux.Sockets;

/// <summary>TLS that could not be agreed on, or broke; in the words of the library.</summary>
public sealed class TlsException(string message) : Exception(message);

/// <summary>
/// A client of TLS on a connected socket, by the machine's OpenSSL 3 (ssl(7)). Nobody is to be convinced of whom the server is: certificates
/// are shown, and not judged. (The platform's SslStream is the same library with 3 MB of code around it.)
/// </summary>
public sealed unsafe partial class TlsClient : IDisposable
{
    private const int SetServerName = 55, ClearMode = 78, AutoRetry = 4, WantRead = 2, ZeroReturn = 6, SystemCall = 5; // SSL_CTRL_*, SSL_MODE_*, SSL_ERROR_* of openssl/ssl.h

    private readonly Socket _socket;
    private nint _context, _session;

    /// <summary>Whether the machine has the library, under the name that its package gives it.</summary>
    public static bool IsThere => NativeLibrary.TryLoad(Native.Ssl, out _) && NativeLibrary.TryLoad(Native.Crypto, out _);

    /// <summary>SSL_connect(3): agrees on keys. Reads of the socket that take longer than its time limit fail it.</summary>
    /// <param name="socket">The socket; it stays the caller's.</param>
    /// <param name="serverName">The name that is asked for (SNI); null for none.</param>
    /// <param name="protocols">The application protocols that are offered (ALPN).</param>
    /// <exception cref="TlsException">The server does not agree.</exception>
    public TlsClient(Socket socket, string? serverName, ImmutableArray<string> protocols)
    {
        _socket = socket;
        try
        {
            _context = Made(Native.SSL_CTX_new(Native.TLS_client_method()), "SSL_CTX_new");
            _session = Made(Native.SSL_new(_context), "SSL_new");
            Native.SSL_ctrl(_session, ClearMode, AutoRetry, 0); // a ticket alone is no reason to wait for more
            if (serverName is not null) Native.SSL_ctrl(_session, SetServerName, 0, serverName);
            byte[] offered = [.. protocols.Select(Encoding.ASCII.GetBytes).SelectMany(p => (byte[])[(byte)p.Length, .. p])];
            if (offered.Length > 0) _ = Native.SSL_set_alpn_protos(_session, offered, (uint)offered.Length);
            _ = Native.SSL_set_fd(_session, (int)socket.Handle);
            if (Native.SSL_connect(_session) != 1) throw Failure("SSL_connect");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>SSL_get0_alpn_selected(3): the application protocol that was agreed on; empty when none was.</summary>
    public string Protocol
    {
        get
        {
            Native.SSL_get0_alpn_selected(_session, out nint name, out uint length);
            return name == 0 ? "" : Marshal.PtrToStringUTF8(name, (int)length);
        }
    }

    /// <summary>SSL_get1_peer_certificate(3): the certificate that the server showed, DER; empty when it showed none.</summary>
    public byte[] Certificate
    {
        get
        {
            nint certificate = Native.SSL_get1_peer_certificate(_session);
            if (certificate == 0) return [];
            try
            {
                byte[] bytes = new byte[Math.Max(0, Native.i2d_X509(certificate, null))];
                fixed (byte* to = bytes) // filled during the call, which moves the pointer that it is given (d2i_X509(3))
                {
                    byte* at = to;
                    if (bytes.Length > 0) _ = Native.i2d_X509(certificate, &at);
                }
                return bytes;
            }
            finally { Native.X509_free(certificate); }
        }
    }

    /// <summary>SSL_write(3): says all of it.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        if (Native.SSL_write(_session, bytes, bytes.Length) != bytes.Length) throw Failure("SSL_write");
    }

    /// <summary>SSL_read(3): what came; 0 when the server has closed, -1 when nothing for the reader came in time.</summary>
    public int Receive(Span<byte> buffer, TimeSpan patience)
    {
        if (!HasMore && !_socket.Poll(patience, SelectMode.SelectRead)) return -1;
        int count = Native.SSL_read(_session, buffer, buffer.Length);
        if (count > 0) return count;
        int error = Native.SSL_get_error(_session, count);
        if (error == WantRead) return -1;
        if (error is ZeroReturn or SystemCall) return 0;
        string text = Text();
        return text.Contains("unexpected eof", StringComparison.Ordinal) ? 0 : throw new TlsException($"SSL_read: {text}"); // closed without a word
    }

    /// <summary>SSL_pending(3): more is there already.</summary>
    public bool HasMore => Native.SSL_pending(_session) > 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_session != 0) Native.SSL_free(_session);
        if (_context != 0) Native.SSL_CTX_free(_context);
        (_session, _context) = (0, 0);
    }

    private static nint Made(nint made, string call) => made != 0 ? made : throw new TlsException($"{call}: {Text()}");

    private static TlsException Failure(string call) => new($"{call}: {Text()}");

    /// <summary>ERR_get_error(3): the first thing that went wrong on this thread; the rest is forgotten.</summary>
    private static string Text()
    {
        ulong code = Native.ERR_get_error();
        if (code == 0) return "the connection was closed";
        byte[] text = new byte[256];
        Native.ERR_error_string_n(code, text, (nuint)text.Length);
        Native.ERR_clear_error();
        return Encoding.UTF8.GetString(text).TrimEnd('\0').Split(':')[^1];
    }

    private static partial class Native
    {
        internal const string Ssl = "libssl.so.3", Crypto = "libcrypto.so.3";

        [LibraryImport(Ssl)] internal static partial nint TLS_client_method();
        [LibraryImport(Ssl)] internal static partial nint SSL_CTX_new(nint method);
        [LibraryImport(Ssl)] internal static partial void SSL_CTX_free(nint context);
        [LibraryImport(Ssl)] internal static partial nint SSL_new(nint context);
        [LibraryImport(Ssl)] internal static partial void SSL_free(nint session);
        [LibraryImport(Ssl)] internal static partial nint SSL_ctrl(nint session, int command, nint number, nint argument);
        [LibraryImport(Ssl, StringMarshalling = StringMarshalling.Utf8)] internal static partial nint SSL_ctrl(nint session, int command, nint number, string argument);
        [LibraryImport(Ssl)] internal static partial int SSL_set_alpn_protos(nint session, byte[] protocols, uint length);
        [LibraryImport(Ssl)] internal static partial int SSL_set_fd(nint session, int descriptor);
        [LibraryImport(Ssl)] internal static partial int SSL_connect(nint session);
        [LibraryImport(Ssl)] internal static partial int SSL_read(nint session, Span<byte> buffer, int length);
        [LibraryImport(Ssl)] internal static partial int SSL_write(nint session, ReadOnlySpan<byte> buffer, int length);
        [LibraryImport(Ssl)] internal static partial int SSL_pending(nint session);
        [LibraryImport(Ssl)] internal static partial int SSL_get_error(nint session, int result);
        [LibraryImport(Ssl)] internal static partial void SSL_get0_alpn_selected(nint session, out nint name, out uint length);
        [LibraryImport(Ssl)] internal static partial nint SSL_get1_peer_certificate(nint session);
        [LibraryImport(Crypto)] internal static partial int i2d_X509(nint certificate, byte** place);
        [LibraryImport(Crypto)] internal static partial void X509_free(nint certificate);
        [LibraryImport(Crypto)] internal static partial ulong ERR_get_error();
        [LibraryImport(Crypto)] internal static partial void ERR_clear_error();
        [LibraryImport(Crypto)] internal static partial void ERR_error_string_n(ulong code, byte[] text, nuint length);
    }
}
