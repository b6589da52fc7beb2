using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>PostgreSQL (protocol 3.0): kinds of messages in their order, rows and errors by the rules. Who proves himself by an answer to a random challenge can be replayed with his password only.</summary>
public sealed class PostgresProtocol : TrafficProtocol
{
    private const int Version3 = 196608, WantsTls = 80877103, WantsGss = 80877104, Cancels = 80877102, SaslFinal = 12;

    /// <inheritdoc/>
    public override string Name => "postgresql";

    internal static bool IsStart(ReadOnlySpan<byte> request) =>
        request.Length >= 8 && BinaryPrimitives.ReadInt32BigEndian(request) is >= 8 and < 10_000 && BinaryPrimitives.ReadInt32BigEndian(request[4..]) is Version3 or WantsTls or WantsGss or Cancels;

    /// <inheritdoc/>
    public override string? WhyNot(Conversation conversation, PasswordFile? passwords)
    {
        foreach (Turn turn in conversation.Turns)
        {
            ReadOnlySpan<byte> request = turn.Request.Span;
            if (IsNegotiation(request))
            {
                if (turn.Answer.Span is [(byte)'G', ..]) return "it is encrypted by GSSAPI, whose keys are made anew for each connection";
                continue;
            }
            if (Challenge(turn.Answer) is not var (way, _)) continue;
            if (!(way is 5 or 10)) return way is 0 or 3 or 11 or 12 ? null : $"the client proves itself in way {way}, whose tokens are made anew each time";
            if (passwords is null) return $"the client proves itself by an answer to a random challenge ({(way == 5 ? "md5" : "scram")}), which is another one each time; --pgpass FILE gives its password";
            if (Password(conversation, passwords) is null) return $"the password file has no line for {conversation.Server}:{Setting(conversation, "database")}:{Setting(conversation, "user")}";
        }
        return null;
    }

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer)
    {
        if (IsNegotiation(turn.Request.Span)) return answer.Length >= 1;
        var messages = Messages(answer.ToArray(), out bool isWhole);
        if (!isWhole || messages.IsEmpty) return false;
        return messages[^1].Kind is 'Z' || messages[^1] is { Kind: 'R', Body: { Length: >= 4 } body } && BinaryPrimitives.ReadInt32BigEndian(body.Span) is not (0 or SaslFinal) || messages[^1].Kind == 'G' || messages.Length >= Messages(turn.Answer, out _).Length;
    }

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer)
    {
        if (IsNegotiation(turn.Request.Span)) return turn.Answer.Span[..Math.Min(1, turn.Answer.Length)].SequenceEqual(answer.Span[..Math.Min(1, answer.Length)]) ? null : "another answer to the wish for encryption";
        var expected = Compared(turn.Answer);
        var actual = Compared(answer);
        for (int i = 0; i < Math.Max(expected.Length, actual.Length); i++)
        {
            if (i >= actual.Length) return i == 0 ? "no answer" : $"the answer ends before a message `{expected[i].Kind}`";
            if (i >= expected.Length) return $"one message more, `{actual[i].Kind}`: {Text(actual[i])}";
            if (expected[i].Kind != actual[i].Kind) return $"message `{actual[i].Kind}` in place of `{expected[i].Kind}`: {Text(actual[i])}";
            if (!AnswerRules.AreSame(expected[i].Body.Span, actual[i].Body.Span, Name)) return $"message `{actual[i].Kind}`: {AnswerRules.Difference(Text(expected[i]), Text(actual[i]), Name)}";
        }
        return null;
    }

    internal static bool IsNegotiation(ReadOnlySpan<byte> request) => request.Length == 8 && BinaryPrimitives.ReadInt32BigEndian(request[4..]) is WantsTls or WantsGss;

    private static string Text((char Kind, ReadOnlyMemory<byte> Body) message) => Encoding.Latin1.GetString(message.Body.Span).Replace('\0', ' ');

    /// <inheritdoc/>
    public override ReplayVoice Voice(Conversation conversation, PasswordFile? passwords, string nonce) =>
        Password(conversation, passwords) is { } password ? new PostgresSignIn(Setting(conversation, "user"), password, nonce) : new ReplayVoice();

    private static string? Password(Conversation conversation, PasswordFile? passwords)
    {
        string[] hosts = [conversation.Server.Address.ToString(), .. conversation.Tls?.ServerName is { } name ? (string[])[name] : [], .. IPAddress.IsLoopback(conversation.Server.Address) ? (string[])["localhost"] : []];
        return passwords?.Find(hosts, conversation.Server.Port, Setting(conversation, "database"), Setting(conversation, "user"));
    }

    /// <summary>A setting of the startup message; the database is named like the user when it is not said.</summary>
    private static string Setting(Conversation conversation, string name)
    {
        foreach (Turn turn in conversation.Turns)
        {
            if (!IsStart(turn.Request.Span) || BinaryPrimitives.ReadInt32BigEndian(turn.Request.Span[4..]) != Version3) continue;
            string[] words = Encoding.UTF8.GetString(turn.Request.Span[8..]).Split('\0');
            for (int i = 0; i + 1 < words.Length; i += 2)
                if (words[i] == name) return words[i + 1];
        }
        return name == "database" ? Setting(conversation, "user") : "";
    }

    /// <summary>How the server wants the client to prove itself, the last time it says so, and what belongs to it.</summary>
    internal static (int Way, ReadOnlyMemory<byte> Data)? Challenge(ReadOnlyMemory<byte> answer)
    {
        foreach (var (kind, body) in Messages(answer, out _).Reverse())
            if (kind == 'R' && body.Length >= 4) return (BinaryPrimitives.ReadInt32BigEndian(body.Span), body[4..]);
        return null;
    }

    /// <summary>What is compared: without the key for cancelling, notices, and settings of the moment; of challenges and signatures only that they come.</summary>
    private static ImmutableArray<(char Kind, ReadOnlyMemory<byte> Body)> Compared(ReadOnlyMemory<byte> bytes) =>
        [.. Messages(bytes, out _).Where(m => m.Kind is not ('K' or 'N' or 'A') && !(m.Kind == 'S' && AnswerRules.PostgresOfTheMoment.Contains(Text(m).Split(' ')[0]))).Select(m => m is { Kind: 'R', Body: { Length: > 4 } body } && BinaryPrimitives.ReadInt32BigEndian(body.Span) is 5 or 11 or SaslFinal ? (m.Kind, m.Body[..4]) : m)];

    private static ImmutableArray<(char Kind, ReadOnlyMemory<byte> Body)> Messages(ReadOnlyMemory<byte> bytes, out bool isWhole)
    {
        var messages = ImmutableArray.CreateBuilder<(char, ReadOnlyMemory<byte>)>();
        int at = 0;
        while (bytes.Length - at >= 5)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(bytes.Span[(at + 1)..]);
            if (length < 4 || bytes.Length - at - 1 < length) break;
            messages.Add(((char)bytes.Span[at], bytes.Slice(at + 5, length - 4)));
            at += 1 + length;
        }
        isWhole = at == bytes.Length;
        return messages.ToImmutable();
    }
}
