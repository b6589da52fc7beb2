using System.Collections.Immutable;
using System.Text;
using Capsules.Linux.Netlink;

namespace Capsules.Linux.Nftables;

/// <summary>A chain; the hook is null for one that is only jumped to.</summary>
public sealed record NftChain(NftFamily Family, string Table, string Name, NftHook? Hook, int Priority, string? Type, bool DropsByPolicy)
{
    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>A rule as it is listed: its handle and its comment.</summary>
public sealed record NftRuleStatus(ulong Handle, string? Comment);

/// <summary>An element of a map.</summary>
public sealed record NftElement(byte[] Key, byte[] Value, string? Comment);

/// <summary>nf_tables by nfnetlink in one network namespace.</summary>
public sealed class NftSocket : IDisposable
{
    private const int GetTable = 1, GetChain = 4, GetRule = 7, GetElement = 13;

    private readonly NetlinkSocket _socket;

    private NftSocket(NetlinkSocket socket) => _socket = socket;

    /// <summary>A socket for the given namespace, or for the calling thread's.</summary>
    public static NftSocket Open(Descriptor? networkNamespace = null) => new(NetlinkSocket.Open(NetlinkSocket.Netfilter, networkNamespace));

    /// <summary>Does all of the batch, or nothing.</summary>
    /// <exception cref="SyscallException">The first change that was refused.</exception>
    public void Apply(NftBatch batch)
    {
        if (batch.IsEmpty) return;
        batch.Finish();
        _socket.Execute(batch.Messages);
    }

    /// <summary>Whether there is a table of this name.</summary>
    public bool HasTable(NftFamily family, string table)
    {
        try { return Ask(GetTable, NetlinkFlags.Request, family, m => m.Text(1, table)).Count > 0; }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return false; }
    }

    /// <summary>All chains of IPv4, IPv6 and inet tables.</summary>
    public ImmutableArray<NftChain> Chains() => [.. Ask(GetChain, NetlinkFlags.Dump, 0, static _ => { }).Select(ReadChain).OfType<NftChain>()];

    /// <summary>The rules of a chain; none when there is no such chain.</summary>
    public ImmutableArray<NftRuleStatus> Rules(NftFamily family, string table, string chain)
    {
        try
        {
            return [.. Ask(GetRule, NetlinkFlags.Dump, family, m => { m.Text(1, table); m.Text(2, chain); }).Select(message =>
            {
                const int handle = 3, userData = 7;
                var rule = new NftRuleStatus(0, null);
                foreach (NetlinkAttribute a in Attributes(message))
                    rule = a.Type switch { handle => rule with { Handle = a.NetworkLong }, userData => rule with { Comment = Comment(a.Value.Span) }, _ => rule };
                return rule;
            })];
        }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return []; }
    }

    /// <summary>The elements of a map; none when there is no such map.</summary>
    public ImmutableArray<NftElement> Elements(NftFamily family, string table, string map)
    {
        const int elements = 3;
        try
        {
            return [.. Ask(GetElement, NetlinkFlags.Dump, family, m => { m.Text(1, table); m.Text(2, map); })
                .SelectMany(Attributes).Where(a => a.Type == elements).SelectMany(a => a.Nested).Select(ReadElement)];
        }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return []; }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private List<NetlinkMessage> Ask(int type, NetlinkFlags flags, NftFamily family, Action<NetlinkBatch> write)
    {
        var batch = new NetlinkBatch();
        batch.Begin(NftBatch.Subsystem | type, flags, "nf_tables");
        NftBatch.Header(batch, (byte)family);
        write(batch);
        batch.End();
        return _socket.Request(batch);
    }

    private static IEnumerable<NetlinkAttribute> Attributes(NetlinkMessage message) => NetlinkAttribute.Split(message.Body[4..]);

    private static NftChain? ReadChain(NetlinkMessage message)
    {
        const int table = 1, name = 3, hook = 4, policy = 5, type = 7, hookNumber = 1, hookPriority = 2; // NFTA_CHAIN_*, NFTA_HOOK_*
        var family = (NftFamily)message.Body.Span[0];
        if (family is not (NftFamily.Inet or NftFamily.IPv4 or NftFamily.IPv6)) return null;
        var chain = new NftChain(family, "", "", null, 0, null, false);
        foreach (NetlinkAttribute a in Attributes(message))
            chain = a.Type switch
            {
                table => chain with { Table = a.Text },
                name => chain with { Name = a.Text },
                type => chain with { Type = a.Text },
                policy => chain with { DropsByPolicy = a.NetworkNumber == 0 },
                hook => a.Nested.Aggregate(chain, (c, h) => h.Type switch
                {
                    hookNumber => c with { Hook = (NftHook)h.NetworkNumber },
                    hookPriority => c with { Priority = (int)h.NetworkNumber },
                    _ => c,
                }),
                _ => chain,
            };
        return chain;
    }

    private static NftElement ReadElement(NetlinkAttribute element)
    {
        const int key = 1, data = 2, userData = 6;
        var read = new NftElement([], [], null);
        foreach (NetlinkAttribute a in element.Nested)
            read = a.Type switch
            {
                key => read with { Key = a.Nested.First().Value.ToArray() },
                data => read with { Value = a.Nested.First().Value.ToArray() },
                userData => read with { Comment = Comment(a.Value.Span) },
                _ => read,
            };
        return read;
    }

    private static string? Comment(ReadOnlySpan<byte> userData)
    {
        while (userData.Length >= 2 && userData.Length >= 2 + userData[1])
        {
            if (userData[0] == 0) return Encoding.UTF8.GetString(userData.Slice(2, userData[1]).TrimEnd((byte)0));
            userData = userData[(2 + userData[1])..];
        }
        return null;
    }
}
