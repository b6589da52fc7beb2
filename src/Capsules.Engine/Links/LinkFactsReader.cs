using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Engine.Forwarding;
using Capsules.Engine.Running;
using Capsules.Engine.Scanning;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Engine.Links;

/// <summary>Reads the facts of both sides of a link from the store, and from what runs. Nothing is changed.</summary>
/// <param name="store">The store.</param>
public sealed class LinkFactsReader(CapsuleStore store)
{
    private const int MostEntries = 50_000, MostConfiguration = 8_000, LargestConfiguration = 1 << 20, LargestCompared = 8 << 20, MostLibraries = 200, MostNeeded = 256, LongestName = 255, LargestLibrary = 16 << 20;
    private const long MostCompared = 256 << 20;

    private static readonly GuestPath Run = GuestPath.Parse("/run"), Etc = GuestPath.Parse("/etc");

    /// <summary>The question that the checker answers: may the capsule have this link?</summary>
    /// <param name="capsule">The capsule.</param>
    /// <param name="link">The link.</param>
    /// <param name="inPlaceOf">A link of it that goes when this one comes.</param>
    /// <param name="fork">Whether a copy is asked for, not the directory itself.</param>
    public LinkQuestion Read(CapsuleName capsule, CapsuleLink link, Import? inPlaceOf = null, bool fork = false)
    {
        CapsuleRecord here = store.Get(capsule.ToString());
        link = link.WithPrivateOf(here.Links.FirstOrDefault(l => l.Import == (inPlaceOf ?? link.Import)));
        here = here with { Links = [.. here.Links.Where(l => l.Import != inPlaceOf)] };
        if (store.Find(link.Import.From) is not { } there) return Asked(here, link);
        return Read(here, there, link, there.Folded(store.Manifest(there.Image)).Exports.FirstOrDefault(e => e.Name == link.Import.Export)) with { Fork = fork };
    }

    /// <summary>The same, of an offer that need not be made yet.</summary>
    public LinkQuestion Read(CapsuleRecord here, CapsuleRecord there, CapsuleLink link, Export? export)
    {
        bool together = here.Stack == there.Stack;
        LinkQuestion question = Asked(here, link) with
        {
            Owner = Bare(there),
            Export = export,
            OneNumbering = Host.IsInitial && (link.Preset == LinkPreset.SameMachine || together && new StackRunner(store.Layout).Find(here.Stack) is { SharesProcesses: true }),
        };
        if (export is null || here.Name == there.Name) return question;

        using CapsuleTree hereTree = CapsuleTree.Open(store, here), thereTree = CapsuleTree.Open(store, there);
        LinkSide user = Side(here, there, hereTree, export), owner = Side(there, here, thereTree, export);
        if (link.Merge && MergedAt(here, export).Any()) user = user with { Entries = OwnEntries(here, export) };
        (user, owner) = Compared(user, hereTree, owner, thereTree);
        ImmutableArray<string> abstracts = [.. owner.Manifest.Listeners.Where(l => l.Protocol == "unix" && l.Address.StartsWith('@')).Select(l => l.Address)];
        user = user with
        {
            Mentions = [.. Mentions(user.Manifest, hereTree, abstracts).Where(m => m.Path is not { } path || export.Directory is { } exported && path.IsWithin(exported))],
            CLibrary = owner.Libraries.IsEmpty ? null : CLibrary(user, hereTree),
        };
        if (link.Merge)
        {
            HashSet<string> merged = [.. owner.Entries.Select(e => e.Name)];
            question = question with { MergedWith = [.. MergedWith(here, link, export, user, owner, thereTree, merged)] };
            owner = owner with { Libraries = [.. owner.Libraries.Select(l => l with { Missing = Missing(l, thereTree, hereTree, merged) })] };
        }
        return question with
        {
            Here = user,
            Owner = owner,
            Users = link.WithUsers(export, name => user.User(name) is not null).Users,
        };
    }

    /// <summary>Links of a capsule by which software is merged where something is offered.</summary>
    private IEnumerable<CapsuleLink> MergedAt(CapsuleRecord capsule, Export export) => capsule.Links.Where(l => l.Merge && export.Path is not null && store.Offered(l.Import)?.Path == export.Path);

    /// <summary>What a capsule has itself where, while it runs, others' software is seen among it.</summary>
    private ImmutableArray<LinkEntry> OwnEntries(CapsuleRecord capsule, Export export)
    {
        using CapsuleTree tree = CapsuleTree.Open(store, capsule, atRest: true);
        return tree.Resolve(export.Path!.Value) is { } found ? Entries(tree, export.Path.Value, found).Entries : [];
    }

