using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>Redis (RESP 2 and 3): each reply by the rules; of commands that tell of the moment only its kind.</summary>
public sealed class RedisProtocol : TrafficProtocol
{
    private const int Deepest = 32;

    /// <inheritdoc/>
    public override string Name => "redis";

    internal static bool IsRequest(ReadOnlySpan<byte> request) => request.Length > 3 && request[0] == '*' && char.IsAsciiDigit((char)request[1]) || request.StartsWith("PING\r\n"u8) || request.StartsWith("AUTH "u8);

    internal static bool IsReply(ReadOnlySpan<byte> answer) => answer.IsEmpty || "+-:$*_#,(!=%~>"u8.Contains(answer[0]);

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer)
    {
        ReadOnlyMemory<byte> bytes = answer.ToArray();
        var values = Values(bytes, out bool isWhole);
        return isWhole && values.Length >= Values(turn.Answer, out _).Length;
    }

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer)
    {
        ImmutableArray<string> commands = [.. Values(turn.Request, out _).Select(v => Command(v.Span))];
        ImmutableArray<ReadOnlyMemory<byte>> expected = Values(turn.Answer, out _), actual = Values(answer, out _);
        if (expected.Length != actual.Length) return actual.IsEmpty ? "no reply" : $"{actual.Length} replies in place of {expected.Length}";
        for (int i = 0; i < expected.Length; i++)
        {
            string command = i < commands.Length ? commands[i] : "";
            bool isSame = AnswerRules.RedisOfTheMoment.Contains(command) ? expected[i].Span[0] == actual[i].Span[0] : AnswerRules.AreSame(expected[i].Span, actual[i].Span, Name);
            if (!isSame) return $"reply to {(command.Length == 0 ? "a command" : command.ToUpperInvariant())}: {AnswerRules.Difference(Encoding.Latin1.GetString(expected[i].Span), Encoding.Latin1.GetString(actual[i].Span), Name)}";
        }
        return null;
    }

    /// <summary>The name of a command: the first text of its array, or the first word of its line.</summary>
    private static string Command(ReadOnlySpan<byte> value)
    {
        string[] lines = Encoding.Latin1.GetString(value).Split("\r\n");
        string name = value[0] == '*' ? lines.Length > 2 ? lines[2] : "" : lines[0].Split(' ')[0];
        return name.ToLowerInvariant();
    }

    /// <summary>The values one after the other, each with all that is in it.</summary>
    private static ImmutableArray<ReadOnlyMemory<byte>> Values(ReadOnlyMemory<byte> bytes, out bool isWhole)
    {
        var values = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>();
        int at = 0;
        while (at < bytes.Length && End(bytes.Span, at, 0) is int end and >= 0)
        {
            values.Add(bytes[at..end]);
            at = end;
        }
        isWhole = at == bytes.Length && at > 0;
        return values.ToImmutable();
    }

    /// <summary>Where the value that begins at a place ends; -1 when it is not whole.</summary>
    private static int End(ReadOnlySpan<byte> bytes, int at, int depth)
    {
        int line = bytes[at..].IndexOf("\r\n"u8);
        if (line < 0 || depth > Deepest) return -1;
        int after = at + line + 2;
        char kind = (char)bytes[at];
        if ("$*=!%~>|".IndexOf(kind, StringComparison.Ordinal) < 0) return after; // a line: simple text, number, a command in words
        if (!int.TryParse(Encoding.ASCII.GetString(bytes[(at + 1)..(at + line)]), NumberStyles.AllowLeadingSign, null, out int count)) return after;
        if (count < 0) return after;
        if (kind is '$' or '=' or '!') return bytes.Length - after >= (long)count + 2 ? after + count + 2 : -1;
        for (long left = kind is '%' or '|' ? 2L * count : count; left > 0; left--)
        {
            if (after >= bytes.Length) return -1;
            after = End(bytes, after, depth + 1);
            if (after < 0) return -1;
        }
        return after;
    }
}
