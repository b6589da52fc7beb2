using System.Security.Cryptography;
using System.Text;

namespace Capsules.Core.Verifying.Tls;

/// <summary>Whom a server says to be, and the key that it proves it by.</summary>
/// <param name="Subject">The subject of its certificate, to be read.</param>
/// <param name="Key">SHA-256 of its subject's public key (SubjectPublicKeyInfo, RFC 5280 4.1).</param>
public sealed record ServerCertificate(string Subject, string Key)
{
    private const int Sequence = 0x30, Set = 0x31, Version = 0xA0, ObjectId = 0x06;

    private static readonly (string Id, string Name)[] s_names = [("550403", "CN"), ("550406", "C"), ("550407", "L"), ("550408", "ST"), ("55040A", "O"), ("55040B", "OU")];

    /// <summary>Reads a certificate, DER; null when it is none.</summary>
    public static ServerCertificate? Read(ReadOnlySpan<byte> certificate)
    {
        try
        {
            ReadOnlySpan<byte> rest = certificate;
            rest = Take(ref rest, Sequence, out _); // Certificate
            rest = Take(ref rest, Sequence, out _); // TBSCertificate
            if (rest is [Version, ..]) Take(ref rest, Version, out _);
            Take(ref rest, 0x02, out _); // serial number
            for (int i = 0; i < 3; i++) Take(ref rest, Sequence, out _); // algorithm, issuer, validity
            string subject = Words(Take(ref rest, Sequence, out _));
            Take(ref rest, Sequence, out ReadOnlySpan<byte> key);
            return new(subject, Convert.ToHexStringLower(SHA256.HashData(key)));
        }
        catch (FormatException) { return null; }
    }

    /// <summary>What another certificate differs in, in words; null when it has the same subject and key.</summary>
    public string? Difference(ServerCertificate? other) =>
        other is null ? $"no certificate that can be read, in place of {Subject}"
        : other.Subject != Subject ? $"{other.Subject} in place of {Subject}"
        : other.Key != Key ? $"{Subject} with the key {other.Key[..16]}… in place of {Key[..16]}…"
        : null;

    private static string Words(ReadOnlySpan<byte> name)
    {
        var words = new List<string>();
        while (!name.IsEmpty)
        {
            ReadOnlySpan<byte> set = Take(ref name, Set, out _), pair = Take(ref set, Sequence, out _);
            string id = Convert.ToHexString(Take(ref pair, ObjectId, out _)), value = pair.IsEmpty ? "" : Encoding.UTF8.GetString(Take(ref pair, pair[0], out _));
            words.Add($"{s_names.FirstOrDefault(n => n.Id == id).Name ?? id}={value}");
        }
        return string.Join(", ", words);
    }

    /// <summary>The contents of the next element, which must be of a kind (X.690 8.1); <paramref name="whole"/> is it with kind and length.</summary>
    private static ReadOnlySpan<byte> Take(scoped ref ReadOnlySpan<byte> rest, int kind, out ReadOnlySpan<byte> whole)
    {
        if (rest.Length < 2 || rest[0] != kind) throw new FormatException("it is no certificate");
        int length = rest[1], header = 2;
        if (length > 0x80)
        {
            int count = length - 0x80;
            if (count > 3 || rest.Length < 2 + count) throw new FormatException("it is no certificate");
            length = 0;
            foreach (byte b in rest.Slice(2, count)) length = length << 8 | b;
            header += count;
        }
        if (rest.Length - header < length) throw new FormatException("it is no certificate");
        whole = rest[..(header + length)];
        rest = rest[(header + length)..];
        return whole[header..];
    }
}
