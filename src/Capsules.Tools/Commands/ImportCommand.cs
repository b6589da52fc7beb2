using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Opening;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule import`: an archive becomes an image and a stopped capsule.</summary>
public static class ImportCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(string file, string? name, string? source, CapsuleStore store, CommandOutput output, TimeProvider clock)
    {
        CapsuleName? own = null;
        if (name is not null) own = CapsuleName.TryParse(name, out CapsuleName parsed) ? parsed : throw new CapsuleException(Problems.BadValue("name of a capsule", name, "1 to 63 of a-z 0-9 - . _, first a letter or digit"));
        SshAddress? address = null;
        try { address = source is null ? null : SshAddress.Parse(source); }
        catch (FormatException e) { throw new CapsuleException(Problems.WrongUsage(FactText.Of(e), "capsule import FILE --source ssh://[USER@]HOST[:PORT][/DIR]"), e); }
        ImportedCapsule imported;
        string? trouble = null;
        using (ProgressLine progress = output.Progress())
        {
            progress.Show($"{"Importing",10} {file}{(File.Exists(file) ? $": {output.Size(new FileInfo(file).Length)}" : "")}");
            imported = new CapsuleImages(store).Import(file, own, clock, address);
            if (imported is { Source: not null, Sealed: null })
            {
                progress.Show($"{"Asking",10} {imported.Source.Source}");
                trouble = SourceCheck.Look(store.Layout, imported.Capsule.Name, imported.Source);
            }
        }
        CapsuleRecord capsule = imported.Capsule;
        output.Data.WriteLine(output.IsTerminal ? $"Imported {capsule.Name}." : $"{capsule.Name}\t{capsule.Image}");
        if (imported is { Source: { } from, Sealed: null })
            output.Words.WriteLine(trouble is null ? $"It is open: {from.Files} files are filled from {from.Source} when they are opened."
                : $"warning: it is open, and its source is of no use now: {trouble}. What is opened meanwhile gives EIO, and `capsule misses {capsule.Name}` says why.");
        else if (imported.Sealed is { } closed)
            output.Words.WriteLine($"note: it was exported open, and its source (`{imported.Source!.Source.Place}`) cannot be reached from here: it is sealed, with {closed.Files} files that had been filled. To leave it open, remove it and import it again with --source ssh://USER@HOST");
        else if (imported.IsLess)
            output.Words.WriteLine("note: it was exported open, and what it shows of its source was left in the archive: only root can guard it. It has what was planned");
        output.Words.WriteLine($"next: capsule run {capsule.Name}");
        return 0;
    }
}
