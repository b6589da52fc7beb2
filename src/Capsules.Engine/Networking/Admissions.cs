using Capsules.Core.Identities;
using Capsules.Linux.Nftables;

namespace Capsules.Engine.Networking;

/// <summary>Two rules at the front of another program's chain, marked as ours by their comment, so that its drop does not meet the bridge's packets.</summary>
internal sealed class Admissions(NftSocket nft)
{
    private const string Comment = "capsule";

    /// <summary>Adds them, unless they are there.</summary>
    public void Ensure(NetworkStep.Admission step)
    {
        NftFamily family = FamilyOf(step.Family);
        if (nft.Rules(family, step.Table, step.Chain).Any(r => r.Comment == Comment)) return;
        byte[] bridge = NftRule.LinkName(step.BridgeName);
        nft.Apply(new NftBatch()
            .AddRule(family, step.Table, step.Chain, new NftRule().Load(NftMeta.InputName, NftRegister.R0).IsEqual(NftRegister.R0, bridge).Accept(), Comment, first: true)
            .AddRule(family, step.Table, step.Chain, new NftRule().Load(NftMeta.OutputName, NftRegister.R0).IsEqual(NftRegister.R0, bridge).Accept(), Comment, first: true));
    }

    /// <summary>Takes them away from this chain.</summary>
    public void Remove(NetworkStep.Admission step) => Remove(FamilyOf(step.Family), step.Table, step.Chain);

    /// <summary>Chains that have rules of ours.</summary>
    public List<NftChain> Find() => [.. nft.Chains().Where(c => c.Table != CapsuleTable.Name && (c.Hook == NftHook.Forward || c.Name == "DOCKER-USER") && nft.Rules(c.Family, c.Table, c.Name).Any(r => r.Comment == Comment))];

    /// <summary>Takes our rules away from a chain.</summary>
    public void Remove(NftFamily family, string table, string chain)
    {
        var batch = new NftBatch();
        foreach (NftRuleStatus rule in nft.Rules(family, table, chain))
            if (rule.Comment == Comment) batch.DeleteRule(family, table, chain, rule.Handle);
        nft.Apply(batch);
    }

    private static NftFamily FamilyOf(string family) => family switch { "ip" => NftFamily.IPv4, "ip6" => NftFamily.IPv6, _ => NftFamily.Inet };
}
