using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Capsules.Linux.Netlink;

namespace Capsules.Linux.Nftables;

/// <summary>Where a base chain is hooked in: NF_INET_*.</summary>
public enum NftHook
{
    /// <summary>Everything that arrives.</summary>
    Prerouting = 0,
    /// <summary>What is for this host.</summary>
    Input = 1,
    /// <summary>What passes through.</summary>
    Forward = 2,
    /// <summary>What this host sends.</summary>
    Output = 3,
    /// <summary>Everything that leaves.</summary>
    Postrouting = 4,
}

/// <summary>Types of set keys and values, by the numbers that the nft program gives them, so that it can print them.</summary>
public enum NftType
{
    /// <summary>An IPv4 address.</summary>
    IPv4Address = 7,
    /// <summary>An IPv6 address.</summary>
    IPv6Address = 8,
    /// <summary>IPPROTO_*, one byte.</summary>
    Protocol = 12,
    /// <summary>A port, in the network's order.</summary>
    Port = 13,
}

/// <summary>Changes to nf_tables that happen all together or not at all (nfnetlink batch).</summary>
public sealed class NftBatch
{
    internal const int Subsystem = 10 << 8; // NFNL_SUBSYS_NFTABLES
    private const int NewTable = 0, DeleteTableType = 2, NewChain = 3, NewRule = 6, DeleteRuleType = 8, NewSet = 9, NewElement = 12, DeleteElementType = 14;
    private const NetlinkFlags Make = NetlinkFlags.Acknowledge | NetlinkFlags.Create;

    private uint _setId;

    /// <summary>An empty batch.</summary>
    public NftBatch()
    {
        Messages.Begin(16, NetlinkFlags.Request, "begin"); // NFNL_MSG_BATCH_BEGIN
        Header(Messages, 0, 10);
        Messages.End();
    }

    internal NetlinkBatch Messages { get; } = new();

    /// <summary>Whether nothing is in it.</summary>
    public bool IsEmpty => Messages.Acknowledgements == 0;

    /// <summary>A table; an existing one stays as it is.</summary>
    public NftBatch AddTable(NftFamily family, string table) => Message(NewTable, Make, family, $"table {table}", m => m.Text(1, table));

    /// <summary>Deletes a table with all that is in it.</summary>
    public NftBatch DeleteTable(NftFamily family, string table) => Message(DeleteTableType, NetlinkFlags.Acknowledge, family, $"table {table}", m => m.Text(1, table));

    /// <summary>A base chain of type "nat", "filter" or "route"; lower priorities come first.</summary>
    public NftBatch AddChain(NftFamily family, string table, string chain, string type, NftHook hook, int priority) => Message(NewChain, Make, family, $"chain {table} {chain}", m =>
    {
        m.Text(1, table);
        m.Text(3, chain);
        m.OpenNest(4, marked: true); // NFTA_CHAIN_HOOK
        m.NetworkNumber(1, (uint)hook);
        m.NetworkNumber(2, (uint)priority);
        m.CloseNest();
        m.Text(7, type);
    });

    /// <summary>A rule at the end of a chain, or at its front.</summary>
    public NftBatch AddRule(NftFamily family, string table, string chain, NftRule rule, string? comment = null, bool first = false) =>
        Message(NewRule, first ? Make : Make | NetlinkFlags.Append, family, $"rule {table} {chain}", m =>
        {
            m.Text(1, table);
            m.Text(2, chain);
            m.OpenNest(4, marked: true); // NFTA_RULE_EXPRESSIONS
            rule.Write(m);
            m.CloseNest();
            if (comment is not null) m.Attribute(7, UserData(comment)); // NFTA_RULE_USERDATA
        });

    /// <summary>Takes the rule of this handle away.</summary>
    public NftBatch DeleteRule(NftFamily family, string table, string chain, ulong handle) => Message(DeleteRuleType, NetlinkFlags.Acknowledge, family, $"rule {table} {chain} {handle}", m =>
    {
        m.Text(1, table);
        m.Text(2, chain);
        m.NetworkLong(3, handle);
    });

