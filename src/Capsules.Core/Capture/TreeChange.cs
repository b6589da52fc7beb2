using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>What happened to a path between two looks at a tree.</summary>
public enum ChangeKind
{
    /// <summary>It was not there before.</summary>
    Added,
    /// <summary>It has other content, or another owner or mode.</summary>
    Changed,
    /// <summary>It is gone.</summary>
    Deleted,
}

/// <summary>One path that is not as it was.</summary>
/// <param name="Path">Its place, without links before it.</param>
/// <param name="Kind">What happened.</param>
/// <param name="Entry">What it is; for a deleted one, what it was.</param>
public sealed record TreeChange(GuestPath Path, ChangeKind Kind, EntryKind Entry);
