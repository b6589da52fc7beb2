using System.Text.Json;
using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Opening;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Capturing;

/// <summary>How a plan is carried out.</summary>
public sealed record CaptureOptions
{
    /// <summary>Stop the processes for the copy of the state, and leave them stopped for good, instead of pausing them.</summary>
    public bool Stop { get; init; }
    /// <summary>Leave it open to its source; null seals it.</summary>
    public OpenRequest? Open { get; init; }
    /// <summary>The clock that dates the capsule.</summary>
    public required TimeProvider Clock { get; init; }
    /// <summary>Hears what is being done: a verb and its object.</summary>
    public Action<string, string> Progress { get; init; } = (_, _) => { };
    /// <summary>Hears how many of how many paths are copied.</summary>
    public Action<int, int> Advance { get; init; } = (_, _) => { };
}

/// <summary>What a capture made.</summary>
/// <param name="Name">The capsule.</param>
/// <param name="Image">Its image.</param>
/// <param name="Pause">How long the application was paused; zero when it was not.</param>
/// <param name="Skipped">Planned paths that the source did not have any more.</param>
public sealed record CaptureResult(CapsuleName Name, Digest Image, TimeSpan Pause, ImmutableArray<GuestPath> Skipped);

/// <summary>Carries out a capture plan: layers, secrets, state, image, and at the very end the capsule, each present by one rename.</summary>
public static class CaptureRunner
{
    /// <summary>Refuses a name that is taken, before any work is done.</summary>
    public static void CheckName(CapturePlan plan, StoreLayout layout)
    {
        if (FileCalls.TryStat(null, layout.Capsule(plan.Manifest.Name)) is not null) throw new CapsuleException(Problems.NameTaken(plan.Manifest.Name.ToString()));
    }

    /// <summary>Makes the capsule. When it fails, or is killed, only entries of the store's tmp stay.</summary>
    /// <exception cref="CapsuleException">The name is taken, the source cannot be read, or there is no room.</exception>
    public static CaptureResult Apply(CapturePlan plan, RootTree source, StoreLayout layout, CaptureOptions options)
    {
        CheckName(plan, layout);
        return WorkDirectory.Use(layout, "adopt", work => Make(plan, source, layout, options, work));
        // What had its final name is kept by nobody yet; the rest goes with the working directory.
    }

    private static readonly GuestPath Etc = GuestPath.Parse("/etc");

    private const int MostPasses = 5, ShortPass = 20; // milliseconds

    private static CaptureResult Make(CapturePlan plan, RootTree source, StoreLayout layout, CaptureOptions options, string work)
    {
        CapsuleManifest manifest = plan.Manifest;
        string capsule = work + "/capsule";
        foreach (string directory in (string[])[capsule, capsule + "/volumes", capsule + "/logs"]) FileCalls.MakeDirectory(null, directory, 0x1ED);
        var skipped = ImmutableArray.CreateBuilder<GuestPath>();
        var layers = ImmutableArray.CreateBuilder<Digest>();
        var finished = new List<(string From, string To)>(); // get their final names at the end, so that a failure before leaves nothing

        long bytes = plan.Paths.Sum(p => p.Size);
        options.Progress("Reading", $"{manifest.Source?.HostName}: {plan.Paths.Length} paths, {bytes / 1_000_000.0:0.#} MB");
        layers.AddRange(plan.Base?.Layers ?? []);
        foreach (PathKind kind in (PathKind[])[PathKind.Code, PathKind.Config])
        {
            string tree = $"{work}/{kind}";
            CopyPaths(plan, source, k => k == kind, tree, skipped, options.Advance);
            if (kind == PathKind.Code) Replace(plan, tree);
            if (plan.LatestTime is long latest) CompiledFiles.Follow(tree, source, latest);
            Digest digest = TreeArchive.DigestOf(tree);
            layers.Add(digest);
            finished.Add((tree, layout.Layer(digest)));
        }
        CopyPaths(plan, source, k => k == PathKind.Secret, capsule + "/secrets", skipped, options.Advance);
        TimeSpan pause = CopyState(plan, source, capsule, options);

        manifest = manifest with { Layers = layers.ToImmutable() };
        string imagePlace = work + "/image";
        Digest image = WriteImage(imagePlace, plan, manifest, plan.LeftOut.AddRange(skipped.Select(p => new LeftOutPath(p, "it vanished while the source was read"))));
        if (options.Open is { } open)
        {
            OpenSource left = OpenTree.Make(capsule + "/open", plan, open, source, layout, options.Clock.GetUtcNow());
            options.Progress("Opening", $"names of {left.Files} files, {left.Bytes / 1_000_000.0:0.#} MB at their source");
        }
        if (!plan.Uncertain.IsEmpty) SmallFiles.Write(capsule + "/uncertain.jsonl", LeftOutFile.Write(plan.Uncertain.Select(u => new LeftOutPath(u.Path, u.Why))), durable: false);
        SmallFiles.Write(capsule + "/capsule.json", new CapsuleRecord
        {
            Name = manifest.Name,
            Image = image,
            Stack = plan.Stack,
            Created = options.Clock.GetUtcNow(),
            Source = plan.Source.ToString(),
            Open = options.Open is not null,
            SharedVolumes = [.. plan.Volumes.Where(v => v.Owner is not null).Select(v => new SharedVolume(v.Name, v.Owner!.Value.Capsule, v.Owner.Value.Volume))],
        }.ToJson(), durable: false);

        finished.Add((imagePlace, layout.Image(image)));
        Place(work, finished);
        try { FileCalls.Rename(null, capsule, null, layout.Capsule(manifest.Name)); }
        catch (SyscallException e) when (e.Errno is Errno.ENOTEMPTY or Errno.EEXIST) { throw new CapsuleException(Problems.NameTaken(manifest.Name.ToString()), e); }
        options.Progress("Sealing", $"{manifest.Name}@{image.Short} ({layers.Count} layers)");
        return new(manifest.Name, image, pause, skipped.ToImmutable());
    }

