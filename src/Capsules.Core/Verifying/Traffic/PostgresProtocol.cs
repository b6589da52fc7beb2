using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>PostgreSQL (protocol 3.0): kinds of messages in their order, rows and errors by the rules. Who proves himself by an answer to a random challenge cannot be replayed.</summary>
public sealed class PostgresProtocol : TrafficProtocol
{
    private const int Version3 = 196608, WantsTls = 80877103, WantsGss = 80877104, Cancels = 80877102;

    /// <inheritdoc/>
    public override string Name => "postgresql";

    internal static bool IsStart(ReadOnlySpan<byte> request) =>
        request.Length >= 8 && BinaryPrimitives.ReadInt32BigEndian(request) is >= 8 and < 10_000 && BinaryPrimitives.ReadInt32BigEndian(request[4..]) is Version3 or WantsTls or WantsGss or Cancels;

    /// <inheritdoc/>
    public override string? WhyNot(Conversation conversation)
    {
        foreach (Turn turn in conversation.Turns)
        {
            ReadOnlySpan<byte> request = turn.Request.Span;
            if (IsNegotiation(request))
            {
                if (turn.Answer.Span is [(byte)'S' or (byte)'G', ..]) return "it is encrypted, and its keys are made anew for each connection";
                continue;
            }
            foreach (var (kind, body) in Messages(turn.Answer, out _))
                if (kind == 'R' && body.Length >= 4 && BinaryPrimitives.ReadInt32BigEndian(body.Span) is not (0 or 3) and var way)
                    return $"the client proves itself by an answer to a random challenge ({way switch { 5 => "md5", 10 => "scram", _ => $"way {way}" }}), which is another one each time";
        }
        return null;
    }

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer)
    {
        if (IsNegotiation(turn.Request.Span)) return answer.Length >= 1;
        var messages = Messages(answer.ToArray(), out bool isWhole);
        if (!isWhole || messages.IsEmpty) return false;
        return messages[^1].Kind is 'Z' || messages[^1] is { Kind: 'R', Body: { Length: >= 4 } body } && BinaryPrimitives.ReadInt32BigEndian(body.Span) != 0 || messages[^1].Kind == 'G' || messages.Length >= Messages(turn.Answer, out _).Length;
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

    private static bool IsNegotiation(ReadOnlySpan<byte> request) => request.Length == 8 && BinaryPrimitives.ReadInt32BigEndian(request[4..]) is WantsTls or WantsGss;

    private static string Text((char Kind, ReadOnlyMemory<byte> Body) message) => Encoding.Latin1.GetString(message.Body.Span).Replace('\0', ' ');

    /// <summary>What is compared: without the key for cancelling, notices, and settings of the moment.</summary>
    private static ImmutableArray<(char Kind, ReadOnlyMemory<byte> Body)> Compared(ReadOnlyMemory<byte> bytes) =>
        [.. Messages(bytes, out _).Where(m => m.Kind is not ('K' or 'N' or 'A') && !(m.Kind == 'S' && AnswerRules.PostgresOfTheMoment.Contains(Text(m).Split(' ')[0])))];

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
