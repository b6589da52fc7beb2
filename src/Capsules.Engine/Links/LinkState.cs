using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Problems;

namespace Capsules.Engine.Links;

/// <summary>How a link is now.</summary>
public enum LinkState
{
    /// <summary>The capsule that uses it does not run.</summary>
    Down,
    /// <summary>It runs, and sees what is offered.</summary>
    Live,
    /// <summary>It runs, and the owner does not offer it now.</summary>
    Waiting,
}

/// <summary>What came of a link that was made or taken away.</summary>
/// <param name="Link">The link.</param>
/// <param name="Warnings">What will not be as expected.</param>
/// <param name="Holders">Who has something open of it.</param>
public sealed record LinkChange(CapsuleLink Link, ImmutableArray<Warning> Warnings, ImmutableArray<MountHolder> Holders);
