using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A configuration file of an application, and what its text names.</summary>
/// <param name="Path">Its place.</param>
/// <param name="Entry">What it is.</param>
/// <param name="Why">Why it counts.</param>
/// <param name="Mentions">Absolute paths in it.</param>
/// <param name="Ports">Loopback ports in it.</param>
public sealed record ConfigurationFile(GuestPath Path, FileFact Entry, Because Why, ImmutableArray<GuestPath> Mentions, ImmutableSortedSet<int> Ports)
{
    /// <summary>Whether it speaks of the homes of those who are served (~/Mail).</summary>
    public bool NamesHomes { get; init; }
    /// <summary>Accounts in lines such as "user www-data".</summary>
    public ImmutableArray<string> Users { get; init; } = [];
}

/// <summary>A directory that an application writes, or whose content is its owner's and not software.</summary>
public sealed record StateDirectory(GuestPath Path, Because Why);

/// <summary>A file or directory outside of packages that is taken.</summary>
/// <param name="Path">The place; a directory is taken with everything below it.</param>
/// <param name="Kind">What becomes of it.</param>
/// <param name="Why">Why.</param>
public sealed record LoosePath(GuestPath Path, PathKind Kind, Because Why);

/// <summary>A directory that must exist at each start.</summary>
public sealed record VolatileDirectory(GuestPath Path, Because Why);

/// <summary>Everything that belongs to an application.</summary>
public sealed record Footprint
{
    /// <summary>The application.</summary>
    public required Application Application { get; init; }
    /// <summary>The beginning of every reason.</summary>
    public required Because Start { get; init; }
    /// <summary>Its packages.</summary>
    public required PackageClosure Packages { get; init; }
    /// <summary>Its configuration, in the order of paths.</summary>
    public ImmutableArray<ConfigurationFile> Configuration { get; init; } = [];
    /// <summary>What it writes.</summary>
    public ImmutableArray<StateDirectory> State { get; init; } = [];
    /// <summary>What no package owns.</summary>
    public ImmutableArray<LoosePath> Loose { get; init; } = [];
    /// <summary>Directories below /run.</summary>
    public ImmutableArray<VolatileDirectory> Volatile { get; init; } = [];
    /// <summary>Libraries that were not found.</summary>
    public ImmutableArray<NeededLibrary> Missing { get; init; } = [];
    /// <summary>The service's users, without root.</summary>
    public ImmutableSortedSet<uint> Users { get; init; } = [];
    /// <summary>Whether it may start a shell: Debian's essential programs are taken.</summary>
    public bool NeedsShell { get; init; }
    /// <summary>What to know.</summary>
    public ImmutableArray<PlanNote> Notes { get; init; } = [];
}
