using System.Runtime.CompilerServices;
using System.Text;
using Capsules.Core.Verifying.Tls;
using Capsules.Core.Verifying.Traffic;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Verifying;

/// <summary>Recorded TLS: with its keys it is what was said, and without them or broken it tells why not.</summary>
public sealed class TlsTests
{
    private static string Folder([CallerFilePath] string test = "") => Path.Combine(Path.GetDirectoryName(test)!, "recordings");
    private static byte[] Pcap(string name) => File.ReadAllBytes($"{Folder()}/{name}.pcap");
    private static KeyLog Keys(string name) => KeyLog.Parse(File.ReadAllBytes($"{Folder()}/{name}.keys"));
    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.Latin1.GetString(bytes.Span);

    private static SmallCapture Rfc(string before = "", Action<byte[][]>? change = null)
    {
        byte[][] records = [.. Rfc8448.Records.Select(r => r.Bytes.ToArray())];
        change?.Invoke(records);
        SmallCapture capture = new SmallCapture().Open();
        uint client = 1001, server = 5001;
        if (before.Length > 0)
        {
            capture.Ask(client, before).Answer(server, before.StartsWith('\0') ? "S" : "220 go ahead\r\n");
            (client, server) = (client + (uint)before.Length, server + (before.StartsWith('\0') ? 1u : 14u));
        }
        foreach (var (fromClient, bytes) in Rfc8448.Records.Zip(records, (r, b) => (r.FromClient, b)))
        {
            if (fromClient) capture.Ask(client, Encoding.Latin1.GetString(bytes));
            else capture.Answer(server, Encoding.Latin1.GetString(bytes));
            if (fromClient) client += (uint)bytes.Length;
            else server += (uint)bytes.Length;
        }
        return capture;
    }

    private static KeyLog RfcKeys => KeyLog.Parse(Encoding.ASCII.GetBytes(Rfc8448.Keys));

    private static Conversation Only(SmallCapture capture, KeyLog keys) => Recording.Read(capture.ToPcap(), keys).Conversations.ShouldHaveSingleItem();

    [Fact]
    public void The_handshake_of_rfc_8448_is_read()
    {
        Conversation conversation = Only(Rfc(), RfcKeys);
        conversation.Tls!.WhyNot.ShouldBeNull();
        conversation.Tls.ServerName.ShouldBe("server");
        Turn turn = conversation.Turns.ShouldHaveSingleItem();
        turn.Request.ToArray().ShouldBe(Rfc8448.Data);
        turn.Answer.ToArray().ShouldBe(Rfc8448.Data);
        ServerCertificate.Read(conversation.Tls.Certificate.Span)!.Subject.ShouldBe("CN=rsa");
    }

    [Theory]
    [InlineData("tls12-aes128")]
    [InlineData("tls12-aes256")]
    [InlineData("tls12-chacha")]
    [InlineData("tls13-aes128")]
    [InlineData("tls13-aes256")]
    [InlineData("tls13-chacha")]
    public void What_curl_and_openssl_said_is_read(string name)
    {
        Conversation[] all = [.. Recording.Read(Pcap(name), Keys(name)).Conversations.Where(c => c.Turns.Length > 0)];
        all.Length.ShouldBe(2);
        foreach (Conversation conversation in all)
        {
            conversation.Tls!.WhyNot.ShouldBeNull();
            (conversation.Tls.ServerName, conversation.Tls.Protocol).ShouldBe(("shop.example", "http/1.1"));
            conversation.Tls.Offered.ShouldBe(["http/1.1"]);
            ServerCertificate.Read(conversation.Tls.Certificate.Span)!.Subject.ShouldEndWith("CN=shop.example");
            TrafficProtocol.Of(conversation).ShouldBeOfType<HttpProtocol>();
        }
        Text(all[0].Turns.ShouldHaveSingleItem().Answer).ShouldEndWith("hello over tls\n");
        Text(all[1].Turns.ShouldHaveSingleItem().Answer).ShouldEndWith("5999\n6000\n");
    }

