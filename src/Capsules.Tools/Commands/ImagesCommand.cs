using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>Options of `capsule images`.</summary>
public sealed record ImagesOptions(bool Quiet, bool Json)
{
    /// <summary>Fields of the JSON; none for all.</summary>
    public ImmutableArray<string> Fields { get; init; } = [];
}

/// <summary>`capsule images`: what is in the store, and which capsules are made of it.</summary>
public static class ImagesCommand
{
    private sealed record Row(Digest Digest, CapsuleManifest Manifest, string[] Capsules);

    /// <summary>Runs it; the exit code.</summary>
    public static int Run(ImagesOptions options, CapsuleStore store, CommandOutput output)
    {
        List<Row> rows = [];
        List<CapsuleRecord> capsules = [];
        void Try(Action look)
        {
            try { look(); }
            catch (CapsuleException e) { output.Words.WriteLine(e.Problem.ToString()); } // the others are listed all the same
        }
        foreach (CapsuleName name in store.Names())
            Try(() => { if (store.Find(name) is { } capsule) capsules.Add(capsule); });
        foreach (Digest digest in store.Images())
            Try(() => rows.Add(new(digest, store.Manifest(digest), [.. capsules.Where(c => c.Image == digest).Select(c => c.Name.ToString()).Order(StringComparer.Ordinal)])));
        rows.Sort((a, b) => string.CompareOrdinal(a.Manifest.Name.ToString() + a.Digest, b.Manifest.Name.ToString() + b.Digest));

        if (options.Quiet)
            foreach (Row row in rows) output.Data.WriteLine(row.Digest);
        else if (options.Json)
            output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(JsonWriting.Document(w => w.Objects("images", rows, row =>
            {
                w.Text("name", row.Manifest.Name.ToString());
                w.Text("version", row.Manifest.Version);
                w.Text("image", row.Digest.ToString());
                w.Text("system", row.Manifest.Source?.System);
                w.Texts("layers", [.. row.Manifest.Layers.Select(l => l.ToString())]);
                w.Texts("capsules", [.. row.Capsules]);
            })), options.Fields, inside: "images")));
        else
            output.WriteTable(["NAME", "VERSION", "IMAGE", "SYSTEM", "CAPSULES"], [.. rows.Select(r => (string[])
            [
                r.Manifest.Name.ToString(), r.Manifest.Version ?? "-", output.IsTerminal ? r.Digest.Short : r.Digest.ToString(), r.Manifest.Source?.System ?? "-", r.Capsules.Length == 0 ? "-" : string.Join(' ', r.Capsules),
            ])]);
        return 0;
    }
}
