using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A capture plan as JSON, for `adopt --plan --json` and `apply`: docs/formats/capture-plan.md.</summary>
public static class CapturePlanJson
{
    /// <summary>The file's bytes.</summary>
    public static byte[] Write(CapturePlan plan) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CapturePlan.CurrentSchemaVersion);
        w.Text("source", plan.Source.ToString());
        w.Text("application", plan.Application);
        w.Text("stack", plan.Stack.ToString());
        if (plan.Base is { } below)
        {
            w.WriteStartObject("base");
            w.Text("name", below.Name);
            w.Texts("layers", [.. below.Layers.Select(l => l.ToString())]);
            w.WriteNumber("latestTime", below.LatestTime);
            w.WriteEndObject();
        }
        w.Integer("latestTime", plan.LatestTime);
        w.WritePropertyName("manifest");
        w.WriteRawValue(ManifestJson.Write(plan.Manifest));
        w.Objects("volumes", plan.Volumes, v =>
        {
            w.Text("name", v.Name.ToString());
            w.Text("path", v.Path.ToString());
            w.WriteNumber("size", v.Size);
            w.WriteNumber("files", v.Files);
            w.WriteNumber("reason", v.Reason);
            w.Text("owner", v.Owner?.Capsule.ToString());
            w.Text("ownerVolume", v.Owner?.Volume.ToString());
        });
        w.Objects("processes", plan.Processes, p =>
        {
            w.WriteNumber("pid", p.Pid);
            w.WriteNumber("startTicks", p.StartTicks);
            w.Text("name", p.Name);
        });
        w.Objects("notes", plan.Notes, n =>
        {
            w.Text("text", n.Text);
            if (n.Options.Length > 0) w.Text("options", n.Options);
        });
        w.Objects("reasons", plan.Reasons, r =>
        {
            w.Text("text", r.Text);
            w.Integer("because", r.Because);
        });
        w.Objects("paths", plan.Paths, p =>
        {
            w.Text("path", p.Path.ToString());
            w.Text("kind", JsonReading.Dashed(p.Kind));
            w.Text("entry", JsonReading.Dashed(p.Entry));
            if (p.Size != 0) w.WriteNumber("size", p.Size);
            w.WriteNumber("reason", p.Reason);
        });
        w.Objects("hidden", plan.Hidden, h =>
        {
            w.Text("path", h.Path.ToString());
            w.WriteNumber("reason", h.Reason);
        });
        w.Objects("replaced", plan.Replaced, r =>
        {
            w.Text("path", r.Path.ToString());
            w.WriteBase64String("content", r.Content.AsSpan());
        });
        w.Objects("leftOut", plan.LeftOut, l =>
        {
            w.Text("path", l.Path.ToString());
            w.Text("why", l.Why);
        });
        w.Objects("uncertain", plan.Uncertain, u =>
        {
            w.Text("path", u.Path.ToString());
            w.Text("why", u.Why);
        });
    });

    /// <summary>Several plans as one document: a list. One plan alone stands for itself.</summary>
    public static byte[] Write(ImmutableArray<CapturePlan> plans)
    {
        if (plans is [var only]) return Write(only);
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, JsonWriting.Options))
        {
            writer.WriteStartArray();
            foreach (CapturePlan plan in plans) writer.WriteRawValue(Write(plan));
            writer.WriteEndArray();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    /// <summary>Reads what <see cref="Write(ImmutableArray{CapturePlan})"/> wrote.</summary>
    /// <exception cref="FormatException">It is not that, or the parts of a plan do not fit each other.</exception>
    public static ImmutableArray<CapturePlan> ReadAll(ReadOnlyMemory<byte> bytes)
    {
        JsonElement root = ManifestJson.Parse(bytes);
        ImmutableArray<CapturePlan> plans = root.ValueKind == JsonValueKind.Array ? [.. root.EnumerateArray().Select(Read)] : [Read(root)];
        if (plans.IsEmpty) throw new FormatException("it has no plan");
        if (plans.Any(p => p.Source.ToString() != plans[0].Source.ToString())) throw new FormatException("its plans are of several sources");
        return plans;
    }

    /// <summary>Reads a plan.</summary>
    /// <exception cref="FormatException">It is not one, or its parts do not fit each other.</exception>
    public static CapturePlan Read(ReadOnlyMemory<byte> bytes) => Read(ManifestJson.Parse(bytes));

    private static CapturePlan Read(JsonElement root)
    {
        ManifestJson.CheckVersion(root, CapturePlan.CurrentSchemaVersion);
        ImmutableArray<Reason> reasons = [.. root.Items("reasons").Select(r => new Reason(r.RequiredText("text"), r.SmallInteger("because")))];
        for (int i = 0; i < reasons.Length; i++)
            if (reasons[i].Because is int because && (because < 0 || because >= i)) throw new FormatException($"reason {i} rests on reason {because}, which does not come before it");
        CapturePlan plan = new()
        {
            Source = SourceReference.Parse(root.RequiredText("source")),
            Application = root.RequiredText("application"),
            Stack = CapsuleName.Parse(root.RequiredText("stack")),
            Base = root.Member("base") is { } below ? new(below.RequiredText("name"), [.. below.Texts("layers").Select(Digest.Parse)], below.Integer("latestTime") ?? 0) : null,
            LatestTime = root.Integer("latestTime"),
            Hidden = [.. root.Items("hidden").Select(h => new HiddenPath(GuestPath.Parse(h.RequiredText("path")), ReasonOf(h)))],
            Manifest = ManifestJson.Read(System.Text.Encoding.UTF8.GetBytes((root.Member("manifest") ?? throw new FormatException("`manifest` is missing")).GetRawText())),
            Volumes = [.. root.Items("volumes").Select(v => new PlannedVolume(CapsuleName.Parse(v.RequiredText("name")), GuestPath.Parse(v.RequiredText("path")), v.Integer("size") ?? 0, v.Integer("files") ?? 0, ReasonOf(v))
            {
                Owner = v.Text("owner") is { } owner ? (CapsuleName.Parse(owner), CapsuleName.Parse(v.RequiredText("ownerVolume"))) : null,
            })],
            Processes = [.. root.Items("processes").Select(p => new PausedProcess(p.SmallInteger("pid") ?? throw new FormatException("`pid` is missing"), p.Unsigned("startTicks") ?? 0, p.Text("name") ?? ""))],
            Notes = [.. root.Items("notes").Select(n => new PlanNote(n.RequiredText("text"), n.Text("options") ?? ""))],
            Reasons = reasons,
            Paths = [.. root.Items("paths").Select(p => new PlannedPath(GuestPath.Parse(p.RequiredText("path")), p.Choice<PathKind>("kind") ?? PathKind.Code, p.Choice<EntryKind>("entry") ?? throw new FormatException("`entry` is missing"), p.Integer("size") ?? 0, ReasonOf(p)))],
            Replaced = [.. root.Items("replaced").Select(r => new ReplacedContent(GuestPath.Parse(r.RequiredText("path")), Content(r)))],
            LeftOut = [.. root.Items("leftOut").Select(l => new LeftOutPath(GuestPath.Parse(l.RequiredText("path")), l.RequiredText("why")))],
            Uncertain = [.. root.Items("uncertain").Select(u => new UncertainPath(GuestPath.Parse(u.RequiredText("path")), u.RequiredText("why")))],
        };
        for (int i = 1; i < plan.Paths.Length; i++)
            if (plan.Paths[i - 1].Path >= plan.Paths[i].Path) throw new FormatException($"paths are out of order at {plan.Paths[i].Path}");
        if (plan.Replaced.Any(r => !plan.Paths.Any(p => p.Path == r.Path && p is { Kind: PathKind.Code, Entry: EntryKind.Regular }))) throw new FormatException("`replaced` names what is no file of the code layer");
        if (plan.Processes.Any(p => p.Pid <= 1)) throw new FormatException("a plan cannot pause the first process");
        return plan;

        ImmutableArray<byte> Content(JsonElement element) =>
            element.Member("content") is { ValueKind: JsonValueKind.String } text && text.TryGetBytesFromBase64(out byte[]? bytes) ? [.. bytes] : throw new FormatException("a `content` is no base64");

        int ReasonOf(JsonElement element) => element.SmallInteger("reason") is int index && index >= 0 && index < reasons.Length ? index : throw new FormatException("a `reason` is missing or none of the plan's");
    }
}