    /// <summary>Compares an owner with the others whose software is merged at the same path; the names that they have are added.</summary>
    private IEnumerable<MergedBeside> MergedWith(CapsuleRecord here, CapsuleLink link, Export export, LinkSide user, LinkSide owner, CapsuleTree tree, HashSet<string> names)
    {
        CapsuleLink[] before = [.. here.Links.TakeWhile(l => l.Import != link.Import)]; // all, when it is new
        HashSet<GuestPath> own = [.. user.Entries.Where(e => !e.IsDirectory).Select(e => e.Path)];
        foreach (CapsuleLink other in MergedAt(here, export).Where(l => l.Import != link.Import))
        {
            using CapsuleTree beside = CapsuleTree.Open(store, store.Get($"{other.Import.From}"));
            if (beside.Resolve(export.Path!.Value) is not { } found) continue;
            var (entries, _) = Entries(beside, export.Path.Value, found);
            names.UnionWith(entries.Select(e => e.Name));
            HashSet<GuestPath> theirs = [.. entries.Where(e => !e.IsDirectory).Select(e => e.Path)];
            long read = 0;
            yield return new(other.Import, other.Priority < link.Priority || other.Priority == link.Priority && before.Contains(other),
                [.. owner.Entries.Where(e => !e.IsDirectory && !own.Contains(e.Path) && theirs.Contains(e.Path) && !IsSame(tree, beside, e.Path, ref read)).Select(e => e.Path)]);
        }
    }

    /// <summary>Whether a file or symbolic link is the same in two capsules, as far as so much is read.</summary>
    private static bool IsSame(CapsuleTree one, CapsuleTree other, GuestPath path, ref long read)
    {
        if (one.Look(path) is not { } a || other.Look(path) is not { } b || a.Kind != b.Kind || a.Size != b.Size) return false;
        if (a.Kind == EntryKind.SymbolicLink) return a.Target.AsSpan().SequenceEqual(b.Target.AsSpan());
        if (read > MostCompared || !a.IsRegular || a.Size > LargestCompared) return false;
        read += a.Size;
        return one.Read(path, LargestCompared) is { } x && other.Read(path, LargestCompared) is { } y && x.Span.SequenceEqual(y.Span);
    }

    private LinkQuestion Asked(CapsuleRecord here, CapsuleLink link)
    {
        CapsuleRecord[] all = [.. store.Names().Select(store.TryFind).OfType<CapsuleRecord>()];
        return new()
        {
            Here = Bare(here),
            Import = link.Import,
            Preset = link.Preset,
            WhenDown = link.WhenDown,
            Merge = link.Merge,
            Private = link.Private,
            Waiting = [.. all.SelectMany(r => r.Links.Where(l => !l.Merge).Select(l => new Waiting(r.Name, l.Import.From, l.WhenDown)))],
            Elsewhere = [.. all.SelectMany(r => r.Links.SelectMany(l => l.Users.Select(u => new UserElsewhere(r.Name, l.Import.From, u))))],
            Users = link.Users,
            Groups = link.Groups,
        };
    }

    private LinkSide Bare(CapsuleRecord capsule) => new() { Name = capsule.Name, Stack = capsule.Stack, Manifest = capsule.Folded(store.Manifest(capsule.Image)) };

