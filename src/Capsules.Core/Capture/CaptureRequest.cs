using System.Collections.Immutable;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>What the user decided about a capture.</summary>
public sealed record CaptureRequest
{
    /// <summary>The capsule's name; the application's when null.</summary>
    public CapsuleName? Name { get; init; }
    /// <summary>The stack; one of the capsule's own name when null.</summary>
    public CapsuleName? Stack { get; init; }
    /// <summary>Paths to take though no rule does.</summary>
    public ImmutableArray<GuestPath> Add { get; init; } = [];
    /// <summary>Paths that another way of capture met; rules widen them to packages and directories.</summary>
    public ImmutableArray<FoundPath> Found { get; init; } = [];
    /// <summary>What becomes of <see cref="Found"/>.</summary>
    public WideningRules Rules { get; init; } = WideningRules.Default;
    /// <summary>Of <see cref="Found"/>, those whose need is not proved; the plan keeps them.</summary>
    public ImmutableArray<UncertainPath> Uncertain { get; init; } = [];
    /// <summary>Directories that are state though no rule says so.</summary>
    public ImmutableArray<GuestPath> State { get; init; } = [];
    /// <summary>Paths to leave out.</summary>
    public ImmutableArray<GuestPath> Leave { get; init; } = [];
    /// <summary>Of packages nothing is taken but what was met by another way: what is not in the plan comes from the source when it is opened.</summary>
    public bool Bare { get; init; }
    /// <summary>What becomes of SSH host keys.</summary>
    public HostKeys HostKeys { get; init; }
}

/// <summary>A path that was seen in use, or that an installation made.</summary>
/// <param name="Path">The path, as the source sees it.</param>
/// <param name="Why">Who met it, and how.</param>
/// <param name="IsWritten">Whether it was written, so that its directory is state.</param>
public sealed record FoundPath(GuestPath Path, Because Why, bool IsWritten = false)
{
    /// <summary>What was done with it; none when it was not watched.</summary>
    public Uses Uses { get; init; }
}
