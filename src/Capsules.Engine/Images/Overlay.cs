using System.Collections.Immutable;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

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
        const string descriptors = "/proc/thread-self/fd"; // short names, whatever the store's place
        Descriptor mount = Threads.InPrivateMountNamespace(_ =>
        {
            Descriptor[] opened = [.. trees.Select(t => FileCalls.Open(t, OpenFlags.PathOnly | OpenFlags.Directory))]; // an overlay takes no mount of another namespace
            try { return Threads.InDirectory(descriptors, () => MountCalls.New("overlay", MountAttributes.ReadOnly, [.. World.MarkOptions, .. World.LayerOptions(descriptors, opened.Select(o => $"{o.Number}"))])); }
            finally
            {
                foreach (Descriptor descriptor in opened) descriptor.Dispose();
            }
        });
        return new($"/proc/self/fd/{mount.Number}", mount);
    }

    /// <inheritdoc/>
    public void Dispose() => _mount?.Dispose();
}
