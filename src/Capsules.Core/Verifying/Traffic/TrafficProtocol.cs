using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>How the answers of one protocol are told to be whole, and compared.</summary>
public abstract class TrafficProtocol
{
    /// <summary>What it is called.</summary>
    public abstract string Name { get; }

    /// <summary>Whether an answer is whole.</summary>
    /// <param name="turn">What was recorded.</param>
    /// <param name="answer">What came so far.</param>
    public abstract bool IsWhole(Turn turn, ReadOnlySpan<byte> answer);

    /// <summary>The first difference between the recorded answer and another one, in words; null when they are the same by the rules.</summary>
    public abstract string? Difference(Turn turn, ReadOnlyMemory<byte> answer);

    /// <summary>Why a conversation cannot be said again; null when it can.</summary>
    /// <param name="conversation">What was recorded.</param>
    /// <param name="passwords">Passwords of its users, if they are known.</param>
    public virtual string? WhyNot(Conversation conversation, PasswordFile? passwords) => null;

    /// <summary>Who says a conversation again to one server.</summary>
    /// <param name="conversation">What was recorded.</param>
    /// <param name="passwords">Passwords of its users, if they are known.</param>
    /// <param name="nonce">Printable text without commas that was not used before.</param>
    public virtual ReplayVoice Voice(Conversation conversation, PasswordFile? passwords, string nonce) => new();

    /// <summary>The protocol that a conversation speaks, by its first words.</summary>
    public static TrafficProtocol Of(Conversation conversation)
    {
        if (conversation.Turns.IsEmpty) return new PlainProtocol();
        ReadOnlySpan<byte> request = conversation.Turns[0].Request.Span, answer = conversation.Turns[0].Answer.Span;
        if (request.StartsWith("PRI * HTTP/2.0\r\n"u8)) return new Http2Protocol();
        if (PostgresProtocol.IsStart(request)) return new PostgresProtocol();
        if (HttpProtocol.IsRequest(request)) return new HttpProtocol();
        if (RedisProtocol.IsRequest(request) && RedisProtocol.IsReply(answer)) return new RedisProtocol();
        if (request.IsEmpty && answer.StartsWith("220"u8)) return new SmtpProtocol();
        return new PlainProtocol();
    }
}

/// <summary>HTTP/2 (RFC 9113): its frames come in an order of their own, and its headers are packed by what went before.</summary>
public sealed class Http2Protocol : TrafficProtocol
{
    /// <inheritdoc/>
    public override string Name => "http/2";

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer) => true;

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer) => null;

    /// <inheritdoc/>
    public override string WhyNot(Conversation conversation, PasswordFile? passwords) => "it is HTTP/2, which is not compared (clients that are told to use HTTP/1.1 are)";
}

/// <summary>Anything else: as many bytes as were recorded, compared by the rules for texts.</summary>
public sealed class PlainProtocol : TrafficProtocol
{
    /// <inheritdoc/>
    public override string Name => "tcp";

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer) => answer.Length >= turn.Answer.Length;

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer) =>
        AnswerRules.AreSame(turn.Answer.Span, answer.Span, Name) ? null : AnswerRules.Difference(Encoding.Latin1.GetString(turn.Answer.Span), Encoding.Latin1.GetString(answer.Span), Name);
}

/// <summary>SMTP (RFC 5321), and whatever answers in lines that begin with three digits: codes are compared, and texts by the rules.</summary>
public sealed class SmtpProtocol : TrafficProtocol
{
    /// <inheritdoc/>
    public override string Name => "smtp";

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer) => answer.EndsWith("\n"u8) && Count(Lines(answer)) >= Count(Lines(turn.Answer.Span));

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer)
    {
        ImmutableArray<string> expected = Lines(turn.Answer.Span), actual = Lines(answer.Span);
        for (int i = 0; i < Math.Max(expected.Length, actual.Length); i++)
        {
            string before = i < expected.Length ? expected[i] : "", now = i < actual.Length ? actual[i] : "";
            if (AnswerRules.Mask(before, Name) != AnswerRules.Mask(now, Name)) return AnswerRules.Difference(before, now, Name);
        }
        return null;
    }

    private static ImmutableArray<string> Lines(ReadOnlySpan<byte> answer) => [.. Encoding.Latin1.GetString(answer).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.TrimEnd('\r'))];

    /// <summary>Whole replies: "250-" goes on, "250 " is the last line.</summary>
    private static int Count(ImmutableArray<string> lines) => lines.Count(l => l.Length == 3 || l.Length > 3 && l[3] == ' ');
}
