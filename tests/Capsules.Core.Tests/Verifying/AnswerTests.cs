using System.Buffers.Binary;
using System.Text;
using Capsules.Core.Verifying;
using Capsules.Core.Verifying.Traffic;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Verifying;

/// <summary>When two answers are the same.</summary>
public sealed class AnswerTests
{
    private static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    private static (TrafficProtocol Protocol, string? Difference) Compare(string request, string recorded, string answer)
    {
        var turn = new Turn(Bytes(request), Bytes(recorded));
        TrafficProtocol protocol = TrafficProtocol.Of(new(SmallCapture.Client, SmallCapture.Server, [turn], true));
        return (protocol, protocol.Difference(turn, Bytes(answer)));
    }

    private static string Http(string body, string more = "", int status = 200) => $"HTTP/1.1 {status} X\r\nServer: nginx\r\nDate: Sun, 29 Nov 2026 10:00:00 GMT\r\nContent-Length: {body.Length}\r\n{more}\r\n{body}";

    [Theory]
    [InlineData("at 2026-11-29 10:00:01", "at 2026-11-30T23:59:59.123Z", true)]
    [InlineData("Sun Nov 29 10:00:01 UTC 2026", "Mon Nov 30 01:02:03 UTC 2026", true)]
    [InlineData("id 0f8fad5b-d9cb-469f-a165-70867728950e", "id 7c9e6679-7425-40de-944b-e07fc1f90ae7", true)]
    [InlineData("1764410400", "1764499999", true)]
    [InlineData("price 1764", "price 1765", false)]
    [InlineData("2026-11-29", "2026-11-30", false)] // a day alone may be what was asked for
    [InlineData("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427f", false)] // a digest is an answer
    public void Times_and_ids_are_passed_over_and_nothing_else(string expected, string actual, bool same) => AnswerRules.AreSame(Bytes(expected), Bytes(actual), null).ShouldBe(same);

    [Fact]
    public void Http_compares_status_headers_and_body()
    {
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello"), Http("hello").Replace("29 Nov", "30 Nov")).ShouldSatisfyAllConditions(r => r.Protocol.ShouldBeOfType<HttpProtocol>(), r => r.Difference.ShouldBeNull());
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello"), Http("hellO")).Difference!.ShouldContain("body");
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello"), Http("hello", status: 404)).Difference.ShouldBe("status 404 in place of 200");
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello", "Set-Cookie: id=abc; path=/\r\n"), Http("hello", "Set-Cookie: id=xyz; path=/\r\n")).Difference.ShouldBeNull();
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello", "Set-Cookie: id=abc\r\n"), Http("hello")).Difference!.ShouldContain("set-cookie");
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello", "X-Version: 1\r\n"), Http("hello", "X-Version: 2\r\n")).Difference!.ShouldContain("x-version");
    }

    [Fact]
    public void A_body_in_chunks_is_the_same_as_one_of_known_length()
    {
        const string chunked = "HTTP/1.1 200 X\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        Compare("GET / HTTP/1.1\r\n\r\n", Http("hello"), chunked).Difference.ShouldBeNull();
        var turn = new Turn(Bytes("GET / HTTP/1.1\r\n\r\n"), Bytes(chunked));
        new HttpProtocol().IsWhole(turn, Bytes(chunked)).ShouldBeTrue();
        new HttpProtocol().IsWhole(turn, Bytes(chunked[..^3])).ShouldBeFalse();
    }

    [Fact]
    public void An_answer_to_head_ends_with_its_headers() => new HttpProtocol().IsWhole(new(Bytes("HEAD / HTTP/1.1\r\n\r\n"), Bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")), Bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")).ShouldBeTrue();

