using System.Net;
using System.Net.Sockets;
using Capsules.Core.Verifying;
using Capsules.Core.Verifying.Traffic;
using Capsules.Linux;
using Capsules.Linux.Netlink;

namespace Capsules.Engine.Verifying;

/// <summary>Says again what clients said: turn by turn, each after the answer to the one before.</summary>
internal static class TrafficReplay
{
    private const int Patience = 5000, Quiet = 20; // milliseconds: for an answer; for more of it that is on its way

    /// <summary>Replays a conversation; the finding, or null when all answers are the same by the rules.</summary>
    /// <param name="conversation">What was recorded.</param>
    /// <param name="number">Its number in the recording.</param>
    /// <param name="network">The copy's network.</param>
    /// <param name="copy">Where the copy listens.</param>
    /// <param name="original">Where the original listens, in this host's network; null to compare with the recording.</param>
    public static Finding? Replay(Conversation conversation, int number, Descriptor network, IPEndPoint copy, IPEndPoint? original)
    {
        TrafficProtocol protocol = TrafficProtocol.Of(conversation);
        string subject = $"{protocol.Name} {conversation.Server.Port} #{number}";
        try
        {
            using Socket asked = NetworkNamespace.Inside(network, () => Connect(copy));
            using Socket? other = original is null ? null : Connect(original);
            for (int i = 0; i < conversation.Turns.Length; i++)
            {
                Turn turn = conversation.Turns[i];
                if (other is not null) turn = turn with { Answer = Ask(other, turn, protocol) };
                byte[] answer = Ask(asked, turn, protocol);
                if (protocol.Difference(turn, answer) is { } difference)
                    return new(FindingLevel.Error, FindingKind.Answer, subject, $"connection {number} to port {conversation.Server.Port} ({protocol.Name}), answer {i + 1}: {difference}", original is null ? "it was recorded at the source" : "the original answers otherwise now");
            }
            return null;
        }
        catch (SocketException e)
        {
            return new(FindingLevel.Error, FindingKind.Answer, subject, $"connection {number} to port {conversation.Server.Port} ({protocol.Name}) failed: {e.SocketErrorCode}", e.Message);
        }
    }

    private static Socket Connect(IPEndPoint to)
    {
        var socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.Connect(to);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static byte[] Ask(Socket socket, Turn turn, TrafficProtocol protocol)
    {
        ReadOnlyMemory<byte> request = turn.Request;
        for (int sent = 0; sent < request.Length;) sent += socket.Send(request.Span[sent..]);
        if (turn.Answer.IsEmpty) return [];
        using var answer = new MemoryStream();
        byte[] buffer = new byte[64 << 10];
        long end = Environment.TickCount64 + Patience;
        while (Environment.TickCount64 < end)
        {
            if (!socket.Poll(TimeSpan.FromMilliseconds(answer.Length == 0 ? Patience : Quiet), SelectMode.SelectRead))
            {
                if (answer.Length > 0 && protocol.IsWhole(turn, answer.GetBuffer().AsSpan(0, (int)answer.Length))) break;
                continue;
            }
            int count = socket.Receive(buffer);
            if (count == 0) break; // closed: what came is all
            answer.Write(buffer, 0, count);
            if (socket.Available == 0 && protocol.IsWhole(turn, answer.GetBuffer().AsSpan(0, (int)answer.Length))) break;
        }
        return answer.ToArray();
    }
}
