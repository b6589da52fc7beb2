using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule import`: an archive becomes an image and a stopped capsule.</summary>
public static class ImportCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(string file, string? name, CapsuleStore store, CommandOutput output, TimeProvider clock)
    {
        CapsuleName? own = null;
        if (name is not null) own = CapsuleName.TryParse(name, out CapsuleName parsed) ? parsed : throw new CapsuleException(Problems.BadValue("name of a capsule", name, "1 to 63 of a-z 0-9 - . _, first a letter or digit"));
        CapsuleRecord capsule;
        using (ProgressLine progress = output.Progress())
        {
            progress.Show($"{"Importing",10} {file}{(File.Exists(file) ? $": {output.Size(new FileInfo(file).Length)}" : "")}");
            capsule = new CapsuleImages(store).Import(file, own, clock);
        }
        output.Data.WriteLine(output.IsTerminal ? $"Imported {capsule.Name}." : $"{capsule.Name}\t{capsule.Image}");
        output.Words.WriteLine($"next: capsule run {capsule.Name}");
        return 0;
    }
}
