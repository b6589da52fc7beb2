using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>
/// Our one table, `inet capsule`: fixed rules for the bridge, and maps from ports of the host to stacks. What is published is one element of
/// a map, with the stack's name as its comment: the kernel itself refuses a port that is taken, and what goes is exactly what came.
/// </summary>
internal sealed class CapsuleTable(NftSocket nft)
{
    public const string Name = "capsule";

    private const NftFamily Inet = NftFamily.Inet;
    private const int NetworkHeader = 1, TransportHeader = 2, PriorityRaw = -300, PriorityDestination = -100, PrioritySource = 100;
    private static readonly byte[] LocalAddress = [2, 0, 0, 0], DestinationChanged = [0x20, 0, 0, 0], IPv4 = [2], IPv6 = [10]; // RTN_LOCAL, IPS_DST_NAT, NFPROTO_*

    /// <summary>Whether it is there.</summary>
    public bool Exists => nft.HasTable(Inet, Name);

    /// <summary>Makes the table with its rules, all at once, unless it is there.</summary>
    public void Ensure(string bridge)
    {
        if (Exists) return;
        var batch = new NftBatch().AddTable(Inet, Name)
            .AddMap(Inet, Name, "ports4", [NftType.Protocol, NftType.Port], [NftType.IPv4Address, NftType.Port])
            .AddMap(Inet, Name, "ports6", [NftType.Protocol, NftType.Port], [NftType.IPv6Address, NftType.Port])
            .AddMap(Inet, Name, "bound4", [NftType.IPv4Address, NftType.Protocol, NftType.Port], [NftType.IPv4Address, NftType.Port])
            .AddMap(Inet, Name, "bound6", [NftType.IPv6Address, NftType.Protocol, NftType.Port], [NftType.IPv6Address, NftType.Port])
            .AddChain(Inet, Name, "guard", "filter", NftHook.Prerouting, PriorityRaw)
            .AddChain(Inet, Name, "arriving", "nat", NftHook.Prerouting, PriorityDestination)
            .AddChain(Inet, Name, "local", "nat", NftHook.Output, PriorityDestination)
            .AddChain(Inet, Name, "leaving", "nat", NftHook.Postrouting, PrioritySource);

        // route_localnet lets 127.0.0.1 lead to a capsule; without this rule it would also let a capsule speak to what listens on the host's 127.0.0.1.
        batch.AddRule(Inet, Name, "guard", FromBridge(bridge).Load(NftMeta.Family, NftRegister.R0).IsEqual(NftRegister.R0, IPv4)
            .LoadPayload(NetworkHeader, 16, 1, NftRegister.R0).IsEqual(NftRegister.R0, [127]).Drop());
        foreach (string chain in (string[])["arriving", "local"])
        {
            batch.AddRule(Inet, Name, chain, new NftRule().Load(NftMeta.Family, NftRegister.R0).IsEqual(NftRegister.R0, IPv4)
                .LoadPayload(NetworkHeader, 16, 4, NftRegister.R0).Load(NftMeta.Protocol, NftRegister.R1).LoadPayload(TransportHeader, 2, 2, NftRegister.R2)
                .Lookup("bound4", NftRegister.R0, NftRegister.R0).DestinationNat(NftFamily.IPv4, NftRegister.R0, NftRegister.R1));
            batch.AddRule(Inet, Name, chain, ToThisHost(IPv4).Lookup("ports4", NftRegister.R0, NftRegister.R0).DestinationNat(NftFamily.IPv4, NftRegister.R0, NftRegister.R1));
            batch.AddRule(Inet, Name, chain, new NftRule().Load(NftMeta.Family, NftRegister.R0).IsEqual(NftRegister.R0, IPv6)
                .LoadPayload(NetworkHeader, 24, 16, NftRegister.R0).Load(NftMeta.Protocol, NftRegister.R4).LoadPayload(TransportHeader, 2, 2, NftRegister.R5)
                .Lookup("bound6", NftRegister.R0, NftRegister.R0).DestinationNat(NftFamily.IPv6, NftRegister.R0, NftRegister.R4));
            batch.AddRule(Inet, Name, chain, ToThisHost(IPv6).Lookup("ports6", NftRegister.R0, NftRegister.R0).DestinationNat(NftFamily.IPv6, NftRegister.R0, NftRegister.R4));
        }
        // From 127.0.0.1 of the host, and from one capsule to another by the host's port: answers must come back this way.
        batch.AddRule(Inet, Name, "leaving", new NftRule().Load(NftMeta.Family, NftRegister.R0).IsEqual(NftRegister.R0, IPv4)
            .LoadPayload(NetworkHeader, 12, 1, NftRegister.R0).IsEqual(NftRegister.R0, [127]).Load(NftMeta.OutputName, NftRegister.R0).IsEqual(NftRegister.R0, NftRule.LinkName(bridge)).Masquerade());
        batch.AddRule(Inet, Name, "leaving", FromBridge(bridge).Load(NftMeta.OutputName, NftRegister.R0).IsEqual(NftRegister.R0, NftRule.LinkName(bridge))
            .LoadConnectionStatus(NftRegister.R0).Mask(NftRegister.R0, DestinationChanged).IsNot(NftRegister.R0, new byte[4]).Masquerade());
        batch.AddRule(Inet, Name, "leaving", FromBridge(bridge).Load(NftMeta.OutputName, NftRegister.R0).IsNot(NftRegister.R0, NftRule.LinkName(bridge)).Masquerade());
        nft.Apply(batch);
    }