    [Fact]
    public void Redis_compares_reply_by_reply()
    {
        const string ask = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nTIME\r\n";
        Compare(ask, "$1\r\na\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "$1\r\na\r\n*2\r\n$1\r\n3\r\n$1\r\n4\r\n").ShouldSatisfyAllConditions(r => r.Protocol.ShouldBeOfType<RedisProtocol>(), r => r.Difference.ShouldBeNull());
        Compare(ask, "$1\r\na\r\n*1\r\n:1\r\n", "$1\r\nb\r\n*1\r\n:1\r\n").Difference!.ShouldContain("reply to GET");
        Compare(ask, "$1\r\na\r\n*1\r\n:1\r\n", "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n").Difference!.ShouldContain("reply to GET");
        var turn = new Turn(Bytes(ask), Bytes("$1\r\na\r\n*2\r\n:1\r\n:2\r\n"));
        new RedisProtocol().IsWhole(turn, Bytes("$1\r\na\r\n*2\r\n:1\r\n")).ShouldBeFalse();
        new RedisProtocol().IsWhole(turn, Bytes("$1\r\na\r\n*2\r\n:1\r\n:2\r\n")).ShouldBeTrue();
    }

    [Fact]
    public void Smtp_compares_codes_and_texts()
    {
        Compare("", "220 mail ESMTP\r\n", "220 mail ESMTP\r\n").ShouldSatisfyAllConditions(r => r.Protocol.ShouldBeOfType<SmtpProtocol>(), r => r.Difference.ShouldBeNull());
        var turn = new Turn(Bytes(".\r\n"), Bytes("250 2.0.0 Ok: queued as 4F3A21\r\n"));
        new SmtpProtocol().Difference(turn, Bytes("250 2.0.0 Ok: queued as 99ZZ77\r\n")).ShouldBeNull();
        new SmtpProtocol().Difference(turn, Bytes("451 4.3.0 Temporary failure\r\n")).ShouldNotBeNull();
        new SmtpProtocol().IsWhole(turn with { Answer = Bytes("250-a\r\n250 b\r\n") }, Bytes("250-a\r\n")).ShouldBeFalse();
    }

    private static string Message(char kind, string body)
    {
        byte[] length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, body.Length + 4);
        return kind + Encoding.Latin1.GetString(length) + body;
    }

    [Fact]
    public void Postgres_compares_messages_and_says_which_sign_in_cannot_be_replayed()
    {
        const string start = "\0\0\0\x09\0\x03\0\0\0";
        string trusted = Message('R', "\0\0\0\0") + Message('K', "\0\0\0\x01abcd") + Message('Z', "I");
        Compare(start, trusted, trusted.Replace("abcd", "wxyz")).ShouldSatisfyAllConditions(r => r.Protocol.ShouldBeOfType<PostgresProtocol>(), r => r.Difference.ShouldBeNull());
        var query = new Turn(Bytes(Message('Q', "select 1\0")), Bytes(Message('D', "\0\x01\0\0\0\x01" + "1") + Message('C', "SELECT 1\0") + Message('Z', "I")));
        var postgres = new PostgresProtocol();
        postgres.Difference(query, Bytes(Message('E', "C42P01\0") + Message('Z', "I")))!.ShouldContain("`E`");
        postgres.IsWhole(query, query.Answer.Span[..^1]).ShouldBeFalse();
        postgres.IsWhole(query, query.Answer.Span).ShouldBeTrue();
        Conversation Of(string answer) => new(SmallCapture.Client, SmallCapture.Server, [new(Bytes(start), Bytes(answer))], true);
        postgres.WhyNot(Of(trusted), null).ShouldBeNull();
        postgres.WhyNot(Of(Message('R', "\0\0\0\x0aSCRAM-SHA-256\0\0")), null)!.ShouldContain("scram");
        postgres.WhyNot(Of(Message('R', "\0\0\0\x05salt")), null)!.ShouldContain("md5");
    }

    [Fact]
    public void Http_2_is_not_replayed() =>
        TrafficProtocol.Of(new(SmallCapture.Client, SmallCapture.Server, [new(Bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), default)], true)).WhyNot(new(SmallCapture.Client, SmallCapture.Server, [], true), null)!.ShouldContain("HTTP/2");

    [Fact]
    public void Checks_are_read_a_line_each()
    {
        var checks = ChecksFile.Parse(Bytes("# of the shop\n\npage: curl http://x/ => hel+o\nup: true\n"));
        checks.Select(c => c.Name).ShouldBe(["page", "up"]);
        checks[0].Command.ShouldBe("curl http://x/");
        CheckComparer.Compare(checks[0], new(0, "say hello\n"), null).ShouldBeNull();
        CheckComparer.Compare(checks[0], new(0, "say bye\n"), null)!.What.ShouldContain("matches");
        CheckComparer.Compare(checks[1], new(3, ""), null)!.What.ShouldContain("status 3");
        CheckComparer.Compare(checks[1], new(3, ""), new(3, "")).ShouldBeNull("the original does the same");
        CheckComparer.Compare(checks[1], new(0, "a"), new(0, "b"))!.What.ShouldContain("another output");
        foreach (string bad in (string[])["no colon", ": no name", "name:  => x", "a: b => (", "a: b\na: c"]) Should.Throw<FormatException>(() => ChecksFile.Parse(Bytes(bad)), bad);
    }
}
