using Capsules.Core.Verifying.Traffic;

namespace Capsules.Core.Verifying.Tls;

/// <summary>One recorded connection of TLS 1.2 (RFC 5246) or 1.3 (RFC 8446): records in, what was said in them out.</summary>
internal sealed class TlsSession(KeyLog keys) : IDisposable
{
    private const int ChangeCipherSpec = 20, Alert = 21, Handshake = 22, ApplicationData = 23; // kinds of records
    private const int ClientHello = 1, ServerHello = 2, EncryptedExtensions = 8, Certificate = 11, Finished = 20, KeyUpdate = 24; // messages of the handshake
    private const int Version12 = 0x0303, Version13 = 0x0304, Header = 5, LongestRecord = (16 << 10) + 2048, LongestMessage = 256 << 10;

    private readonly Half _client = new(), _server = new();
    private TlsHello? _asked;
    private TlsSuite? _suite;
    private int _version;
    private byte[]? _serverRandom;
    private byte[] _certificate = [];
    private string _protocol = "";

    /// <summary>What was said, in its order.</summary>
    public Exchange Said { get; } = new();

    /// <summary>What was agreed on after so many plain turns.</summary>
    public TlsFacts Facts(int turns) => new() { Turns = turns, ServerName = _asked?.ServerName, Offered = _asked?.ApplicationProtocols ?? [], Protocol = _protocol, Certificate = _certificate };

    /// <summary>What keeps it from being read, in words; the handshake says it.</summary>
    public sealed class Unreadable(string why, string? fix = null) : Exception(why)
    {
        public string? Fix => fix;
    }

    /// <summary>Takes more of one direction.</summary>
    /// <exception cref="Unreadable">Keys are missing or do not fit, or it is of a kind that is not read.</exception>
    /// <exception cref="FormatException">It is no TLS.</exception>
    public void Take(bool fromClient, ReadOnlyMemory<byte> bytes)
    {
        Half half = fromClient ? _client : _server;
        half.Rest = half.Rest.IsEmpty ? bytes : (byte[])[.. half.Rest.Span, .. bytes.Span];
        while (half.Rest.Length >= Header)
        {
            ReadOnlySpan<byte> header = half.Rest.Span[..Header];
            int length = header[3] << 8 | header[4];
            if (header[0] is < ChangeCipherSpec or > ApplicationData || header[1] != 3 || length > LongestRecord) throw new FormatException($"a record of kind {header[0]} and {length} bytes");
            if (half.Rest.Length < Header + length) break;
            TakeRecord(half, fromClient, header, half.Rest.Slice(Header, length));
            half.Rest = half.Rest[(Header + length)..];
        }
    }

    private void TakeRecord(Half half, bool fromClient, ReadOnlySpan<byte> header, ReadOnlyMemory<byte> body)
    {
        int kind = header[0];
        if (kind == ChangeCipherSpec)
        {
            if (_version == Version12) StartKeys12(half, fromClient); // of TLS 1.3 it is a word for boxes in the middle
            return;
        }
        if (half.Opener is { } opener && !(_version == Version13 && kind == Alert)) // an alert may come before its sender has keys
        {
            body = opener.Open(header, body.Span) ?? throw new Unreadable($"its keys do not fit: record {half.Opened + 1} of the {(fromClient ? "client" : "server")} cannot be decrypted", "take a key log that was written during the recording");
            half.Opened++;
            if (_version == Version13)
            {
                body = body[..(body.Span.LastIndexOfAnyExcept((byte)0) + 1)]; // padding
                if (body.IsEmpty) throw new FormatException("a record without a kind");
                (kind, body) = (body.Span[^1], body[..^1]);
            }
        }
        else if (kind == ApplicationData) throw new Unreadable("it says something before the keys are agreed on (0-RTT), which is not read");
        if (kind == ApplicationData && body.Length > 0) Said.Add(fromClient, body);
        if (kind == Handshake) TakeHandshake(half, fromClient, body);
    }

    private void TakeHandshake(Half half, bool fromClient, ReadOnlyMemory<byte> bytes)
    {
        half.Messages = half.Messages.IsEmpty ? bytes : (byte[])[.. half.Messages.Span, .. bytes.Span];
        while (half.Messages.Length >= 4)
        {
            ReadOnlySpan<byte> m = half.Messages.Span;
            int kind = m[0], length = m[1] << 16 | m[2] << 8 | m[3];
            if (length > LongestMessage) throw new FormatException($"a message of the handshake of {length} bytes");
            if (m.Length < 4 + length) break;
            TakeMessage(half, fromClient, kind, m.Slice(4, length));
            half.Messages = half.Messages[(4 + length)..];
        }
    }

