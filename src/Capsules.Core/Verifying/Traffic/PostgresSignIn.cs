using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>Answers a PostgreSQL server's challenges in place of the recorded client, whose answers were to others: md5 and SCRAM-SHA-256 (without binding to TLS).</summary>
internal sealed class PostgresSignIn(string user, string password, string nonce) : ReplayVoice
{
    private const int Md5 = 5, Sasl = 10, SaslContinue = 11; // AuthenticationRequest messages
    private const string Mechanism = "SCRAM-SHA-256";

    private readonly Scram _scram = new("", password, nonce); // the name of the startup message counts

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> Next(Turn turn, ReadOnlyMemory<byte> before)
    {
        if (turn.Request.Span is not [(byte)'p', ..] || PostgresProtocol.Challenge(before) is not var (way, data)) return turn.Request;
        switch (way)
        {
            case Md5 when data.Length >= 4:
                return Message([.. "md5"u8, .. Digest([.. Digest([.. Encoding.UTF8.GetBytes(password), .. Encoding.UTF8.GetBytes(user)]), .. data.Span[..4]]), 0]);
            case Sasl when Encoding.ASCII.GetString(data.Span).Split('\0').Contains(Mechanism):
                byte[] first = Encoding.UTF8.GetBytes(_scram.First), length = new byte[4];
                BinaryPrimitives.WriteInt32BigEndian(length, first.Length);
                return Message([.. Encoding.ASCII.GetBytes(Mechanism), 0, .. length, .. first]);
            case SaslContinue when _scram.Final(Encoding.UTF8.GetString(data.Span)) is { } final:
                return Message(Encoding.UTF8.GetBytes(final));
            default:
                return turn.Request;
        }
    }

    private static byte[] Message(byte[] body)
    {
        byte[] message = [(byte)'p', 0, 0, 0, 0, .. body];
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), body.Length + 4);
        return message;
    }

#pragma warning disable CA5351 // the server asks for MD5
    private static byte[] Digest(byte[] bytes) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(MD5.HashData(bytes)));
#pragma warning restore CA5351
}

/// <summary>The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677). Passwords are taken as they are: outside of ASCII no SASLprep is done.</summary>
internal sealed class Scram(string user, string password, string nonce)
{
    private const int MostRounds = 10_000_000;

    private string Bare => $"n={user},r={nonce}";

    /// <summary>client-first-message, without binding to a channel.</summary>
    public string First => "n,," + Bare;

    /// <summary>client-final-message for a server-first-message; null when that is none.</summary>
    public string? Final(string serverFirst)
    {
        string[] parts = serverFirst.Split(',');
        if (parts is not [['r', '=', .. var both], ['s', '=', .. var salt64], ['i', '=', .. var rounds], ..] || !both.StartsWith(nonce, StringComparison.Ordinal) || !int.TryParse(rounds, out int count) || count is < 1 or > MostRounds) return null;
        byte[] salt = new byte[salt64.Length];
        if (!Convert.TryFromBase64String(salt64, salt, out int length)) return null;
        byte[] salted = Rfc2898DeriveBytes.Pbkdf2(Encoding.UTF8.GetBytes(password), salt.AsSpan(0, length), count, HashAlgorithmName.SHA256, 32), key = HMACSHA256.HashData(salted, "Client Key"u8);
        string without = $"c=biws,r={both}";
        byte[] signature = HMACSHA256.HashData(SHA256.HashData(key), Encoding.UTF8.GetBytes($"{Bare},{serverFirst},{without}"));
        return $"{without},p={Convert.ToBase64String([.. key.Zip(signature, (a, b) => (byte)(a ^ b))])}";
    }
}
