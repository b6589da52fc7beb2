namespace Capsules.Core.Problems;

/// <summary>
/// What an exception says, in words. Our own exceptions speak for themselves; those of the framework carry only the key of a text that a
/// small program leaves out (UseSystemResourceKeys), such as "IO_FileNotFound_FileName, /x", and the key is nothing to show to people.
/// </summary>
public static class FactText
{
    private static readonly (string Key, string Words)[] Texts =
    [
        ("IO_FileNotFound", "no such file"),
        ("IO_PathNotFound", "no such file or directory"),
        ("IO_PathTooLong", "the path is too long"),
        ("IO_FileExists", "it exists already"),
        ("IO_AlreadyExists", "it exists already"),
        ("IO_SharingViolation", "another program holds it"),
        ("IO_SeekBeforeBegin", "it is shorter than it should be"),
        ("IO_EOF", "it ends too early"),
        ("IO_", "it cannot be read or written"),
        ("Arg_EndOfStream", "it ends too early"),
        ("ArgumentOutOfRange_FileLengthTooBig", "it is too large"),
        ("UnauthorizedAccess", "permission denied"),
        ("Overflow", "a number is too large or too small"),
        ("Format_BadDateTime", "it is not a time"),
        ("Format_DateOutOfRange", "it is not a time"),
        ("Format_", "it is not written as it should be"),
        ("dns_bad_ip_address", "it is not an address"),
        ("Argument_EmptyPath", "a path is empty"),
        ("Argument_NullCharInPath", "a path holds a NUL byte"),
        ("Argument_", "a value is not what is expected"),
        ("Arg_", "a value is not what is expected"),
        ("GenericInvalidData", "its content is damaged"),
    ];

    /// <summary>The words.</summary>
    public static string Of(Exception exception)
    {
        string message = exception.Message;
        int comma = message.IndexOf(", ", StringComparison.Ordinal);
        string key = comma < 0 ? message : message[..comma], subject = comma < 0 ? "" : message[(comma + 2)..].Trim('\'', ' ');
        if (!IsKey(key)) return message;
        string words = Texts.FirstOrDefault(t => key.StartsWith(t.Key, StringComparison.Ordinal)).Words ?? $"it failed ({key})";
        return subject.Length == 0 ? words : $"{subject}: {words}";
    }

    /// <summary>One word with an underscore in it; a sentence of ours has spaces.</summary>
    private static bool IsKey(string text) => text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') && (text.Contains('_', StringComparison.Ordinal) || text == "GenericInvalidData");
}