    /// <summary>Writes the directory of an image; its digest.</summary>
    internal static Digest WriteImage(string place, CapturePlan plan, CapsuleManifest manifest, IEnumerable<LeftOutPath> leftOut)
    {
        byte[] manifestBytes = ManifestJson.Write(manifest);
        FileCalls.MakeDirectory(null, place, 0x1ED);
        SmallFiles.Write(place + "/manifest.json", manifestBytes, durable: false);
        SmallFiles.Write(place + "/plan.json", CapturePlanJson.Write(plan with { Manifest = manifest }), durable: false);
        SmallFiles.Write(place + "/left-out.jsonl", LeftOutFile.Write(leftOut), durable: false);
        return Digest.FromSha256(System.Security.Cryptography.SHA256.HashData(manifestBytes));
    }

    /// <summary>Gives layers and images their final names, when all of them are on the disk.</summary>
    internal static void Place(string work, IEnumerable<(string From, string To)> finished)
    {
        using (Descriptor store = FileCalls.Open(work, OpenFlags.ReadOnly | OpenFlags.Directory)) FileContent.SyncFileSystem(store);
        foreach (var (from, to) in finished)
            if (FileCalls.TryStat(null, to) is null) TryRename(from, to);
    }

    /// <summary>Copies the planned paths of some kinds, with the directories above them, into a new directory.</summary>
    internal static void CopyPaths(CapturePlan plan, RootTree source, Func<PathKind, bool> isTaken, string target, ImmutableArray<GuestPath>.Builder skipped, Action<int, int> advance)
    {
        FileCalls.MakeDirectory(null, target, 0x1ED);
        using var copier = new TreeCopier(source, GuestPath.Root, target, plan.LatestTime);
        var made = new HashSet<GuestPath>();
        copier.Copy(GuestPath.Root);
        made.Add(GuestPath.Root);
        int done = 0;
        foreach (PlannedPath planned in plan.Paths)
        {
            advance(++done, plan.Paths.Length);
            if (!isTaken(planned.Kind) || planned.Path.IsRoot) continue;
            MakeParents(planned.Path.Parent);
            if (made.Add(planned.Path) && copier.Copy(planned.Path) is null) skipped.Add(planned.Path);
        }
        foreach (HiddenPath hidden in plan.Hidden)
            if (isTaken(hidden.Path.IsWithin(Etc) ? PathKind.Config : PathKind.Code))
            {
                MakeParents(hidden.Path.Parent);
                copier.Hide(hidden.Path);
            }
        copier.Finish();

        void MakeParents(GuestPath directory)
        {
            if (made.Contains(directory)) return;
            MakeParents(directory.Parent);
            made.Add(directory);
            if (copier.Copy(directory) is not { IsDirectory: true }) throw new CapsuleException(Problems.PlanIsStale($"{directory} is not a directory of the source any more"));
        }
    }

    /// <summary>Gives files that were copied the content that the plan has for them; owner, mode and time stay the source's.</summary>
    private static void Replace(CapturePlan plan, string tree)
    {
        foreach (ReplacedContent replaced in plan.Replaced)
        {
            NativePath place = (byte[])[.. Encoding.UTF8.GetBytes(tree), .. replaced.Path.Bytes];
            if (FileCalls.TryStat(null, place) is not { IsRegular: true } status) continue; // it vanished while the source was read
            using (Descriptor file = FileCalls.Open(place, OpenFlags.WriteOnly | OpenFlags.Truncate | OpenFlags.NoFollow)) FileCalls.Write(file, replaced.Content.AsSpan(), replaced.Path.ToString());
            FileCalls.SetModified(null, place, status.Modified);
        }
    }

