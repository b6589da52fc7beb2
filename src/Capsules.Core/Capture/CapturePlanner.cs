using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Model;
using Capsules.Core.Problems;

namespace Capsules.Core.Capture;

/// <summary>Facts and a tree → the plan of a capture. Changes nothing, and gives the same plan for the same source.</summary>
public static class CapturePlanner
{
    /// <summary>Plans the capture of an application.</summary>
    /// <param name="view">The source.</param>
    /// <param name="application">The application, of that source.</param>
    /// <param name="request">What the user decided.</param>
    /// <exception cref="CapsuleException">It cannot be captured.</exception>
    public static CapturePlan Plan(SourceView view, Application application, CaptureRequest request)
    {
        ImmutableArray<Application> all = ApplicationFinder.Find(view);
        Footprint footprint = FootprintFinder.Find(view, application, all, request);
        var (service, notes) = new ServicePlanner(view, footprint).Plan();
        if (service is null) throw new CapsuleException(Problems.Problems.CaptureBlocked(application.Name, notes.Select(n => n.Text)));
        if (application.Executable is not { } executable || view.Resolver.Look(executable) is null)
            throw new CapsuleException(Problems.Problems.CaptureBlocked(application.Name, ["its program is not in the tree of the source"]));

        ImmutableArray<StateDirectory> state = footprint.State;
        ImmutableArray<GuestPath> hostKeys = HostKeyFinder.Find(view, application, footprint);
        var builder = new PlanBuilder(view, [.. state.Select(s => s.Path)], request.Leave) { Replaced = request.HostKeys == HostKeys.Fresh ? hostKeys : [] };
        (service, ImmutableArray<PlanNote> keyNotes) = HostKeyFinder.Decide(builder, view, service, hostKeys, request.HostKeys);
        AddBase(builder, view, request.Bare);
        if (!request.Bare)
        {
            AddPackages(builder, view, footprint);
            AddPam(builder, view, footprint);
        }
        foreach (ConfigurationFile file in footprint.Configuration)
            builder.Add(file.Path, file.Path.IsWithin(Usr) ? PathKind.Code : PathKind.Config, file.Why);
        foreach (string path in application.Known?.Configuration ?? []) builder.AddTree(GuestPath.Parse(path), PathKind.Config, footprint.Start.Then($"{application.Known!.Name} reads {path} by that name"));
        foreach (LoosePath loose in footprint.Loose)
            if (loose.IsAlone) builder.Add(loose.Path, loose.Kind, loose.Why);
            else builder.AddTree(loose.Path, loose.Kind, loose.Why);
        foreach (StateDirectory directory in state) builder.Add(directory.Path, PathKind.Code, directory.Why.Then($"{directory.Path} is where its volume is seen"));
        AddAlternatives(builder, view);
        ImmutableArray<ReplacedContent> replaced = PackageRecords.Add(builder, view);

        CapsuleName name = request.Name ?? CapsuleName.From(application.Name);
        ImmutableArray<PlannedVolume> volumes = Volumes(builder, view, state);
        ImmutableArray<PlannedPath> paths = builder.Paths;
        PackageFact? owner = view.Packages.OwnerOf(executable);
        return new()
        {
            Source = view.Facts.Source,
            Application = application.Name,
            Stack = request.Stack ?? name,
            Manifest = new()
            {
                Name = name,
                Version = owner is null ? null : Upstream(owner.Package.Version),
                Source = new(view.Facts.SystemName, view.Facts.Architecture, view.Facts.Identity.HostName ?? "localhost"),
                Services = [service],
                Volumes = [.. volumes.Select(v => new StateVolume { Name = v.Name, Path = v.Path, Reason = builder.Reasons[v.Reason].Text })],
                Secrets = [.. paths.Where(p => p.Kind == PathKind.Secret).Select(p => p.Path)],
                Identity = view.Facts.Identity,
                HostKeys = hostKeys.IsEmpty ? null : request.HostKeys,
                Environment = [ServicePlanner.DefaultPath],
                Listeners = [.. application.Listeners.Where(l => l.Protocol != "unix" || l.Path is not null)
                    .Select(l => new Listener(l.Protocol, l.Address is { } end ? Any(end.Address) : l.Path!.Value.ToString(), l.Address?.Port ?? 0, service.Name)).Distinct()],
            },
            Reasons = builder.Reasons,
            Paths = paths,
            Volumes = volumes,
            Replaced = replaced,
            Processes = [.. application.Processes.Select(p => new PausedProcess(p.Pid, p.StartTicks, p.Name))],
            LeftOut = builder.LeftOut,
            Uncertain = Taken(request.Uncertain, view, paths, volumes),
            Notes = [.. footprint.Notes, .. notes, .. keyNotes, .. Notes(view, footprint, all), .. LargeTrees(view, footprint, paths)],
        };
    }