    private LinkSide Side(CapsuleRecord capsule, CapsuleRecord other, CapsuleTree tree, Export export)
    {
        LinkSide side = Bare(capsule);
        CapsuleManifest manifest = side.Manifest;
        ImmutableArray<PackageFact> withFiles = export.Programs.IsEmpty ? [] : PackageReader.Read(tree, []);
        side = side with
        {
            IsRunning = tree.IsRunning,
            State = [.. manifest.Volumes.Where(v => !capsule.SharedVolumes.Any(s => s.Name == v.Name && s.Owner == other.Name) && !other.SharedVolumes.Any(s => s.Owner == capsule.Name && s.Volume == v.Name))],
            Users = AccountsOf("/etc/passwd", Core.Formats.Accounts.AccountFiles.Users),
            Groups = AccountsOf("/etc/group", Core.Formats.Accounts.AccountFiles.Groups),
            Packages = [.. export.Programs.IsEmpty ? PackageReader.Versions(tree).Select(p => new PackageVersion(p.Name, p.Version)) : withFiles.Select(p => new PackageVersion(p.Name, p.Package.Version))],
            Programs = [.. export.Programs.Select(p => Program(p)).OfType<ProgramFact>()],
            Links = [.. capsule.Links.GroupBy(l => l.Import.From).SelectMany(OfOwner)],
            Listening = export.Ports.IsEmpty ? [] : [.. Listening(capsule)], // the kernel looks through all its connections for it
            HasLogger = export.TakesLogs && RunRecord.Find(store.Layout, capsule.Name) is { IsAlive: true } run && SystemLogs.IsTakenBy(run.Init),
            HasHostNetwork = ForwardDoor.HasHostNetwork(new(store.Layout), capsule.Stack),
            Identity = new StackRunner(store.Layout).Find(capsule.Stack)?.Identity,
            Locale = Variable(manifest, "LC_ALL") ?? Variable(manifest, "LANG") ?? Setting("/etc/default/locale", "LANG") ?? Setting("/etc/locale.conf", "LANG"),
            TimeZone = Variable(manifest, "TZ") ?? Zone(),
        };
        if (export.Directory is not { } path || tree.Resolve(path) is not { } found) return side;
        var (entries, more) = Entries(tree, path, found);
        return side with
        {
            Ground = GroundOf(capsule, manifest, found),
            LeadsTo = found.Path == path ? null : found.Path,
            Entries = entries,
            HasMore = more,
            Beside = [.. tree.List(path.Parent).Select(e => BytePicture.Of(e.Path.Name))],
            Libraries = LibrariesOf(tree, entries),
        };

        // Each owner is read once, however many links there are to it.
        IEnumerable<LinkedPath> OfOwner(IGrouping<CapsuleName, CapsuleLink> links)
        {
            ImmutableArray<Export> offered = store.TryFind(links.Key) is { } owner ? store.Offered(owner) : [];
            return links.Select(l => (Link: l, Export: offered.FirstOrDefault(e => e.Name == l.Import.Export))).Select(l => new LinkedPath(l.Link, l.Export?.Directory) { Ports = LoopbackPort.Of(l.Export, l.Link.Preset), TakesLogs = l.Export?.TakesLogs == true, SharesMemory = l.Export?.SharesMemory == true });
        }

        ImmutableArray<T> AccountsOf<T>(string file, Func<ReadOnlyMemory<byte>, ImmutableArray<T>> parse) => tree.Read(GuestPath.Parse(file)) is { } text ? parse(text) : [];

        ProgramFact? Program(GuestPath program) => tree.Resolve(program) is { Entry.IsRegular: true } at
            ? new(program, tree.Read(at.Path, 64 << 20) is { } bytes ? Convert.ToHexStringLower(SHA256.HashData(bytes.Span)) : null, withFiles.FirstOrDefault(p => p.Files.Contains(program) || p.Files.Contains(at.Path))?.Name) : null;

        string? Setting(string file, string name) => tree.Read(GuestPath.Parse(file), 4096) is { } text
            ? Encoding.UTF8.GetString(text.Span).Split('\n').Select(l => l.Trim()).FirstOrDefault(l => l.StartsWith(name + "=", StringComparison.Ordinal)) is { } line ? Shown(Encoding.UTF8.GetBytes(line[(name.Length + 1)..].Trim('"'))) : null : null;

        string? Zone() => tree.Read(GuestPath.Parse("/etc/timezone"), 4096) is { } text ? Shown(text)
            : tree.ResolveParent(GuestPath.Parse("/etc/localtime")) is { Entry: { Kind: EntryKind.SymbolicLink } link } && BytePicture.Of(link.Target.AsSpan()) is var target && target.IndexOf("zoneinfo/", StringComparison.Ordinal) is >= 0 and int at ? target[(at + 9)..] : null;
    }

    /// <summary>Ports on which programs of a running capsule's network listen, without those that are led to others.</summary>
    private IEnumerable<LoopbackPort> Listening(CapsuleRecord capsule) => RunRecord.Find(store.Layout, capsule.Name) is { IsAlive: true } run
        ? LoopbackSockets.Ports(run.Init).Except(store.Names().Where(n => store.TryFind(n)?.Stack == capsule.Stack).SelectMany(n => ForwardDoor.Of(store.Layout, n)).Where(f => f.IsOpen).Select(f => f.Port)) : [];

    /// <summary>What a capsule's file says, as it can be shown on a terminal.</summary>
    private static string Shown(ReadOnlyMemory<byte> text) => BytePicture.Of(text.Span.Trim(" \t\r\n"u8));

