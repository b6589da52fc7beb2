using System.Globalization;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Facts;

/// <summary>
/// A machine that ssh(1) reaches, and where a source's tree is on it: ssh://[USER@]HOST[:PORT][/DIR]. Its parts become words of a command line, so
/// nothing is taken that ssh or a shell could understand in another way.
/// </summary>
/// <param name="User">Who logs in; null leaves it to ssh's configuration.</param>
/// <param name="Host">A name, which may be one of ssh's configuration, or an address.</param>
/// <param name="Port">Null leaves it to ssh's configuration.</param>
/// <param name="Directory">The root of the tree; null is where it was captured.</param>
public sealed record SshAddress(string? User, string Host, int? Port, GuestPath? Directory)
{
    /// <summary>What all of them begin with.</summary>
    public const string Scheme = "ssh://";

    private const int LongestWord = 255;

    /// <summary>Reads one.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static SshAddress Parse(string text)
    {
        if (!text.StartsWith(Scheme, StringComparison.Ordinal)) throw Bad("it does not begin with ssh://");
        string rest = text[Scheme.Length..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        string machine = slash < 0 ? rest : rest[..slash];
        int at = machine.LastIndexOf('@');
        string? user = at < 0 ? null : machine[..at];
        if (user is not null && !IsWord(user)) throw Bad(user.Contains(':', StringComparison.Ordinal) ? "a password does not belong into it: ssh takes a key" : "a user is letters, digits and . _ -, and begins with none of . -");
        machine = machine[(at + 1)..];
        string? port = null;
        string host;
        if (machine.StartsWith('['))
        {
            int end = machine.IndexOf(']', StringComparison.Ordinal);
            if (end < 0) throw Bad("the bracket of its address is open");
            (host, port) = (machine[1..end], machine.Length == end + 1 ? null : machine[end + 1] == ':' ? machine[(end + 2)..] : throw Bad("what follows its address is no port"));
            if (host.Length is 0 or > LongestWord || !host.All(c => char.IsAsciiHexDigit(c) || c is ':' or '.')) throw Bad("in brackets stands an IPv6 address");
        }
        else
        {
            int colon = machine.IndexOf(':', StringComparison.Ordinal);
            (host, port) = colon < 0 ? (machine, null) : (machine[..colon], machine[(colon + 1)..]);
            if (!IsWord(host)) throw Bad("a host is letters, digits and . _ -, and begins with none of . -");
        }
        int number = 0;
        if (port is not null && (!int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out number) || number is < 1 or > 65535)) throw Bad("a port is a number from 1 to 65535");
        return new(user, host, port is null ? null : number, slash < 0 ? null : DirectoryOf(rest[slash..]));

        FormatException Bad(string why) => new($"`{BytePicture.Of(Encoding.UTF8.GetBytes(text))}` is no source: {why}; ssh://[USER@]HOST[:PORT][/DIR]");

        GuestPath DirectoryOf(string path)
        {
            byte[] text = Encoding.UTF8.GetBytes(path);
            var bytes = new List<byte>();
            for (int i = 0; i < text.Length; i++)
            {
                if (text[i] is <= (byte)' ' or (byte)'?' or (byte)'#' or 0x7F) throw Bad("its directory has a character that is written with %");
                if (text[i] != '%') bytes.Add(text[i]);
                else if (i + 2 < text.Length && byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) && value != 0)
                {
                    bytes.Add(value);
                    i += 2;
                }
                else throw Bad("% is followed by two hexadecimal digits that are not 00");
            }
            if (bytes.Count > 1 && bytes[^1] == '/') bytes.RemoveAt(bytes.Count - 1);
            try { return GuestPath.Parse(bytes.ToArray()); }
            catch (FormatException) { throw Bad("its directory is no absolute path without . and .. in it"); }
        }
    }

    private static bool IsWord(string text) => text.Length is > 0 and <= LongestWord && text[0] is not ('-' or '.') && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    /// <summary>The source that this names for an open capsule: where no directory is said it is the one that was captured.</summary>
    public SourceReference ReferenceFor(SourceReference captured) => new(SourceKind.Ssh, (this with
    {
        Directory = Directory ?? captured.Kind switch
        {
            SourceKind.Root => GuestPath.Normalize(Encoding.UTF8.GetBytes(captured.Place)),
            SourceKind.Ssh => Parse(captured.Place).Directory,
            _ => GuestPath.Root,
        },
    }).ToString());

    /// <summary>The machine alone, as ssh's own messages name it.</summary>
    public string Machine => (User is null ? "" : User + "@") + (Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host) + (Port is { } port ? $":{port}" : "");

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder(Scheme).Append(Machine);
        if (Directory is { } directory)
            foreach (byte b in directory.Bytes)
                if (char.IsAsciiLetterOrDigit((char)b) || "/._-~+,=@:".Contains((char)b, StringComparison.Ordinal)) text.Append((char)b);
                else text.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        return text.ToString();
    }
}
