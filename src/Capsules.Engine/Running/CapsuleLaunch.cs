using System.Collections.Immutable;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>What a capsule's launch is made from, gathered from store and stack. The same answers come at the start and at each later entering.</summary>
internal sealed record CapsuleLaunch(CapsuleRecord Capsule, CapsuleManifest Manifest, LaunchRequest Request)
{
    /// <summary>Controllers that every capsule is in: stopping and listing, limits, and what `stats` shows.</summary>
    public static ImmutableArray<string> Controllers { get; } = ["freezer", "pids", "memory", "cpu", "cpuacct", "devices"];

    /// <summary>Path of a capsule's control group below each hierarchy.</summary>
    public static string CgroupOf(StoreLayout layout, CapsuleName name) => $"{layout.Cgroup}/{name}";

    /// <summary>Gathers.</summary>
    /// <param name="store">The store.</param>
    /// <param name="capsule">The capsule.</param>
    /// <param name="manifest">Its manifest.</param>
    /// <param name="stack">Its stack.</param>
    /// <param name="filter">The filter of system calls: readable for a plan that is shown, compiled for one that is carried out.</param>
    public static CapsuleLaunch Of(CapsuleStore store, CapsuleRecord capsule, CapsuleManifest manifest, StackUp stack, SeccompSpec filter)
    {
        StoreLayout layout = store.Layout;
        manifest = manifest with { Environment = [.. manifest.Environment, .. capsule.Environment] };
        var places = new CapsulePlaces
        {
            StackNamespaces = stack.Namespaces,
            SharesProcesses = stack.SharesProcesses,
            Users = stack.Users,
            Groups = stack.Groups,
            Run = new(stack.Slot + "/run"),
            SharedMemory = new(stack.SharedMemory),
            Volumes = [.. manifest.Volumes.Concat(capsule.FurtherVolumes).Where(v => v.Kind == VolumeKind.Directory).Select(v => (v.Path, new HostPath(capsule.PlaceOf(layout, v.Name))))],
            VolumeImages = [.. manifest.Volumes.Where(v => v.Kind == VolumeKind.Image).Select(v => (v.Path, new HostPath(layout.VolumeImage(capsule.Name, v.Name))))],
            IdentityFiles = stack.IdentityFiles,
            Notify = manifest.Services.Any(s => s.Kind == ServiceKind.Notify) ? new(layout.RunOf(capsule.Name) + "/notify") : null,
            HostDirectories = [.. capsule.HostDirectories.Select(d => (new HostPath(d.Source), d.Target, d.ReadOnly))],
            Limits = capsule.Limits,
            Cgroup = CgroupOf(layout, capsule.Name),
            ReadOnlyRoot = capsule.ReadOnly,
            ClockOffsets = capsule.ClockOffsets,
            Seccomp = filter,
        };
        RuntimeSpec spec = CapsuleSpecs.Of(manifest, places);
        string secrets = layout.Secrets(capsule.CopyOf ?? capsule.Name);
        string? changes = capsule.CopyOf is { } original ? layout.Writable(original) + "/upper" : null; // what a copy shows begins with what its original wrote
        var request = new LaunchRequest
        {
            Spec = spec,
            Lower =
            [
                .. changes is not null && FileCalls.TryStat(null, changes) is not null ? [new HostPath(changes)] : ImmutableArray<HostPath>.Empty,
                .. FileCalls.TryStat(null, secrets) is not null ? [new HostPath(secrets)] : ImmutableArray<HostPath>.Empty,
                .. LayerOrder.TopmostFirst(manifest.Layers).Select(l => new HostPath(layout.Layer(l))),
                .. capsule.Open ? [new HostPath(layout.OpenTree(capsule.Name))] : ImmutableArray<HostPath>.Empty,
            ],
            Writable = new(layout.Writable(capsule.Name)),
            MapIds = Host.IsInitial,
            Unmapped = CapsuleSpecs.SharedMemory,
            Peer = new(layout.RunOf(capsule.Name) + "/peer"),
            End = LaunchEnd.Supervise,
            BoardEntries = stack.SharesProcesses ? 0 : Math.Max(1, manifest.Services.Length),
            Cgroups = Host.IsInitial,
            Hierarchies = ControlGroups.Describe(Host.Hierarchies, h => h.IsUnified || h.Controllers.Any(Controllers.Contains)),
            Dmi = stack.HasDmi ? new HostPath(stack.Slot + "/dmi") : null,
            HostHasDmi = FileCalls.TryStat(null, "/sys/devices/virtual/dmi/id") is not null,
            HostHardLimits = HostLimits.Hard(manifest.Services.SelectMany(m => m.ResourceLimits).Select(l => l.Name)),
            MayRaiseLimits = HostLimits.MayRaise(),
        };
        return new(capsule, manifest, request);
    }

    /// <summary>The capsule's control group on this host.</summary>
    public Cgroup Group => Cgroup.At(Request.Spec.CgroupsPath!, Controllers, Host.Hierarchies);
}
