using Capsules.Core.Capture;
using Capsules.Engine.Capturing;
using Capsules.Engine.Installing;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule install`: makes a capsule by running an installer in a throw-away one.</summary>
public static class InstallCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(InstallOptions options, StoreLayout layout, CommandOutput output)
    {
        CaptureResult result;
        CapturePlan plan;
        using (ProgressLine progress = output.Progress())
            (result, plan) = new InstallRunner(new CapsuleStore(layout)).Run(options with
            {
                Progress = (verb, text) =>
                {
                    if (verb == "Running" || !progress.IsShown) progress.Say($"{verb,10} {text}"); // what follows is the installer's own
                    else progress.Show($"{verb,10} {text}");
                },
                Advance = (done, all) => progress.Advance($"{100L * done / all} %"),
                Say = bytes =>
                {
                    using Stream errors = Console.OpenStandardError();
                    errors.Write(bytes);
                },
            });
        foreach (PlanNote note in plan.Notes) output.Words.WriteLine($"note: {note.Text}");
        int files = plan.Paths.Count(p => p.Entry != Core.Facts.EntryKind.Directory);
        string services = plan.Manifest.Services.Length switch
        {
            0 => "no service",
            1 => $"1 service found ({plan.Manifest.Services[0].Name})",
            var many => $"{many} services found ({string.Join(", ", plan.Manifest.Services.Select(s => s.Name))})",
        };
        output.Data.WriteLine(output.IsTerminal ? $"Installed {result.Name}: {files} files, {output.Size(plan.Paths.Sum(p => p.Size))}; {services}." : $"{result.Name}\t{result.Image}");
        output.Words.WriteLine(plan.Manifest.Services.IsEmpty ? $"next: capsule run {result.Name} --rm -- COMMAND" : $"next: capsule run {result.Name}");
        return 0;
    }
}
