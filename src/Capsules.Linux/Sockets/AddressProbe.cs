using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;

namespace Capsules.Linux.Sockets;

/// <summary>
/// Asks a link whether somebody has an address already (RFC 5227, RFC 4862), and tells it that we have it now. The link must be up; it
/// needs no address. Questions go out when the probe is made, so that other work can be done until <see cref="Wait"/>.
/// </summary>
public sealed class AddressProbe : IDisposable
{
    private readonly PacketSocket _socket;
    private readonly EthernetAddress _own;
    private readonly byte[] _question;
    private readonly Stopwatch _since = Stopwatch.StartNew();

    private AddressProbe(PacketSocket socket, EthernetAddress own, IPAddress address)
    {
        (_socket, _own, Address) = (socket, own, address);
        _question = AddressFrames.Probe(own, address);
        socket.Send(_question);
    }

    /// <summary>The address that is asked for.</summary>
    public IPAddress Address { get; }

    /// <summary>Opens a socket in the namespace and asks.</summary>
    public static AddressProbe Start(Descriptor? networkNamespace, LinkStatus link, IPAddress address) =>
        new(PacketSocket.Open(networkNamespace, link.Index, ProtocolOf(address)), link.Address ?? throw new ArgumentException($"{link.Name} has no Ethernet address", nameof(link)), address);

    /// <summary>Waits until <paramref name="time"/> has passed since the start, asking thrice in all; the holder, or null when nobody answered.</summary>
    public EthernetAddress? Wait(TimeSpan time)
    {
        Span<byte> buffer = stackalloc byte[2048];
        TimeSpan next = time / 3;
        int asked = 1;
        while (true)
        {
            while (true)
            {
                ReadOnlySpan<byte> frame = _socket.TryReceive(buffer, out bool ownFrame);
                if (frame.IsEmpty) break;
                if (!ownFrame && AddressFrames.HolderIn(frame, _own, Address) is { } holder) return holder;
            }
            TimeSpan now = _since.Elapsed;
            if (now >= time) return null;
            if (now >= next && asked < 3)
            {
                _socket.Send(_question);
                (asked, next) = (asked + 1, next + time / 3);
            }
            TimeSpan until = (asked < 3 && next < time ? next : time) - now;
            FileCalls.WaitReadable(_socket.Descriptor, Math.Max(1, (int)Math.Ceiling(until.TotalMilliseconds)));
        }
    }

    /// <summary>Tells everybody on the link, twice, that the address is at this link now: caches that know another place for it are corrected.</summary>
    public static void Announce(Descriptor? networkNamespace, LinkStatus link, IPAddress address)
    {
        using PacketSocket socket = PacketSocket.Open(networkNamespace, link.Index, ProtocolOf(address));
        byte[] frame = AddressFrames.Announcement(link.Address ?? throw new ArgumentException($"{link.Name} has no Ethernet address", nameof(link)), address);
        socket.Send(frame);
        socket.Send(frame);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private static int ProtocolOf(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork ? PacketSocket.Arp : PacketSocket.IPv6;
}
