using System.Globalization;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>The plan of a capsule as a directory that people read and a version control compares.</summary>
public static class CaptureExport
{
    /// <summary>What `apply` reads.</summary>
    public const string PlanFile = "plan.json";

    /// <summary>Writes it; the plan.</summary>
    /// <exception cref="CapsuleException">The capsule has no plan, or the directory holds other things.</exception>
    public static CapturePlan Write(CapsuleRecord record, StoreLayout layout, string directory)
    {
        string image = layout.Image(record.Image);
        byte[] bytes = SmallFiles.TryRead(image + "/" + PlanFile) ?? throw new CapsuleException(Problems.NoCapturePlan(record.Name.ToString()));
        CapturePlan plan;
        try { plan = CapturePlanJson.Read(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(image + "/" + PlanFile, FactText.Of(e)), e); }

        string place = Path.GetFullPath(directory);
        if (FileCalls.TryStatFollowing(null, place) is { } there && (!there.IsDirectory || Directory.EnumerateFileSystemEntries(place).Any(p => !Ours.Contains(Path.GetFileName(p)))))
            throw new CapsuleException(Problems.WrongUsage($"{place} holds other things than an export", "capsule capture export CAPSULE DIR, with DIR empty, new, or written by this command before"));
        SmallFiles.MakeDirectories(place);
        Write(PlanFile, CapturePlanJson.Write(plan with { Manifest = plan.Manifest with { Layers = [] } }));
        Write("manifest.json", ManifestJson.Write(plan.Manifest));
        Write("paths.tsv", Encoding.UTF8.GetBytes(CapturePlanText.Table(plan)));
        Write("left-out.tsv", Encoding.UTF8.GetBytes(string.Concat(plan.LeftOut.OrderBy(l => l.Path).Select(l => $"{l.Path}\t{l.Why}\n"))));
        Write("README.md", Encoding.UTF8.GetBytes(Readme(record, plan)));
        return plan;

        void Write(string name, ReadOnlySpan<byte> content) => SmallFiles.Write($"{place}/{name}", content, durable: false);
    }

    private static readonly string[] Ours = [".git", PlanFile, "manifest.json", "paths.tsv", "left-out.tsv", "README.md"];

    private static string Readme(CapsuleRecord record, CapturePlan plan) => string.Create(CultureInfo.InvariantCulture, $"""
        # Capture of {record.Name}

        {plan.Application} of {plan.Source}, as image {record.Image}.

        | file | what |
        |---|---|
        | `plan.json` | the plan{(plan.Source.CanBeReadAgain ? ": `capsule apply DIR` makes the same image of the same source" : ", to be read; its source was there only while it was made")} |
        | `manifest.json` | services, volumes, identity |
        | `paths.tsv` | each path, what becomes of it, its size, and why it is there |
        | `left-out.tsv` | what was met and not taken, and why |

        """).Replace("\r\n", "\n", StringComparison.Ordinal);
}
