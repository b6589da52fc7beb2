using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Engine.Images;

/// <summary>Several trees seen as one, read-only; a mount that is attached nowhere and goes with its descriptor.</summary>
internal sealed class Overlay : IDisposable
{
    private readonly Descriptor? _mount;

    private Overlay(string place, Descriptor? mount) => (Place, _mount) = (place, mount);

    /// <summary>Where it is to be looked at.</summary>
    public string Place { get; }

    /// <summary>Shows the layers of an image, the lowest first as a manifest has them.</summary>
    public static Overlay OfLayers(StoreLayout layout, ImmutableArray<Digest> layers) => Of([.. LayerOrder.TopmostFirst(layers).Select(layout.Layer)]);

    /// <summary>Puts trees over each other, the topmost first. One alone is itself.</summary>
    public static Overlay Of(ImmutableArray<string> trees)
    {
        if (trees is [var only]) return new(only, null);
        Descriptor[] opened = [.. trees.Select(t => FileCalls.Open(t, OpenFlags.PathOnly | OpenFlags.Directory))];
        try
        {
            // fsconfig(2) takes 255 bytes for an option: descriptors have short names.
            Descriptor mount = MountCalls.New("overlay", MountAttributes.ReadOnly, [.. World.MarkOptions, ("lowerdir", string.Join(':', opened.Select(o => $"/proc/self/fd/{o.Number}")))]);
            return new($"/proc/self/fd/{mount.Number}", mount);
        }
        finally
        {
            foreach (Descriptor descriptor in opened) descriptor.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _mount?.Dispose();
}
