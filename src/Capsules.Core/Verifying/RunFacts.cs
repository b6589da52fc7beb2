using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Verifying;

/// <summary>How a service of a running capsule is doing.</summary>
/// <param name="Name">Its name.</param>
/// <param name="IsRunning">Whether its main process runs.</param>
/// <param name="Ended">How it ended, in words; null while it runs.</param>
/// <param name="Succeeded">Whether it ended as it should.</param>
/// <param name="Starts">How often it was started.</param>
public sealed record ServiceFact(string Name, bool IsRunning, string? Ended, bool Succeeded, int Starts)
{
    /// <summary>The user of its main process, as the capsule numbers it.</summary>
    public uint? Uid { get; init; }
    /// <summary>The user that the manifest means, as the capsule's accounts number it.</summary>
    public uint? WantedUid { get; init; }
    /// <summary>Limits of its main process, by the names of the specification.</summary>
    public ImmutableDictionary<string, (ulong Soft, ulong Hard)> Limits { get; init; } = ImmutableDictionary<string, (ulong, ulong)>.Empty;
}

/// <summary>What a look at a running capsule found.</summary>
public sealed record RunFacts
{
    /// <summary>Its services.</summary>
    public ImmutableArray<ServiceFact> Services { get; init; } = [];
    /// <summary>TCP ends that are listened on.</summary>
    public ImmutableArray<IPEndPoint> Tcp { get; init; } = [];
    /// <summary>UDP ends that are bound and not connected.</summary>
    public ImmutableArray<IPEndPoint> Udp { get; init; } = [];
    /// <summary>Unix sockets that are bound to a path.</summary>
    public ImmutableArray<string> Unix { get; init; } = [];
    /// <summary>Limits of its control group, those that are asked for; null where the host has none.</summary>
    public ResourceLimits Group { get; init; } = new();
    /// <summary>Hard limits of this host that it may not raise.</summary>
    public ImmutableDictionary<string, ulong> HostHardLimits { get; init; } = ImmutableDictionary<string, ulong>.Empty;
}
