using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Verifying.Tls;

/// <summary>What the messages of a handshake tell (RFC 8446 4, RFC 5246 7.4). Lengths are others' words: each is tested.</summary>
internal ref struct TlsReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool IsEmpty => _rest.IsEmpty;

    public ReadOnlySpan<byte> Take(int count)
    {
        if (_rest.Length < count) throw new FormatException("a message of the handshake is shorter than it says");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    public int Number(int bytes)
    {
        int value = 0;
        foreach (byte b in Take(bytes)) value = value << 8 | b;
        return value;
    }

    /// <summary>What a length of so many bytes stands before.</summary>
    public ReadOnlySpan<byte> Counted(int bytes) => Take(Number(bytes));
}

/// <summary>ClientHello or ServerHello.</summary>
internal sealed record TlsHello
{
    private const int ServerNames = 0, Protocols = 16, EarlyData = 42, Versions = 43;

    public required byte[] Random { get; init; }
    public int Version { get; private set; }
    public int Suite { get; private init; }
    public string? ServerName { get; private set; }
    public ImmutableArray<string> ApplicationProtocols { get; private set; } = [];
    public bool HasEarlyData { get; private set; }

    /// <summary>A ServerHello with these random bytes asks for another ClientHello (RFC 8446 4.1.3).</summary>
    public bool IsRetry => Random.AsSpan().StartsWith((ReadOnlySpan<byte>)[0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91]);

    public static TlsHello OfClient(ReadOnlySpan<byte> body)
    {
        var reader = new TlsReader(body);
        int version = reader.Number(2);
        var hello = new TlsHello { Version = version, Random = reader.Take(32).ToArray() };
        reader.Counted(1);
        reader.Counted(2);
        reader.Counted(1);
        hello.ReadExtensions(ref reader, fromClient: true);
        return hello;
    }

    public static TlsHello OfServer(ReadOnlySpan<byte> body)
    {
        var reader = new TlsReader(body);
        int version = reader.Number(2);
        byte[] random = reader.Take(32).ToArray();
        reader.Counted(1);
        int suite = reader.Number(2);
        reader.Take(1);
        var hello = new TlsHello { Version = version, Random = random, Suite = suite };
        hello.ReadExtensions(ref reader, fromClient: false);
        return hello;
    }

    /// <summary>The application protocol that EncryptedExtensions agree on.</summary>
    public static ImmutableArray<string> ProtocolsOf(ReadOnlySpan<byte> encryptedExtensions)
    {
        var reader = new TlsReader(encryptedExtensions);
        var hello = new TlsHello { Random = [] };
        hello.ReadExtensions(ref reader, fromClient: false);
        return hello.ApplicationProtocols;
    }

    private void ReadExtensions(ref TlsReader message, bool fromClient)
    {
        if (message.IsEmpty) return;
        var extensions = new TlsReader(message.Counted(2));
        while (!extensions.IsEmpty)
        {
            int kind = extensions.Number(2);
            var body = new TlsReader(extensions.Counted(2));
            switch (kind)
            {
                case ServerNames when fromClient && !body.IsEmpty:
                    var names = new TlsReader(body.Counted(2));
                    if (names.Number(1) == 0) ServerName = Encoding.Latin1.GetString(names.Counted(2));
                    break;
                case Protocols:
                    var list = new TlsReader(body.Counted(2));
                    var protocols = ImmutableArray.CreateBuilder<string>();
                    while (!list.IsEmpty)
                        if (Encoding.Latin1.GetString(list.Counted(1)) is { Length: > 0 } protocol && protocol.All(c => c is > ' ' and < (char)0x7F)) protocols.Add(protocol); // others are there to be passed over (RFC 8701)
                    ApplicationProtocols = protocols.ToImmutable();
                    break;
                case EarlyData: HasEarlyData = true; break;
                case Versions when !fromClient: Version = body.Number(2); break;
            }
        }
    }

    /// <summary>The first certificate of a Certificate message, DER; empty when it has none.</summary>
    public static byte[] FirstCertificate(ReadOnlySpan<byte> body, bool is13)
    {
        var reader = new TlsReader(body);
        if (is13) reader.Counted(1); // the context of a request
        var list = new TlsReader(reader.Counted(3));
        return list.IsEmpty ? [] : list.Counted(3).ToArray();
    }
}
