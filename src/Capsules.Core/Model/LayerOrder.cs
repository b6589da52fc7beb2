using System.Collections.Immutable;

namespace Capsules.Core.Model;

/// <summary>How layers lie over each other.</summary>
public static class LayerOrder
{
    /// <summary>
    /// The layers as an overlay takes them, the topmost first, each once: the kernel refuses one that is there twice (ELOOP), and all that the lower one shows or hides,
    /// the upper one shows or hides as well. Images have such: an empty layer is the same in each of them.
    /// </summary>
    /// <param name="layers">The lowest first, as in a manifest.</param>
    public static ImmutableArray<Digest> TopmostFirst(ImmutableArray<Digest> layers)
    {
        var order = ImmutableArray.CreateBuilder<Digest>(layers.Length);
        for (int at = layers.Length - 1; at >= 0; at--)
            if (!order.Contains(layers[at])) order.Add(layers[at]);
        return order.ToImmutable();
    }
}