    /// <summary>Those that the plan takes at all.</summary>
    private static ImmutableArray<UncertainPath> Taken(ImmutableArray<UncertainPath> uncertain, SourceView view, ImmutableArray<PlannedPath> paths, ImmutableArray<PlannedVolume> volumes)
    {
        HashSet<GuestPath> taken = [.. paths.Select(p => p.Path)];
        return [.. uncertain.Where(u => view.Resolver.ResolveParent(u.Path) is { } place && (taken.Contains(place.Path) || volumes.Any(v => place.Path.IsWithin(v.Path))))];
    }

    /// <summary>The version for people: without epoch and Debian's revision.</summary>
    public static string Upstream(string version)
    {
        int colon = version.IndexOf(':', StringComparison.Ordinal), dash = version.LastIndexOf('-');
        string upstream = version[(colon + 1)..(dash > colon ? dash : version.Length)];
        int plus = upstream.IndexOfAny(['+', '~']);
        return plus > 0 ? upstream[..plus] : upstream;
    }

    private static readonly GuestPath Etc = GuestPath.Parse("/etc"), Usr = GuestPath.Parse("/usr");

    private static string Any(System.Net.IPAddress address) => address.Equals(System.Net.IPAddress.Any) || address.Equals(System.Net.IPAddress.IPv6Any) ? "*" : address.ToString();

    private static void AddBase(PlanBuilder builder, SourceView view, bool isBare)
    {
        Because everywhere = new("every system has it, and programs look for it"), names = new("programs read it without any dependency saying so (names, accounts, locale, time, certificates)");
        foreach (GuestPath path in CaptureTables.Skeleton) builder.Add(path, path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, everywhere);
        foreach (GuestPath path in CaptureTables.AlwaysPaths.Where(p => !isBare || p.IsWithin(Etc))) builder.AddTree(path, path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, names);
        if (!view.Packages.All.IsEmpty) return;
        foreach (GuestPath path in CaptureTables.ShellCommands)
        {
            builder.Add(path, PathKind.Code, new("a command that scripts use (the source has no package database that tells which)"));
            foreach (NeededLibrary library in view.Resolver.Resolve(path) is { Entry: not null } found ? view.Libraries.Closure(found.Path) : [])
                if (library.Path is { } place) builder.Add(place, PathKind.Code, new($"{path} needs {library.Name}"));
        }
    }

    private static void AddPackages(PlanBuilder builder, SourceView view, Footprint footprint)
    {
        var reasons = new Dictionary<string, Because>(StringComparer.Ordinal);
        bool compiles = CaptureTables.Compilers.Any(c => view.Resolver.Resolve(c) is { Entry: not null } found && view.Packages.OwnerOf(found.Path) is { } owner && footprint.Packages.Has(owner.Name));
        var catalogues = new Catalogues(view);
        // A server that shows its manual has it named in its configuration.
        HashSet<GuestPath> shown = [.. footprint.Configuration.SelectMany(c => c.Mentions).Where(m => IsBelowDocumentation(m) && !CaptureTables.Documentation.Contains(m))];
        foreach (ChosenPackage chosen in footprint.Packages.Chosen)
        {
            bool isOwn = footprint.Packages.Family.Contains(chosen.Package);
            Because why = ReasonOf(chosen).Then($"part of package {chosen.Package.Name} {chosen.Package.Package.Version}");
            foreach (GuestPath path in view.Packages.FilesOf(chosen.Package))
            {
                if (CaptureTables.Volatile.Any(path.IsWithin)) continue;
                string? unneeded = IsBelowDocumentation(path) && !path.Name.SequenceEqual("copyright"u8) && !shown.Any(path.IsWithin) ? $"documentation of package {chosen.Package.Name}"
                    : !isOwn && catalogues.IsUnreadable(path) ? $"messages in a language that the source has no locale of (package {chosen.Package.Name})"
                    : !compiles && IsForDevelopment(path) ? $"read by compilers and locale-gen, not by programs that run (package {chosen.Package.Name})" : null;
                if (unneeded is not null)
                {
                    if (view.Resolver.Look(path) is { IsDirectory: false }) builder.Leave(path, unneeded);
                    continue;
                }
                builder.Add(path, path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, why);
            }
        }

        Because ReasonOf(ChosenPackage chosen)
        {
            if (reasons.TryGetValue(chosen.Package.Name, out Because? known)) return known;
            reasons[chosen.Package.Name] = footprint.Start; // ends circles of dependencies
            Because parent = chosen.Because is { } by && footprint.Packages.Chosen.FirstOrDefault(c => c.Package.Name == by) is { } before ? ReasonOf(before) : footprint.Start;
            return reasons[chosen.Package.Name] = parent.Then(chosen.Why);
        }
    }

    private static bool IsForDevelopment(GuestPath path)
    {
        if (CaptureTables.Development.Any(path.IsWithin)) return true;
        string name = Encoding.UTF8.GetString(path.Name);
        return path.IsWithin(Usr) && CaptureTables.DevelopmentNames.Any(end => name.EndsWith(end, StringComparison.Ordinal));
    }

    private static bool IsBelowDocumentation(GuestPath path) => CaptureTables.Documentation.Any(path.IsWithin);

