using System.Text;

namespace Capsules.Core.Formats;

/// <summary>Lines and words of a text whose bytes need not be UTF-8.</summary>
public static class ByteLines
{
    /// <summary>The lines without their newlines; a last line without one counts.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Of(ReadOnlyMemory<byte> text)
    {
        while (text.Length > 0)
        {
            int end = text.Span.IndexOf((byte)'\n');
            yield return end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
        }
    }

    /// <summary>The lines as text; what is not UTF-8 becomes U+FFFD.</summary>
    public static IEnumerable<string> TextOf(ReadOnlyMemory<byte> text) => Of(text).Select(line => Encoding.UTF8.GetString(line.Span).TrimEnd('\r'));

    /// <summary>The words between spaces and tabs.</summary>
    public static string[] Words(string line) => line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);

    /// <summary>A decimal number without sign, as the kernel writes them.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static long Number(string text, string what) =>
        long.TryParse(text, System.Globalization.NumberStyles.None, null, out long number) ? number : throw new FormatException($"{what}: `{text}` is not a number");

    /// <summary>A hexadecimal number without prefix.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static ulong Hexadecimal(string text, string what) =>
        ulong.TryParse(text, System.Globalization.NumberStyles.AllowHexSpecifier, null, out ulong number) ? number : throw new FormatException($"{what}: `{text}` is not a hexadecimal number");
}
