using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>Exports, imports and links as JSON: docs/formats/manifest.md, docs/formats/store.md.</summary>
public static class LinkJson
{
    /// <summary>The member `exports`, when there are any.</summary>
    public static void WriteExports(Utf8JsonWriter w, ImmutableArray<Export> exports) => w.Objects("exports", exports, e => WriteExport(w, e));

    /// <summary>The members of one export.</summary>
    public static void WriteExport(Utf8JsonWriter w, Export e)
    {
        w.Text("name", e.Name.ToString());
        w.Text("preset", JsonReading.Dashed(e.Preset));
        w.Text("path", e.Path?.ToString());
        w.Texts("programs", [.. e.Programs.Select(p => p.ToString())]);
        w.Texts("ports", e.Ports);
        w.Texts("arguments", e.Arguments);
        w.Text("runAs", e.RunAs);
        w.Texts("environment", e.Environment);
        w.Texts("users", e.Users);
        w.Texts("groups", e.Groups);
    }

    /// <summary>Reads the member `exports`.</summary>
    /// <exception cref="FormatException">A member is missing or of another kind.</exception>
    public static ImmutableArray<Export> ReadExports(JsonElement parent) => [.. parent.Items("exports").Select(e => new Export
    {
        Name = CapsuleName.Parse(e.RequiredText("name")),
        Preset = e.Choice<LinkPreset>("preset") ?? throw new FormatException("`preset` is missing"),
        Path = e.Text("path") is { } path ? GuestPath.Parse(path) : null,
        Programs = [.. e.Texts("programs").Select(GuestPath.Parse)],
        Ports = e.Texts("ports"),
        Arguments = e.Texts("arguments"),
        RunAs = e.Text("runAs"),
        Environment = e.Texts("environment"),
        Users = e.Texts("users"),
        Groups = e.Texts("groups"),
    })];

    /// <summary>The member `links`.</summary>
    public static void WriteLinks(Utf8JsonWriter w, ImmutableArray<CapsuleLink> links) => w.Objects("links", links, l => WriteLink(w, l));

    /// <summary>The members of one link.</summary>
    public static void WriteLink(Utf8JsonWriter w, CapsuleLink l)
    {
        w.Text("to", l.Import.ToString());
        w.Text("preset", JsonReading.Dashed(l.Preset));
        w.Text("whenDown", JsonReading.Dashed(l.WhenDown));
        if (l.WhenDown == WhenDown.Wait) w.WriteNumber("wait", l.WaitMilliseconds);
        if (l.Merge)
        {
            w.WriteBoolean("merge", true);
            w.WriteNumber("priority", l.Priority);
        }
        w.Texts("private", [.. l.Private.Select(p => p.ToString())]);
        w.Texts("users", [.. l.Users.Select(u => u.ToString())]);
        w.Texts("groups", [.. l.Groups.Select(g => g.ToString())]);
    }

    /// <summary>Reads the member `links`.</summary>
    /// <exception cref="FormatException">A member is missing or of another kind.</exception>
    public static ImmutableArray<CapsuleLink> ReadLinks(JsonElement parent) => [.. parent.Items("links").Select(l => new CapsuleLink
    {
        Import = Import.Parse(l.RequiredText("to")),
        Preset = l.Choice<LinkPreset>("preset") ?? throw new FormatException("`preset` is missing"),
        WhenDown = l.Choice<WhenDown>("whenDown") ?? WhenDown.Require,
        WaitMilliseconds = l.Integer("wait") ?? 30_000,
        Merge = l.Flag("merge") == true,
        Priority = (int)(l.Integer("priority") ?? CapsuleLink.StandardPriority),
        Private = [.. l.Texts("private").Select(GuestPath.Parse)],
        Users = [.. l.Texts("users").Select(SharedName.Parse)],
        Groups = [.. l.Texts("groups").Select(SharedName.Parse)],
    })];
}
