using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Verifying.Traffic;

namespace Capsules.Core.Verifying.Tls;

/// <summary>Finds TLS in recorded connections, and puts what was said in its place.</summary>
internal static class TlsDecoder
{
    private static readonly string[] s_changes = ["STARTTLS", "STLS", "AUTH TLS"]; // SMTP, LMTP, IMAP; POP3; FTP

    /// <summary>The connection in plain words; as it is, with the reason, when it cannot be read.</summary>
    public static Conversation Decode(Conversation conversation, KeyLog keys)
    {
        if (Start(conversation.Turns) is not int start) return conversation;
        using var session = new TlsSession(keys);
        try
        {
            foreach (Turn turn in conversation.Turns.Skip(start))
            {
                session.Take(fromClient: true, turn.Request);
                session.Take(fromClient: false, turn.Answer);
            }
            return conversation with { Turns = [.. conversation.Turns.Take(start), .. session.Said.ToTurns()], Tls = session.Facts(start) };
        }
        catch (TlsSession.Unreadable e) { return conversation with { Tls = session.Facts(start) with { WhyNot = e.Message, Fix = e.Fix } }; }
        catch (FormatException e) { return conversation with { Tls = session.Facts(start) with { WhyNot = $"it begins as TLS, and is none: {e.Message}" } }; }
        catch (CryptographicException e) { return conversation with { Tls = session.Facts(start) with { WhyNot = $"it cannot be decrypted: {e.Message}" } }; }
    }

    /// <summary>The turn that begins with a ClientHello: the first one, or one after both have agreed to change over.</summary>
    private static int? Start(ImmutableArray<Turn> turns)
    {
        for (int i = 0; i < turns.Length; i++)
            if (turns[i].Request.Span is [22, 3, ..] && (i == 0 || ChangesOver(turns[i - 1]))) return i;
        return null;
    }

    private static bool ChangesOver(Turn turn)
    {
        ReadOnlySpan<byte> request = turn.Request.Span;
        if (PostgresProtocol.IsNegotiation(request)) return turn.Answer.Span is [(byte)'S'];
        string line = Encoding.Latin1.GetString(request.TrimEnd("\r\n"u8));
        return s_changes.Any(c => line.EndsWith(c, StringComparison.OrdinalIgnoreCase));
    }
}
