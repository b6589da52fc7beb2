using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;
using Capsules.Core.Problems;

namespace Capsules.Core.Identities;

/// <summary>What the planner has decided so far.</summary>
internal sealed class IdentityDraft(IdentityRequest request, HostNetworkFacts facts, ReadOnlyMemory<byte> random)
{
    private ReadOnlyMemory<byte> _random = random;

    public IdentityRequest Request => request;
    public HostNetworkFacts Facts => facts;
    public List<Problem> Problems { get; } = [];
    public List<Warning> Warnings { get; } = [];
    public List<IdentityDecision> Decisions { get; } = [];
    public List<IPAddress> Allocated { get; } = [];
    public AddressPool? Pool { get; set; }

    /// <summary>The source's addresses that this host has itself: the original lives here.</summary>
    public IPAddress? OriginalHere { get; } = request.Source.Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address)
        .FirstOrDefault(a => !a.IsLinkLocal() && facts.Addresses.Any(h => h.Address.Address.Equals(a)));

    /// <summary>Bytes that nobody had before.</summary>
    public ReadOnlySpan<byte> Random(int count)
    {
        if (_random.Length < count) throw new ArgumentException($"the planner needs {IdentityPlanner.RandomLength} random bytes");
        ReadOnlySpan<byte> taken = _random.Span[..count];
        _random = _random[count..];
        return taken;
    }

    /// <summary>Whether the source's own value is taken for this member: asked for, or by default, which is yes unless the original lives on this host.</summary>
    public bool Keeps(IdentityMember member) =>
        !request.Fresh.Contains(member) && (request.Keep.Contains(member) || OriginalHere is null);

    public void Decide(IdentityMember member, string value, bool kept, string reason) => Decisions.Add(new(member, value, kept, reason));

    /// <summary>Why a member is fresh.</summary>
    public string WhyFresh(IdentityMember member, bool sourceHasIt) =>
        !sourceHasIt ? "the source had none" : request.Fresh.Contains(member) ? "as asked for" : OriginalHere is not null ? "the original is alive on this host" : "no member of this network";

    /// <summary>The kept value, else the fresh one that the stack had before, else a new one.</summary>
    public T Choose<T>(IdentityMember member, T? source, T? before, Func<T> make) where T : struct
    {
        if (Keeps(member) && source is T kept) return kept;
        return before is T earlier && !(source is T s && EqualityComparer<T>.Default.Equals(s, earlier)) ? earlier : make();
    }
}
