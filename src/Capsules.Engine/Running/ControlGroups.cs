using System.Collections.Immutable;
using Capsules.Core.Oci;
using Capsules.Linux.Cgroups;

namespace Capsules.Engine.Running;

/// <summary>From the specification's resources to the control groups of this host.</summary>
internal static class ControlGroups
{
    /// <summary>Devices that every container may use (runtime-spec, config-linux.md): making of nodes, null, zero, full, random, urandom, tty, console, terminals.</summary>
    private static readonly string[] DefaultDevices = ["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"];

    /// <summary>
    /// Controllers that every container is in, whatever it asks for: what stops and lists it, and what engines read and change later
    /// (`podman stats`, `podman update`), as crun and runc make them.
    /// </summary>
    private static readonly string[] Always = ["freezer", "memory", "pids", "cpu", "cpuacct", "blkio", "io"];

    /// <summary>The controllers that the resources need, with those that every container is in.</summary>
    public static IReadOnlyCollection<string> ControllersFor(ResourcesSpec resources)
    {
        var controllers = new HashSet<string>(Always);
        if (resources.CpuSet is not null || resources.CpuSetMemory is not null) controllers.Add("cpuset");
        if (!resources.Devices.IsEmpty) controllers.Add("devices");
        return controllers;
    }

    /// <summary>Whether anything is asked for beside rules for devices, which can be left out where no device node can be made.</summary>
    public static bool AnyLimitButDevices(ResourcesSpec r) =>
        (r.Memory ?? r.MemoryAndSwap ?? r.MemoryReservation ?? r.CpuShares ?? r.CpuQuota ?? r.CpuPeriod ?? r.Pids ?? r.IoWeight) is not null || (r.CpuSet ?? r.CpuSetMemory) is not null || !r.Unified.IsEmpty;

    /// <summary>The limits in the kernel's words.</summary>
    public static CgroupLimits Limits(ResourcesSpec resources, IEnumerable<DeviceSpec> further) => new()
    {
        Memory = resources.Memory,
        MemoryAndSwap = resources.MemoryAndSwap,
        MemoryReservation = resources.MemoryReservation,
        CpuShares = resources.CpuShares,
        CpuQuota = resources.CpuQuota,
        CpuPeriod = resources.CpuPeriod,
        CpuSet = resources.CpuSet,
        CpuSetMemory = resources.CpuSetMemory,
        Pids = resources.Pids,
        IoWeight = resources.IoWeight,
        Devices = resources.Devices.IsEmpty ? [] :
        [
            .. resources.Devices.Select(d => (d.Allow, Rule(d))),
            .. DefaultDevices.Select(rule => (true, rule)),
            .. further.Where(d => d.Type != 'p').Select(d => (true, $"{d.Type} {d.Major}:{d.Minor} rwm")),
        ],
        Unified = [.. resources.Unified.Select(u => (u.Key, u.Value))],
    };

    /// <summary>Hierarchies as the planner knows them.</summary>
    public static ImmutableArray<Core.Launch.CgroupHierarchy> Describe(IReadOnlyList<CgroupHierarchy> hierarchies, Func<CgroupHierarchy, bool> wanted)
    {
        var described = ImmutableArray.CreateBuilder<Core.Launch.CgroupHierarchy>();
        foreach (CgroupHierarchy hierarchy in hierarchies)
            if (wanted(hierarchy)) described.Add(Describe(hierarchy));
        return described.ToImmutable();
    }

    private static Core.Launch.CgroupHierarchy Describe(CgroupHierarchy hierarchy) =>
        new(hierarchy.MountPoint[(hierarchy.MountPoint.LastIndexOf('/') + 1)..], hierarchy.MountOptions, hierarchy.IsUnified, new(hierarchy.MountPoint));

    private static string Rule(DeviceRule rule) => rule.Type == 'a' ? "a *:* rwm" : $"{rule.Type} {Number(rule.Major)}:{Number(rule.Minor)} {rule.Access}";

    private static string Number(long? number) => number is null or < 0 ? "*" : $"{number}";
}