    [Fact]
    public void Another_key_share_is_asked_for_and_keys_are_changed_on_the_way()
    {
        Conversation conversation = Recording.Read(Pcap("tls13-update"), Keys("tls13-update")).Conversations.Single(c => c.Turns.Length > 0);
        conversation.Tls!.WhyNot.ShouldBeNull();
        string.Concat(conversation.Turns.Select(t => Text(t.Request))).ShouldBe("before\nafter\nlast\n");
        string.Concat(conversation.Turns.Select(t => Text(t.Answer))).ShouldBe("erofeb\nretfa\ntsal\n");
    }

    [Fact]
    public void Keys_may_stand_in_the_recording()
    {
        Conversation conversation = Recording.Read(Rfc().ToPcapng(Encoding.ASCII.GetBytes(Rfc8448.Keys))).Conversations.ShouldHaveSingleItem();
        conversation.Turns.ShouldHaveSingleItem().Request.ToArray().ShouldBe(Rfc8448.Data);
    }

    [Theory]
    [InlineData("EHLO me\r\nSTARTTLS\r\n", typeof(PlainProtocol))]
    [InlineData("a1 starttls\r\n", typeof(PlainProtocol))]
    [InlineData("\0\0\0\x08\x04\xd2\x16\x2f", typeof(PostgresProtocol))]
    public void A_plain_connection_may_change_over(string before, Type protocol)
    {
        Conversation conversation = Only(Rfc(before), RfcKeys);
        conversation.Tls!.Turns.ShouldBe(1);
        conversation.Turns.Length.ShouldBe(2);
        Text(conversation.Turns[0].Request).ShouldBe(before);
        conversation.Turns[1].Answer.ToArray().ShouldBe(Rfc8448.Data);
        TrafficProtocol.Of(conversation).ShouldBeOfType(protocol);
    }

    [Fact]
    public void Bytes_that_look_like_tls_where_nobody_changed_over_are_plain() => Only(Rfc("anything else\r\n"), RfcKeys).Tls.ShouldBeNull();

    [Fact]
    public void What_cannot_be_read_tells_why_and_stays_as_it_is()
    {
        static void Refused(Conversation conversation, string why)
        {
            conversation.Tls!.WhyNot.ShouldNotBeNull().ShouldContain(why);
            conversation.Turns[0].Request.Span[0].ShouldBe((byte)0x16);
        }
        Conversation without = Only(Rfc(), KeyLog.Empty);
        Refused(without, "its keys are not given");
        without.Tls!.Fix!.ShouldContain("--keys");
        Refused(Only(Rfc(), Keys("tls13-aes128")), "the key log has no CLIENT_HANDSHAKE_TRAFFIC_SECRET of it");
        Refused(Only(Rfc(), KeyLog.Parse(Encoding.ASCII.GetBytes(Rfc8448.Keys.Replace("b3eddb", "b3eddc")))), "its keys do not fit: record 1 of the client");
        Refused(Only(Rfc(), KeyLog.Parse(Encoding.ASCII.GetBytes(Rfc8448.Keys.Replace("1643\n", "\n")))), "bytes in the key log");
        Refused(Only(Rfc(change: r => r[5][10] ^= 1), RfcKeys), "its keys do not fit: record 2 of the client"); // a byte of what was said is another one
        Refused(Only(Rfc(change: r => r[1][45] = 0x99), RfcKeys), "cipher suite 0x1399 is not read");
        Refused(Only(Rfc(change: r => r[2][3] = 0xFF), RfcKeys), "a record of kind 23 and 65442 bytes");
        Refused(Recording.Read(Pcap("tls12-cbc"), Keys("tls12-cbc")).Conversations.Single(c => c.Turns.Length > 0), "cipher suite 0xC013");
    }

    [Fact]
    public void A_recording_that_ends_within_a_record_is_read_up_to_there()
    {
        Conversation conversation = Only(Rfc(change: r => r[6] = r[6][..^1]), RfcKeys);
        conversation.Tls!.WhyNot.ShouldBeNull();
        conversation.Turns.ShouldHaveSingleItem().Answer.IsEmpty.ShouldBeTrue();
    }

