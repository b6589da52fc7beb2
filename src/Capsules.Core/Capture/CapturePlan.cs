using System.Collections.Immutable;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>What becomes of a planned path.</summary>
public enum PathKind
{
    /// <summary>Software: goes into the code layer.</summary>
    Code,
    /// <summary>Configuration: goes into the configuration layer.</summary>
    Config,
    /// <summary>Kept apart from the layers.</summary>
    Secret,
}

/// <summary>Why something is in a plan: a sentence, and the reason that led to it (its index in the plan), or none for the beginning.</summary>
public sealed record Reason(string Text, int? Because);

/// <summary>A path that is copied.</summary>
/// <param name="Path">Where it is in the source and in the capsule; no symbolic link before it.</param>
/// <param name="Kind">What becomes of it.</param>
/// <param name="Entry">What it is.</param>
/// <param name="Size">Bytes of content.</param>
/// <param name="Reason">Index of its reason in the plan.</param>
public sealed record PlannedPath(GuestPath Path, PathKind Kind, EntryKind Entry, long Size, int Reason);

/// <summary>A directory that becomes a state volume, whole.</summary>
/// <param name="Name">The volume's name.</param>
/// <param name="Path">The directory.</param>
/// <param name="Size">Bytes of content at planning.</param>
/// <param name="Files">Number of entries at planning.</param>
/// <param name="Reason">Index of its reason in the plan.</param>
public sealed record PlannedVolume(CapsuleName Name, GuestPath Path, long Size, long Files, int Reason)
{
    /// <summary>Whose volume it is, when another capsule of the same stack owns it: then it is that one's directory, and nothing is copied.</summary>
    public (CapsuleName Capsule, CapsuleName Volume)? Owner { get; init; }
}

/// <summary>A path that was met and not taken.</summary>
/// <param name="Path">The path.</param>
/// <param name="Why">Why not.</param>
public sealed record LeftOutPath(GuestPath Path, string Why);

/// <summary>What a planned file holds in the capsule, instead of what it holds at the source.</summary>
public sealed record ReplacedContent(GuestPath Path, ImmutableArray<byte> Content);

/// <summary>A process that is paused while its state is copied.</summary>
public sealed record PausedProcess(int Pid, ulong StartTicks, string Name);

/// <summary>Something to decide or to know, with the default that applies unattended.</summary>
/// <param name="Text">What it is about.</param>
/// <param name="Options">Options of `capsule adopt` that decide it otherwise; empty for a mere note.</param>
public sealed record PlanNote(string Text, string Options = "");

/// <summary>What stands below a capsule that was installed: whole layers, taken as they are.</summary>
/// <param name="Name">What it is called, such as "debian:bookworm".</param>
/// <param name="Layers">Its layers, lowest first.</param>
/// <param name="LatestTime">The latest time of a file in it, in seconds since the epoch: nothing above is dated later.</param>
public sealed record PlannedBase(string Name, ImmutableArray<Digest> Layers, long LatestTime);

/// <summary>A path of the base that is not seen any more.</summary>
/// <param name="Path">The path.</param>
/// <param name="Reason">Index of its reason in the plan.</param>
public sealed record HiddenPath(GuestPath Path, int Reason);

/// <summary>Everything that making a capsule of an application will do, each path with its reason: docs/formats/capture-plan.md.</summary>
public sealed record CapturePlan
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>Where from.</summary>
    public required SourceReference Source { get; init; }
    /// <summary>The application, as scan calls it.</summary>
    public required string Application { get; init; }
    /// <summary>The manifest to be, still without layers.</summary>
    public required CapsuleManifest Manifest { get; init; }
    /// <summary>The stack it will belong to.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>What stands below; null when the plan's paths are everything.</summary>
    public PlannedBase? Base { get; init; }
    /// <summary>What of the base is not seen any more.</summary>
    public ImmutableArray<HiddenPath> Hidden { get; init; } = [];
    /// <summary>Files of the layers that are younger are dated so (seconds since the epoch), that the same work gives the same layers on another day; null leaves their times.</summary>
    public long? LatestTime { get; init; }
    /// <summary>The reasons that paths and volumes name by index.</summary>
    public ImmutableArray<Reason> Reasons { get; init; } = [];
    /// <summary>What is copied into layers and secrets, in the order of paths: a directory before what is in it.</summary>
    public ImmutableArray<PlannedPath> Paths { get; init; } = [];
    /// <summary>Planned files of the code layer whose content differs from the source's.</summary>
    public ImmutableArray<ReplacedContent> Replaced { get; init; } = [];
    /// <summary>What becomes state.</summary>
    public ImmutableArray<PlannedVolume> Volumes { get; init; } = [];
    /// <summary>Who is paused while state is copied.</summary>
    public ImmutableArray<PausedProcess> Processes { get; init; } = [];
    /// <summary>What was met and not taken.</summary>
    public ImmutableArray<LeftOutPath> LeftOut { get; init; } = [];
    /// <summary>What is taken, or in a volume, though little speaks for it.</summary>
    public ImmutableArray<UncertainPath> Uncertain { get; init; } = [];
    /// <summary>Questions and warnings.</summary>
    public ImmutableArray<PlanNote> Notes { get; init; } = [];

    /// <summary>The chain of reasons from an index to the beginning.</summary>
    public ImmutableArray<string> Chain(int reason)
    {
        var chain = ImmutableArray.CreateBuilder<string>();
        for (int? at = reason; at is int index && chain.Count < 64; at = Reasons[index].Because) chain.Add(Reasons[index].Text);
        return chain.ToImmutable();
    }

    /// <summary>Why a path is in the plan: its reason chain, or that of the volume that holds it; null when it is not.</summary>
    public ImmutableArray<string>? Why(GuestPath path)
    {
        foreach (PlannedVolume volume in Volumes)
            if (path.IsWithin(volume.Path)) return [$"state volume {volume.Name} holds {volume.Path}", .. Chain(volume.Reason)];
        int at = Paths.BinarySearch(new PlannedPath(path, default, default, 0, 0), Comparer<PlannedPath>.Create((a, b) => a.Path.CompareTo(b.Path)));
        return at < 0 ? null : Chain(Paths[at].Reason);
    }
}
