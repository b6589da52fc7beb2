using System.Text.Json;
using System.Collections.Immutable;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Engine.Store;

/// <summary>A capsule on this host (capsules/NAME/capsule.json): its image, its stack and what its user set over the image's manifest.</summary>
public sealed record CapsuleRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>Its name on this host.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>The digest of its manifest.</summary>
    public required Digest Image { get; init; }
    /// <summary>The stack that holds its identity; a stack of its own name unless told otherwise.</summary>
    public required CapsuleName Stack { get; init; }
    /// <summary>When it was made.</summary>
    public required DateTimeOffset Created { get; init; }
    /// <summary>Where it was made from, such as "root:/" or "root:/mnt/disk"; for `misses`.</summary>
    public string? Source { get; init; }
    /// <summary>NAME=value over the manifest's environment.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>State that was added after its making.</summary>
    public ImmutableArray<StateVolume> FurtherVolumes { get; init; } = [];
    /// <summary>Volumes that are another capsule's: both see one directory.</summary>
    public ImmutableArray<SharedVolume> SharedVolumes { get; init; } = [];
    /// <summary>Directories of the host that are shown inside (-v).</summary>
    public ImmutableArray<HostDirectory> HostDirectories { get; init; } = [];
    /// <summary>What it offers to others instead of what its image says; null leaves that.</summary>
    public ImmutableArray<Export>? Exports { get; init; }
    /// <summary>What it uses of others.</summary>
    public ImmutableArray<CapsuleLink> Links { get; init; } = [];
    /// <summary>Capsules that have links to it; theirs are what counts, this tells whom to ask.</summary>
    public ImmutableArray<CapsuleName> LinkedBy { get; init; } = [];
    /// <summary>Who writes to its state is noted.</summary>
    public bool Journal { get; init; }
    /// <summary>Limits over the manifest's.</summary>
    public ResourceLimits Limits { get; init; } = new();
    /// <summary>Over the services' own (--restart).</summary>
    public RestartPolicy? Restart { get; init; }
    /// <summary>Nothing but state may be written (--read-only).</summary>
    public bool ReadOnly { get; init; }
    /// <summary>What its clocks show more than the host's (--monotonic-offset, --boot-offset).</summary>
    public ClockOffsets? ClockOffsets { get; init; }
    /// <summary>Taken away when it stops (--rm).</summary>
    public bool RemoveWhenStopped { get; init; }
    /// <summary>Below its layers lies what surrounded it at its source, filled as it is opened; an `open` directory without this is left over from a seal.</summary>
    public bool Open { get; init; }
    /// <summary>The capsule that it is a throw-away copy of (verify); it is taken away by whoever finds it without its maker.</summary>
    public CapsuleName? CopyOf { get; init; }
    /// <summary>Its writable layer is in its image, and is to be emptied before it is looked at: a commit has come so far.</summary>
    public bool Committed { get; init; }

    /// <summary>A manifest with what the user set over it.</summary>
    public CapsuleManifest Folded(CapsuleManifest manifest) => manifest with
    {
        Volumes = [.. manifest.Volumes, .. FurtherVolumes],
        Environment = [.. manifest.Environment, .. Environment],
        Exports = Exports ?? manifest.Exports,
        Imports = [.. manifest.Imports.Union(Links.Select(l => l.Import))],
    };

    /// <summary>Where the data of a volume is: its own, or its owner's.</summary>
    public string PlaceOf(StoreLayout layout, CapsuleName volume) =>
        SharedVolumes.FirstOrDefault(s => s.Name == volume) is { } shared ? layout.Volume(shared.Owner, shared.Volume) : layout.Volume(Name, volume);

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("name", Name.ToString());
        w.Text("image", Image.ToString());
        w.Text("stack", Stack.ToString());
        w.Time("created", Created);
        w.Text("source", Source);
        w.Texts("environment", Environment);
        w.Objects("furtherVolumes", FurtherVolumes, v =>
        {
            w.Text("name", v.Name.ToString());
            w.Text("path", v.Path.ToString());
            w.Text("reason", v.Reason);
        });
        w.Objects("sharedVolumes", SharedVolumes, v =>
        {
            w.Text("name", v.Name.ToString());
            w.Text("owner", v.Owner.ToString());
            w.Text("volume", v.Volume.ToString());
        });
        w.Objects("hostDirectories", HostDirectories, d =>
        {
            w.Text("source", d.Source);
            w.Text("target", d.Target.ToString());
            if (d.ReadOnly) w.WriteBoolean("readOnly", true);
        });
        if (Exports is { } exports)
        {
            w.WriteBoolean("offers", true);
            LinkJson.WriteExports(w, exports);
        }
        LinkJson.WriteLinks(w, Links);
        w.Texts("linkedBy", [.. LinkedBy.Select(n => n.ToString())]);
        if (Journal) w.WriteBoolean("journal", true);
        if (Limits != new ResourceLimits())
        {
            w.WriteStartObject("limits");
            ManifestJson.WriteLimits(w, Limits);
            w.WriteEndObject();
        }
        w.Text("restart", Restart is { } restart ? JsonReading.Dashed(restart) : null);
        if (ReadOnly) w.WriteBoolean("readOnly", true);
        if (ClockOffsets is { } clocks)
        {
            w.WriteNumber("monotonicOffset", clocks.Monotonic.Seconds);
            w.WriteNumber("bootOffset", clocks.Boot.Seconds);
        }
        if (RemoveWhenStopped) w.WriteBoolean("removeWhenStopped", true);
        if (Open) w.WriteBoolean("open", true);
        w.Text("copyOf", CopyOf?.ToString());
        if (Committed) w.WriteBoolean("committed", true);
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static CapsuleRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Name = CapsuleName.Parse(e.RequiredText("name")),
            Image = Digest.Parse(e.RequiredText("image")),
            Stack = CapsuleName.Parse(e.RequiredText("stack")),
            Created = e.RequiredTime("created"),
            Source = e.Text("source"),
            Environment = e.Texts("environment"),
            FurtherVolumes = [.. e.Items("furtherVolumes").Select(v => new StateVolume { Name = CapsuleName.Parse(v.RequiredText("name")), Path = GuestPath.Parse(v.RequiredText("path")), Reason = v.Text("reason") })],
            SharedVolumes = [.. e.Items("sharedVolumes").Select(v => new SharedVolume(CapsuleName.Parse(v.RequiredText("name")), CapsuleName.Parse(v.RequiredText("owner")), CapsuleName.Parse(v.RequiredText("volume"))))],
            HostDirectories = [.. e.Items("hostDirectories").Select(d => new HostDirectory(d.RequiredText("source"), GuestPath.Parse(d.RequiredText("target")), d.Flag("readOnly") ?? false))],
            Exports = e.Flag("offers") == true ? LinkJson.ReadExports(e) : null,
            Links = LinkJson.ReadLinks(e),
            LinkedBy = [.. e.Texts("linkedBy").Select(CapsuleName.Parse)],
            Journal = e.Flag("journal") ?? false,
            Limits = e.Member("limits") is { } limits ? ManifestJson.ReadLimits(limits) : new(),
            Restart = e.Choice<RestartPolicy>("restart"),
            ReadOnly = e.Flag("readOnly") ?? false,
            ClockOffsets = e.Integer("monotonicOffset") is { } monotonic && e.Integer("bootOffset") is { } boot ? new(new(monotonic), new(boot)) : null,
            RemoveWhenStopped = e.Flag("removeWhenStopped") ?? false,
            Open = e.Flag("open") ?? false,
            CopyOf = e.Text("copyOf") is { } original ? CapsuleName.Parse(original) : null,
            Committed = e.Flag("committed") ?? false,
        };
    }
}

/// <summary>A volume that is another capsule's.</summary>
/// <param name="Name">What it is called here.</param>
/// <param name="Owner">The capsule that owns it.</param>
/// <param name="Volume">What it is called there.</param>
public sealed record SharedVolume(CapsuleName Name, CapsuleName Owner, CapsuleName Volume);

/// <summary>A directory of the host that is shown inside.</summary>
public sealed record HostDirectory(string Source, GuestPath Target, bool ReadOnly);
