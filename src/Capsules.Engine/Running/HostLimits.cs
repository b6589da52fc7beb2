using System.Collections.Immutable;
using Capsules.Linux.Processes;
using Capsules.Linux.Security;

namespace Capsules.Engine.Running;

/// <summary>Limits of this host's own, above which nothing can be given away.</summary>
internal static class HostLimits
{
    /// <summary>Hard limits by name.</summary>
    public static ImmutableDictionary<string, ulong> Hard() =>
        ResourceNames.All.ToImmutableDictionary(name => name, name => ProcessCalls.Limit(0, ResourceNames.Parse(name)!.Value).Hard);

    /// <summary>CAP_SYS_RESOURCE: the right to go beyond them.</summary>
    public static bool MayRaise() => (Capabilities.Bounding() >> Capabilities.Parse("SYS_RESOURCE")!.Value & 1) != 0;
}
