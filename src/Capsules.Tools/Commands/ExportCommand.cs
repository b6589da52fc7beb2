using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Tools.Commands;

/// <summary>Options of `capsule export`.</summary>
/// <param name="Capsule">Which one.</param>
/// <param name="Format">"oci"; nothing else yet.</param>
/// <param name="File">Where to; null or "-" is standard output.</param>
/// <param name="Content">What is taken along.</param>
public sealed record ExportFileOptions(string Capsule, string? Format, string? File, ExportOptions Content);

/// <summary>`capsule export`: a capsule as an archive that any engine loads.</summary>
public static class ExportCommand
{
    /// <summary>Runs it; the exit code.</summary>
    /// <param name="options">What is wanted.</param>
    /// <param name="store">Capsules and images.</param>
    /// <param name="output">Where to speak.</param>
    /// <param name="standardOutput">Opens the way of the archive when no file is named.</param>
    public static int Run(ExportFileOptions options, CapsuleStore store, CommandOutput output, Func<Stream> standardOutput)
    {
        const string Usage = "capsule export CAPSULE -o FILE";
        if (options.Format is not (null or "oci")) throw new CapsuleException(Problems.WrongUsage($"`{options.Format}` is no format of an export; there is: oci", Usage));
        bool toFile = options.File is not (null or "-");
        if (!toFile && output.IsTerminal) throw new CapsuleException(Problems.WrongUsage("an archive is nothing for a terminal", Usage));
        CapsuleRecord capsule = store.Get(options.Capsule);
        var images = new CapsuleImages(store);

        Digest digest;
        using (ProgressLine progress = output.Progress())
        {
            progress.Show($"{"Exporting",10} {capsule.Name}");
            Digest Write(Stream stream) => images.Export(capsule, options.Content, progress.IsShown ? new CountedStream(stream, bytes => progress.Advance(output.Size(bytes))) : stream);
            if (toFile) digest = ToFile(Path.GetFullPath(options.File!), Write);
            else
            {
                using Stream stream = standardOutput();
                digest = Write(stream);
            }
        }

        int stray = StrayWrites.Of(store, capsule).Count;
        if (stray > 0) output.Words.WriteLine($"note: {stray} paths that were written outside the state are not in it; `capsule diff {capsule.Name}` lists them, `capsule state add` makes them state");
        if (options.Content.Open) output.Words.WriteLine($"note: names of its source are in it, and what was filled; next, on another host: capsule import FILE --source ssh://USER@HOST");
        output.Words.WriteLine($"Exported {capsule.Name} as {capsule.Name}:latest ({digest.Short}).");
        return 0;
    }

    /// <summary>Writes beside the place and renames, so that a file of that name is whole.</summary>
    internal static T ToFile<T>(string path, Func<Stream, T> write)
    {
        string beside = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            T result;
            if (FileCalls.TryStatFollowing(null, path) is { IsRegular: false }) // a device or pipe is written into, never replaced
            {
                using (var file = new FileStream(path, FileMode.Open, FileAccess.Write)) return write(file);
            }
            using (var file = new FileStream(beside, FileMode.Create, FileAccess.Write)) result = write(file);
            File.Move(beside, path, overwrite: true);
            return result;
        }
        catch (Exception e)
        {
            FileCalls.Remove(null, beside);
            if (e is IOException or UnauthorizedAccessException) throw new CapsuleException(Problems.KernelRefused($"write {path}", FactText.Of(e)), e);
            throw;
        }
    }
}
