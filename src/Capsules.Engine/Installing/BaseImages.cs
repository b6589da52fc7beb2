using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Installing;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Images;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Installing;

/// <summary>What something is installed on.</summary>
/// <param name="Name">As the user named it.</param>
/// <param name="Layers">Its layers, lowest first; they are in the store.</param>
/// <param name="Capsule">The manifest, when it is a capsule.</param>
public sealed record BaseImage(string Name, ImmutableArray<Digest> Layers, CapsuleManifest? Capsule = null);

/// <summary>Bases: suites of Debian, which are made once from this host's mirror and kept, capsules, archives, directories, or nothing.</summary>
/// <param name="store">The store that holds them.</param>
public sealed class BaseImages(CapsuleStore store)
{
    private const string Debian = "debian:";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(60);

    private readonly StoreLayout _layout = store.Layout;

    /// <summary>Finds a base, or makes it.</summary>
    /// <param name="wanted">As --base.</param>
    /// <param name="locked">The layers that a recipe's lock names; they are taken when they are here.</param>
    /// <param name="progress">Hears what is being done.</param>
    /// <exception cref="CapsuleException">There is none, or it cannot be made.</exception>
    public BaseImage Get(string wanted, ImmutableArray<Digest>? locked, Action<string, string> progress)
    {
        if (locked is { IsDefaultOrEmpty: false } layers && layers.All(l => FileCalls.TryStat(null, _layout.Layer(l)) is not null)) return new(wanted, layers);
        if (wanted == "scratch") return new(wanted, [Place("scratch", _ => { })]);
        if (wanted.StartsWith(Debian, StringComparison.Ordinal) && wanted[Debian.Length..] is var suite && suite.Length > 0 && suite.All(c => char.IsAsciiLetterLower(c) || c == '-'))
            return new(wanted, [Recorded(wanted) ?? MakeDebian(wanted, suite, progress)]);
        if (CapsuleName.TryParse(wanted, out CapsuleName name) && store.Find(name) is { } capsule)
        {
            CapsuleManifest manifest = store.Manifest(capsule.Image);
            return new(wanted, manifest.Layers, manifest);
        }
        if (Directory.Exists(wanted))
        {
            progress("Reading", $"the base {wanted}");
            return new(Path.GetFileName(Path.GetFullPath(wanted)), [Place("base", tree => TreeCopier.CopyAll(wanted, tree, path => CaptureTables.Volatile.Any(v => path.IsWithin(v) && path != v)))]);
        }
        return File.Exists(wanted) ? new(Path.GetFileName(wanted), new OciImporter(_layout).Import(wanted, null).Manifest.Layers) : throw new CapsuleException(Problems.NoSuchBase(wanted));
    }

    /// <summary>The image that a throw-away capsule of this base is of.</summary>
    public Digest ImageOf(BaseImage image)
    {
        byte[] manifest = ManifestJson.Write(new CapsuleManifest { Name = CapsuleName.From(image.Name), Layers = image.Layers });
        Digest digest = Digest.FromSha256(SHA256.HashData(manifest));
        if (FileCalls.TryStat(null, _layout.Image(digest)) is not null) return digest;
        string half = $"{_layout.Temporary}/base-image.{Environment.ProcessId}";
        SmallFiles.MakeDirectories(half);
        SmallFiles.MakeDirectories(_layout.Images);
        SmallFiles.Write(half + "/manifest.json", manifest);
        CaptureRunner.TryRename(half, _layout.Image(digest));
        return digest;
    }

    /// <summary>The latest time of a file in some layers, in seconds.</summary>
    public long LatestTime(ImmutableArray<Digest> layers)
    {
        long latest = 0;
        foreach (Digest layer in layers)
        {
            using Descriptor root = FileCalls.Open(_layout.Layer(layer), OpenFlags.ReadOnly | OpenFlags.Directory);
            Walk(root);
        }
        return latest;

        void Walk(Descriptor directory)
        {
            latest = Math.Max(latest, FileCalls.Stat(directory).Modified.Seconds);
            foreach (var (name, _) in FileCalls.List(directory))
            {
                FileStatus status = FileCalls.TryStat(directory, name.AsSpan())!.Value;
                latest = Math.Max(latest, status.Modified.Seconds);
                if (!status.IsDirectory) continue;
                using Descriptor below = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                Walk(below);
            }
        }
    }

    /// <summary>The package sources of this host.</summary>
    internal static ImmutableArray<AptSource> HostSources(string outputFile) => HostTool.Find("apt-get") is { } apt
        ? AptSource.Parse(HostTool.Run([apt, "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"], outputFile, TimeSpan.FromMinutes(1)).Said) : [];

    private string RecordOf(string wanted) => $"{_layout.Bases}/{CapsuleName.From(wanted)}.json";

