using Capsules.Linux.Netlink;

namespace Capsules.Linux.Nftables;

/// <summary>NFPROTO_*: which packets a table sees.</summary>
public enum NftFamily
{
    /// <summary>IPv4 and IPv6.</summary>
    Inet = 1,
    /// <summary>IPv4.</summary>
    IPv4 = 2,
    /// <summary>IPv6.</summary>
    IPv6 = 10,
}

/// <summary>Registers of 32 bits each, of the virtual machine that runs a rule (NFT_REG32_*); a longer value fills the ones that follow.</summary>
public enum NftRegister
{
    /// <summary>NFT_REG32_00.</summary>
    R0 = 8,
    /// <summary>NFT_REG32_01.</summary>
    R1,
    /// <summary>NFT_REG32_02.</summary>
    R2,
    /// <summary>NFT_REG32_03.</summary>
    R3,
    /// <summary>NFT_REG32_04.</summary>
    R4,
    /// <summary>NFT_REG32_05.</summary>
    R5,
}

/// <summary>NFT_META_*: what is known of a packet beside its bytes.</summary>
public enum NftMeta
{
    /// <summary>The link it came by, 16 bytes.</summary>
    InputName = 6,
    /// <summary>The link it leaves by, 16 bytes.</summary>
    OutputName = 7,
    /// <summary>NFPROTO_IPV4 or NFPROTO_IPV6, one byte.</summary>
    Family = 15,
    /// <summary>IPPROTO_*, one byte.</summary>
    Protocol = 16,
}

/// <summary>
/// A rule: expressions that run one after the other until one does not match (include/uapi/linux/netfilter/nf_tables.h; `nft --debug=netlink`
/// shows the same words).
/// </summary>
public sealed class NftRule
{
    private readonly List<Action<NetlinkBatch>> _expressions = [];

    /// <summary>meta load KEY => register.</summary>
    public NftRule Load(NftMeta key, NftRegister to) => Add("meta", m =>
    {
        m.NetworkNumber(2, (uint)key); // NFTA_META_KEY
        m.NetworkNumber(1, (uint)to); // NFTA_META_DREG
    });

    /// <summary>payload load of the network header (base 1) or the transport header (base 2).</summary>
    public NftRule LoadPayload(int header, int offset, int length, NftRegister to) => Add("payload", m =>
    {
        m.NetworkNumber(1, (uint)to);
        m.NetworkNumber(2, (uint)header);
        m.NetworkNumber(3, (uint)offset);
        m.NetworkNumber(4, (uint)length);
    });

    /// <summary>fib daddr type: RTN_* of the destination, such as 2 for an address of this host.</summary>
    public NftRule LoadDestinationType(NftRegister to) => Add("fib", m =>
    {
        m.NetworkNumber(1, (uint)to);
        m.NetworkNumber(2, 3); // NFT_FIB_RESULT_ADDRTYPE
        m.NetworkNumber(3, 2); // NFTA_FIB_F_DADDR
    });

    /// <summary>ct status, bits of IPS_*.</summary>
    public NftRule LoadConnectionStatus(NftRegister to) => Add("ct", m =>
    {
        m.NetworkNumber(2, 2); // NFT_CT_STATUS
        m.NetworkNumber(1, (uint)to);
    });

    /// <summary>register &amp;= mask.</summary>
    public NftRule Mask(NftRegister register, byte[] mask) => Add("bitwise", m =>
    {
        m.NetworkNumber(1, (uint)register);
        m.NetworkNumber(2, (uint)register);
        m.NetworkNumber(3, (uint)mask.Length);
        Value(m, 4, mask);
        Value(m, 5, new byte[mask.Length]);
    });

    /// <summary>Goes on only if the register holds the value.</summary>
    public NftRule IsEqual(NftRegister register, byte[] value) => Compare(register, 0, value);

    /// <summary>Goes on only if the register holds something else.</summary>
    public NftRule IsNot(NftRegister register, byte[] value) => Compare(register, 1, value);

    /// <summary>Looks the key that begins in <paramref name="key"/> up in a map, and goes on with its value in <paramref name="value"/>.</summary>
    public NftRule Lookup(string map, NftRegister key, NftRegister value) => Add("lookup", m =>
    {
        m.Text(1, map);
        m.NetworkNumber(2, (uint)key);
        m.NetworkNumber(3, (uint)value);
    });

    /// <summary>dnat to the address and port in these registers.</summary>
    public NftRule DestinationNat(NftFamily family, NftRegister address, NftRegister port) => Add("nat", m =>
    {
        m.NetworkNumber(1, 1); // NFT_NAT_DNAT
        m.NetworkNumber(2, (uint)family);
        m.NetworkNumber(3, (uint)address);
        m.NetworkNumber(5, (uint)port);
    });

    /// <summary>masquerade: the source becomes the address of the link that it leaves by.</summary>
    public NftRule Masquerade() => Add("masq", static _ => { });

    /// <summary>The packet is let through, as far as this table is concerned.</summary>
    public NftRule Accept() => Verdict(1);

    /// <summary>The packet is thrown away.</summary>
    public NftRule Drop() => Verdict(0);

    /// <summary>The name of a link as a register holds it: 16 bytes.</summary>
    public static byte[] LinkName(string name)
    {
        byte[] bytes = new byte[16];
        System.Text.Encoding.UTF8.GetBytes(name, bytes.AsSpan(0, 15));
        return bytes;
    }

    internal void Write(NetlinkBatch messages)
    {
        foreach (var expression in _expressions) expression(messages);
    }

    internal static void Value(NetlinkBatch messages, int attribute, ReadOnlySpan<byte> value)
    {
        messages.OpenNest(attribute, marked: true);
        messages.Attribute(1, value); // NFTA_DATA_VALUE
        messages.CloseNest();
    }

    private NftRule Compare(NftRegister register, uint operation, byte[] value) => Add("cmp", m =>
    {
        m.NetworkNumber(1, (uint)register);
        m.NetworkNumber(2, operation);
        Value(m, 3, value);
    });

    private NftRule Verdict(uint code) => Add("immediate", m =>
    {
        m.NetworkNumber(1, 0); // into NFT_REG_VERDICT
        m.OpenNest(2, marked: true);
        m.OpenNest(2, marked: true); // NFTA_DATA_VERDICT
        m.NetworkNumber(1, code);
        m.CloseNest();
        m.CloseNest();
    });

    private NftRule Add(string name, Action<NetlinkBatch> data)
    {
        _expressions.Add(m =>
        {
            m.OpenNest(1, marked: true); // NFTA_LIST_ELEM
            m.Text(1, name); // NFTA_EXPR_NAME
            m.OpenNest(2, marked: true); // NFTA_EXPR_DATA
            data(m);
            m.CloseNest();
            m.CloseNest();
        });
        return this;
    }
}