    private static string? Variable(CapsuleManifest manifest, string name) =>
        manifest.Services.SelectMany(s => s.Environment).Concat(manifest.Environment.Reverse()).FirstOrDefault(e => e.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];

    /// <summary>What a path lies on.</summary>
    internal static PathGround GroundOf(CapsuleRecord capsule, CapsuleManifest manifest, Resolution found)
    {
        if (capsule.HostDirectories.Any(d => found.Path.IsWithin(d.Target))) return PathGround.HostDirectory;
        if (manifest.Volumes.Any(v => found.Path.IsWithin(v.Path))) return PathGround.State;
        if (found.Path.IsWithin(Run)) return PathGround.Run;
        if (LinkTables.NewAtEachStart.Any(found.Path.IsWithin)) return PathGround.Temporary;
        return found.Entry is null ? PathGround.Missing : PathGround.Software;
    }

    /// <summary>The entry and what is below it, in order.</summary>
    private static (ImmutableArray<LinkEntry> Entries, bool More) Entries(CapsuleTree tree, GuestPath path, Resolution found)
    {
        if (found.Entry is not { } top) return ([], false);
        var entries = new List<LinkEntry>();
        var names = new Dictionary<ulong, (ulong Names, List<int> At)>();
        Add(top, path);
        if (top.IsDirectory) Walk(found.Path, path);
        foreach (var (count, at) in names.Values.Where(n => n.Names > (ulong)n.At.Count))
            foreach (int i in at) entries[i] = entries[i] with { HasOtherNames = true };
        return ([.. entries.OrderBy(e => e.Path)], entries.Count >= MostEntries);

        void Walk(GuestPath directory, GuestPath shown)
        {
            foreach (FileFact entry in tree.List(directory))
            {
                if (entries.Count >= MostEntries) return;
                Add(entry with { Path = directory.Child(entry.Path.Name) }, shown.Child(entry.Path.Name));
                if (entry.IsDirectory) Walk(directory.Child(entry.Path.Name), shown.Child(entry.Path.Name));
            }
        }

        void Add(FileFact fact, GuestPath shown)
        {
            var entry = new LinkEntry(shown, fact.Kind, fact.Mode, fact.Uid, fact.Gid);
            if (fact.IsRegular && fact.Size is > 0 and < 4096 && LinkTables.Databases.Any(d => d.VersionFile == entry.Name)) entry = entry with { Content = tree.ReadStart(fact.Path, 64) is { } text ? Shown(text) : null };
            else if (fact.IsRegular && fact.Size >= 512 && tree.ReadStart(fact.Path, 15) is { } start && start.Span.SequenceEqual("SQLite format 3"u8)) entry = entry with { Content = "SQLite format 3" };
            if (fact.IsRegular && tree.Status(fact.Path) is { LinkCount: > 1 } status)
            {
                if (!names.TryGetValue(status.Inode, out var known)) names[status.Inode] = known = (status.LinkCount, []);
                known.At.Add(entries.Count);
            }
            entries.Add(entry);
        }
    }

    /// <summary>The digests of files that both have.</summary>
    private static (LinkSide Here, LinkSide There) Compared(LinkSide here, CapsuleTree hereTree, LinkSide there, CapsuleTree thereTree)
    {
        var theirs = there.Entries.Where(e => e.Kind == EntryKind.Regular).ToDictionary(e => e.Path);
        var same = new HashSet<GuestPath>();
        long read = 0;
        foreach (LinkEntry entry in here.Entries.Where(e => e.Kind == EntryKind.Regular && theirs.ContainsKey(e.Path)))
        {
            if (IsSame(hereTree, thereTree, entry.Path, ref read)) same.Add(entry.Path);
        }
        ImmutableArray<LinkEntry> Marked(ImmutableArray<LinkEntry> entries) => same.Count == 0 ? entries : [.. entries.Select(e => same.Contains(e.Path) ? e with { Digest = "same" } : e)];
        return (here with { Entries = Marked(here.Entries) }, there with { Entries = Marked(there.Entries) });
    }

