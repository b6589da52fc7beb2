using System.Buffers.Binary;
using System.Net;
using System.Text;
using Capsules.Core.Verifying.Traffic;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Verifying;

/// <summary>Who proves himself by an answer to a random challenge is spoken for by who has his password.</summary>
public sealed class PostgresSignInTests
{
    private static readonly Turn s_start = new(Bytes("\0\0\0\x1f\0\x03\0\0user\0bob\0database\0app\0\0"), Bytes(Message('R', "\0\0\0\x05salt")));
    private static readonly Turn s_proof = new(Bytes(Message('p', "what was recorded")), Bytes(Message('R', "\0\0\0\0") + Message('Z', "I")));

    private static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    private static string Message(char kind, string body)
    {
        byte[] length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, body.Length + 4);
        return kind + Encoding.Latin1.GetString(length) + body;
    }

    private static PasswordFile Passwords(string text) => PasswordFile.Parse(Bytes(text));

    private static Conversation Conversation(params Turn[] turns) => new(SmallCapture.Client, IPEndPoint.Parse("10.0.0.1:5432"), [.. turns], true);

    private static string Said(string challenge, string recorded = "what was recorded")
    {
        ReplayVoice voice = new PostgresProtocol().Voice(Conversation(s_start, s_proof), Passwords("*:*:*:bob:secret"), "mine");
        return Encoding.Latin1.GetString(voice.Next(s_proof with { Request = Bytes(Message('p', recorded)) }, Bytes(challenge)).Span);
    }

    /// <summary>RFC 7677 3.</summary>
    [Fact]
    public void The_exchange_of_rfc_7677_is_spoken()
    {
        var scram = new Scram("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        scram.First.ShouldBe("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        scram.Final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
            .ShouldBe("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        foreach (string bad in (string[])["", "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqO1,s=?,i=4096", "r=rOprNGfwEbeRWgbNEkqO1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483647"]) scram.Final(bad).ShouldBeNull(bad);
    }

    [Fact]
    public void Challenges_are_answered_and_all_else_is_said_as_it_was()
    {
        Said(Message('R', "\0\0\0\x05salt")).ShouldBe(Message('p', "md5a472781a92412d8a652b427f4c5b7f3f\0"));
        Said(Message('R', "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")).ShouldBe(Message('p', "SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=mine"));
        Said(Message('R', "\0\0\0\x0br=mine2,s=c2FsdA==,i=4096")).ShouldStartWith("p\0\0\0Ac=biws,r=mine2,p=");
        Said(Message('R', "\0\0\0\x03"), "open\0").ShouldBe(Message('p', "open\0"));
        var voice = new PostgresProtocol().Voice(Conversation(s_start, s_proof), Passwords("*:*:*:bob:secret"), "mine");
        voice.Next(s_start, default).ShouldBe(s_start.Request);
    }

    [Fact]
    public void Proofs_and_challenges_are_no_difference_and_a_refusal_is()
    {
        var protocol = new PostgresProtocol();
        protocol.Difference(s_start, Bytes(Message('R', "\0\0\0\x05SALT"))).ShouldBeNull();
        protocol.Difference(s_start, Bytes(Message('R', "\0\0\0\x0aSCRAM-SHA-256\0\0"))).ShouldNotBeNull();
        protocol.Difference(s_proof, Bytes(Message('E', "C28P01\0")))!.ShouldContain("`E`");
        var final = s_proof with { Answer = Bytes(Message('R', "\0\0\0\x0cv=one") + Message('R', "\0\0\0\0") + Message('Z', "I")) };
        protocol.Difference(final, Bytes(Message('R', "\0\0\0\x0cv=two") + Message('R', "\0\0\0\0") + Message('Z', "I"))).ShouldBeNull();
        protocol.IsWhole(final, Bytes(Message('R', "\0\0\0\x0cv=two"))).ShouldBeFalse("the server goes on");
    }

    [Theory]
    [InlineData("*:*:*:*:x", null)]
    [InlineData("10.0.0.1:5432:app:bob:x", null)]
    [InlineData("# of the shop\n10.0.0.1:5433:*:*:no\n10.0.0.1:*:app:bob:x", null)]
    [InlineData("10.0.0.1:5432:app:eve:x", "the password file has no line for 10.0.0.1:5432:app:bob")]
    [InlineData("", "the password file has no line for 10.0.0.1:5432:app:bob")]
    public void Who_has_a_line_in_the_password_file_is_replayed(string file, string? why) => new PostgresProtocol().WhyNot(Conversation(s_start, s_proof), Passwords(file)).ShouldBe(why);

    [Fact]
    public void A_password_file_is_read_as_psql_reads_it()
    {
        Passwords(@"h\:1:*:d\\b:u:a\:b:c").Find(["h:1"], 5432, @"d\b", "u").ShouldBe("a:b:c");
        Passwords("*:*:*:u:first\n*:*:*:u:second\n").Find(["h"], 1, "d", "u").ShouldBe("first");
        Should.Throw<FormatException>(() => Passwords("host:5432:db"));
    }
}
