using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>HTTP/1 (RFC 9112): status, headers but those of <see cref="AnswerRules.Headers"/>, and the body by the rules for texts.</summary>
public sealed class HttpProtocol : TrafficProtocol
{
    private static readonly string[] s_methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MKCOL", "REPORT"];

    /// <inheritdoc/>
    public override string Name => "http";

    internal static bool IsRequest(ReadOnlySpan<byte> request)
    {
        foreach (string method in s_methods)
            if (request.Length > method.Length && request[method.Length] == ' ' && request.StartsWith(Encoding.ASCII.GetBytes(method))) return true;
        return false;
    }

    /// <inheritdoc/>
    public override bool IsWhole(Turn turn, ReadOnlySpan<byte> answer)
    {
        var (messages, isWhole) = Read(answer.ToArray(), Methods(turn.Request));
        return isWhole && messages.Length >= Read(turn.Answer, Methods(turn.Request)).Messages.Length;
    }

    /// <inheritdoc/>
    public override string? Difference(Turn turn, ReadOnlyMemory<byte> answer)
    {
        ImmutableArray<string> methods = Methods(turn.Request);
        ImmutableArray<Message> expected = Read(turn.Answer, methods).Messages, actual = Read(answer, methods).Messages;
        if (expected.Length != actual.Length) return actual.IsEmpty ? "no answer" : $"{actual.Length} answers in place of {expected.Length}";
        for (int i = 0; i < expected.Length; i++)
        {
            Message before = expected[i], now = actual[i];
            if (before.Status != now.Status) return $"status {now.Status} in place of {before.Status}";
            foreach (string name in before.Headers.Keys.Union(now.Headers.Keys).Order(StringComparer.Ordinal))
            {
                string was = before.Headers.GetValueOrDefault(name, ""), @is = now.Headers.GetValueOrDefault(name, "");
                if (name == "set-cookie") (was, @is) = (Cookies(was), Cookies(@is));
                else if (AnswerRules.Headers.Any(h => h.Name == name)) continue;
                if (AnswerRules.Mask(was, Name) != AnswerRules.Mask(@is, Name)) return $"header {name}: {(@is.Length == 0 ? "none" : $"`{@is}`")} in place of {(was.Length == 0 ? "none" : $"`{was}`")}";
            }
            if (!AnswerRules.AreSame(before.Body.Span, now.Body.Span, Name)) return $"body: {AnswerRules.Difference(Encoding.Latin1.GetString(before.Body.Span), Encoding.Latin1.GetString(now.Body.Span), Name)}";
        }
        return null;
    }

    private static string Cookies(string header) => string.Join('\n', header.Split('\n').Select(c => c.Split('=')[0].Trim()).Order(StringComparer.Ordinal));

    /// <summary>The methods of the requests that were sent together: an answer to HEAD has no body.</summary>
    private static ImmutableArray<string> Methods(ReadOnlyMemory<byte> request)
    {
        var methods = ImmutableArray.CreateBuilder<string>();
        for (ReadOnlyMemory<byte> rest = request; IsRequest(rest.Span);)
        {
            methods.Add(Encoding.ASCII.GetString(rest.Span[..rest.Span.IndexOf((byte)' ')]));
            if (Head(rest.Span) is not var (_, headers, length)) break;
            int body = Body(rest[length..], headers, isRequest: true, out _, out int taken) ? taken : rest.Length - length;
            rest = rest[(length + body)..];
        }
        return methods.ToImmutable();
    }

    private sealed record Message(int Status, ImmutableDictionary<string, string> Headers, ReadOnlyMemory<byte> Body);

    /// <summary>The answers, interim ones (1xx) left out; whether the last one is whole.</summary>
    private static (ImmutableArray<Message> Messages, bool IsWhole) Read(ReadOnlyMemory<byte> bytes, ImmutableArray<string> methods)
    {
        var messages = ImmutableArray.CreateBuilder<Message>();
        bool isWhole = false;
        for (ReadOnlyMemory<byte> rest = bytes; rest.Length > 0;)
        {
            isWhole = false;
            if (Head(rest.Span) is not var (line, headers, length)) break;
            string[] words = line.Split(' ', 3);
            if (words.Length < 2 || !int.TryParse(words[1], NumberStyles.None, null, out int status)) break;
            rest = rest[length..];
            if (status is >= 100 and < 200 and not 101) continue;
            bool hasNone = status is 204 or 304 or 101 || messages.Count < methods.Length && methods[messages.Count] == "HEAD";
            ReadOnlyMemory<byte> body = default;
            int taken = 0;
            isWhole = hasNone || Body(rest, headers, isRequest: false, out body, out taken);
            if (!isWhole) (body, taken) = (rest, rest.Length); // up to the end of the connection
            messages.Add(new(status, headers, body));
            rest = rest[taken..];
        }
        return (messages.ToImmutable(), isWhole);
    }

    /// <summary>The first line and the headers; null when they are not whole.</summary>
    private static (string Line, ImmutableDictionary<string, string> Headers, int Length)? Head(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0) return null;
        string[] lines = Encoding.Latin1.GetString(bytes[..end]).Split("\r\n");
        var headers = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string line in lines.Skip(1))
            if (line.IndexOf(':', StringComparison.Ordinal) is > 0 and int colon)
            {
                string name = line[..colon].ToLowerInvariant(), value = line[(colon + 1)..].Trim();
                headers[name] = headers.TryGetValue(name, out string? before) ? before + "\n" + value : value;
            }
        return (lines[0], headers.ToImmutable(), end + 4);
    }

    /// <summary>The body by its length or its chunks, and how many bytes it takes; false when it is not whole, or ends with the connection.</summary>
    private static bool Body(ReadOnlyMemory<byte> rest, ImmutableDictionary<string, string> headers, bool isRequest, out ReadOnlyMemory<byte> body, out int taken)
    {
        (body, taken) = (default, 0);
        if (headers.TryGetValue("transfer-encoding", out string? coding) && coding.Contains("chunked", StringComparison.OrdinalIgnoreCase)) return Chunks(rest, out body, out taken);
        if (!headers.TryGetValue("content-length", out string? text)) return isRequest; // which has none then; an answer ends with the connection
        if (!int.TryParse(text, NumberStyles.None, null, out int length) || rest.Length < length) return false;
        (body, taken) = (rest[..length], length);
        return true;
    }

    private static bool Chunks(ReadOnlyMemory<byte> rest, out ReadOnlyMemory<byte> body, out int taken)
    {
        var whole = new MemoryStream();
        int at = 0;
        (body, taken) = (default, 0);
        while (true)
        {
            int end = rest.Span[at..].IndexOf("\r\n"u8);
            if (end < 0 || !int.TryParse(Encoding.Latin1.GetString(rest.Span.Slice(at, end)).Split(';')[0].Trim(), NumberStyles.AllowHexSpecifier, null, out int size) || size < 0) return false;
            at += end + 2;
            if (rest.Length - at < (long)size + 2) return false;
            if (size == 0) break;
            whole.Write(rest.Span.Slice(at, size));
            at += size + 2;
        }
        while (!rest.Span[at..].StartsWith("\r\n"u8)) // trailers
        {
            int end = rest.Span[at..].IndexOf("\r\n"u8);
            if (end < 0) return false;
            at += end + 2;
        }
        (body, taken) = (whole.ToArray(), at + 2);
        return true;
    }
}
