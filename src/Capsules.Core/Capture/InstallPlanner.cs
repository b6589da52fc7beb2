using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>What an installation was asked for.</summary>
public sealed record InstallRequest
{
    /// <summary>The capsule's name.</summary>
    public required CapsuleName Name { get; init; }
    /// <summary>What it was installed on.</summary>
    public required PlannedBase Base { get; init; }
    /// <summary>The installer, for the reasons.</summary>
    public required string By { get; init; }
    /// <summary>The manifest of the capsule that is the base; its services, volumes and environment stay.</summary>
    public CapsuleManifest? BaseManifest { get; init; }
}

/// <summary>What an installer changed → the plan of a capsule: the base below, what is new above it, and the services that came. The tree is base and changes together.</summary>
public static class InstallPlanner
{
    /// <summary>Plans. Every change is taken unless a rule of noise says otherwise.</summary>
    public static CapturePlan Plan(SourceView view, ImmutableArray<TreeChange> changes, InstallRequest request)
    {
        HashSet<GuestPath> changed = [.. changes.Where(c => c.Kind != ChangeKind.Deleted).Select(c => c.Path)];
        var notes = new List<PlanNote>();
        ImmutableArray<Application> applications = NewApplications.Find(view, changed, notes);
        ImmutableArray<Application> all = ApplicationFinder.Find(view);
        var services = ImmutableArray.CreateBuilder<ServiceManifest>();
        var state = new SortedDictionary<GuestPath, StateDirectory>();
        foreach (Application application in applications)
        {
            Footprint footprint = FootprintFinder.Find(view, application, all);
            var (service, remarks) = new ServicePlanner(view, footprint).Plan();
            notes.AddRange(remarks);
            if (service is null) continue;
            services.Add(service with { Name = Unused(service.Name, services.Select(s => s.Name).Concat(request.BaseManifest?.Services.Select(s => s.Name) ?? [])) });
            foreach (StateDirectory directory in footprint.State) state.TryAdd(directory.Path, directory);
        }
        ImmutableArray<StateVolume> volumesBefore = request.BaseManifest?.Volumes ?? [];
        foreach (GuestPath inner in state.Keys.Where(p => state.Keys.Any(outer => outer != p && p.IsWithin(outer)) || volumesBefore.Any(v => p.IsWithin(v.Path) || v.Path.IsWithin(p))).ToArray()) state.Remove(inner);

        ImmutableArray<StateVolume> seeded = [.. volumesBefore.Where(v => v.Kind == VolumeKind.Directory && view.Resolver.Look(v.Path) is { IsDirectory: true })];
        GuestPath[] holders = [.. state.Keys, .. seeded.Select(v => v.Path)];
        var builder = new PlanBuilder(view, [.. holders], []);
        Because by = new($"installed on {request.Base.Name} by `{request.By}`");
        foreach (StateDirectory directory in state.Values) builder.AddEntry(directory.Path, PathKind.Code, directory.Why.Then($"{directory.Path} is where its volume is seen"));
        var hidden = ImmutableArray.CreateBuilder<HiddenPath>();
        foreach (TreeChange change in changes)
        {
            PackageFact? owner = view.Packages.OwnerOf(change.Path);
            if (ChangeRules.Of(change, owner is not null) is { } rule)
            {
                if (change.Kind != ChangeKind.Deleted) builder.Leave(change.Path, $"{rule.Name}: {rule.Why}");
                continue;
            }
            if (change.Kind == ChangeKind.Deleted)
            {
                if (!holders.Any(change.Path.IsWithin)) hidden.Add(new(change.Path, builder.Index(by.Then("the installer removed it"))));
                continue;
            }
            builder.AddEntry(change.Path, change.Path.IsWithin(Etc) ? PathKind.Config : PathKind.Code,
                by.Then(owner is not null ? $"part of package {owner.Name} {owner.Package.Version}" : change.Path.IsWithin(PackageDatabase) ? "the package database, which says what is installed" : "written by the installer; no package owns it"));
        }

        ImmutableArray<PlannedVolume> volumes = Named(CapturePlanner.Volumes(builder, view, [.. state.Values]), volumesBefore);
        ImmutableArray<PlannedVolume> kept = [.. seeded.Select(v => new PlannedVolume(v.Name, v.Path, 0, 0, builder.Index(by.Then($"{v.Name} is a volume of the base"))))];
        ImmutableArray<PlannedPath> paths = builder.Paths;
        return new()
        {
            Source = SourceReference.OfBase(request.Base.Name),
            Application = request.Name.ToString(),
            Stack = request.Name,
            Base = request.Base,
            Hidden = hidden.ToImmutable(),
            LatestTime = request.Base.LatestTime,
            Manifest = new()
            {
                Name = request.Name,
                Version = Version(view, applications),
                Source = new(view.Facts.SystemName, view.Facts.Architecture, request.Base.Name),
                Services = [.. request.BaseManifest?.Services ?? [], .. InOrder(applications, services.ToImmutable())],
                Volumes = [.. volumesBefore, .. volumes.Select(v => new StateVolume { Name = v.Name, Path = v.Path, Reason = builder.Reasons[v.Reason].Text })],
                Secrets = [.. paths.Where(p => p.Kind == PathKind.Secret).Select(p => p.Path)],
                Environment = request.BaseManifest?.Environment is { IsEmpty: false } before ? before : [ServicePlanner.DefaultPath],
                Listeners = request.BaseManifest?.Listeners ?? [],
                Limits = request.BaseManifest?.Limits ?? new(),
            },
            Reasons = builder.Reasons,
            Paths = paths,
            Volumes = [.. kept, .. volumes],
            LeftOut = builder.LeftOut,
            Notes = [.. notes.Distinct()],
        };
    }

    private static readonly GuestPath Etc = GuestPath.Parse("/etc"), PackageDatabase = GuestPath.Parse("/var/lib/dpkg");

    /// <summary>As the units order themselves among each other (systemd.unit(5), After=).</summary>
    private static ImmutableArray<ServiceManifest> InOrder(ImmutableArray<Application> applications, ImmutableArray<ServiceManifest> services)
    {
        var byUnit = services.Where(s => s.Unit is not null).ToDictionary(s => s.Unit!, s => s.Name, StringComparer.Ordinal);
        return [.. services.Select(service =>
        {
            UnitFact? unit = applications.FirstOrDefault(a => a.Unit?.Name.ToString() == service.Unit)?.Unit;
            return unit is null ? service : service with { After = [.. unit.File.Words("Unit", "After").Where(byUnit.ContainsKey).Select(u => byUnit[u]).Where(n => n != service.Name).Distinct()] };
        })];
    }

    private static ImmutableArray<PlannedVolume> Named(ImmutableArray<PlannedVolume> volumes, ImmutableArray<StateVolume> before)
    {
        var named = ImmutableArray.CreateBuilder<PlannedVolume>();
        foreach (PlannedVolume volume in volumes) named.Add(volume with { Name = CapsuleName.Parse(Unused(volume.Name.ToString(), before.Select(v => v.Name.ToString()).Concat(named.Select(v => v.Name.ToString())))) });
        return named.ToImmutable();
    }

    private static string Unused(string name, IEnumerable<string> taken)
    {
        string[] before = [.. taken];
        string free = name;
        for (int number = 2; before.Contains(free); number++) free = $"{name}-{number}";
        return free;
    }

    private static string? Version(SourceView view, ImmutableArray<Application> applications) =>
        applications.Select(a => a.Executable is { } program ? view.Packages.OwnerOf(program) : null).OfType<PackageFact>().Select(p => CapturePlanner.Upstream(p.Package.Version)).FirstOrDefault();
}
