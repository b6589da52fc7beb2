using System.Net;
using System.Net.Sockets;
using Capsules.Core.Verifying;
using Capsules.Core.Verifying.Tls;
using Capsules.Core.Verifying.Traffic;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Verifying;

/// <summary>Says again what clients said: turn by turn, each after the answer to the one before.</summary>
internal static class TrafficReplay
{
    private const int Patience = 5000, Quiet = 20; // milliseconds: for an answer; for more of it that is on its way

    /// <summary>Replays a conversation up to its first difference; no finding when all is the same by the rules.</summary>
    /// <param name="conversation">What was recorded.</param>
    /// <param name="number">Its number in the recording.</param>
    /// <param name="network">The copy's network.</param>
    /// <param name="copy">Where the copy listens.</param>
    /// <param name="original">Where the original listens, in this host's network; null to compare with the recording.</param>
    /// <param name="passwords">Passwords of clients whose sign-in cannot be said again.</param>
    public static List<Finding> Replay(Conversation conversation, int number, Descriptor network, IPEndPoint copy, IPEndPoint? original, PasswordFile? passwords)
    {
        TrafficProtocol protocol = TrafficProtocol.Of(conversation);
        string name = conversation.Tls is null ? protocol.Name : $"{protocol.Name} over tls", subject = $"{name} {conversation.Server.Port} #{number}", which = $"connection {number} to port {conversation.Server.Port} ({name})";
        var findings = new List<Finding>();
        try
        {
            using ReplayLine asked = NetworkNamespace.Inside(network, () => new ReplayLine(copy));
            using ReplayLine? other = original is null ? null : new ReplayLine(original);
            ReplayVoice voice = Voice(), otherVoice = Voice();
            byte[] answer = [], otherAnswer = [];
            for (int i = 0; i < conversation.Turns.Length; i++)
            {
                if (conversation.Tls is { } tls && tls.Turns == i) findings.AddRange(ChangeOver(tls, conversation.Server.Port, asked, other));
                Turn turn = conversation.Turns[i];
                if (other is not null)
                {
                    otherAnswer = Ask(other, turn with { Request = otherVoice.Next(turn, otherAnswer) }, protocol);
                    turn = turn with { Answer = otherAnswer };
                }
                answer = Ask(asked, turn with { Request = voice.Next(turn, answer) }, protocol);
                if (protocol.Difference(turn, answer) is not { } difference) continue;
                findings.Add(new(FindingLevel.Error, FindingKind.Answer, subject, $"{which}, answer {i + 1}: {difference}", original is null ? "it was recorded at the source" : "the original answers otherwise now"));
                break;
            }
        }
        catch (SocketException e) { Fail(e.SocketErrorCode.ToString(), e); }
        catch (TlsException e) { Fail("TLS broke", e); }
        return findings;

        ReplayVoice Voice() => protocol.Voice(conversation, passwords, Convert.ToHexStringLower(Randomness.Get(12)));

        void Fail(string why, Exception e) => findings.Add(new(FindingLevel.Error, FindingKind.Answer, subject, $"{which} failed: {why}", e.Message));
    }

    /// <summary>Changes over to TLS, and compares what the handshake shows: certificates and the protocol that is agreed on.</summary>
    private static List<Finding> ChangeOver(TlsFacts tls, int port, ReplayLine asked, ReplayLine? other)
    {
        other?.ChangeOver(tls, Patience);
        asked.ChangeOver(tls, Patience);
        string subject = $"tls {port}", cause = other is null ? "it was recorded at the source" : "the original shows it now";
        ReadOnlySpan<byte> shown = other is null ? tls.Certificate.Span : other.Certificate;
        var findings = new List<Finding>();
        if (!shown.IsEmpty && ServerCertificate.Read(shown)?.Difference(ServerCertificate.Read(asked.Certificate)) is { } difference)
            findings.Add(new(FindingLevel.Error, FindingKind.Certificate, subject, $"port {port} shows another certificate: {difference}", cause, "see the files that the service reads its certificate from"));
        string expected = other?.Protocol ?? tls.Protocol;
        if (expected != asked.Protocol)
            findings.Add(new(FindingLevel.Error, FindingKind.Certificate, subject, $"port {port} agrees on {(asked.Protocol.Length == 0 ? "no protocol" : asked.Protocol)} beneath TLS in place of {(expected.Length == 0 ? "none" : expected)}", cause));
        return findings;
    }

    private static byte[] Ask(ReplayLine line, Turn turn, TrafficProtocol protocol)
    {
        line.Say(turn.Request.Span);
        if (turn.Answer.IsEmpty) return [];
        using var answer = new MemoryStream();
        byte[] buffer = new byte[64 << 10];
        long end = Environment.TickCount64 + Patience;
        while (Environment.TickCount64 < end)
        {
            int count = line.Hear(buffer, TimeSpan.FromMilliseconds(answer.Length == 0 ? Patience : Quiet));
            if (count == 0) break; // closed: what came is all
            if (count > 0) answer.Write(buffer, 0, count);
            if (answer.Length > 0 && (count < 0 || !line.HasMore) && protocol.IsWhole(turn, answer.GetBuffer().AsSpan(0, (int)answer.Length))) break;
        }
        return answer.ToArray();
    }
}