    /// <summary>What the configuration and the command lines of a capsule say of others.</summary>
    internal static ImmutableArray<Mention> Mentions(CapsuleManifest manifest, CapsuleTree tree, ImmutableArray<string> abstracts)
    {
        var found = new List<Mention>();
        foreach (ServiceManifest service in manifest.Services)
            found.AddRange(LinkMentions.In(service.Program ?? (GuestPath.TryParse(Encoding.UTF8.GetBytes(service.Command.FirstOrDefault("")), out GuestPath program) ? program : GuestPath.Root),
                Encoding.UTF8.GetBytes(string.Join(' ', service.Command.Skip(1).Concat(service.Environment))), abstracts));
        int files = 0;
        Walk(Etc, 8);
        return [.. found];

        void Walk(GuestPath directory, int depth)
        {
            foreach (FileFact entry in depth == 0 ? [] : tree.List(directory))
            {
                if (files > MostConfiguration) return;
                if (entry.IsDirectory) Walk(entry.Path, depth - 1);
                else if (entry.IsRegular && entry.Size <= LargestConfiguration && ++files <= MostConfiguration && tree.Read(entry.Path, LargestConfiguration) is { } text && PathMentions.IsText(text.Span))
                    found.AddRange(LinkMentions.In(entry.Path, text.Span, abstracts));
            }
        }
    }

    /// <summary>Shared libraries, and the version of the C library that each needs.</summary>
    private static ImmutableArray<LibraryFact> LibrariesOf(CapsuleTree tree, ImmutableArray<LinkEntry> entries)
    {
        var libraries = ImmutableArray.CreateBuilder<LibraryFact>();
        foreach (LinkEntry entry in entries.Where(e => e.Kind == EntryKind.Regular && (e.Name.EndsWith(".so", StringComparison.Ordinal) || e.Name.Contains(".so.", StringComparison.Ordinal))).Take(MostLibraries))
            if (tree.Read(entry.Path, LargestLibrary) is { } bytes && Core.Formats.Elf.ElfFile.IsElf(bytes.Span) && NewestVersion(bytes.Span, "GLIBC_"u8) is { } version) libraries.Add(new(entry.Path, version));
        return libraries.ToImmutable();
    }

    /// <summary>Where the loader of a capsule looks (ld.so(8)), by the names of Debian and of Fedora; what else its cache names is not asked.</summary>
    private static readonly ImmutableArray<GuestPath> LibraryDirectories = [.. ((string[])["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib", "/usr/local/lib"]).Select(p => GuestPath.Parse(p))];

    /// <summary>Libraries that one of the owner's needs, and that the other capsule has neither of its own nor by the merge.</summary>
    private static ImmutableArray<string> Missing(LibraryFact library, CapsuleTree owner, CapsuleTree user, HashSet<string> merged)
    {
        if (owner.Read(library.Path, LargestLibrary) is not { } bytes || !Core.Formats.Elf.ElfFile.IsElf(bytes.Span)) return [];
        try { return [.. Core.Formats.Elf.ElfFile.Parse(bytes.Span).Needed.Take(MostNeeded).Where(n => !IsThere(n)).Select(n => BytePicture.Of(Encoding.UTF8.GetBytes(n.Length > LongestName ? n[..LongestName] : n)))]; }
        catch (FormatException) { return []; } // no library, whatever its name says

        bool IsThere(string name)
        {
            if (name.Length > LongestName) return false;
            byte[] bytes = Encoding.UTF8.GetBytes(name);
            if (name.Contains('/')) return GuestPath.TryParse(bytes, out GuestPath whole) && user.Resolve(whole) is { Entry: not null };
            return merged.Contains(name) || LibraryDirectories.Any(d => user.Resolve(d.Child(bytes)) is { Entry: not null });
        }
    }

    private static Version? CLibrary(LinkSide side, CapsuleTree tree)
    {
        if (side.Packages.FirstOrDefault(p => p.Name is "libc6" or "glibc") is { } package && System.Version.TryParse(package.Version.Split('-')[0].Split(':')[^1], out Version? version)) return version;
        foreach (string file in (string[])["/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/aarch64-linux-gnu/libc.so.6"])
            if (tree.Read(GuestPath.Parse(file), LargestLibrary) is { } bytes) return NewestVersion(bytes.Span, "GLIBC_"u8);
        return null;
    }

    private static readonly System.Buffers.SearchValues<byte> VersionBytes = System.Buffers.SearchValues.Create("0123456789."u8);

    /// <summary>The newest of the versions that stand behind a word in a file: names of symbol versions are text (elf(5), .gnu.version_r).</summary>
    private static Version? NewestVersion(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> word)
    {
        Version? newest = null;
        for (int next; (next = bytes.IndexOf(word)) >= 0;)
        {
            bytes = bytes[(next + word.Length)..];
            int end = bytes.IndexOfAnyExcept(VersionBytes);
            if (end > 2 && System.Version.TryParse(Encoding.ASCII.GetString(bytes[..end]), out Version? version) && (newest is null || version > newest)) newest = version;
        }
        return newest;
    }
}
