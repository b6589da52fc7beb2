using System.Collections.Immutable;
using Capsules.Core.Identities;

namespace Capsules.Core.Links;

/// <summary>A port of the loopback network, on which a capsule listens and others may as if they were on its machine.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Protocol">tcp or udp.</param>
public sealed record LoopbackPort(int Number, string Protocol)
{
    /// <summary>As on the command line: 5432/tcp.</summary>
    public override string ToString() => $"{Number}/{Protocol}";

    /// <summary>The ports of an export that a link reaches; a word of an image that is none is left out.</summary>
    /// <param name="export">What is offered; null when that is nothing any more.</param>
    /// <param name="preset">What the link asks for.</param>
    public static ImmutableArray<LoopbackPort> Of(Export? export, LinkPreset preset)
    {
        if (export is null || preset < LinkPreset.Client) return [];
        var ports = ImmutableArray.CreateBuilder<LoopbackPort>();
        foreach (string word in export.Ports)
            try { ports.AddRange(Parse(word)); }
            catch (FormatException) { } // as if it offered less
        return ports.ToImmutable();
    }

    /// <summary>Reads PORT[/tcp|udp]; PORT may be a range, such as 8000-8003.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static ImmutableArray<LoopbackPort> Parse(string word) => word.Contains(':', StringComparison.Ordinal)
        ? throw new FormatException($"'{word}' is not a port")
        : [.. PublishedPort.Parse(word).Select(p => new LoopbackPort(p.GuestPort, p.Protocol))];
}
