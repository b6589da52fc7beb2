using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Identities;
using Capsules.Core.Installing;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Processes;
using Capsules.Linux.Terminals;

namespace Capsules.Engine.Installing;

/// <summary>What is installed, and how.</summary>
public sealed record InstallOptions
{
    /// <summary>The capsule's name.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>Base, files, environment, commands.</summary>
    public required Recipe Recipe { get; init; }
    /// <summary>The directory that the recipe's names are below.</summary>
    public string RecipeDirectory { get; init; } = ".";
    /// <summary>The recipe's file; its lock is beside it. Null without a recipe.</summary>
    public string? RecipeFile { get; init; }
    /// <summary>The installer has our terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>The clock that dates the capsule.</summary>
    public required TimeProvider Clock { get; init; }
    /// <summary>Hears what is being done: a verb and its object.</summary>
    public Action<string, string> Progress { get; init; } = (_, _) => { };
    /// <summary>Hears how many of how many paths are copied.</summary>
    public Action<int, int> Advance { get; init; } = (_, _) => { };
    /// <summary>Hears what the installer writes, when it has no terminal.</summary>
    public Action<byte[]> Say { get; init; } = _ => { };
}

/// <summary>Runs an installer in a throw-away capsule of a base, and makes a capsule of what it changed.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class InstallRunner(CapsuleStore store)
{
    private const int MostSaid = 64 << 10;

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>Does it all; when it fails or is killed, no capsule is there and only entries of the store's tmp can stay.</summary>
    /// <exception cref="CapsuleException">The name is taken, the base cannot be had, the installer failed, or the result is not what the lock says.</exception>
    public (CaptureResult Result, CapturePlan Plan) Run(InstallOptions options)
    {
        if (FileCalls.TryStat(null, _layout.Capsule(options.Name)) is not null) throw new CapsuleException(Problems.NameTaken(options.Name.ToString()));
        string? lockFile = options.RecipeFile is { } file ? file + ".lock" : null;
        RecipeLock? locked = lockFile is null ? null : ReadLock(lockFile);
        var bases = new BaseImages(store);
        BaseImage image = bases.Get(options.Recipe.Base, locked?.Layers, options.Progress);
        if (locked is not null && !locked.Layers.SequenceEqual(image.Layers)) throw new CapsuleException(Problems.LockBroken(lockFile!, [$"the base {image.Name} has the layers {string.Join(' ', image.Layers.Select(l => l.Short))} here and is locked with {string.Join(' ', locked.Layers.Select(l => l.Short))}"]));
        var below = new PlannedBase(image.Name, image.Layers, bases.LatestTime(image.Layers));

        using var working = new WorkDirectory(_layout, "install");
        string work = working.Place;
        using Overlay under = Overlay.OfLayers(_layout, image.Layers);
        using var underTree = new RootTree(under.Place);
        InsideFiles inside = Bring(options, work, underTree, locked, below.LatestTime);
        string upper = RunCommands(options, image, bases, inside, work);

        using Overlay merged = Overlay.Of([upper, .. LayerOrder.TopmostFirst(image.Layers).Select(_layout.Layer)]);
        using ScannedSource source = Scanner.Read(SourceReference.OfRoot(merged.Place));
        ImmutableArray<TreeChange> changes = LayerChanges.Read(upper, underTree, inside.Places);
        var view = new SourceView(source.Facts, source.Tree);
        CapturePlan plan = InstallPlanner.Plan(view, changes, new()
        {
            Name = options.Name,
            Base = below,
            By = string.Join("; ", options.Recipe.Commands.Select(Words)),
            BaseManifest = image.Capsule,
        });
        ImmutableArray<LockedPackage> packages = lockFile is null ? [] : Packages(source.Facts, underTree);
        if (locked?.Differences(packages) is { IsDefaultOrEmpty: false } differences) throw new CapsuleException(Problems.LockBroken(lockFile!, differences));
        CaptureResult result = CaptureRunner.Apply(plan, source.Tree, _layout, new() { Clock = options.Clock, Progress = options.Progress, Advance = options.Advance });
        if (lockFile is not null && locked is null) SmallFiles.Write(lockFile, new RecipeLock(options.Recipe.Base, image.Layers, packages).ToJson());
        return (result, plan);
    }

    private static RecipeLock? ReadLock(string file)
    {
        if (SmallFiles.TryRead(file) is not { } bytes) return null;
        try { return RecipeLock.Parse(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(file, FactText.Of(e)), e); }
    }

    /// <summary>The caller's files are copied: an installer may write beside itself, and nothing of the host is within its reach.</summary>
    private InsideFiles Bring(InstallOptions options, string work, RootTree below, RecipeLock? locked, long latestTime)
    {
        if (options.Recipe.From is not null || !options.Recipe.Files.IsEmpty) FileCalls.MakeDirectory(null, work + "/from");
        if (options.Recipe.From is { } from) TreeCopier.CopyAll(Path.Combine(options.RecipeDirectory, from), work + "/from", _ => false);
        for (int i = 0; i < options.Recipe.Files.Length; i++)
        {
            RecipeFile file = options.Recipe.Files[i];
            string place = Path.Combine(options.RecipeDirectory, file.From);
            if (FileCalls.TryStatFollowing(null, place) is { IsRegular: false }) throw new CapsuleException(Problems.BadFile(place, "the recipe names it, and it is no regular file"));
            SmallFiles.WriteNew($"{work}/from/.file-{i}", SmallFiles.TryRead(place) ?? throw new CapsuleException(Problems.BadFile(place, "the recipe names it, and it is not there")), file.Mode);
            FileCalls.ChangeMode(null, $"{work}/from/.file-{i}", file.Mode);
        }
        string? suite = below.Read(GuestPath.Parse("/etc/os-release")) is { } release && OsRelease.Parse(release) is var system && system.GetValueOrDefault("ID") == "debian" && !HasSources(below)
            ? system.GetValueOrDefault("VERSION_CODENAME") : null;
        return InsideFiles.Write(work, _layout.Downloads, suite, locked, latestTime, below.Look(GuestPath.Parse("/usr/sbin")) is { IsDirectory: true });
    }

    private static bool HasSources(RootTree tree) =>
        tree.Read(GuestPath.Parse("/etc/apt/sources.list")) is { } list && ByteLines.TextOf(list).Any(l => l.TrimStart() is [not '#', ..]) ||
        tree.List(GuestPath.Parse("/etc/apt/sources.list.d")).Any(e => e.Path.Name.EndsWith(".sources"u8) || e.Path.Name.EndsWith(".list"u8));

    /// <summary>Runs the commands in a capsule of the base; where their changes are afterwards.</summary>
    private string RunCommands(InstallOptions options, BaseImage image, BaseImages bases, InsideFiles inside, string work)
    {
        CapsuleName name = CapsuleName.Parse($"install-{Convert.ToHexStringLower(Randomness.Get(4))}");
        var record = new CapsuleRecord
        {
            Name = name,
            Image = bases.ImageOf(image),
            Stack = name,
            Created = options.Clock.GetUtcNow(),
            HostDirectories = inside.Shown,
            RemoveWhenStopped = true, // whoever finds it stopped, the keeper when we are killed, takes it away whole
        };
        store.Create(record);
        _runner.Stacks.Ensure(name, new Identity(), stack => stack with { Network = NetworkMode.Parse("host"), Fresh = [.. Enum.GetValues<IdentityMember>()], HostName = options.Name.ToString() });
        try
        {
            using var interruption = new Interruption();
            _runner.Start(record, services: false, interruption, endsWithUs: true);
            for (int i = 0; i < options.Recipe.Files.Length; i++)
                Do(options, name, inside, ["/bin/sh", "-ec", "mkdir -p \"${2%/*}\"; cp -p \"$1\" \"$2\"", "sh", $"{InsideFiles.FromPlace}/.file-{i}", options.Recipe.Files[i].To.ToString()]);
            foreach (ImmutableArray<string> command in options.Recipe.Commands)
            {
                options.Progress("Running", Words(command));
                Do(options, name, inside, command);
                if (interruption.Signal is > 0 and int signal) throw new CapsuleException(Problems.InstallerFailed(Words(command), 128 + signal, ""));
            }
            // The overlay holds its upper directory itself, whatever the name: from here on it is ours, and the rest goes the way of every capsule.
            FileCalls.Rename(null, _layout.Writable(name) + "/upper", null, work + "/upper");
            return work + "/upper";
        }
        finally
        {
            _runner.Stop(name, TimeSpan.FromSeconds(10));
            if (store.Find(name) is { } left) _runner.RemoveWhole(left);
        }
    }

    private void Do(InstallOptions options, CapsuleName name, InsideFiles inside, ImmutableArray<string> command)
    {
        var request = new ExecRequest([.. command.Select(Picture)])
        {
            Environment = [.. inside.Environment, .. options.Terminal ? [] : (string[])["DEBIAN_FRONTEND=noninteractive"], .. options.Terminal && Environment.GetEnvironmentVariable("TERM") is { } term ? ["TERM=" + term] : ImmutableArray<string>.Empty, .. options.Recipe.Environment.Select(Picture)],
            WorkingDirectory = options.Recipe.From is not null ? GuestPath.Parse(InsideFiles.FromPlace) : GuestPath.Root,
            Terminal = options.Terminal,
            Interactive = true,
        };
        var said = new List<byte>();
        int status;
        if (options.Terminal)
        {
            var (pid, terminal) = _runner.Exec(name, request);
            using Descriptor process = ProcessCalls.OpenPidFd(pid);
            using (new SignalForwarding(signal => ProcessCalls.Signal(process, signal)))
            using (terminal) TerminalRelay.Run(terminal!, process);
            status = ProcessCalls.Wait(pid);
        }
        else
        {
            var (read, write) = FileCalls.Pipe();
            using (read)
            {
                int pid;
                using (write) (pid, _) = _runner.Exec(name, request with { Output = write });
                using Descriptor process = ProcessCalls.OpenPidFd(pid);
                using (new SignalForwarding(signal => _runner.SignalAll(name, signal))) Listen(read, process, options.Say, said);
                status = ProcessCalls.Wait(pid);
            }
        }
        if (status != 0) throw new CapsuleException(Problems.InstallerFailed(Words(command), status, BaseImages.LastLines(Encoding.UTF8.GetString([.. said]))));
    }

    /// <summary>Until the process has ended and what it wrote is read: what it left running may hold the pipe for ever.</summary>
    private static void Listen(Descriptor read, Descriptor process, Action<byte[]> say, List<byte> said)
    {
        byte[] buffer = new byte[16 << 10];
        while (true)
        {
            ulong ready = FileCalls.WaitAny([read, process], -1);
            if ((ready & 1) != 0)
            {
                int count = FileCalls.Read(read, buffer);
                if (count > 0)
                {
                    say(buffer[..count]);
                    said.AddRange(buffer.AsSpan(0, count));
                    if (said.Count > MostSaid) said.RemoveRange(0, said.Count - MostSaid);
                    continue;
                }
                FileCalls.WaitReadable(process, -1);
                return;
            }
            if ((ready & 2) != 0) return;
        }
    }

    /// <summary>Packages that are not in the base, or are there in another version, with the digests of their files when apt brought them.</summary>
    private ImmutableArray<LockedPackage> Packages(HostFacts facts, RootTree below)
    {
        var before = PackageReader.Versions(below).ToHashSet();
        return [.. facts.Packages.Where(p => !before.Contains(new(p.Name, p.Package.Version, p.Package.Architecture))).OrderBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Package.Architecture, StringComparer.Ordinal)
            .Select(p => new LockedPackage(p.Name, p.Package.Version, p.Package.Architecture, DigestOf($"{_layout.Downloads}/{p.Name}_{p.Package.Version.Replace(":", "%3a", StringComparison.Ordinal)}_{p.Package.Architecture}.deb")))];
    }

    private static Digest? DigestOf(string file)
    {
        if (!File.Exists(file)) return null;
        using FileStream content = File.OpenRead(file);
        return Digest.FromSha256(SHA256.HashData(content));
    }

    private static string Words(ImmutableArray<string> command) => command is ["/bin/sh", "-ec", var line] ? line : string.Join(' ', command);

    private static string Picture(string text) => BytePicture.Of(Encoding.UTF8.GetBytes(text));
}
