using System.Text;
using Capsules.Core.Links;
using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Journals;

/// <summary>How a journal is.</summary>
/// <param name="IsNoting">Whether writes are noted now.</param>
/// <param name="Problem">Why they are not, though they should be.</param>
public sealed record JournalState(bool IsNoting, string? Problem);

/// <summary>The way to the one process that notes writes, the scribe, and what it is to note.</summary>
public static class JournalDoor
{
    /// <summary>Directories of which a capsule's journal tells: volumes of its own.</summary>
    public static IEnumerable<StateVolume> StateOf(CapsuleStore store, CapsuleRecord capsule) =>
        capsule.Folded(store.Manifest(capsule.Image)).Volumes.Where(v => v.Kind == VolumeKind.Directory && !capsule.SharedVolumes.Any(s => s.Name == v.Name));

    /// <summary>
    /// When this returns, the scribe watches what is to be noted of a capsule that runs, its own state and what it writes of others'; nothing happens when that is nothing.
    /// </summary>
    internal static IEnumerable<Warning> Follow(CapsuleStore store, CapsuleRecord capsule)
    {
        StoreLayout layout = store.Layout;
        CapsuleName[] owners = [.. capsule.Links.Where(l => l.IsWritable).Select(l => l.Import.From).Append(capsule.Name).Distinct().Where(n => store.TryFind(n) is { Journal: true })];
        if (owners.Length == 0) return [];
        if (!Ask(layout)) return [.. owners.Select(o => Warnings.NotNoted($"{o}", $"nobody answers; {layout.Run}/journals.log may tell why"))];
        return [.. owners.Select(o => (Owner: o, State(layout, o).Problem)).Where(o => o.Problem is not null).Select(o => Warnings.NotNoted($"{o.Owner}", o.Problem!))];
    }

    /// <summary>Has the scribe look; whether it has.</summary>
    internal static bool Ask(StoreLayout layout) => Bell(layout).Ask(Asked(layout));

    /// <summary>How the journal of a capsule is now.</summary>
    public static JournalState State(StoreLayout layout, CapsuleName owner) =>
        SmallFiles.IsLocked(LockFile(layout)) && SmallFiles.TryRead(Mark(layout, owner)) is { } said ? new(said.Length == 0, said.Length == 0 ? null : Encoding.UTF8.GetString(said)) : new(false, null);

    /// <summary>Tells the scribe to look, or starts one.</summary>
    internal static void Knock(StoreLayout layout) => Bell(layout).Knock();

    private static Doorbell Bell(StoreLayout layout) => new(Fifo(layout), LockFile(layout), () => Programs.StartGuarded(Programs.Tools, ["scribe"], null, layout.Run + "/journals.log"));

    /// <summary>Where one knocks.</summary>
    internal static string Fifo(StoreLayout layout) => layout.Run + "/scribe";

    /// <summary>Held by the one scribe.</summary>
    internal static string LockFile(StoreLayout layout) => layout.Run + "/scribe.lock";

    /// <summary>Who waits until the scribe has looked: a file for each, which it takes away.</summary>
    internal static string Asked(StoreLayout layout) => layout.Run + "/journals-asked";

    /// <summary>There while a journal is kept; what is in it stands against that.</summary>
    internal static string Mark(StoreLayout layout, CapsuleName owner) => $"{layout.Run}/journals/{owner}";

    /// <summary>What is to be watched now.</summary>
    internal static IReadOnlyList<JournalRoot> Plan(CapsuleStore store, IReadOnlyCollection<CapsuleName> running)
    {
        CapsuleRecord[] all = [.. store.Names().Select(store.TryFind).OfType<CapsuleRecord>()];
        var owners = all.Where(c => c.Journal).Select(c => new JournalledCapsule(c.Name, [.. StateOf(store, c).Select(v => (v.Name, v.Path))]));
        var writers = all.Where(c => running.Contains(c.Name)).Select(c => new WritingCapsule(c.Name, [.. c.Links.Where(l => l.IsWritable).Select(l => (l.Import.From, Path: store.Offered(l.Import)?.Directory)).Where(l => l.Path is not null).Select(l => (l.From, l.Path!.Value))]));
        return JournalPlanner.Plan(owners, [.. writers]);
    }
}
