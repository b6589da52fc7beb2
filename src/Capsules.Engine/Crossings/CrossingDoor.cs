using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Crossings;

/// <summary>The way by which a capsule runs programs of others: what is to be shown in it, and the broker that answers there (docs/formats/crossing.md).</summary>
public static class CrossingDoor
{
    private const string SocketName = "socket";

    /// <summary>Where the directory is seen inside a capsule, read-only.</summary>
    public static GuestPath Inside { get; } = GuestPath.Parse(CrossingFormat.Socket).Parent;

    /// <summary>The directory of a running capsule that is shown there; the socket is in it.</summary>
    public static string DirectoryOf(StoreLayout layout, CapsuleName capsule) => layout.RunOf(capsule) + "/crossing";

    /// <summary>What programs of others have used, as JSON, for whoever runs them.</summary>
    public static string UsageOf(StoreLayout layout, CapsuleName capsule) => layout.RunOf(capsule) + "/crossings.json";

    /// <summary>The rows of it that are a link's.</summary>
    public static JsonElement[] UsedBy(StoreLayout layout, CapsuleName capsule, Import import)
    {
        if (SmallFiles.TryRead(UsageOf(layout, capsule)) is not { } bytes) return [];
        return [.. ManifestJson.Parse(bytes).Items("programs").Where(p => p.Text("owner") == import.From.ToString() && p.Text("export") == import.Export.ToString())];
    }

    /// <summary>Where one knocks.</summary>
    internal static string Fifo(StoreLayout layout) => layout.Run + "/crossings";

    /// <summary>Held by the one broker.</summary>
    internal static string LockFile(StoreLayout layout) => layout.Run + "/crossings.lock";

    /// <summary>The programs of others that a capsule may run, each to be covered by the shim (<see cref="ShimOf"/>).</summary>
    public static ImmutableArray<GuestPath> ProgramsOf(CapsuleStore store, CapsuleRecord capsule) =>
        [.. new LinkFacts(store).UsedBy(capsule.Name).Where(u => u.RunsPrograms).SelectMany(u => u.Export.Programs).Distinct()];

    /// <summary>The shim, as a file that can be executed: in the state directory, because /run is mounted noexec on many hosts.</summary>
    public static string ShimOf(StoreLayout layout)
    {
        string file = layout.State + "/crossing-shim";
        if (SmallFiles.TryRead(file) is { } there && there.AsSpan().SequenceEqual(ShimFile.Content) && FileCalls.TryStat(null, file)?.Mode == 0x1ED) return file;
        SmallFiles.MakeDirectories(layout.State);
        SmallFiles.Write(file, ShimFile.Content, 0x1ED);
        FileCalls.ChangeMode(null, file, 0x1ED); // whatever the umask is
        return file;
    }

    /// <summary>Makes a running capsule as its links want it now: socket and shims are in it, or are there no more.</summary>
    public static void Follow(CapsuleStore store, CapsuleName capsule)
    {
        using Descriptor held = store.Lock(capsule, wait: true)!;
        CrossingMounts.Follow(store, store.Get(capsule.ToString()));
    }

    /// <summary>
    /// When this returns, the broker answers at the socket of a capsule that runs. To be called when its record is written, before its services are started, and when it
    /// has got a link while it runs.
    /// </summary>
    /// <exception cref="CapsuleException">Nobody answers.</exception>
    public static void Ensure(StoreLayout layout, CapsuleName capsule)
    {
        SmallFiles.MakeDirectories(DirectoryOf(layout, capsule));
        using Descriptor directory = FileCalls.Open(DirectoryOf(layout, capsule), OpenFlags.PathOnly | OpenFlags.Directory);
        if (!Bell(layout).KnockUntil(() => UnixStream.IsListened(directory, SocketName)))
            throw new CapsuleException(Problems.CrossingUnreachable(CrossingFormat.Socket, $"nobody listens at {DirectoryOf(layout, capsule)}/{SocketName}; {layout.Run}/crossings.log may tell why"));
    }

    /// <summary>Tells the broker to look at the capsules' links, or starts one.</summary>
    internal static void Knock(StoreLayout layout) => Bell(layout).Knock();

    private static Doorbell Bell(StoreLayout layout) => new(Fifo(layout), LockFile(layout), () => Programs.StartGuarded(Programs.Tools, ["crossings"], null, layout.Run + "/crossings.log"));

    /// <summary>The socket of a running capsule, in the place of one that a broker before us left.</summary>
    internal static Descriptor Listen(StoreLayout layout, CapsuleName capsule)
    {
        SmallFiles.MakeDirectories(DirectoryOf(layout, capsule));
        using Descriptor directory = FileCalls.Open(DirectoryOf(layout, capsule), OpenFlags.PathOnly | OpenFlags.Directory);
        return UnixStream.Listen(directory, SocketName);
    }
}
