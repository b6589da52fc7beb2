using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>
/// Decides who a stack will be: each member of the identity kept from the source or fresh, how its network is made, and the files and values
/// that programs read. Pure: randomness comes in, problems come out, all of them.
/// </summary>
public static class IdentityPlanner
{
    /// <summary>How many random bytes <see cref="Plan"/> needs.</summary>
    public const int RandomLength = 256;

    /// <summary>Plans.</summary>
    public static IdentityPlan Plan(IdentityRequest request, HostNetworkFacts facts, ReadOnlyMemory<byte> random)
    {
        var draft = new IdentityDraft(request, facts, random);
        if (draft.OriginalHere is { } original && request.Keep.IsEmpty && request.Addresses.IsEmpty) draft.Warnings.Add(Problems.Warnings.FreshBesideOriginal(original));
        CheckOptions(draft);

        ImmutableArray<NetworkInterface> interfaces = InterfacePlanner.Plan(draft);
        var identity = new Identity
        {
            Interfaces = interfaces,
            MachineId = MachineId(draft),
            HostId = HostId(draft, interfaces),
        };
        identity = WithHostName(draft, identity);
        identity = WithHardware(draft, identity);
        identity = WithNameServers(draft, identity);
        NetworkPlan network = NetworkPlanner.Plan(draft, identity);
        return new()
        {
            Identity = identity,
            Network = network,
            Decisions = [.. draft.Decisions],
            Files = IdentityFiles.Of(identity, request),
            Dmi = IdentityFiles.DmiOf(identity),
            BootId = IdentityFiles.Uuid(draft.Random(16)),
            LeaseSubjects = [.. interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString()), .. interfaces.Select(i => i.Mac?.ToString()).OfType<string>()],
            Allocated = [.. draft.Allocated],
            Pool = draft.Pool,
            Problems = [.. draft.Problems.Distinct()],
            Warnings = [.. draft.Warnings.Distinct()],
        };
    }

    private static void CheckOptions(IdentityDraft draft)
    {
        IdentityRequest request = draft.Request;
        if (!request.Mode.HasLinks)
        {
            if (request.Addresses.Length > 0) draft.Problems.Add(Problems.Problems.NoOwnNetwork("--ip", request.Mode.ToString()));
            if (request.Mac is not null) draft.Problems.Add(Problems.Problems.NoOwnNetwork("--mac-address", request.Mode.ToString()));
            if (request.Ports.Length > 0 && request.Mode.Kind != NetworkKind.Host) draft.Problems.Add(Problems.Problems.NoOwnNetwork("-p", request.Mode.ToString()));
        }
        if (request.Ports.Length > 0 && request.Mode.Kind is NetworkKind.Host or NetworkKind.Macvlan or NetworkKind.HostBridge)
            draft.Warnings.Add(Problems.Warnings.PortsNotNeeded(request.Mode.ToString()));
        if (request.Mac is { IsMulticast: true } group) draft.Problems.Add(Problems.Problems.MacIsMulticast(group));
        if (request.HostName is { } name && !IsHostName(name)) draft.Problems.Add(Problems.Problems.BadHostName(name));
        if (request.Mode is { Kind: NetworkKind.Stack, Subject: { } stack } && !draft.Facts.RunningStacks.Any(s => s.ToString() == stack))
            draft.Problems.Add(Problems.Problems.StackNotRunning(stack));
    }

    private static MachineId MachineId(IdentityDraft draft)
    {
        var (source, before) = (draft.Request.Source.MachineId, draft.Request.Before?.MachineId);
        MachineId id = draft.Choose(IdentityMember.MachineId, source, before, () => Model.MachineId.Fresh(draft.Random(16)));
        bool kept = id == source;
        draft.Decide(IdentityMember.MachineId, id.ToString(), kept, kept ? "kept" : draft.WhyFresh(IdentityMember.MachineId, source is not null));
        return id;
    }

    /// <summary>gethostid(3) is the file /etc/hostid, else glibc swaps the halves of the host's IPv4 address: a fresh one is made as it would be there.</summary>
    private static uint HostId(IdentityDraft draft, ImmutableArray<NetworkInterface> interfaces)
    {
        uint? source = draft.Request.Source.HostId;
        uint id = draft.Keeps(IdentityMember.HostId) && source is uint kept ? kept
            : interfaces.SelectMany(i => i.Addresses).Select(a => a.Address).FirstOrDefault(a => a.IsIPv4()) is { } address ? DerivedHostId(address)
            : draft.Request.Before?.HostId ?? BinaryPrimitives.ReadUInt32LittleEndian(draft.Random(4));
        draft.Decide(IdentityMember.HostId, id.ToString("x8"), id == source, id == source ? "kept" : draft.WhyFresh(IdentityMember.HostId, source is not null));
        return id;
    }

    /// <summary>What gethostid(3) of glibc gives where there is no /etc/hostid and the host's name leads to this address (sysdeps/unix/sysv/linux/gethostid.c).</summary>
    public static uint DerivedHostId(IPAddress address)
    {
        uint number = BinaryPrimitives.ReadUInt32LittleEndian(address.GetAddressBytes());
        return number << 16 | number >> 16;
    }

    private static Identity WithHostName(IdentityDraft draft, Identity identity)
    {
        var (request, source) = (draft.Request, draft.Request.Source);
        if (request.HostName is { } asked && IsHostName(asked))
        {
            draft.Decide(IdentityMember.Hostname, asked, asked == source.HostName, "as asked for");
            return identity with { HostName = asked, Domain = asked.Contains('.', StringComparison.Ordinal) ? null : source.Domain };
        }
        if (draft.Keeps(IdentityMember.Hostname) && source.HostName is { } kept && IsHostName(kept))
        {
            draft.Decide(IdentityMember.Hostname, source.Domain is null ? kept : $"{kept}.{source.Domain}", true, "kept");
            return identity with { HostName = kept, Domain = source.Domain };
        }
        string fresh = string.Concat(request.Stack.ToString().Select(c => c is '_' or '.' ? '-' : c)).Trim('-');
        draft.Decide(IdentityMember.Hostname, fresh, false, draft.WhyFresh(IdentityMember.Hostname, source.HostName is not null));
        return identity with { HostName = fresh, Domain = source.Domain };
    }

    private static Identity WithHardware(IdentityDraft draft, Identity identity)
    {
        var (source, before) = (draft.Request.Source, draft.Request.Before);
        bool keeps = draft.Keeps(IdentityMember.Serial);
        string? Earlier(string? earlier, string? original) => earlier != original ? earlier : null;
        string uuid = (keeps ? source.ProductUuid : null) ?? Earlier(before?.ProductUuid, source.ProductUuid) ?? IdentityFiles.Uuid(draft.Random(16));
        string serial = (keeps ? source.ProductSerial : null) ?? Earlier(before?.ProductSerial, source.ProductSerial) ?? Convert.ToHexString(draft.Random(8));
        bool kept = serial == source.ProductSerial || (source.ProductSerial is null && uuid == source.ProductUuid);
        draft.Decide(IdentityMember.Serial, serial, kept, kept ? "kept" : draft.WhyFresh(IdentityMember.Serial, source.ProductSerial is not null));
        return identity with
        {
            ProductUuid = uuid,
            ProductSerial = serial,
            // Serials of the board and the like say the same as the product's, and must not show the original behind a fresh one.
            Dmi = keeps ? source.Dmi : source.Dmi.RemoveRange(source.Dmi.Keys.Where(k => k.EndsWith("_serial", StringComparison.Ordinal) || k.EndsWith("_uuid", StringComparison.Ordinal) || k.EndsWith("_asset_tag", StringComparison.Ordinal))),
        };
    }

    private static Identity WithNameServers(IdentityDraft draft, Identity identity)
    {
        var (source, mode) = (draft.Request.Source, draft.Request.Mode);
        var resolver = ResolverFile.Parse(draft.Facts.ResolvConf);
        ImmutableArray<string> servers = resolver.NameServers;
        if (mode.Kind != NetworkKind.Host)
        {
            // The stub of systemd-resolved listens on the host's loopback, where nobody inside can reach it.
            if (servers.Contains("127.0.0.53") && draft.Facts.SystemdResolvConf is { } behind) servers = ResolverFile.Parse(behind).NameServers;
            bool onTheSourcesNetwork = mode.Kind is NetworkKind.Macvlan or NetworkKind.HostBridge && draft.Keeps(IdentityMember.Address);
            if (onTheSourcesNetwork && source.NameServers.Length > 0) servers = source.NameServers;
            servers = Reachable(servers);
            if (servers.IsEmpty) servers = Reachable(source.NameServers);
            if (servers.IsEmpty && mode.HasLinks) draft.Warnings.Add(Problems.Warnings.NoNameServers());
        }
        return identity with { NameServers = servers, SearchDomains = source.SearchDomains.IsEmpty ? resolver.SearchDomains : source.SearchDomains };

        static ImmutableArray<string> Reachable(ImmutableArray<string> servers) =>
            [.. servers.Where(s => IPAddress.TryParse(s, out var address) && !IPAddress.IsLoopback(address) && !address.IsLinkLocal()).Take(3)]; // MAXNS of resolv.conf(5)
    }

    /// <summary>hostname(7): letters, digits, '-' and '.' (and '_', which some hosts have).</summary>
    private static bool IsHostName(string name) =>
        name.Length is > 0 and <= 64 && name.Split('.').All(label => label.Length is > 0 and <= 63 && label[0] != '-' && label.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'));
}
