using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture.Detectors;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Engine.Scanning;

/// <summary>Reads systemd's units from their files (systemd.unit(5), "Unit File Load Path"), and SysV scripts; nothing needs to run.</summary>
internal sealed class UnitReader(ISourceTree tree)
{
    private static readonly GuestPath[] LoadPath =
    [
        GuestPath.Parse("/etc/systemd/system"), GuestPath.Parse("/run/systemd/system"), GuestPath.Parse("/run/systemd/generator"), GuestPath.Parse("/usr/local/lib/systemd/system"),
        GuestPath.Parse("/usr/lib/systemd/system"), GuestPath.Parse("/lib/systemd/system"),
    ];

    /// <summary>Every service: units with a file of their own, and the instances of templates that something names.</summary>
    /// <param name="running">Units that control groups of processes name.</param>
    public ImmutableArray<UnitFact> Read(IEnumerable<string> running)
    {
        var fragments = new Dictionary<string, GuestPath>(StringComparer.Ordinal);
        var aliases = new Dictionary<string, string>(StringComparer.Ordinal); // other name → name
        var masked = new HashSet<string>(StringComparer.Ordinal);
        var enabled = new HashSet<string>(StringComparer.Ordinal);
        var dropIns = new Dictionary<string, SortedDictionary<string, GuestPath>>(StringComparer.Ordinal);
        foreach (GuestPath directory in LoadPath)
            foreach (FileFact entry in tree.List(directory))
            {
                string name = Encoding.UTF8.GetString(entry.Path.Name);
                if (name.EndsWith(".service", StringComparison.Ordinal)) TakeUnit(entry, name);
                else if (name.EndsWith(".wants", StringComparison.Ordinal) || name.EndsWith(".requires", StringComparison.Ordinal))
                    enabled.UnionWith(tree.List(entry.Path).Select(e => Encoding.UTF8.GetString(e.Path.Name)).Where(n => n.EndsWith(".service", StringComparison.Ordinal)));
                else if (name.EndsWith("service.d", StringComparison.Ordinal))
                    TakeDropIns(entry.Path, name[..^2]);
            }

        var instances = running.Concat(enabled).Concat(KnownInstances()).Where(n => n.EndsWith(".service", StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
        var units = new SortedDictionary<string, UnitFact>(StringComparer.Ordinal);
        foreach (string name in fragments.Keys.Concat(instances))
        {
            if (masked.Contains(name) || aliases.ContainsKey(name) || units.ContainsKey(name)) continue;
            UnitName parsed = UnitName.Parse(name);
            if (parsed.IsTemplate) continue;
            if (!fragments.TryGetValue(name, out GuestPath fragment) && !(parsed.Instance is not null && fragments.TryGetValue(parsed.Template, out fragment))) continue;
            if (tree.Read(fragment, 1 << 20) is not { } text) continue;
            UnitFile file = UnitFile.Parse(text);
            var applied = ImmutableArray.CreateBuilder<GuestPath>();
            foreach (string owner in (string[])["service", parsed.Template, name])
                if ((owner != parsed.Template || parsed.Instance is not null) && dropIns.TryGetValue(owner, out var files))
                    foreach (GuestPath path in files.Values)
                        if (tree.Read(path, 1 << 20) is { } more)
                        {
                            file = file.With(UnitFile.Parse(more));
                            applied.Add(path);
                        }
            units[name] = new()
            {
                Name = parsed,
                Path = fragment,
                File = file.Resolve(parsed),
                DropIns = applied.ToImmutable(),
                IsEnabled = enabled.Contains(name) || aliases.Any(a => a.Value == name && enabled.Contains(a.Key)) || KnownInstances().Contains(name),
                Aliases = [.. aliases.Where(a => a.Value == name).Select(a => a.Key).Order(StringComparer.Ordinal)],
            };
        }
        return [.. units.Values];

        void TakeUnit(FileFact entry, string name)
        {
            if (fragments.ContainsKey(name) || masked.Contains(name) || aliases.ContainsKey(name)) return; // an earlier directory has it
            if (entry.Kind == EntryKind.SymbolicLink)
            {
                string target = Encoding.UTF8.GetString(entry.Target.AsSpan());
                if (target == "/dev/null")
                {
                    masked.Add(name);
                    return;
                }
                string other = target[(target.LastIndexOf('/') + 1)..];
                if (other != name && other.EndsWith(".service", StringComparison.Ordinal))
                {
                    aliases[name] = other;
                    return;
                }
            }
            else if (!entry.IsRegular) return;
            else if (entry.Size == 0)
            {
                masked.Add(name); // an empty file masks as /dev/null does
                return;
            }
            fragments[name] = entry.Path;
        }

        void TakeDropIns(GuestPath directory, string owner)
        {
            if (!dropIns.TryGetValue(owner, out var files)) dropIns[owner] = files = new(StringComparer.Ordinal);
            foreach (FileFact file in tree.List(directory))
                if (Encoding.UTF8.GetString(file.Path.Name) is var name && name.EndsWith(".conf", StringComparison.Ordinal)) files.TryAdd(name, file.Path);
        }
    }

    /// <summary>SysV scripts that no unit replaces, with those that a run level starts.</summary>
    public ImmutableArray<InitScriptFact> ReadInitScripts(ImmutableArray<UnitFact> units)
    {
        var started = new HashSet<string>(StringComparer.Ordinal);
        foreach (char level in "2345")
            foreach (FileFact link in tree.List(GuestPath.Parse($"/etc/rc{level}.d")).Concat(tree.List(GuestPath.Parse($"/etc/rc.d/rc{level}.d"))))
                if (Encoding.UTF8.GetString(link.Path.Name) is ['S', _, _, .. var name]) started.Add(name);
        var taken = units.Select(u => u.Name.Prefix).Concat(units.SelectMany(u => u.Aliases.Select(a => a[..a.LastIndexOf('.')]))).ToHashSet(StringComparer.Ordinal);
        var scripts = ImmutableArray.CreateBuilder<InitScriptFact>();
        foreach (FileFact entry in tree.List(GuestPath.Parse("/etc/init.d")))
        {
            string name = Encoding.UTF8.GetString(entry.Path.Name);
            if (!entry.IsRegular || taken.Contains(name) || name == "README" || tree.Read(entry.Path, 1 << 20) is not { } text) continue;
            scripts.Add(new(name, entry.Path, SysVScript.Parse(text), started.Contains(name)));
        }
        return scripts.ToImmutable();
    }

    /// <summary>Lines of tmpfiles.d; a file in an earlier directory hides one of the same name.</summary>
    public ImmutableArray<TmpfilesLine> ReadTmpfiles()
    {
        var files = new SortedDictionary<string, GuestPath>(StringComparer.Ordinal);
        foreach (string directory in (string[])["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d", "/lib/tmpfiles.d"])
            foreach (FileFact entry in tree.List(GuestPath.Parse(directory)))
                if (Encoding.UTF8.GetString(entry.Path.Name) is var name && name.EndsWith(".conf", StringComparison.Ordinal)) files.TryAdd(name, entry.Path);
        return [.. files.Values.SelectMany(path => tree.Read(path, 1 << 20) is { } text ? TmpfilesLine.Parse(text) : [])];
    }

    /// <summary>Instances that a generator would make at boot, by rows of <see cref="KnownApplications"/>.</summary>
    private ImmutableArray<string> KnownInstances() => _knownInstances ??=
        [.. from row in KnownApplications.Instances
            where row.Instance is not null && tree.Look(GuestPath.Parse(row.Directory).Combine(row.Marker)) is not null
            select $"{row.Template}{row.Instance}.service",
            .. from row in KnownApplications.Instances
            where row.Instance is null
            from first in tree.List(GuestPath.Parse(row.Directory))
            where first.IsDirectory
            from second in tree.List(first.Path)
            where second.IsDirectory && tree.Look(second.Path.Combine(row.Marker)) is not null
            select $"{row.Template}{Encoding.UTF8.GetString(first.Path.Name)}-{Encoding.UTF8.GetString(second.Path.Name)}.service"];

    private ImmutableArray<string>? _knownInstances;
}
