using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Capsules.Linux.Netlink;

/// <summary>A socket of netlink(7), bound to the network namespace in which it was opened. One request at a time.</summary>
internal sealed unsafe class NetlinkSocket : IDisposable
{
    public const int Route = 0, Netfilter = 12;

    private const int FamilyNetlink = 16, TypeRaw = 3, CloseOnExec = 0x80000, LevelNetlink = 270, OptionCapAck = 10, OptionExtAck = 11, DontWait = 0x40, LevelSocket = 1, OptionReceiveBuffer = 8;

    private readonly Descriptor _socket;
    private readonly string _call;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(64 * 1024); // a dump's datagrams have at most 32 KiB (netlink(7))

    private NetlinkSocket(Descriptor socket, string call) => (_socket, _call) = (socket, call);

    /// <summary>Opens a socket in the given namespace; null is the caller's.</summary>
    public static NetlinkSocket Open(int protocol, Descriptor? networkNamespace)
    {
        string call = protocol == Route ? "rtnetlink" : "nfnetlink";
        var socket = new Descriptor(NetworkNamespace.Inside(networkNamespace, () => Native.Check(Native.socket(FamilyNetlink, TypeRaw | CloseOnExec, protocol), "socket", call)));
        int one = 1, room = 1 << 20;
        // Errors carry the kernel's words (4.12), and acknowledgements do not carry the request again. Both only help: a refusal is no failure.
        Native.setsockopt(socket.Number, LevelNetlink, OptionCapAck, &one, sizeof(int));
        Native.setsockopt(socket.Number, LevelNetlink, OptionExtAck, &one, sizeof(int));
        Native.setsockopt(socket.Number, LevelSocket, OptionReceiveBuffer, &room, sizeof(int)); // as many acknowledgements as a batch has messages
        return new(socket, call);
    }

    /// <summary>Sends the batch and takes its acknowledgements.</summary>
    /// <exception cref="SyscallException">The first message that was refused, with the kernel's own words.</exception>
    public void Execute(NetlinkBatch batch)
    {
        Send(batch);
        SyscallException? first = null;
        for (int left = batch.Acknowledgements; left > 0;)
        {
            // The kernel works through a batch before sendto(2) returns: every answer is there already, or will never come.
            ReadOnlyMemory<byte> datagram = Receive(DontWait);
            if (datagram.IsEmpty) break;
            foreach (NetlinkMessage message in NetlinkMessage.Split(datagram))
            {
                if (message.Type != NetlinkMessage.Error) continue;
                left--;
                first ??= ErrorOf(message, batch);
            }
        }
        if (first is not null) throw first;
    }

    /// <summary>Sends one request that is answered by messages, a single one or a whole dump.</summary>
    public List<NetlinkMessage> Request(NetlinkBatch batch)
    {
        bool dump = (BinaryPrimitives.ReadUInt16LittleEndian(batch.Bytes[6..]) & (int)NetlinkFlags.Dump) == (int)NetlinkFlags.Dump;
        Send(batch);
        var answers = new List<NetlinkMessage>();
        while (true)
        {
            ReadOnlyMemory<byte> datagram = Receive(dump ? 0 : DontWait).ToArray(); // kept by the answers, while the buffer is used again
            if (datagram.IsEmpty) return answers;
            foreach (NetlinkMessage message in NetlinkMessage.Split(datagram))
            {
                if (message.Type == NetlinkMessage.Done) return answers;
                if (message.Type != NetlinkMessage.Error) answers.Add(message);
                else if (ErrorOf(message, batch) is { } error) throw error;
            }
            if (!dump) return answers;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void Send(NetlinkBatch batch)
    {
        fixed (byte* bytes = batch.Bytes) // the kernel only reads them, during the call
        {
            nint sent;
            do sent = Native.sendto(_socket.Number, bytes, batch.Bytes.Length, 0, null, 0);
            while (Native.Interrupted(sent));
            Native.Check(sent, _call, batch.Subjects[0]);
        }
    }

    private ReadOnlyMemory<byte> Receive(int flags)
    {
        fixed (byte* to = _buffer) // pinned during the call; the length goes with it
        {
            nint count;
            do count = Native.recvfrom(_socket.Number, to, _buffer.Length, flags, null, null);
            while (Native.Interrupted(count));
            if (count < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return default;
            return _buffer.AsMemory(0, Native.Check(count, _call, "answer"));
        }
    }

    /// <summary>struct nlmsgerr: a negative errno, the header of what failed, and with NLM_F_ACK_TLVS attributes, of which 1 is a text.</summary>
    private SyscallException? ErrorOf(NetlinkMessage message, NetlinkBatch batch)
    {
        ReadOnlyMemory<byte> body = message.Body;
        int errno = -BinaryPrimitives.ReadInt32LittleEndian(body.Span);
        if (errno == 0) return null;
        const int attributesFollow = 0x200, capped = 0x100, text = 1;
        string? words = null;
        if ((message.Flags & attributesFollow) != 0)
        {
            int skip = (message.Flags & capped) != 0 ? 20 : 4 + ((BinaryPrimitives.ReadInt32LittleEndian(body.Span[4..]) + 3) & ~3);
            if (skip <= body.Length)
                foreach (NetlinkAttribute attribute in NetlinkAttribute.Split(body[skip..]))
                    if (attribute.Type == text) words = attribute.Text;
        }
        int index = (int)message.Sequence - 1;
        return new(_call, index >= 0 && index < batch.Subjects.Count ? batch.Subjects[index] : "", errno, words);
    }
}