    [Theory]
    [InlineData("CLIENT_RANDOM 00")]
    [InlineData("no key log at all")]
    [InlineData("CLIENT_RANDOM 0000000000000000000000000000000000000000000000000000000000000000 not-hexadecimal-digits-at-all")]
    [InlineData("-----BEGIN PRIVATE KEY-----")]
    public void What_is_no_key_log_is_refused(string text) => Should.Throw<FormatException>(() => KeyLog.Parse(Encoding.ASCII.GetBytes(text)));

    [Fact]
    public void A_certificate_is_compared_by_subject_and_key()
    {
        ServerCertificate one = Certificate("tls12-aes128"), other = Certificate("tls12-aes256");
        one.Difference(Certificate("tls12-aes128")).ShouldBeNull();
        one.Difference(other).ShouldBe("CN=shop.example in place of O=Capsules, CN=shop.example");
        one.Difference(one with { Key = other.Key })!.ShouldContain("with the key");
        one.Difference(null)!.ShouldContain("no certificate");
        ServerCertificate.Read([0x30, 0x82, 0xFF]).ShouldBeNull();

        static ServerCertificate Certificate(string name) => ServerCertificate.Read(Recording.Read(Pcap(name), Keys(name)).Conversations.First(c => c.Turns.Length > 0).Tls!.Certificate.Span)!;
    }

    /// <summary>Real connections and the handshake of the RFC with bytes changed and records cut off: a result or a reason, nothing else, and soon.</summary>
    [Fact]
    public void Foreign_records_do_no_harm()
    {
        var seeds = new List<(byte[][] Records, KeyLog Keys, bool[] FromClient)> { ([.. Rfc8448.Records.Select(r => r.Bytes)], RfcKeys, [.. Rfc8448.Records.Select(r => r.FromClient)]) };
        foreach (string name in (string[])["tls12-aes128", "tls13-chacha", "tls13-update"])
        {
            Conversation encrypted = Recording.Read(Pcap(name)).Conversations.First(c => c.Turns.Length > 0);
            seeds.Add(([.. encrypted.Turns.SelectMany(t => (byte[][])[t.Request.ToArray(), t.Answer.ToArray()[..Math.Min(t.Answer.Length, 4000)]])], Keys(name), [.. encrypted.Turns.SelectMany(_ => (bool[])[true, false])]));
        }
        Gen.Select(Gen.Int[0, seeds.Count - 1], Gen.Select(Gen.Int[0, 7], Gen.Int[0, 300], Gen.Byte).Array[0, 6], Gen.Int[0, 1200]).Sample((which, changes, cut) =>
        {
            byte[][] records = [.. seeds[which].Records.Select(r => r.ToArray())];
            foreach (var (record, at, value) in changes)
                if (record < records.Length && at < records[record].Length) records[record][at] = value;
            records[cut % records.Length] = records[cut % records.Length][..Math.Min(cut, records[cut % records.Length].Length)];
            var said = new Exchange();
            for (int i = 0; i < records.Length; i++)
                if (records[i].Length > 0) said.Add(seeds[which].FromClient[i], records[i]);
            Conversation conversation = TlsDecoder.Decode(new(SmallCapture.Client, SmallCapture.Server, said.ToTurns(), true), seeds[which].Keys);
            if (conversation.Tls is { } tls) ServerCertificate.Read(tls.Certificate.Span);
        }, iter: 5_000);
        Gen.Byte.Array[0, 80].Sample(bytes => ServerCertificate.Read(bytes), iter: 20_000);
        byte[] whole = Only(Rfc(), RfcKeys).Tls!.Certificate.ToArray();
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Int[0, whole.Length]).Sample((at, value, cut) =>
        {
            byte[] changed = [.. whole];
            changed[at] = value;
            ServerCertificate.Read(changed.AsSpan(0, cut));
        }, iter: 20_000);
    }
}
