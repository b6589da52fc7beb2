using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Whether an application can be adopted.</summary>
public enum Verdict
{
    /// <summary>Nothing stands against it.</summary>
    Pass,
    /// <summary>It can; something should be known first.</summary>
    Warning,
    /// <summary>It cannot.</summary>
    Blocked,
}

/// <summary>One application as scan shows it.</summary>
public sealed record ScannedApplication
{
    /// <summary>Its name, for adopt.</summary>
    public required string Name { get; init; }
    /// <summary>Its version.</summary>
    public string? Version { get; init; }
    /// <summary>Its unit or script.</summary>
    public string? Unit { get; init; }
    /// <summary>Whether it runs.</summary>
    public bool IsRunning { get; init; }
    /// <summary>Process ids.</summary>
    public ImmutableArray<int> Processes { get; init; } = [];
    /// <summary>Accounts that it runs as.</summary>
    public ImmutableArray<string> Users { get; init; } = [];
    /// <summary>Where it listens.</summary>
    public ImmutableArray<ListenerFact> Listeners { get; init; } = [];
    /// <summary>Its own packages.</summary>
    public ImmutableArray<string> Packages { get; init; } = [];
    /// <summary>Configuration files with whether they differ from what the package brought; null when no package did.</summary>
    public ImmutableArray<(GuestPath Path, bool? IsChanged)> Configuration { get; init; } = [];
    /// <summary>State directories with their sizes.</summary>
    public ImmutableArray<(GuestPath Path, long Size)> State { get; init; } = [];
    /// <summary>What it has to do with other applications.</summary>
    public ImmutableArray<string> Relations { get; init; } = [];
    /// <summary>Whether it can be adopted.</summary>
    public Verdict Verdict { get; init; }
    /// <summary>Why.</summary>
    public ImmutableArray<string> Reasons { get; init; } = [];
}

/// <summary>What a scan found: applications with a verdict each.</summary>
public sealed record ScanReport(SourceReference Source, string System, string HostName, ImmutableArray<ScannedApplication> Applications, ImmutableArray<string> Troubles)
{
    /// <summary>Examines every application of a source.</summary>
    public static ScanReport Of(SourceView view)
    {
        ImmutableArray<Application> all = ApplicationFinder.Find(view);
        Dictionary<string, Footprint> footprints = all.ToDictionary(a => a.Name, a => FootprintFinder.Find(view, a, all), StringComparer.Ordinal);
        return new(view.Facts.Source, view.Facts.SystemName, view.Facts.Identity.HostName ?? "localhost", [.. all.Select(a => Examine(view, a, footprints))], view.Facts.Troubles);
    }

