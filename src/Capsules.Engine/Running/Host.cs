using Capsules.Core.Facts;
using Capsules.Core.Links;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Running;

/// <summary>What is asked of this host again and again.</summary>
internal static class Host
{
    private static readonly Lazy<KernelFacts> LazyKernel = new(() => KernelFacts.Parse(FileCalls.ReadText("/proc/sys/kernel/osrelease").Trim()));

    private static readonly Lazy<IReadOnlyList<IdExtent>> LazyIds = new(UserNamespaces.OwnMap);

    /// <summary>
    /// Whether we are root of the host and not of a user namespace: only then can mounts of the host's file systems map ids, device nodes be made, control
    /// groups be written, and limits be raised. Else, in the realm of a user or as root of a container that has a user namespace, the ids on disk are those of the
    /// namespace, and a capsule has the same ones.
    /// </summary>
    public static bool IsInitial => UserNamespaces.IsInitial(LazyIds.Value);

    /// <summary>
    /// The map of a stack whose own range begins at <paramref name="idBase"/>, in which some ids are another stack's. Below another namespace every id is
    /// itself, extent by extent: one of a map may not reach over two of the map above (user_namespaces(7)).
    /// </summary>
    public static IReadOnlyList<IdExtent> MapOf(uint idBase, uint count, IEnumerable<SharedId> shared) =>
        IsInitial ? [.. SharedId.Map(idBase, count, shared).Select(m => new IdExtent(m.Inside, m.Outside, m.Count))] : [.. LazyIds.Value.Select(e => new IdExtent(e.Inside, e.Inside, e.Count))];

    /// <summary>The hierarchies of control groups in which we may make some.</summary>
    public static IReadOnlyList<CgroupHierarchy> Hierarchies => IsInitial ? CgroupHierarchies.Read() : [];

    /// <summary>Attributes of overlay(5) that hide, by the option with which it is mounted here.</summary>
    public static string OverlayAttribute(string name) => (IsInitial ? "trusted.overlay." : "user.overlay.") + name;

    /// <summary>The running kernel.</summary>
    public static KernelFacts Kernel => LazyKernel.Value;
}
