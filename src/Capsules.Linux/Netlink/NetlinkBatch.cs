using System.Buffers.Binary;
using System.Text;

namespace Capsules.Linux.Netlink;

/// <summary>NLM_F_* of netlink(7): what a message asks for.</summary>
[Flags]
internal enum NetlinkFlags
{
    Request = 1, Acknowledge = 4, Dump = 0x300,
    Replace = 0x100, Exclusive = 0x200, Create = 0x400, Append = 0x800,
}

/// <summary>
/// The bytes of one or more netlink messages that travel together: each a header of sixteen bytes, the family's own header, and attributes,
/// everything padded to four bytes (netlink(7)). Message number N of the batch has the sequence number N, counted from 1.
/// </summary>
internal sealed class NetlinkBatch
{
    private const int NestedFlag = 0x8000;

    private readonly Stack<int> _nests = new();
    private readonly List<string> _subjects = [];
    private byte[] _bytes = new byte[1024];
    private int _length, _message;

    /// <summary>What is sent.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    /// <summary>What each message is about, for errors.</summary>
    public IReadOnlyList<string> Subjects => _subjects;

    /// <summary>How many of the messages ask for an acknowledgement.</summary>
    public int Acknowledgements { get; private set; }

    /// <summary>Begins a message.</summary>
    public void Begin(int type, NetlinkFlags flags, string subject)
    {
        _subjects.Add(subject);
        if (flags.HasFlag(NetlinkFlags.Acknowledge)) Acknowledgements++;
        _message = Grow(16);
        Write16(_message + 4, (ushort)type);
        Write16(_message + 6, (ushort)(flags | NetlinkFlags.Request));
        Write32(_message + 8, (uint)_subjects.Count);
    }

    /// <summary>Ends a message: its length is known now.</summary>
    public void End() => Write32(_message, (uint)(_length - _message));

    /// <summary>A family's own header, all zero, to be filled in.</summary>
    public Span<byte> Header(int size) => _bytes.AsSpan(Grow(size), size);

    /// <summary>An attribute.</summary>
    public void Attribute(int type, ReadOnlySpan<byte> value)
    {
        int at = Grow(4 + value.Length);
        Write16(at, (ushort)(4 + value.Length));
        Write16(at + 2, (ushort)type);
        value.CopyTo(_bytes.AsSpan(at + 4));
    }

    /// <summary>An attribute of one byte.</summary>
    public void Byte(int type, byte value) => Attribute(type, [value]);

    /// <summary>An attribute of 32 bits in the machine's order, as rtnetlink has them.</summary>
    public void Number(int type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Attribute(type, bytes);
    }

    /// <summary>An attribute of 32 bits in the network's order, as nfnetlink has them.</summary>
    public void NetworkNumber(int type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        Attribute(type, bytes);
    }

    /// <summary>An attribute of 64 bits in the network's order.</summary>
    public void NetworkLong(int type, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        Attribute(type, bytes);
    }

    /// <summary>A text with the NUL at its end.</summary>
    public void Text(int type, string value) => Attribute(type, Encoding.UTF8.GetBytes(value + '\0'));

    /// <summary>An attribute that holds attributes, until <see cref="CloseNest"/>. nf_tables wants it marked as such; rtnetlink came before the mark.</summary>
    public void OpenNest(int type, bool marked = false)
    {
        int at = Grow(4);
        Write16(at + 2, (ushort)(marked ? type | NestedFlag : type));
        _nests.Push(at);
    }

    /// <summary>Ends what <see cref="OpenNest"/> began.</summary>
    public void CloseNest()
    {
        int at = _nests.Pop();
        Write16(at, (ushort)(_length - at));
    }

    private int Grow(int size)
    {
        int at = _length;
        _length += (size + 3) & ~3;
        if (_length > _bytes.Length) Array.Resize(ref _bytes, Math.Max(_length, _bytes.Length * 2));
        return at;
    }

    private void Write16(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(at), value);
    private void Write32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at), value);
}
