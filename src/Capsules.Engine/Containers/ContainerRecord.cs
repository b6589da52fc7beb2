using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Containers;

/// <summary>A container of the OCI door: ROOT/ID/state.json.</summary>
public sealed record ContainerRecord
{
    /// <inheritdoc/>
    public override string ToString() => nameof(ContainerRecord);

    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>Its id.</summary>
    public required string Id { get; init; }
    /// <summary>The first process, as the host numbers it.</summary>
    public required int Pid { get; init; }
    /// <summary>When that process started, in clock ticks after boot.</summary>
    public required ulong StartTime { get; init; }
    /// <summary>The bundle's directory.</summary>
    public required string Bundle { get; init; }
    /// <summary>When it was created.</summary>
    public required DateTimeOffset Created { get; init; }
    /// <summary>Path of its control group; null when it has none.</summary>
    public string? Cgroup { get; init; }
    /// <summary>Controllers of that group.</summary>
    public IReadOnlyList<string> Controllers { get; init; } = [];
    /// <summary>The specification's version of the bundle.</summary>
    public string SpecVersion { get; init; } = "1.0.2";

    /// <summary>Whether its bundle has hooks.</summary>
    public bool HasHooks { get; init; }
    /// <summary>Annotations of the bundle, for the hooks that run while it is created; they are not kept.</summary>
    public ImmutableSortedDictionary<string, string> Annotations { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>What those that enter need of its plan.</summary>
    public KeptEntry Entry { get; init; } = new();

    /// <summary>Whether the first process runs.</summary>
    public bool IsAlive => ProcessTable.IsAlive(Pid, StartTime);

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("id", Id);
        w.WriteNumber("pid", Pid);
        w.WriteNumber("startTime", StartTime);
        w.Text("bundle", Bundle);
        w.Text("created", Created.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'"));
        w.Text("cgroup", Cgroup);
        w.Texts("controllers", [.. Controllers]);
        w.Text("ociVersion", SpecVersion);
        if (HasHooks) w.WriteBoolean("hooks", true);
        Entry.Write(w);
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static ContainerRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Id = e.RequiredText("id"),
            Pid = e.SmallInteger("pid") ?? throw new FormatException("`pid` is missing"),
            StartTime = e.Unsigned("startTime") ?? 0,
            Bundle = e.RequiredText("bundle"),
            Created = e.RequiredTime("created"),
            Cgroup = e.Text("cgroup"),
            Controllers = e.Texts("controllers"),
            SpecVersion = e.Text("ociVersion") ?? "1.0.2",
            HasHooks = e.Flag("hooks") ?? false,
            Entry = KeptEntry.Read(e),
        };
    }
}
