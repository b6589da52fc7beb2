using System.Text;
using Capsules.Core.Verifying.Traffic;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Verifying;

/// <summary>Recordings of others: what was said is put together again, and bytes that nobody wrote so do no harm.</summary>
public sealed class RecordingTests
{
    private static string[] Said(SmallCapture capture) => Said(Recording.Read(capture.ToPcap()));
    private static string[] Said(Recording recording) => [.. recording.Conversations.SelectMany(c => c.Turns).Select(t => $"{Encoding.Latin1.GetString(t.Request.Span)}>{Encoding.Latin1.GetString(t.Answer.Span)}")];

    private static SmallCapture Two() => new SmallCapture().Open().Ask(1001, "one").Answer(5001, "ONE").Ask(1004, "two").Answer(5004, "TWO");

    [Fact]
    public void Turns_are_what_a_client_said_and_what_it_was_answered() => Said(Two()).ShouldBe(["one>ONE", "two>TWO"]);

    [Fact]
    public void Every_kind_of_file_gives_the_same()
    {
        Said(Recording.Read(Two().ToPcap(big: true))).ShouldBe(Said(Two()));
        Said(Recording.Read(Two().ToPcapng())).ShouldBe(Said(Two()));
    }

    [Fact]
    public void What_came_twice_late_or_overlapping_is_there_once()
    {
        Said(new SmallCapture().Open().Ask(1004, "def").Ask(1001, "abc").Ask(1001, "abc").Ask(1003, "cdefgh").Answer(5001, "yes").Answer(5001, "yes")).ShouldBe(["abcdefgh>yes"]);
        Said(new SmallCapture().Open(uint.MaxValue - 1).Ask(uint.MaxValue, "ab").Ask(1, "cd").Answer(5001, "round")).ShouldBe(["abcd>round"]); // numbers go round
    }

    [Fact]
    public void A_server_that_speaks_first_has_a_turn_without_a_request() => Said(new SmallCapture().Open().Answer(5001, "220 hello").Ask(1001, "EHLO").Answer(5010, "250")).ShouldBe([">220 hello", "EHLO>250"]);

    [Fact]
    public void A_gap_is_told_and_what_was_before_it_counts()
    {
        Conversation only = Recording.Read(new SmallCapture().Open().Ask(1001, "one").Answer(5001, "ONE").Ask(1010, "later").ToPcap()).Conversations.ShouldHaveSingleItem();
        only.IsWhole.ShouldBeFalse();
        only.Turns.Length.ShouldBe(1);
    }

    [Fact]
    public void What_was_open_before_is_counted_and_left_alone()
    {
        Recording recording = Recording.Read(new SmallCapture().Ask(1, "middle").Answer(2, "of it").ToPcap());
        recording.Conversations.ShouldBeEmpty();
        recording.Unopened.ShouldBe(1);
    }

    [Fact]
    public void The_same_port_again_is_another_conversation() => Recording.Read(new SmallCapture().Open().Ask(1001, "a").Open(9000, 100).Ask(9001, "b").ToPcap()).Conversations.Length.ShouldBe(2);

    [Theory]
    [InlineData("")]
    [InlineData("no recording at all, but a text of some length")]
    public void What_is_no_recording_is_refused(string text) => Should.Throw<FormatException>(() => Recording.Read(Encoding.ASCII.GetBytes(text)));

    /// <summary>Real recordings with bytes changed and ends cut off, and pure noise behind each magic number: a FormatException or a result, nothing else, and soon.</summary>
    [Fact]
    public void Foreign_bytes_do_no_harm()
    {
        byte[][] seeds = [Two().ToPcap(), Two().ToPcap(big: true), Two().ToPcapng(), Two().ToPcapng(Encoding.ASCII.GetBytes(Rfc8448.Keys)), [0xD4, 0xC3, 0xB2, 0xA1], [0x0A, 0x0D, 0x0D, 0x0A]];
        Gen.Select(Gen.Int[0, seeds.Length - 1], Gen.Select(Gen.Int[0, 700], Gen.Byte).Array[0, 12], Gen.Int[0, 700], Gen.Byte.Array[0, 64]).Sample((which, changes, cut, tail) =>
        {
            byte[] bytes = [.. seeds[which][..Math.Min(cut, seeds[which].Length)], .. tail];
            foreach (var (at, value) in changes)
                if (at < bytes.Length) bytes[at] = value;
            try
            {
                foreach (Conversation conversation in Recording.Read(bytes).Conversations) Use(conversation);
            }
            catch (FormatException) { }
        }, iter: 20_000);
    }

    /// <summary>Noise in place of what an application says.</summary>
    [Fact]
    public void Foreign_words_do_no_harm()
    {
        string[] begins = ["GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "*2147483647\r\n", "%9\r\n*9\r\n", "\0\0\0\x08\x04\xd2\x16\x2f", "\0\0\0\x09\0\x03\0\0\0", "R\0\0\0\x06\0\0", "220 x\r\n", "\x16\x03\x01"];
        Gen.Select(Gen.Int[0, begins.Length - 1], Gen.Byte.Array[0, 40], Gen.Int[0, begins.Length - 1], Gen.Byte.Array[0, 40]).Sample((ask, more, answer, rest) =>
        {
            var turn = new Turn((byte[])[.. Encoding.Latin1.GetBytes(begins[ask]), .. more], (byte[])[.. Encoding.Latin1.GetBytes(begins[answer]), .. rest]);
            Use(new Conversation(SmallCapture.Client, SmallCapture.Server, [turn, turn], true));
        }, iter: 20_000);
    }

    private static readonly PasswordFile s_passwords = PasswordFile.Parse("*:*:*:*:x"u8.ToArray());

    private static void Use(Conversation conversation)
    {
        foreach (TrafficProtocol protocol in (TrafficProtocol[])[TrafficProtocol.Of(conversation), new HttpProtocol(), new RedisProtocol(), new PostgresProtocol(), new SmtpProtocol()])
        {
            protocol.WhyNot(conversation, s_passwords);
            ReplayVoice voice = protocol.Voice(conversation, s_passwords, "abc");
            foreach (Turn turn in conversation.Turns)
            {
                voice.Next(turn, turn.Answer);
                protocol.IsWhole(turn, turn.Answer.Span);
                protocol.Difference(turn, turn.Answer).ShouldBeNull("what is the same has no difference");
                protocol.Difference(turn, turn.Request);
            }
        }
    }
}
