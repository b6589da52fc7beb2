using System.Collections.Immutable;

namespace Capsules.Core.Verifying.Tls;

/// <summary>That a connection changed over to TLS, and what was agreed on.</summary>
public sealed record TlsFacts
{
    /// <summary>How many turns were said before.</summary>
    public required int Turns { get; init; }
    /// <summary>Why it could not be decrypted; null when it was.</summary>
    public string? WhyNot { get; init; }
    /// <summary>What the reader can do about that.</summary>
    public string? Fix { get; init; }
    /// <summary>The name that the client asked for (SNI).</summary>
    public string? ServerName { get; init; }
    /// <summary>The application protocols that the client offered (ALPN).</summary>
    public ImmutableArray<string> Offered { get; init; } = [];
    /// <summary>The one that was agreed on; empty when none was.</summary>
    public string Protocol { get; init; } = "";
    /// <summary>The server's certificate, DER; empty when an earlier session was taken up again.</summary>
    public ReadOnlyMemory<byte> Certificate { get; init; }
}
