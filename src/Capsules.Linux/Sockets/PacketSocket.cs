using System.Runtime.InteropServices;
using Capsules.Linux.Netlink;

namespace Capsules.Linux.Sockets;

/// <summary>packet(7): whole Ethernet frames of one protocol, on one link of one network namespace.</summary>
internal sealed unsafe class PacketSocket : IDisposable
{
    public const int Arp = 0x0806, IPv6 = 0x86DD;

    private const int FamilyPacket = 17, TypeRaw = 3, CloseOnExec = 0x80000, LevelPacket = 263, AddMembership = 1, AllMulticast = 2, DontWait = 0x40;

    private readonly Descriptor _socket;

    private PacketSocket(Descriptor socket) => _socket = socket;

    /// <summary>struct sockaddr_ll, 20 bytes.</summary>
    internal struct LinkAddress
    {
        public ushort Family, Protocol;
        public int Link;
        public ushort HardwareType;
        public byte PacketType, AddressLength;
        public fixed byte Address[8];
    }

    /// <summary>struct packet_mreq, 16 bytes.</summary>
    internal struct Membership
    {
        public int Link;
        public ushort Type, AddressLength;
        public fixed byte Address[8];
    }

    /// <summary>Opens a socket that sees frames of <paramref name="protocol"/> on link number <paramref name="link"/>.</summary>
    public static PacketSocket Open(Descriptor? networkNamespace, int link, int protocol)
    {
        ushort wire = (ushort)(protocol >> 8 | protocol << 8);
        // Protocol 0 at first: nothing of other links may queue up before bind(2) says which one is meant.
        var socket = new Descriptor(NetworkNamespace.Inside(networkNamespace, () => Native.Check(Native.socket(FamilyPacket, TypeRaw | CloseOnExec, 0), "socket", "packet")));
        if (protocol == IPv6)
        {
            var all = new Membership { Link = link, Type = AllMulticast }; // answers go to groups that the link may not have joined
            Native.Check(Native.setsockopt(socket.Number, LevelPacket, AddMembership, &all, (uint)sizeof(Membership)), "setsockopt", "packet membership");
        }
        var address = new LinkAddress { Family = FamilyPacket, Protocol = wire, Link = link };
        Native.Check(Native.bind(socket.Number, &address, (uint)sizeof(LinkAddress)), "bind", $"packet socket to link {link}");
        return new(socket);
    }

    /// <summary>The descriptor, for poll(2).</summary>
    public Descriptor Descriptor => _socket;

    /// <summary>Sends a frame.</summary>
    public void Send(ReadOnlySpan<byte> frame)
    {
        fixed (byte* bytes = frame) // read by the kernel during the call
        {
            nint sent;
            do sent = Native.sendto(_socket.Number, bytes, frame.Length, 0, null, 0);
            while (Native.Interrupted(sent));
            Native.Check(sent, "send", "packet socket");
        }
    }

    /// <summary>A frame that is there already, and whether it is one that this host sent itself; empty when there is none.</summary>
    public ReadOnlySpan<byte> TryReceive(Span<byte> buffer, out bool ownFrame)
    {
        const byte outgoing = 4; // PACKET_OUTGOING
        LinkAddress from;
        uint length = (uint)sizeof(LinkAddress);
        fixed (byte* to = buffer) // written by the kernel during the call, within its length
        {
            nint count;
            do count = Native.recvfrom(_socket.Number, to, buffer.Length, DontWait, &from, &length);
            while (Native.Interrupted(count));
            ownFrame = from.PacketType == outgoing;
            if (count < 0 && Marshal.GetLastPInvokeError() is Errno.EAGAIN or 100) return default; // ENETDOWN: the link went down; there will be no more
            return buffer[..Native.Check(count, "recv", "packet socket")];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