    /// <summary>Takes the table away; false when there was none.</summary>
    public bool Remove()
    {
        if (!Exists) return false;
        nft.Apply(new NftBatch().DeleteTable(Inet, Name));
        return true;
    }

    /// <summary>A port of the host leads to the stack.</summary>
    /// <exception cref="SyscallException">EEXIST: it leads to another one already.</exception>
    public void Publish(CapsuleName stack, NetworkStep.Publish step)
    {
        byte[] value = [.. step.To.GetAddressBytes(), .. Field((ushort)step.Port.GuestPort)];
        nft.Apply(new NftBatch().AddElement(Inet, Name, MapFor(step), KeyOf(step.Port), value, stack.ToString()));
    }

    /// <summary>Undoes <see cref="Publish"/>, if the port is still this stack's.</summary>
    public void Withdraw(CapsuleName stack, NetworkStep.Publish step)
    {
        if (HolderOf(step) == stack.ToString()) nft.Apply(new NftBatch().DeleteElement(Inet, Name, MapFor(step), KeyOf(step.Port)));
    }

    /// <summary>The stack to which the port leads.</summary>
    public string? HolderOf(NetworkStep.Publish step)
    {
        byte[] key = KeyOf(step.Port);
        return nft.Elements(Inet, Name, MapFor(step)).Where(e => e.Key.AsSpan().SequenceEqual(key)).Select(e => e.Comment).FirstOrDefault();
    }

    /// <summary>Stacks that have ports.</summary>
    public ImmutableSortedSet<string> Holders() =>
        [.. Maps.SelectMany(map => nft.Elements(Inet, Name, map)).Select(e => e.Comment).OfType<string>()];

    /// <summary>Takes away all ports of a name.</summary>
    public void WithdrawAll(string stack)
    {
        var batch = new NftBatch();
        foreach (string map in Maps)
            foreach (NftElement element in nft.Elements(Inet, Name, map))
                if (element.Comment == stack) batch.DeleteElement(Inet, Name, map, element.Key);
        nft.Apply(batch);
    }

    private static ImmutableArray<string> Maps => ["ports4", "ports6", "bound4", "bound6"];

    private static string MapFor(NetworkStep.Publish step) => (step.Port.HostAddress is null ? "ports" : "bound") + (step.To.IsIPv4() ? "4" : "6");

    private static byte[] KeyOf(PublishedPort port) =>
        [.. port.HostAddress?.GetAddressBytes() ?? [], port.Protocol == "udp" ? (byte)17 : (byte)6, 0, 0, 0, .. Field((ushort)port.HostPort)];

    /// <summary>A port as a field of a key: in the network's order, padded to four bytes.</summary>
    private static byte[] Field(ushort port)
    {
        byte[] field = new byte[4];
        BinaryPrimitives.WriteUInt16BigEndian(field, port);
        return field;
    }

    private static NftRule FromBridge(string bridge) => new NftRule().Load(NftMeta.InputName, NftRegister.R0).IsEqual(NftRegister.R0, NftRule.LinkName(bridge));

    private static NftRule ToThisHost(byte[] family) => new NftRule().Load(NftMeta.Family, NftRegister.R0).IsEqual(NftRegister.R0, family)
        .LoadDestinationType(NftRegister.R0).IsEqual(NftRegister.R0, LocalAddress)
        .Load(NftMeta.Protocol, NftRegister.R0).LoadPayload(TransportHeader, 2, 2, NftRegister.R1);
}