    private static TimeSpan CopyState(CapturePlan plan, RootTree source, string capsule, CaptureOptions options)
    {
        PlannedVolume[] own = [.. plan.Volumes.Where(v => v.Owner is null)];
        if (own.Length == 0) return TimeSpan.Zero;
        var copiers = new List<StateCopier>();
        try
        {
            foreach (PlannedVolume volume in own)
            {
                string target = $"{capsule}/volumes/{volume.Name}";
                FileCalls.MakeDirectory(null, target, 0x1C0);
                copiers.Add(new(source, volume.Path, target));
            }
            string names = string.Join(", ", own.Select(v => v.Name));
            options.Progress("Copying", $"state {names}: {own.Sum(v => v.Size) / 1_000_000.0:0.#} MB");
            if (plan.Processes.IsEmpty)
            {
                foreach (StateCopier copier in copiers) copier.Pass(isLast: true);
                return TimeSpan.Zero;
            }
            // Further passes take what changed during the one before, so that the pause is for the rest alone; they end when they gain little.
            long last = long.MaxValue;
            for (int pass = 0; pass < MostPasses; pass++)
            {
                long start = Environment.TickCount64;
                foreach (StateCopier copier in copiers) copier.Pass(isLast: false);
                long took = Environment.TickCount64 - start;
                if (pass > 0 && (took < ShortPass || took > last * 3 / 4)) break;
                last = took;
            }
            if (options.Stop)
            {
                StopProcesses(plan);
                foreach (StateCopier copier in copiers) copier.Pass(isLast: true);
                options.Progress("Copied", "state (consistent: the application was stopped)");
                return TimeSpan.Zero;
            }
            using ProcessPause? pause = ProcessPause.Start(plan.Processes);
            int files = copiers.Sum(copier => copier.Pass(isLast: true));
            pause?.Dispose();
            TimeSpan length = pause?.Length ?? TimeSpan.Zero;
            options.Progress("Copied", pause is null ? "state (its processes had ended)" : $"state (consistent: service paused {length.TotalSeconds:0.###} s, {files} files changed)");
            return length;
        }
        finally
        {
            foreach (StateCopier copier in copiers) copier.Dispose();
        }
    }

    private static void StopProcesses(CapturePlan plan)
    {
        PausedProcess[] living = [.. plan.Processes.Where(p => ProcessTable.IsAlive(p.Pid, p.StartTicks))];
        if (living.Length == 0) return;
        ServiceManifest service = plan.Manifest.Services[0];
        ProcessCalls.Signal(living[0].Pid, service.StopSignal);
        long start = Environment.TickCount64, patience = service.StopTimeout == 0 ? 90_000 : service.StopTimeout;
        while (living.Any(p => ProcessTable.IsAlive(p.Pid, p.StartTicks)))
        {
            if (Environment.TickCount64 - start > patience) throw new CapsuleException(Problems.CannotPause(living[0].Pid, $"it did not stop within {patience / 1000} s of {Signals.Name(service.StopSignal)}"));
            Thread.Sleep(10);
        }
    }

    /// <summary>Another capture may have made the same content meanwhile; then that is as good as ours.</summary>
    internal static void TryRename(string from, string to)
    {
        try { FileCalls.Rename(null, from, null, to); }
        catch (SyscallException e) when (e.Errno is Errno.ENOTEMPTY or Errno.EEXIST) { SmallFiles.RemoveTree(from); }
    }
}

/// <summary>Paths with a sentence, one JSON object a line: left-out.jsonl of an image (what was met and not taken), uncertain.jsonl of a capsule.</summary>
public static class LeftOutFile
{
    /// <summary>All of a file.</summary>
    /// <exception cref="FormatException">A line is none of ours.</exception>
    public static IEnumerable<LeftOutPath> Read(ReadOnlyMemory<byte> file) =>
        Core.Formats.ByteLines.Of(file).Select(ManifestJson.Parse).Select(e => new LeftOutPath(GuestPath.Parse(e.RequiredText("path")), e.RequiredText("why")));

    /// <summary>The file's bytes.</summary>
    public static byte[] Write(IEnumerable<LeftOutPath> paths)
    {
        using var lines = new MemoryStream();
        foreach (LeftOutPath left in paths.OrderBy(l => l.Path))
            lines.Write(JsonWriting.Document(w =>
            {
                w.Text("path", left.Path.ToString());
                w.Text("why", left.Why);
            }, indented: false));
        return lines.ToArray();
    }

    /// <summary>Why a path was left out; null when the file does not say.</summary>
    /// <exception cref="FormatException">A line is none of ours.</exception>
    public static string? Find(ReadOnlyMemory<byte> file, GuestPath path)
    {
        byte[] picture = Encoding.UTF8.GetBytes(path.ToString());
        foreach (ReadOnlyMemory<byte> line in Core.Formats.ByteLines.Of(file))
        {
            if (line.Span.IndexOf(picture) < 0) continue;
            JsonElement entry = ManifestJson.Parse(line);
            if (entry.RequiredText("path") == path.ToString()) return entry.RequiredText("why");
        }
        return null;
    }
}
