using System.Collections.Immutable;
using System.Security.Cryptography;

namespace Capsules.Core.Verifying.Tls;

internal enum Aead { Aes, ChaCha }

/// <summary>A cipher suite that can be read.</summary>
/// <param name="Id">Its number (IANA, TLS Cipher Suites).</param>
/// <param name="Is13">It is one of TLS 1.3.</param>
/// <param name="Cipher">What seals the records.</param>
/// <param name="KeyLength">Bytes of a key.</param>
/// <param name="HashLength">Bytes of its hash: 32 (SHA-256) or 48 (SHA-384).</param>
internal sealed record TlsSuite(int Id, bool Is13, Aead Cipher, int KeyLength, int HashLength)
{
    private static readonly ImmutableArray<TlsSuite> s_all =
    [
        new(0x1301, true, Aead.Aes, 16, 32), new(0x1302, true, Aead.Aes, 32, 48), new(0x1303, true, Aead.ChaCha, 32, 32),
        new(0x009C, false, Aead.Aes, 16, 32), new(0x009D, false, Aead.Aes, 32, 48), // RSA
        new(0x009E, false, Aead.Aes, 16, 32), new(0x009F, false, Aead.Aes, 32, 48), new(0xCCAA, false, Aead.ChaCha, 32, 32), // DHE_RSA
        new(0xC02B, false, Aead.Aes, 16, 32), new(0xC02C, false, Aead.Aes, 32, 48), new(0xCCA9, false, Aead.ChaCha, 32, 32), // ECDHE_ECDSA
        new(0xC02F, false, Aead.Aes, 16, 32), new(0xC030, false, Aead.Aes, 32, 48), new(0xCCA8, false, Aead.ChaCha, 32, 32), // ECDHE_RSA
    ];

    public static TlsSuite? Find(int id, bool is13) => s_all.FirstOrDefault(s => s.Id == id && s.Is13 == is13);

    /// <summary>Bytes of the nonce that come of the keys; TLS 1.2 sends the other eight of AES-GCM with each record (RFC 5288).</summary>
    public int IvLength => !Is13 && Cipher == Aead.Aes ? 4 : 12;

    private HashAlgorithmName Hash => HashLength == 48 ? HashAlgorithmName.SHA384 : HashAlgorithmName.SHA256;

    /// <summary>HKDF-Expand-Label with an empty context (RFC 8446 7.1).</summary>
    public byte[] Expand(byte[] secret, string label, int length)
    {
        byte[] info = [(byte)(length >> 8), (byte)length, (byte)(6 + label.Length), .. "tls13 "u8, .. System.Text.Encoding.ASCII.GetBytes(label), 0];
        return HKDF.Expand(Hash, secret, length, info);
    }

    /// <summary>The PRF of TLS 1.2 (RFC 5246 5).</summary>
    public byte[] Prf(byte[] secret, ReadOnlySpan<byte> label, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, int length)
    {
        byte[] seed = [.. label, .. first, .. second], a = seed, result = new byte[length];
        for (int at = 0; at < length;)
        {
            a = CryptographicOperations.HmacData(Hash, secret, a);
            byte[] block = CryptographicOperations.HmacData(Hash, secret, (byte[])[.. a, .. seed]);
            int taken = Math.Min(block.Length, length - at);
            block.AsSpan(0, taken).CopyTo(result.AsSpan(at));
            at += taken;
        }
        return result;
    }
}