    private Digest? Recorded(string wanted)
    {
        if (SmallFiles.TryRead(RecordOf(wanted)) is not { } bytes) return null;
        try
        {
            JsonElement record = ManifestJson.Parse(bytes);
            ManifestJson.CheckVersion(record, 1);
            Digest layer = Digest.Parse(record.RequiredText("layer"));
            return FileCalls.TryStat(null, _layout.Layer(layer)) is not null ? layer : null;
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(RecordOf(wanted), FactText.Of(e)), e); }
    }

    private Digest MakeDebian(string wanted, string suite, Action<string, string> progress)
    {
        string tool = HostTool.Find("debootstrap") ?? throw new CapsuleException(Problems.DebootstrapMissing(wanted));
        string mirror = "";
        Digest layer = Place("base", tree =>
        {
            AptSource source = AptText.MirrorOf(HostSources(tree + ".sources"), suite) ?? throw new CapsuleException(Problems.BaseFailed(wanted, "this host's apt names no package source"));
            FileCalls.Remove(null, tree + ".sources");
            mirror = source.Place;
            progress("Making", $"the base {wanted} with debootstrap (once)");
            // Its mounts are in a namespace of their own, and all its processes end with the first.
            var (status, said) = HostTool.Run(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", tool, "--variant=minbase", suite, tree, mirror], tree + ".log", Patience, withErrors: true);
            FileCalls.Remove(null, tree + ".log");
            if (status != 0) throw new CapsuleException(Problems.BaseFailed(wanted, LastLines(said)));
            Normalize(tree);
        });
        SmallFiles.MakeDirectories(_layout.Bases);
        SmallFiles.Write(RecordOf(wanted), JsonWriting.Document(w =>
        {
            w.WriteNumber("schemaVersion", 1);
            w.Text("name", wanted);
            w.Text("layer", layer.ToString());
        }));
        return layer;
    }

    /// <summary>The last lines of what a program said, for an error.</summary>
    internal static string LastLines(string said) => string.Join('\n', said.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(5).Select(l => l.TrimEnd()));

    /// <summary>Makes a layer beside its place.</summary>
    private Digest Place(string what, Action<string> fill)
    {
        SmallFiles.MakeDirectories(_layout.Layers);
        using var work = new WorkDirectory(_layout, what);
        string tree = work.Place + "/tree";
        FileCalls.MakeDirectory(null, tree);
        FileCalls.ChangeMode(null, tree, 0x1ED);
        fill(tree);
        if (what == "scratch") FileCalls.SetModified(null, tree, default);
        Digest digest = TreeArchive.DigestOf(tree);
        CaptureRunner.TryRename(tree, _layout.Layer(digest));
        return digest;
    }

    /// <summary>Takes noise away, and dates nothing later than the suite's release: what differs from day to day is not part of a base.</summary>
    private static void Normalize(string tree)
    {
        long? date = ReleaseDate(tree + "/var/lib/apt/lists");
        SmallFiles.Write(tree + "/etc/apt/sources.list", "# Package sources are given while something is installed.\n"u8, durable: false);
        using Descriptor root = FileCalls.Open(tree, OpenFlags.ReadOnly | OpenFlags.Directory);
        Walk(root, GuestPath.Root, tree);

        void Walk(Descriptor directory, GuestPath at, string place)
        {
            foreach (var (name, _) in FileCalls.List(directory))
            {
                FileStatus status = FileCalls.TryStat(directory, name.AsSpan())!.Value;
                GuestPath path = at.Child(name);
                string here = $"{place}/{Encoding.UTF8.GetString(name)}";
                if (ChangeRules.Of(new(path, ChangeKind.Added, RootTree.KindOf(status.Kind)), isOwned: false) is not null)
                {
                    SmallFiles.RemoveTree(here);
                    continue;
                }
                if (status.IsDirectory)
                    using (Descriptor below = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow)) Walk(below, path, here);
                if (date is long latest && (status.IsDirectory || status.Modified.Seconds > latest)) FileCalls.SetModified(directory, name.AsSpan(), new(Math.Min(status.Modified.Seconds, latest), 0));
            }
            if (at.IsRoot && date is long all) FileCalls.SetModified(directory, ".", new(all, 0));
        }
    }

    /// <summary>Date of the newest Release file among apt's lists.</summary>
    private static long? ReleaseDate(string lists)
    {
        if (!Directory.Exists(lists)) return null;
        long? newest = null;
        foreach (string file in Directory.GetFiles(lists, "*Release"))
            foreach (string line in File.ReadLines(file).Take(20))
                if (line.StartsWith("Date: ", StringComparison.Ordinal) && DateTimeOffset.TryParse(line[6..].Replace(" UTC", " GMT", StringComparison.Ordinal), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset date))
                    newest = Math.Max(newest ?? 0, date.ToUnixTimeSeconds());
        return newest;
    }
}