    /// <summary>A map, from fields of a key to fields of a value. Each field takes a multiple of four bytes.</summary>
    public NftBatch AddMap(NftFamily family, string table, string map, ImmutableArray<NftType> key, ImmutableArray<NftType> value) => Message(NewSet, Make, family, $"map {table} {map}", m =>
    {
        const uint isMap = 8; // NFT_SET_MAP
        m.Text(1, table);
        m.Text(2, map);
        m.NetworkNumber(3, isMap);
        m.NetworkNumber(4, Concatenated(key));
        m.NetworkNumber(5, (uint)key.Sum(Size));
        m.NetworkNumber(6, Concatenated(value));
        m.NetworkNumber(7, (uint)value.Sum(Size));
        m.NetworkNumber(10, ++_setId); // NFTA_SET_ID: names it within the batch
    });

    /// <summary>An element of a map.</summary>
    /// <param name="family">The table's family.</param>
    /// <param name="table">The table.</param>
    /// <param name="map">The map.</param>
    /// <param name="key">All fields, each padded at its end to four bytes.</param>
    /// <param name="value">As the key.</param>
    /// <param name="comment">For people.</param>
    public NftBatch AddElement(NftFamily family, string table, string map, byte[] key, byte[] value, string comment) =>
        Element(NewElement, Make | NetlinkFlags.Exclusive, family, table, map, key, m =>
        {
            NftRule.Value(m, 2, value); // NFTA_SET_ELEM_DATA
            m.Attribute(6, UserData(comment)); // NFTA_SET_ELEM_USERDATA
        });

    /// <summary>Takes an element out of a map.</summary>
    public NftBatch DeleteElement(NftFamily family, string table, string map, byte[] key) =>
        Element(DeleteElementType, NetlinkFlags.Acknowledge, family, table, map, key, static _ => { });

    internal void Finish()
    {
        Messages.Begin(17, NetlinkFlags.Request, "commit"); // NFNL_MSG_BATCH_END
        Header(Messages, 0, 10);
        Messages.End();
    }

    /// <summary>struct nfgenmsg: family, version, and a number in the network's order.</summary>
    internal static void Header(NetlinkBatch messages, byte family, ushort resource = 0)
    {
        Span<byte> header = messages.Header(4);
        header[0] = family;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], resource);
    }

    private NftBatch Element(int type, NetlinkFlags flags, NftFamily family, string table, string map, byte[] key, Action<NetlinkBatch> more) => Message(type, flags, family, $"element of {table} {map}", m =>
    {
        m.Text(1, table);
        m.Text(2, map);
        m.OpenNest(3, marked: true); // NFTA_SET_ELEM_LIST_ELEMENTS
        m.OpenNest(1, marked: true);
        NftRule.Value(m, 1, key); // NFTA_SET_ELEM_KEY
        more(m);
        m.CloseNest();
        m.CloseNest();
    });

    private NftBatch Message(int type, NetlinkFlags flags, NftFamily family, string subject, Action<NetlinkBatch> write)
    {
        Messages.Begin(Subsystem | type, flags, subject);
        Header(Messages, (byte)family);
        write(Messages);
        Messages.End();
        return this;
    }

    /// <summary>Six bits for each type, as nft's concatenations have them.</summary>
    private static uint Concatenated(ImmutableArray<NftType> types) => types.Aggregate(0u, (all, type) => all << 6 | (uint)type);

    private static int Size(NftType type) => type == NftType.IPv6Address ? 16 : 4;

    /// <summary>User data of libnftnl: type 0 (a comment), length, text with NUL.</summary>
    private static byte[] UserData(string comment)
    {
        byte[] text = Encoding.UTF8.GetBytes(comment.Length > 120 ? comment[..120] : comment);
        return [0, (byte)(text.Length + 1), .. text, 0];
    }
}
