using System.Collections.Immutable;
using Capsules.Linux.Processes;
using Capsules.Linux.Security;

namespace Capsules.Engine.Running;

/// <summary>Limits of this host's own, above which nothing can be given away.</summary>
internal static class HostLimits
{
    /// <summary>Hard limits by name, of those named; none when they may be raised.</summary>
    public static ImmutableDictionary<string, ulong> Hard(IEnumerable<string> names)
    {
        if (MayRaise()) return ImmutableDictionary<string, ulong>.Empty;
        var limits = ImmutableDictionary.CreateBuilder<string, ulong>();
        foreach (string name in names)
            if (ResourceNames.Parse(name) is int number) limits[name] = ProcessCalls.Limit(0, number).Hard;
        return limits.ToImmutable();
    }

    /// <summary>CAP_SYS_RESOURCE: the right to go beyond them.</summary>
    public static bool MayRaise() => Host.IsInitial && Capabilities.IsAvailable(24);
}