    /// <summary>As JSON: docs/formats/scan.md.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", 1);
        w.Text("source", Source.ToString());
        w.Text("system", System);
        w.Text("hostName", HostName);
        w.WriteStartArray("applications");
        foreach (ScannedApplication a in Applications)
        {
            w.WriteStartObject();
            w.Text("name", a.Name);
            w.Text("version", a.Version);
            w.Text("unit", a.Unit);
            w.WriteBoolean("running", a.IsRunning);
            w.WriteStartArray("processes");
            foreach (int pid in a.Processes) w.WriteNumberValue(pid);
            w.WriteEndArray();
            w.Texts("users", a.Users);
            w.Objects("listeners", a.Listeners, l =>
            {
                w.Text("protocol", l.Protocol);
                w.Text("address", l.Address?.Address.ToString() ?? l.Path?.ToString() ?? "@");
                w.Integer("port", l.Address?.Port);
            });
            w.Texts("packages", a.Packages);
            w.Objects("configuration", a.Configuration, c =>
            {
                w.Text("path", c.Path.ToString());
                if (c.IsChanged is bool changed) w.WriteBoolean("changed", changed);
            });
            w.Objects("state", a.State, s =>
            {
                w.Text("path", s.Path.ToString());
                w.WriteNumber("size", s.Size);
            });
            w.Texts("relations", a.Relations);
            w.Text("verdict", JsonReading.Dashed(a.Verdict));
            w.Texts("reasons", a.Reasons);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.Texts("troubles", Troubles);
    });

    private static ScannedApplication Examine(SourceView view, Application application, Dictionary<string, Footprint> footprints)
    {
        Footprint footprint = footprints[application.Name];
        var (service, notes) = new ServicePlanner(view, footprint).Plan();
        var reasons = ImmutableArray.CreateBuilder<string>();
        bool blocked = false;
        if (service is null || application.Executable is not { } executable || view.Resolver.Look(executable) is null)
        {
            blocked = true;
            reasons.Add(service is null ? notes[^1].Text : "its program is not in the tree");
        }
        else
        {
            if (application.Listeners.Length > 0 && application.Listeners.All(l => l.Protocol == "unix" || l.IsLoopback)) reasons.Add(application.Listeners.Any(l => l.Address is not null) ? "loopback only" : "unix socket only");
            if (view.Packages.OwnerOf(executable) is null && !view.Packages.All.IsEmpty) reasons.Add("no package owns it");
            reasons.AddRange(footprint.Missing.Select(m => $"{m.Name} is missing"));
            reasons.AddRange(application.Processes.SelectMany(p => p.OpenFiles).Select(f => f.Path.ToString()).Where(IsHardware).Distinct().Select(d => $"uses {d}"));
        }
        PackageFact? owner = application.Executable is { } program ? view.Packages.OwnerOf(program) : null;
        return new()
        {
            Name = application.Name,
            Version = owner is null ? null : CapturePlanner.Upstream(owner.Package.Version),
            Unit = application.Unit?.Name.ToString() ?? application.InitScript?.Path.ToString(),
            IsRunning = application.Main is not null,
            Processes = [.. application.Processes.Select(p => p.Pid)],
            Users = [.. application.Processes.Select(p => p.Uid).Concat(footprint.Users).Distinct().Order().Select(view.Facts.UserName)],
            Listeners = application.Listeners,
            Packages = [.. footprint.Packages.Family.Select(p => p.Name).Order(StringComparer.Ordinal)],
            Configuration = [.. footprint.Configuration.Where(c => c.Entry.IsRegular && c.Path.Bytes.StartsWith("/etc/"u8)).Select(c => (c.Path, IsChanged(view, c.Path)))],
            State = [.. footprint.State.Select(s => (s.Path, TreeSize.Of(view.Resolver.Tree, s.Path).Size))],
            Relations = [.. Relations(view, footprint, footprints)],
            Verdict = blocked ? Verdict.Blocked : reasons.Count > 0 ? Verdict.Warning : Verdict.Pass,
            Reasons = reasons.ToImmutable(),
        };
    }

    private static bool IsHardware(string path) => path.StartsWith("/dev/", StringComparison.Ordinal) &&
        !path.StartsWith("/dev/pts/", StringComparison.Ordinal) && !path.StartsWith("/dev/shm/", StringComparison.Ordinal) && path is not ("/dev/null" or "/dev/zero" or "/dev/full" or "/dev/random" or "/dev/urandom" or "/dev/tty" or "/dev/console" or "/dev/ptmx" or "/dev/log");

    private static bool? IsChanged(SourceView view, GuestPath path)
    {
        if (view.Packages.OwnerOf(path) is not { } owner || owner.Package.Conffiles.FirstOrDefault(c => c.Path == path) is not { } conffile) return null;
        if (view.Resolver.Tree.Read(path) is not { } content) return null;
        if (conffile.Md5.Length == 64) return Convert.ToHexStringLower(SHA256.HashData(content.Span)) != conffile.Md5; // rpm's
#pragma warning disable CA5351 // dpkg's database has MD5; it is compared, not trusted
        return Convert.ToHexStringLower(MD5.HashData(content.Span)) != conffile.Md5;
#pragma warning restore CA5351
    }

    private static IEnumerable<string> Relations(SourceView view, Footprint footprint, Dictionary<string, Footprint> all)
    {
        foreach (Footprint other in all.Values)
        {
            if (other.Application == footprint.Application) continue;
            string name = other.Application.Name;
            foreach (ListenerFact listener in other.Application.Listeners)
            {
                if (listener.Path is { } path && footprint.Configuration.FirstOrDefault(c => c.Mentions.Contains(path)) is { } file) yield return $"{name}: {file.Path} names its socket {path}";
                if (listener.Address is { } end && footprint.Configuration.FirstOrDefault(c => c.Ports.Contains(end.Port)) is { } by) yield return $"{name}: {by.Path} names its port {end.Port}";
                if (listener.Address is { } open && view.Facts.Connections.Any(c => c.Remote.Port == open.Port && IPAddress.IsLoopback(c.Remote.Address) && c.Pids.Any(p => footprint.Application.Processes.Any(q => q.Pid == p)))) yield return $"{name}: connected to its port {open.Port}";
            }
            foreach (StateDirectory state in footprint.State)
                if (other.State.Any(s => s.Path.IsWithin(state.Path) || state.Path.IsWithin(s.Path))) yield return $"{name}: shares {state.Path}";
        }
    }
}
