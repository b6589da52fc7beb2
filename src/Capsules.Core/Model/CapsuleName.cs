namespace Capsules.Core.Model;

/// <summary>
/// The name of a capsule or a stack: 1 to 63 of a-z, 0-9, '-', '.' and '_', beginning with a letter or digit, so that it can be a file
/// name, a host name's first guess and a word on a command line.
/// </summary>
public readonly record struct CapsuleName : IComparable<CapsuleName>
{
    private readonly string? _text;

    private CapsuleName(string text) => _text = text;

    /// <summary>Reads a name.</summary>
    /// <exception cref="FormatException">It has other characters, or is too long or empty.</exception>
    public static CapsuleName Parse(string text) =>
        TryParse(text, out CapsuleName name) ? name : throw new FormatException($"'{text}' is not a name: 1 to 63 of a-z 0-9 - . _, first a letter or digit");

    /// <summary>As <see cref="Parse"/>, without the exception.</summary>
    public static bool TryParse(string text, out CapsuleName name)
    {
        name = default;
        if (text.Length is 0 or > 63 || !(char.IsAsciiLetterLower(text[0]) || char.IsAsciiDigit(text[0]))) return false;
        foreach (char c in text)
            if (!(char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.' or '_')) return false;
        name = new(text);
        return true;
    }

    /// <summary>The nearest name to any text: other characters become '-'.</summary>
    public static CapsuleName From(string text)
    {
        string mapped = string.Concat(text.ToLowerInvariant().Select(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.' or '_' ? c : '-')).Trim('-', '.', '_');
        return Parse(mapped.Length == 0 ? "capsule" : mapped.Length > 63 ? mapped[..63] : mapped);
    }

    /// <inheritdoc/>
    public int CompareTo(CapsuleName other) => string.CompareOrdinal(_text, other._text);

    /// <inheritdoc/>
    public override string ToString() => _text ?? throw new InvalidOperationException("a name that nobody gave");

    /// <summary>Earlier in the order of characters.</summary>
    public static bool operator <(CapsuleName left, CapsuleName right) => left.CompareTo(right) < 0;

    /// <summary>Later in the order of characters.</summary>
    public static bool operator >(CapsuleName left, CapsuleName right) => left.CompareTo(right) > 0;

    /// <summary>Not later in the order of characters.</summary>
    public static bool operator <=(CapsuleName left, CapsuleName right) => left.CompareTo(right) <= 0;

    /// <summary>Not earlier in the order of characters.</summary>
    public static bool operator >=(CapsuleName left, CapsuleName right) => left.CompareTo(right) >= 0;
}
