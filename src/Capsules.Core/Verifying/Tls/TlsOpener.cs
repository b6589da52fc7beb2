using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Capsules.Core.Verifying.Tls;

/// <summary>Opens the records of one direction, one after the other.</summary>
internal sealed class TlsOpener : IDisposable
{
    private const int Tag = 16;

    private readonly TlsSuite _suite;
    private readonly byte[] _iv;
    private readonly AesGcm? _aes;
    private readonly ChaCha20Poly1305? _chaCha;
    private ulong _number;

    public TlsOpener(TlsSuite suite, ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv)
    {
        (_suite, _iv) = (suite, iv.ToArray());
        if (suite.Cipher == Aead.Aes) _aes = new(key, Tag);
        else _chaCha = new(key);
    }

    /// <summary>The opener of a traffic secret of TLS 1.3.</summary>
    public static TlsOpener Of(TlsSuite suite, byte[] secret) => new(suite, suite.Expand(secret, "key", suite.KeyLength), suite.Expand(secret, "iv", suite.IvLength));

    /// <summary>The contents of a record; null when it does not fit the key.</summary>
    /// <param name="header">Its five bytes.</param>
    /// <param name="body">What follows them.</param>
    public byte[]? Open(ReadOnlySpan<byte> header, ReadOnlySpan<byte> body)
    {
        bool sendsNonce = _iv.Length == 4;
        int before = sendsNonce ? 8 : 0, length = body.Length - before - Tag;
        if (length < 0) return null;
        Span<byte> nonce = stackalloc byte[12], more = stackalloc byte[13];
        _iv.CopyTo(nonce);
        Span<byte> last = nonce[4..];
        if (sendsNonce) body[..8].CopyTo(last);
        else BinaryPrimitives.WriteUInt64BigEndian(last, BinaryPrimitives.ReadUInt64BigEndian(last) ^ _number);
        if (_suite.Is13)
        {
            header.CopyTo(more);
            more = more[..header.Length];
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(more, _number);
            header[..3].CopyTo(more[8..]);
            BinaryPrimitives.WriteUInt16BigEndian(more[11..], (ushort)length);
        }
        _number++;
        byte[] plain = new byte[length];
        try
        {
            _aes?.Decrypt(nonce, body.Slice(before, length), body[(before + length)..], plain, more);
            _chaCha?.Decrypt(nonce, body.Slice(before, length), body[(before + length)..], plain, more);
            return plain;
        }
        catch (AuthenticationTagMismatchException) { return null; }
    }

    public void Dispose()
    {
        _aes?.Dispose();
        _chaCha?.Dispose();
    }
}
