using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Verifying.Tls;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>What a client said, and what it was answered before it said more. The first may have no request: some servers speak first.</summary>
public sealed record Turn(ReadOnlyMemory<byte> Request, ReadOnlyMemory<byte> Answer);

/// <summary>One connection of a recording, put together.</summary>
/// <param name="Client">Who opened it.</param>
/// <param name="Server">Who was asked.</param>
/// <param name="Turns">What was said.</param>
/// <param name="IsWhole">Nothing in the middle is missing; else what was before the gap is here.</param>
public sealed record Conversation(IPEndPoint Client, IPEndPoint Server, ImmutableArray<Turn> Turns, bool IsWhole)
{
    /// <summary>That it is TLS, or changed over to it; null when it is plain.</summary>
    public TlsFacts? Tls { get; init; }
}

/// <summary>The conversations of a recording, in the order in which they were opened.</summary>
/// <param name="Conversations">Those whose beginning was recorded.</param>
/// <param name="Unopened">How many connections were open before the recording began.</param>
/// <param name="UdpPorts">Ports to which UDP packets went, with how many.</param>
public sealed record Recording(ImmutableArray<Conversation> Conversations, int Unopened, ImmutableSortedDictionary<int, int> UdpPorts)
{
    /// <summary>Reads a pcap or pcapng file, with keys of its TLS connections beside those that it carries.</summary>
    /// <exception cref="FormatException">It is no such file, or too large.</exception>
    public static Recording Read(ReadOnlyMemory<byte> file, KeyLog? keys = null)
    {
        PacketFile packets = PacketFile.Read(file);
        return Of(packets with { Keys = packets.Keys.With(keys ?? KeyLog.Empty) });
    }

    /// <summary>Puts TCP streams together, what came twice, out of order or overlapping, and decrypts those of which there are keys.</summary>
    public static Recording Of(PacketFile packets)
    {
        var open = new Dictionary<(IPEndPoint Client, IPEndPoint Server), Stream>();
        var all = new List<Stream>();
        var unopened = new HashSet<(string, string)>();
        var udp = new SortedDictionary<int, int>();
        foreach (CapturedFrame frame in packets.Frames)
        {
            if (Segment.Of(frame) is not { } segment) continue;
            if (segment.IsUdp)
            {
                udp[segment.To.Port] = udp.GetValueOrDefault(segment.To.Port) + 1;
                continue;
            }
            if (segment.Opens)
            {
                if (open.TryGetValue((segment.From, segment.To), out Stream? same) && same.Began == segment.Sequence) continue; // sent again, or seen on two interfaces
                var opened = new Stream(segment.From, segment.To, segment.Sequence);
                open[(segment.From, segment.To)] = opened;
                all.Add(opened);
            }
            else if (open.TryGetValue((segment.From, segment.To), out Stream? asking)) asking.Take(in segment, fromClient: true);
            else if (open.TryGetValue((segment.To, segment.From), out Stream? answering)) answering.Take(in segment, fromClient: false);
            else if (segment.Payload.Length > 0)
            {
                string[] ends = [.. new[] { segment.From.ToString(), segment.To.ToString() }.Order(StringComparer.Ordinal)];
                unopened.Add((ends[0], ends[1]));
            }
        }
        return new([.. all.Select(s => TlsDecoder.Decode(s.ToConversation(), packets.Keys))], unopened.Count, udp.ToImmutableSortedDictionary());
    }

    /// <summary>A connection while it is put together.</summary>
    private sealed class Stream(IPEndPoint client, IPEndPoint server, uint began)
    {
        private readonly Half _client = new() { Next = began + 1 }, _server = new();
        private readonly Exchange _said = new();

        public uint Began => began;

        public void Take(in Segment segment, bool fromClient)
        {
            Half half = fromClient ? _client : _server;
            if (segment.IsSyn)
            {
                half.Next ??= segment.Sequence + 1;
                return;
            }
            if (segment.Payload.Length == 0 || half.IsBroken) return;
            half.Next ??= segment.Sequence; // the answer to the opening was not recorded
            if (!segment.IsWhole)
            {
                half.IsBroken = true;
                return;
            }
            foreach (ReadOnlyMemory<byte> piece in half.Add(segment.Sequence, segment.Payload)) _said.Add(fromClient, piece);
        }

        public Conversation ToConversation() => new(client, server, _said.ToTurns(), !_client.HasGap && !_server.HasGap);
    }

    /// <summary>One direction: what comes next, and what came too early. Numbers go round at 2^32.</summary>
    private sealed class Half
    {
        private const int MostEarly = 4096; // a window holds no more; what is lost stays lost

        private readonly List<(uint Sequence, ReadOnlyMemory<byte> Payload)> _early = [];

        public uint? Next { get; set; }
        public bool IsBroken { get; set; }
        public bool HasGap => IsBroken || _early.Count > 0;

        public IEnumerable<ReadOnlyMemory<byte>> Add(uint sequence, ReadOnlyMemory<byte> payload)
        {
            if (_early.Count >= MostEarly)
            {
                IsBroken = true;
                yield break;
            }
            _early.Add((sequence, payload));
            for (int i = 0; i < _early.Count;)
            {
                var (from, bytes) = _early[i];
                int ahead = (int)(from - Next!.Value);
                if (ahead > 0)
                {
                    i++;
                    continue;
                }
                _early.RemoveAt(i);
                if (-(long)ahead >= bytes.Length) continue; // all of it was there before
                ReadOnlyMemory<byte> fresh = bytes[-ahead..];
                Next += (uint)fresh.Length;
                yield return fresh;
                i = 0; // what came too early may come next
            }
        }
    }
}
