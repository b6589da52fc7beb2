using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Verifying.Tls;

/// <summary>The keys of TLS connections as browsers, curl and servers write them when SSLKEYLOGFILE is set (the SSLKEYLOGFILE format, draft-ietf-tls-keylogfile): a label, the client's random bytes, a secret.</summary>
public sealed class KeyLog
{
    private const int LongestSecret = 64;

    private readonly ImmutableDictionary<(string Label, string Random), byte[]> _secrets;

    private KeyLog(ImmutableDictionary<(string, string), byte[]> secrets) => _secrets = secrets;

    /// <summary>No keys.</summary>
    public static KeyLog Empty { get; } = new(ImmutableDictionary<(string, string), byte[]>.Empty);

    /// <summary>It holds no keys.</summary>
    public bool IsEmpty => _secrets.IsEmpty;

    /// <summary>Reads one; comments and labels of other uses are passed over.</summary>
    /// <exception cref="FormatException">It holds something else.</exception>
    public static KeyLog Parse(ReadOnlyMemory<byte> file)
    {
        var secrets = ImmutableDictionary.CreateBuilder<(string, string), byte[]>();
        int number = 0;
        foreach (string text in Encoding.Latin1.GetString(file.Span).Split('\n'))
        {
            number++;
            string line = text.Trim();
            if (line.Length == 0 || line[0] == '#') continue;
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is not [var label, var random, var secret] || !label.All(c => char.IsAsciiLetterOrDigit(c) || c == '_')) throw new FormatException($"line {number} is not a label, the client's random bytes and a secret");
            try
            {
                if (random.Length == 64 && secret.Length <= 2 * LongestSecret) secrets[(label, random.ToUpperInvariant())] = Convert.FromHexString(secret);
            }
            catch (FormatException e) { throw new FormatException($"line {number}: the secret is not in hexadecimal digits", e); }
        }
        return new(secrets.ToImmutable());
    }

    /// <summary>With the keys of another one.</summary>
    public KeyLog With(KeyLog other) => IsEmpty ? other : other.IsEmpty ? this : new(_secrets.SetItems(other._secrets));

    internal byte[]? Find(string label, ReadOnlySpan<byte> random) => _secrets.GetValueOrDefault((label, Convert.ToHexString(random)));
}