    private void TakeMessage(Half half, bool fromClient, int kind, ReadOnlySpan<byte> body)
    {
        switch (kind)
        {
            case ClientHello when fromClient:
                if (half.Opener is not null) throw new Unreadable("it negotiates its keys again, which is not read");
                _asked = TlsHello.OfClient(body);
                if (_asked.HasEarlyData) throw new Unreadable("it says something before the keys are agreed on (0-RTT), which is not read");
                break;
            case ServerHello when !fromClient && half.Opener is null:
                Agree(TlsHello.OfServer(body));
                break;
            case EncryptedExtensions when !fromClient && _version == Version13:
                _protocol = TlsHello.ProtocolsOf(body).FirstOrDefault("");
                break;
            case Certificate:
                byte[] first = TlsHello.FirstCertificate(body, _version == Version13);
                if (!fromClient) _certificate = first;
                else if (first.Length > 0) throw new Unreadable("the client proves itself by a certificate, whose key is its own", "use --checks with a client that has the key");
                break;
            case Finished when _version == Version13:
                half.Secret = Secret(fromClient ? "CLIENT_TRAFFIC_SECRET_0" : "SERVER_TRAFFIC_SECRET_0");
                half.Use(TlsOpener.Of(_suite!, half.Secret));
                break;
            case KeyUpdate when _version == Version13 && half.Secret is { } secret: // RFC 8446 7.2
                half.Secret = _suite!.Expand(secret, "traffic upd", _suite.HashLength);
                half.Use(TlsOpener.Of(_suite, half.Secret));
                break;
        }
    }

    private void Agree(TlsHello hello)
    {
        if (_asked is null) throw new FormatException("the server answers before it is asked");
        if (hello.Version is not (Version12 or Version13)) throw new Unreadable($"it is {(hello.Version is > 0x0300 and < Version12 ? $"TLS 1.{(hello.Version & 0xFF) - 1}" : $"of a version 0x{hello.Version:X4}")}, and TLS 1.2 and 1.3 are read");
        _version = hello.Version;
        if (hello.IsRetry) return;
        _suite = TlsSuite.Find(hello.Suite, _version == Version13) ?? throw new Unreadable($"its cipher suite 0x{hello.Suite:X4} is not read", "AES-GCM and ChaCha20-Poly1305 are");
        _serverRandom = hello.Random;
        _protocol = hello.ApplicationProtocols.FirstOrDefault("");
        if (_version == Version12) return;
        _client.Use(TlsOpener.Of(_suite, Secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET")));
        _server.Use(TlsOpener.Of(_suite, Secret("SERVER_HANDSHAKE_TRAFFIC_SECRET")));
    }

    private void StartKeys12(Half half, bool fromClient)
    {
        if (half.Opener is not null || _suite is not { } suite || _serverRandom is not { } random) throw new Unreadable("it negotiates its keys again, which is not read");
        byte[] block = suite.Prf(Secret("CLIENT_RANDOM"), "key expansion"u8, random, _asked!.Random, 2 * (suite.KeyLength + suite.IvLength)); // RFC 5246 6.3
        int which = fromClient ? 0 : 1;
        half.Use(new(suite, block.AsSpan(which * suite.KeyLength, suite.KeyLength), block.AsSpan(2 * suite.KeyLength + which * suite.IvLength, suite.IvLength)));
    }

    private byte[] Secret(string label)
    {
        if (keys.Find(label, _asked!.Random) is not { } secret) throw new Unreadable(keys.IsEmpty ? "it is encrypted (TLS), and its keys are not given" : $"the key log has no {label} of it", "give its keys: --keys FILE, written by the client or the server (SSLKEYLOGFILE), or a pcapng file that carries them");
        int length = _version == Version13 ? _suite!.HashLength : 48;
        return secret.Length == length ? secret : throw new Unreadable($"{label} of it has {secret.Length} bytes in the key log, and {length} belong there", "take a key log that was written during the recording");
    }

    public void Dispose()
    {
        _client.Opener?.Dispose();
        _server.Opener?.Dispose();
    }

    /// <summary>One direction.</summary>
    private sealed class Half
    {
        /// <summary>What is not a whole record yet.</summary>
        public ReadOnlyMemory<byte> Rest { get; set; }
        /// <summary>What is not a whole message of the handshake yet.</summary>
        public ReadOnlyMemory<byte> Messages { get; set; }
        public TlsOpener? Opener { get; private set; }
        public byte[]? Secret { get; set; }
        public int Opened { get; set; }

        public void Use(TlsOpener opener)
        {
            Opener?.Dispose();
            Opener = opener;
        }
    }
}
