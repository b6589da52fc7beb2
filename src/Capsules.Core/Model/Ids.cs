using System.Globalization;

namespace Capsules.Core.Model;

/// <summary>A MAC address (EUI-48) of an interface.</summary>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>Six pairs of hexadecimal digits, separated by colons.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static MacAddress Parse(string text) =>
        TryParse(text, out MacAddress mac) ? mac : throw new FormatException($"'{text}' is not a MAC address");

    /// <summary>As <see cref="Parse"/>, without the exception.</summary>
    public static bool TryParse(string text, out MacAddress mac)
    {
        mac = default;
        string[] parts = text.Split(':');
        if (parts.Length != 6) return false;
        ulong value = 0;
        foreach (string part in parts)
        {
            if (part.Length != 2 || !byte.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte octet)) return false;
            value = value << 8 | octet;
        }
        mac = new(value);
        return true;
    }

    /// <summary>The address as it stands on the wire.</summary>
    public byte[] ToBytes() => [(byte)(Value >> 40), (byte)(Value >> 32), (byte)(Value >> 24), (byte)(Value >> 16), (byte)(Value >> 8), (byte)Value];

    /// <summary>From six bytes as they stand on the wire.</summary>
    public static MacAddress FromBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != 6) throw new ArgumentException("a MAC address has six bytes", nameof(bytes));
        ulong value = 0;
        foreach (byte b in bytes) value = value << 8 | b;
        return new(value);
    }

    /// <summary>A locally administered unicast address made of six random bytes.</summary>
    public static MacAddress Fresh(ReadOnlySpan<byte> random) => new(FromBytes(random).Value & ~(1UL << 40) | 1UL << 41);

    /// <summary>Whether it names a group, not one interface; such an address cannot be a capsule's.</summary>
    public bool IsMulticast => (Value >> 40 & 1) != 0;

    /// <inheritdoc/>
    public override string ToString() => string.Join(':', ToBytes().Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));
}

/// <summary>machine-id(5): 128 bits, 32 lower-case hexadecimal digits.</summary>
public readonly record struct MachineId(UInt128 Value)
{
    /// <summary>32 hexadecimal digits, as /etc/machine-id holds them (a trailing newline is fine).</summary>
    /// <exception cref="FormatException">It is anything else, or all zero.</exception>
    public static MachineId Parse(string text) =>
        TryParse(text, out MachineId id) ? id : throw new FormatException("a machine-id is 32 hexadecimal digits, not all zero");

    /// <summary>As <see cref="Parse"/>, without the exception.</summary>
    public static bool TryParse(string text, out MachineId id)
    {
        string digits = text.TrimEnd('\n');
        id = digits.Length == 32 && UInt128.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out UInt128 value) ? new(value) : default;
        return id.Value != 0;
    }

    /// <summary>A fresh id made of sixteen random bytes, marked as a version 4 UUID as systemd does.</summary>
    public static MachineId Fresh(ReadOnlySpan<byte> random)
    {
        Span<byte> bytes = stackalloc byte[16];
        random.CopyTo(bytes);
        bytes[6] = (byte)(bytes[6] & 0x0F | 0x40);
        bytes[8] = (byte)(bytes[8] & 0x3F | 0x80);
        UInt128 value = 0;
        foreach (byte b in bytes) value = value << 8 | b;
        return new(value);
    }

    /// <inheritdoc/>
    public override string ToString() => Value.ToString("x32", CultureInfo.InvariantCulture);
}

/// <summary>An OCI digest; only sha256 is made here.</summary>
public readonly record struct Digest
{
    private readonly string? _text;

    private Digest(string text) => _text = text;

    /// <summary>"sha256:" and 64 lower-case hexadecimal digits (image-spec, descriptor.md).</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static Digest Parse(string text) =>
        TryParse(text, out Digest digest) ? digest : throw new FormatException($"'{text}' is not a digest: sha256: and 64 hexadecimal digits");

    /// <summary>As <see cref="Parse"/>, without the exception.</summary>
    public static bool TryParse(string text, out Digest digest)
    {
        digest = default;
        if (!text.StartsWith("sha256:", StringComparison.Ordinal) || text.Length != 71) return false;
        foreach (char c in text.AsSpan(7))
            if (!char.IsAsciiHexDigitLower(c)) return false;
        digest = new(text);
        return true;
    }

    /// <summary>From the 32 bytes of a SHA-256.</summary>
    public static Digest FromSha256(ReadOnlySpan<byte> hash) =>
        hash.Length == 32 ? new("sha256:" + Convert.ToHexStringLower(hash)) : throw new ArgumentException("a SHA-256 has 32 bytes", nameof(hash));

    /// <summary>The hexadecimal digits alone, for file names.</summary>
    public string Hex => ToString()[7..];

    /// <summary>The first twelve digits, for people.</summary>
    public string Short => Hex[..12];

    /// <inheritdoc/>
    public override string ToString() => _text ?? throw new InvalidOperationException("a digest that nobody computed");
}
