using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;

namespace Capsules.Core.Links;

/// <summary>What a test of a link showed.</summary>
public enum LinkResult
{
    /// <summary>It is as on one machine.</summary>
    Proved,
    /// <summary>The link does not give it, and the kernel refused it.</summary>
    Refused,
    /// <summary>It is not as it should be.</summary>
    Failed,
}

/// <summary>One thing that was tried between two capsules that run.</summary>
/// <param name="Name">What: one word for programs.</param>
/// <param name="Result">What came.</param>
/// <param name="What">For people.</param>
public sealed record LinkProof(string Name, LinkResult Result, string What);

/// <summary>What `capsule link test` says.</summary>
public static class LinkProofs
{
    /// <summary>A line for each.</summary>
    public static string Text(ImmutableArray<LinkProof> proofs)
    {
        var text = new StringBuilder();
        int width = proofs.Select(p => p.Name.Length).DefaultIfEmpty().Max();
        foreach (LinkProof proof in proofs) text.Append($"{JsonReading.Dashed(proof.Result),-7}  {proof.Name.PadRight(width)}  {proof.What}\n");
        return text.ToString();
    }

    /// <summary>For programs: docs/formats/link-check.md.</summary>
    public static byte[] Json(string capsule, string to, ImmutableArray<LinkProof> proofs) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", 1);
        w.WriteString("capsule", capsule);
        w.WriteString("to", to);
        w.WriteBoolean("holds", proofs.All(p => p.Result != LinkResult.Failed));
        w.Objects("proofs", proofs, p =>
        {
            w.Text("name", p.Name);
            w.Text("result", JsonReading.Dashed(p.Result));
            w.Text("what", p.What);
        });
    });
}
