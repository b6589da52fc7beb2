using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>
/// A capsule that runs (capsules/NAME/run.json under the run directory). Written once, when PID 1 is there: what changes afterwards stands on
/// the board, in PID 1's descriptors and in the kernel. Keeper, engine and later programs read it, so it has a version.
/// </summary>
public sealed record RunRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}";

    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The capsule.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>PID 1, as the host numbers it; where that is the stack's, the holder of the capsule's descriptors.</summary>
    public required int Init { get; init; }
    /// <summary>When PID 1 started, in clock ticks after boot.</summary>
    public required ulong InitStart { get; init; }
    /// <summary>When the capsule was started.</summary>
    public required DateTimeOffset Started { get; init; }
    /// <summary>Where it is in a stack that has one PID 1 for all; nowhere when PID 1 is its own.</summary>
    public Seat Seat { get; init; }

    /// <summary>The process that reaps those of the capsule, as the host numbers it.</summary>
    public int Reaper => Seat.Init == 0 ? Init : Seat.Init;

    /// <summary>The services, in the order of the board.</summary>
    public ImmutableArray<RunService> Services { get; init; } = [];
    /// <summary>The socket that is /dev/log inside, as a descriptor of PID 1; -1 when there is none.</summary>
    public int SystemLog { get; init; } = -1;
    /// <summary>The queue of events about writes outside the declared state, as a descriptor of PID 1; -1 when there is none.</summary>
    public int Writes { get; init; } = -1;
    /// <summary>The group of events of an open capsule's tree, as a descriptor of PID 1; -1 when there is none.</summary>
    public int Fills { get; init; } = -1;
    /// <summary>Path of the control group.</summary>
    public required string Cgroup { get; init; }
    /// <summary>Controllers of that group.</summary>
    public ImmutableArray<string> Controllers { get; init; } = [];
    /// <summary>Holds only a command of the user's: it stops when that ends.</summary>
    public bool CommandOnly { get; init; }
    /// <summary>The process without which it has no purpose, such as `capsule install`; 0 when there is none.</summary>
    public int Owner { get; init; }
    /// <summary>When that process started.</summary>
    public ulong OwnerStart { get; init; }

    /// <summary>Where the listeners of its look-ups are (run --watch); null when it is not watched.</summary>
    public WatchQueues? Watch { get; init; }

    /// <summary>Whether whoever it ran for is gone.</summary>
    public bool IsOrphan => Owner != 0 && !ProcessTable.IsAlive(Owner, OwnerStart);

    /// <summary>What those that enter need of its plan.</summary>
    public KeptEntry Entry { get; init; } = new();

    /// <summary>Whether PID 1 runs.</summary>
    public bool IsAlive => ProcessTable.IsAlive(Init, InitStart);

    /// <summary>The record of a capsule; null when it does not run, or nobody can tell any more: what is left then is cleared by its control group.</summary>
    /// <exception cref="CapsuleException">A later program wrote it.</exception>
    public static RunRecord? Find(StoreLayout layout, CapsuleName name)
    {
        if (SmallFiles.TryRead(FileOf(layout, name)) is not { } bytes) return null;
        try { return FromJson(bytes); }
        catch (UnknownVersionException e) { throw new CapsuleException(Problems.BadFile(FileOf(layout, name), e.Message), e); }
        catch (FormatException) { return null; }
    }

    /// <summary>Where the record of a capsule is.</summary>
    public static string FileOf(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/run.json";

    /// <summary>Where the compiled filter of a capsule is kept while it runs.</summary>
    internal static string FilterOf(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/filter";

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Text("name", Name.ToString());
        w.WriteNumber("init", Init);
        w.WriteNumber("initStart", InitStart);
        w.Time("started", Started);
        if (Seat.Init != 0)
        {
            w.WriteNumber("stackInit", Seat.Init);
            w.WriteNumber("boardPlace", Seat.Place);
        }
        w.Objects("services", Services, s =>
        {
            w.Text("name", s.Name);
            w.WriteNumber("logRead", s.LogRead);
            w.WriteNumber("logWrite", s.LogWrite);
        });
        w.WriteNumber("systemLog", SystemLog);
        w.WriteNumber("writes", Writes);
        if (Fills >= 0) w.WriteNumber("fills", Fills);
        w.Text("cgroup", Cgroup);
        w.Texts("controllers", Controllers);
        if (CommandOnly) w.WriteBoolean("commandOnly", true);
        if (Owner != 0)
        {
            w.WriteNumber("owner", Owner);
            w.WriteNumber("ownerStart", OwnerStart);
        }
        if (Watch is not null)
        {
            w.WriteStartObject("watch");
            w.WriteNumber("keptIn", Watch.KeptIn);
            w.WriteNumber("keptOut", Watch.KeptOut);
            w.WriteNumber("newIn", Watch.NewIn);
            w.WriteNumber("newOut", Watch.NewOut);
            w.WriteEndObject();
        }
        Entry.Write(w);
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static RunRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Name = CapsuleName.Parse(e.RequiredText("name")),
            Init = e.SmallInteger("init") ?? throw new FormatException("`init` is missing"),
            InitStart = e.Unsigned("initStart") ?? 0,
            Started = e.RequiredTime("started"),
            Seat = new(e.SmallInteger("stackInit") ?? 0, e.SmallInteger("boardPlace") ?? 0),
            Services = [.. e.Items("services").Select(s => new RunService(s.RequiredText("name"), s.SmallInteger("logRead") ?? -1, s.SmallInteger("logWrite") ?? -1))],
            SystemLog = e.SmallInteger("systemLog") ?? -1,
            Writes = e.SmallInteger("writes") ?? -1,
            Fills = e.SmallInteger("fills") ?? -1,
            Cgroup = e.RequiredText("cgroup"),
            Controllers = e.Texts("controllers"),
            CommandOnly = e.Flag("commandOnly") ?? false,
            Owner = e.SmallInteger("owner") ?? 0,
            OwnerStart = e.Unsigned("ownerStart") ?? 0,
            Watch = e.Member("watch") is { } watch ? new(Number(watch, "keptIn"), Number(watch, "keptOut"), Number(watch, "newIn"), Number(watch, "newOut")) : null,
            Entry = KeptEntry.Read(e),
        };

        static int Number(JsonElement watch, string name) => watch.SmallInteger(name) ?? throw new FormatException($"`{name}` is missing");
    }
}

/// <summary>The place of a capsule in a stack whose capsules share one PID 1.</summary>
/// <param name="Init">That PID 1, as the host numbers it; 0 where there is none.</param>
/// <param name="Place">Where its services begin on the board.</param>
public readonly record struct Seat(int Init, int Place);

/// <summary>A service of a running capsule: its place on the board is its place in the list; its log pipe's ends are these descriptors of PID 1.</summary>
public sealed record RunService(string Name, int LogRead, int LogWrite);
