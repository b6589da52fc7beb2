using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Capture;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Engine.Capturing;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;

namespace Capsules.Engine.Verifying;

/// <summary>
/// A copy of a capsule in an empty world: its image, its changes and secrets as they are, its state copied, its identity on a network that leads nowhere. It is gone
/// with this object; when its maker is killed, the keeper or `capsule doctor --fix` takes it away.
/// </summary>
internal sealed class ThrowAwayCopy : IDisposable
{
    private const int Loopback = 1; // the index of lo in every network namespace

    private readonly CapsuleStore _store;
    private readonly CapsuleRunner _runner;
    private readonly CapsuleRecord _original;
    private Descriptor? _maker;

    private ThrowAwayCopy(CapsuleStore store, CapsuleRunner runner, CapsuleRecord original, CapsuleRecord record) => (_store, _runner, _original, Record) = (store, runner, original, record);

    /// <summary>The copy.</summary>
    public CapsuleRecord Record { get; }

    /// <summary>Makes it; it does not run yet.</summary>
    public static ThrowAwayCopy Make(CapsuleStore store, CapsuleRunner runner, CapsuleRecord original, CapsuleManifest manifest, TimeProvider clock)
    {
        CapsuleName name = CapsuleName.Parse($"verify-{Convert.ToHexStringLower(Randomness.Get(4))}");
        var record = original with
        {
            Name = name,
            Stack = name,
            Created = clock.GetUtcNow(),
            CopyOf = original.Name,
            SharedVolumes = [],
            Links = [], // what others have is not ours to try things on
            LinkedBy = [],
            Journal = false,
            HostDirectories = [.. original.HostDirectories.Select(d => d with { ReadOnly = true })], // the host's are not ours to try things on
            RemoveWhenStopped = false,
            Committed = false,
        };
        var copy = new ThrowAwayCopy(store, runner, original, record);
        using var rollback = new Rollback();
        rollback.Add(copy.Dispose);
        store.Create(record, half =>
        {
            copy._maker = FileCalls.Open(half + "/maker", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
            FileCalls.Lock(copy._maker, exclusive: true, wait: true);
            CopyState(store.Layout, runner, original, original.Folded(manifest).Volumes, half + "/volumes");
        });
        StackRecord source = runner.Stacks.FindOrDraft(original.Stack, manifest.Identity);
        runner.Stacks.Ensure(name, source.Source, stack => source with { Name = name, IdBase = stack.IdBase, Network = NetworkMode.Parse("none"), Addresses = [], Ports = [], SharedUsers = [], SharedGroups = [] });
        rollback.Commit();
        return copy;
    }

    /// <summary>Starts it, watched, with the addresses of its identity on its loopback: what is bound to one of them finds it there.</summary>
    public ImmutableArray<Core.Problems.Warning> Start(Interruption interruption)
    {
        StackRecord stack = _runner.Stacks.Find(Record.Stack)!;
        using (_runner.Stacks.Lock(stack.Name)) _runner.Stacks.Up(stack);
        StackRecord original = _runner.Stacks.FindOrDraft(_original.Stack, stack.Source);
        using (Descriptor network = OpenNetwork())
        using (RouteSocket route = RouteSocket.Open(network))
            foreach (IPAddress address in (original.Identity?.Interfaces ?? []).Concat(stack.Source.Interfaces).SelectMany(i => i.Addresses).Select(a => a.Address).Distinct())
                if (!address.IsIPv6LinkLocal) route.Apply(new RouteBatch().AddAddress(Loopback, address, address.GetAddressBytes().Length * 8));
        return _runner.Start(Record, services: true, interruption, endsWithUs: true, watch: true);
    }

    /// <summary>Its network namespace.</summary>
    public Descriptor OpenNetwork() => FileCalls.Open(_store.Layout.RunOfStack(Record.Stack) + "/net", OpenFlags.ReadOnly);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_store.Has(Record.Name))
        {
            _runner.Stop(Record.Name, TimeSpan.Zero); // nothing in it is worth an orderly end
            if (_store.TryFind(Record.Name) is { } left) _runner.RemoveWhole(left);
        }
        if (_runner.Stacks.Find(Record.Stack) is not null) _runner.Stacks.Remove(Record.Stack);
        _maker?.Dispose();
    }

    /// <summary>Once while the original runs, and what changed meanwhile once more while it is paused.</summary>
    private static void CopyState(StoreLayout layout, CapsuleRunner runner, CapsuleRecord original, ImmutableArray<StateVolume> volumes, string target)
    {
        SmallFiles.MakeDirectories(target);
        var copiers = new List<(RootTree Source, StateCopier Copier)>();
        var held = new List<HeldStill>();
        try
        {
            foreach (StateVolume volume in volumes)
            {
                string from = original.PlaceOf(layout, volume.Name), to = $"{target}/{volume.Name}";
                if (volume.Kind == VolumeKind.Image)
                {
                    File.Copy(layout.VolumeImage(original.Name, volume.Name), to + ".img");
                    continue;
                }
                if (FileCalls.TryStat(null, from) is not { IsDirectory: true }) continue;
                FileCalls.MakeDirectory(null, to, 0x1C0);
                var source = new RootTree(from);
                copiers.Add((source, new StateCopier(source, GuestPath.Root, to)));
            }
            CapsuleName[] writers = [original.Name, .. original.SharedVolumes.Select(s => s.Owner)];
            RunRecord[] Running() => [.. writers.Distinct().Order().Select(runner.Running).OfType<RunRecord>()]; // in one order, as all do who hold several
            if (Running().Length > 0)
                foreach (var (_, copier) in copiers) copier.Pass(isLast: false);
            foreach (RunRecord run in Running())
                if (HeldStill.TryHold(layout, run) is { } one) held.Add(one);
            foreach (var (_, copier) in copiers) copier.Pass(isLast: true);
        }
        finally
        {
            held.ForEach(h => h.Dispose());
            foreach (var (source, copier) in copiers)
            {
                copier.Dispose();
                source.Dispose();
            }
        }
    }
}