    private static void AddPam(PlanBuilder builder, SourceView view, Footprint footprint)
    {
        if (!footprint.Packages.Has("libpam0g") && !footprint.Packages.Has("libpam0t64") && !footprint.Packages.Has("pam")) return;
        Because why = new("a program can ask PAM, whose stack no package owns", footprint.Start);
        foreach (GuestPath path in CaptureTables.PamPaths) builder.AddTree(path, PathKind.Config, why);
        foreach (string name in CaptureTables.PamPackages)
            if (view.Packages.Find(name) is { } package)
                foreach (GuestPath path in view.Packages.FilesOf(package))
                    if (!IsBelowDocumentation(path)) builder.Add(path, path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, why.Then($"part of package {name}"));
    }

    /// <summary>Links of update-alternatives that lead into the plan.</summary>
    private static void AddAlternatives(PlanBuilder builder, SourceView view)
    {
        HashSet<GuestPath> planned = [.. builder.Paths.Select(p => p.Path)];
        foreach (DpkgAlternative alternative in view.Facts.Alternatives)
            foreach (var (_, link) in alternative.Links)
                if (!CaptureTables.Documentation.Any(link.IsWithin) && view.Resolver.Resolve(link) is { Entry: not null } end && planned.Contains(end.Path))
                    builder.Add(link, PathKind.Code, new($"alternative {alternative.Name} leads to {end.Path}"));
    }

    /// <summary>Volumes with names that tell what they hold.</summary>
    internal static ImmutableArray<PlannedVolume> Volumes(PlanBuilder builder, SourceView view, ImmutableArray<StateDirectory> state)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var volumes = ImmutableArray.CreateBuilder<PlannedVolume>();
        foreach (StateDirectory directory in state)
        {
            string last = Encoding.UTF8.GetString(directory.Path.Name);
            string kind = directory.Path.Bytes.StartsWith("/var/log/"u8) ? "log" : directory.Path.Bytes.StartsWith("/var/cache/"u8) ? "cache" : directory.Path.Bytes.StartsWith("/var/lib/"u8) ? "data" : CapsuleName.From(last).ToString();
            string name = kind;
            for (int i = 1; !names.Add(name); i++) name = i == 1 ? CapsuleName.From($"{kind}-{last}").ToString() : $"{kind}-{i}";
            var (size, files) = TreeSize.Of(view.Resolver.Tree, directory.Path);
            volumes.Add(new(CapsuleName.From(name), directory.Path, size, files, builder.Index(directory.Why)));
        }
        return volumes.ToImmutable();
    }

    /// <summary>Whole trees of no package that are large: whoever listed one, or has a program in it, may need little of it.</summary>
    private static IEnumerable<PlanNote> LargeTrees(SourceView view, Footprint footprint, ImmutableArray<PlannedPath> paths)
    {
        const long large = 256L << 20;
        var named = new List<GuestPath>();
        foreach (LoosePath loose in footprint.Loose.Where(l => !l.IsAlone)) // a directory is before what is in it
        {
            if (view.Resolver.Resolve(loose.Path) is not { } place || named.Any(place.Path.IsWithin)) continue;
            long size = paths.Where(p => p.Path.IsWithin(place.Path)).Sum(p => p.Size);
            if (size < large) continue;
            named.Add(place.Path);
            yield return new($"{loose.Path} is taken whole, {size >> 20} MB: {loose.Why.Text}", $"--leave {loose.Path}");
        }
    }

    private static IEnumerable<PlanNote> Notes(SourceView view, Footprint footprint, ImmutableArray<Application> all)
    {
        Application application = footprint.Application;
        foreach (NeededLibrary library in footprint.Missing) yield return new($"{library.NeededBy} needs {library.Name}, which the source does not have");
        if (application.Listeners.Length > 0 && application.Listeners.All(l => l.Protocol == "unix" || l.IsLoopback))
            yield return new($"it listens on {(application.Listeners.Any(l => l.Address is not null) ? "loopback" : "a unix socket")} only: others reach it within its stack");
        foreach (ConfigurationFile file in footprint.Configuration.Where(c => c.Path.Bytes.StartsWith("/etc/cron"u8)))
            yield return new($"{file.Path} is run by the source's cron, which stays there");
        foreach (StateDirectory state in footprint.State)
            foreach (Application other in all.Where(o => o.Name != application.Name))
                foreach (ProcessFact process in other.Processes.Where(p => p.OpenFiles.Any(f => f.IsWritable && f.Path.IsWithin(state.Path))).Take(1))
                    yield return new($"{state.Path} is written by {other.Name} as well", $"--leave {state.Path}");
    }
}

/// <summary>Sizes of directories.</summary>
internal static class TreeSize
{
    /// <summary>Bytes of content and number of entries below a directory.</summary>
    public static (long Size, long Files) Of(ISourceTree tree, GuestPath directory, int depth = 64)
    {
        long size = 0, files = 0;
        foreach (FileFact entry in depth == 0 ? [] : tree.List(directory))
        {
            files++;
            if (entry.IsRegular) size += entry.Size;
            else if (entry.IsDirectory)
            {
                var (inner, count) = Of(tree, entry.Path, depth - 1);
                size += inner;
                files += count;
            }
        }
        return (size, files);
    }
}
