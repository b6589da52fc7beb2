using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace Capsules.Core.Model;

/// <summary>
/// How bytes that need not be text are shown and read back: UTF-8 stays as it is, except that a backslash, a control character and
/// every byte that is not UTF-8 is written <c>\xNN</c>. The picture is exact: <see cref="FromPicture"/> gives back the same bytes.
/// </summary>
public static class BytePicture
{
    /// <summary>The text form of <paramref name="bytes"/>.</summary>
    public static string Of(ReadOnlySpan<byte> bytes)
    {
        if (IsPlain(bytes)) return Encoding.UTF8.GetString(bytes);
        var text = new StringBuilder(bytes.Length + 8);
        while (bytes.Length > 0)
        {
            OperationStatus status = Rune.DecodeFromUtf8(bytes, out Rune rune, out int used);
            if (status == OperationStatus.Done && rune.Value != '\\' && !Rune.IsControl(rune)) text.Append(rune.ToString());
            else
                for (int i = 0; i < used; i++) text.Append(CultureInfo.InvariantCulture, $"\\x{bytes[i]:x2}");
            bytes = bytes[used..];
        }
        return text.ToString();
    }

    /// <summary>The bytes behind a text form.</summary>
    /// <exception cref="FormatException">A backslash is not followed by <c>x</c> and two hexadecimal digits.</exception>
    public static byte[] FromPicture(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal)) return Encoding.UTF8.GetBytes(text);
        var bytes = new ArrayBufferWriter<byte>(text.Length);
        for (int i = 0; i < text.Length;)
        {
            if (text[i] == '\\')
            {
                if (i + 4 > text.Length || text[i + 1] != 'x' || !byte.TryParse(text.AsSpan(i + 2, 2), NumberStyles.AllowHexSpecifier, null, out byte value))
                    throw new FormatException($"'{text}': a backslash must be followed by x and two hexadecimal digits");
                bytes.Write([value]);
                i += 4;
                continue;
            }
            int length = char.IsHighSurrogate(text[i]) && i + 1 < text.Length ? 2 : 1;
            Encoding.UTF8.GetBytes(text.AsSpan(i, length), bytes);
            i += length;
        }
        return bytes.WrittenSpan.ToArray();
    }

    private static bool IsPlain(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
            if (b is < 0x20 or 0x7f or (byte)'\\') return false;
        if (!Utf8.IsValid(bytes)) return false;
        for (int i = 0; i + 1 < bytes.Length; i++)
            if (bytes[i] == 0xC2 && bytes[i + 1] < 0xA0) return false; // C1 control characters
        return true;
    }
}
