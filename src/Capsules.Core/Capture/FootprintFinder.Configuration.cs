using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Configuration: what command lines, units, packages and other configuration name.</summary>
public sealed partial class FootprintFinder
{
    private const int LargestConfiguration = 2 << 20, MostFilesOfDirectory = 20_000, DeepestDirectory = 12;
    private static readonly GuestPath Etc = GuestPath.Parse("/etc"), WebRoot = GuestPath.Parse("/var/www"), Home = GuestPath.Parse("/home"), Run = GuestPath.Parse("/run"), Usr = GuestPath.Parse("/usr");

    private readonly Queue<(GuestPath Path, Because By)> _mentions = new();
    private readonly HashSet<GuestPath> _mentioned = [];
    private readonly HashSet<string> _familyRead = new(StringComparer.Ordinal);

    private void FindConfiguration()
    {
        if (_application.Unit is { } unit)
        {
            foreach (GuestPath dropIn in unit.DropIns) AddConfiguration(dropIn, new($"{dropIn} is a drop-in of {unit.Name}", _start));
            foreach (string value in unit.File.All("Service", "EnvironmentFile"))
                if (value.TrimStart('-') is ['/', ..] path) AddConfiguration(GuestPath.Normalize(Encoding.UTF8.GetBytes(path)), new($"EnvironmentFile of {unit.Name}", _start));
            foreach (UnitSetting setting in unit.File.Settings)
                if (setting.Key is not ("Documentation" or "ExecPaths" or "NoExecPaths" or "InaccessiblePaths" or "ReadOnlyPaths") && !setting.Key.StartsWith("Condition", StringComparison.Ordinal))
                    Mention(Encoding.UTF8.GetBytes(setting.Value), new($"{setting.Key} of {unit.Name} names it", _start));
        }
        string? whose = _application.Main is { } running ? $"of process {running.Pid}" : _application.Learned is null ? null : "that was watched";
        if (whose is not null)
        {
            Because named = new($"the command line {whose} names it", _start);
            foreach (string argument in _application.Main?.Arguments ?? _application.Learned!.Command)
            {
                Mention(BytePicture.FromPicture(argument), named);
                if (!_isInterpreter) continue;
                // What an interpreter is told to run is the application: its packages, not the interpreter's, bring settings and data.
                foreach (GuestPath path in PathMentions.In(BytePicture.FromPicture(argument), skipComments: false))
                    if (_view.Resolver.Resolve(path) is { Entry: not null } found && _view.Packages.OwnersOf(found.Path) is [{ IsBasic: false } owner])
                        _closure.AddOwn(owner, $"{owner.Name} owns {found.Path} ← {named.Text}");
            }
            foreach (string variable in _application.Main is { } main ? _view.Facts.EnvironmentOf(main) : _application.Learned!.Environment)
                if (!variable.StartsWith("PATH=", StringComparison.Ordinal)) Mention(BytePicture.FromPicture(variable), new($"the environment {whose} names it", _start));
        }
        foreach (string name in (string[])[_application.Name, _application.Unit?.Name.Prefix ?? _application.Name])
            AddConfiguration(GuestPath.Parse("/etc/default").Child(CapsuleName.From(name).ToString()), new("settings of its service", _start));
        do
        {
            AddFamilyConfiguration();
            while (_mentions.TryDequeue(out var mention)) Follow(mention.Path, mention.By);
            _closure.AddPlugIns();
        }
        while (_closure.Family.Any(p => !_familyRead.Contains(p.Name)));
    }

    private void AddFamilyConfiguration()
    {
        foreach (PackageFact package in _closure.Family.ToArray())
        {
            if (!_familyRead.Add(package.Name)) continue;
            Because why = new($"configuration of package {package.Name}", ReasonOf(package.Name));
            foreach (GuestPath path in _view.Packages.FilesOf(package))
                if (path.IsWithin(Etc) && _view.Resolver.Look(path) is { } entry)
                {
                    if (!entry.IsDirectory) AddConfiguration(path, why);
                    else if (!CaptureTables.SharedConfiguration.Contains(path) && !IsSharedDirectory(path)) AddDirectory(path, why, DeepestDirectory);
                }
        }
    }

    /// <summary>Whether packages outside of the application use a directory, too, so that not everything in it is the application's.</summary>
    private bool IsSharedDirectory(GuestPath path)
    {
        if (path.Parent == Etc && _view.Packages.OwnersOf(path).Any(o => !_closure.Has(o.Name) && !_closure.Family.Any(f => f.Package.Source == o.Package.Source))) return true;
        GuestPath top = path;
        while (top.Parent != Etc && !top.IsRoot) top = top.Parent;
        return !top.IsRoot && IsAnothers(top); // a part that is left in another application's directory (/etc/apache2/conf-available/php8.2-fpm.conf)
    }

    private Because ReasonOf(string package)
    {
        ImmutableArray<ChosenPackage> chain = [.. Chain(package)];
        Because reason = _start;
        for (int i = chain.Length - 1; i >= 0; i--) reason = reason.Then(chain[i].Why);
        return reason;
    }

    private IEnumerable<ChosenPackage> Chain(string? package)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (package is not null && seen.Add(package) && _closure.Chosen.FirstOrDefault(c => c.Package.Name == package) is { } chosen)
        {
            yield return chosen;
            package = chosen.Because;
        }
    }

    private void AddDirectory(GuestPath directory, Because why, int depth)
    {
        if (depth == 0 || _configuration.Count > MostFilesOfDirectory) return;
        foreach (FileFact entry in _view.Resolver.Tree.List(directory))
        {
            if (entry.IsDirectory) AddDirectory(entry.Path, why, depth - 1);
            else AddConfiguration(entry.Path, why);
        }
        if (!_configuration.ContainsKey(directory) && _view.Resolver.Look(directory) is { } itself) _configuration[directory] = new(directory, itself, why, [], []);
    }

    private void AddConfiguration(GuestPath path, Because why)
    {
        if (_view.Resolver.ResolveParent(path) is not { Entry: { } entry } place || _configuration.ContainsKey(place.Path) || entry.Kind is EntryKind.Socket) return;
        if (entry.Kind == EntryKind.SymbolicLink)
        {
            _configuration[place.Path] = new(place.Path, entry, why, [], []);
            if (_view.Resolver.Resolve(path) is { Entry: { } target } end && !CaptureTables.TooWide.Contains(end.Path))
                Mentioned(end.Path, why.Then($"{place.Path} is a link to it"));
            return;
        }
        if (!entry.IsRegular)
        {
            if (!entry.IsDirectory) _configuration[place.Path] = new(place.Path, entry, why, [], []);
            return;
        }
        ImmutableArray<GuestPath> mentions = [];
        ImmutableSortedSet<int> ports = [];
        ImmutableArray<string> users = [];
        bool homes = false;
        if (_view.Resolver.Tree.Read(place.Path, LargestConfiguration) is { } content && PathMentions.IsText(content.Span))
        {
            mentions = PathMentions.In(content.Span);
            ports = PathMentions.LoopbackPorts(content.Span);
            users = [.. UsersIn(content)];
            homes = PathMentions.NamesHomes(content.Span);
        }
        _configuration[place.Path] = new(place.Path, entry, why, mentions, ports) { Users = users, NamesHomes = homes };
        foreach (string user in users) AddUser(user);
        // What a script that starts services names (/etc/init.d) concerns other ways of starting.
        if (place.Path.Bytes.StartsWith("/etc/init.d/"u8) || place.Path.Bytes.StartsWith("/etc/cron"u8) || place.Path.Bytes.StartsWith("/etc/logrotate.d/"u8) || place.Path.Bytes.StartsWith("/etc/ufw/"u8) || place.Path.Bytes.StartsWith("/etc/apparmor"u8)) return;
        foreach (GuestPath mention in mentions) Mentioned(mention, why.Then($"{place.Path} names it"));
    }

    private static IEnumerable<string> UsersIn(ReadOnlyMemory<byte> content)
    {
        foreach (string line in ByteLines.TextOf(content))
        {
            string[] words = line.Split([' ', '\t', '=', ';', '"', '\'', ':'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length is < 2 or > 6 || words[0].StartsWith('#')) continue;
            int at = words[0] == "export" ? 1 : 0;
            if (at + 1 < words.Length && words[at].EndsWith("user", StringComparison.OrdinalIgnoreCase)) yield return words[at + 1];
        }
    }

    private void Mention(ReadOnlySpan<byte> text, Because why)
    {
        foreach (GuestPath path in PathMentions.In(text, skipComments: false)) Mentioned(path, why);
    }

    private void Mentioned(GuestPath path, Because why)
    {
        if (_mentioned.Add(path)) _mentions.Enqueue((path, why));
    }

    /// <summary>A path that a text names: what it is decides what becomes of it.</summary>
    private void Follow(GuestPath path, Because why)
    {
        GuestPath place = _view.Resolver.Resolve(path) is { } resolved ? resolved.Path : path;
        FileFact? entry = _view.Resolver.Look(place);
        if (place.IsWithin(Run))
        {
            // Sockets, pid files and directories of /run: what must exist is the directory.
            GuestPath directory = entry is { IsDirectory: true } || entry is null && !place.Name.Contains((byte)'.') && place.Parent == Run ? place : place.Parent;
            if (!CaptureTables.TooWide.Contains(directory)) _volatile.TryAdd(directory, new(directory, why));
            return;
        }
        if (CaptureTables.TooWide.Contains(place) || IsVolatile(place)) return;
        if (entry is null)
        {
            // A log or data file that is not there yet: its directory is what is written.
            if (CaptureTables.StateParents.Any(place.IsWithin) && _view.Resolver.Look(place.Parent) is { IsDirectory: true }) AddState(place.Parent, why);
            return;
        }
        if (place.IsWithin(Etc))
        {
            if (!entry.IsDirectory)
            {
                AddConfiguration(place, why);
                // A configuration file given by name stands in a directory that is its application's, unless packages share it.
                if (why.Parent == _start && !CaptureTables.SharedConfiguration.Contains(place.Parent) && place.Parent.Parent != GuestPath.Root && !IsSharedDirectory(place.Parent))
                    AddDirectory(place.Parent, new($"{place.Parent} is the directory of {place}", why), DeepestDirectory);
            }
            else if (!CaptureTables.SharedConfiguration.Contains(place) && !IsSharedDirectory(place)) AddDirectory(place, why, DeepestDirectory);
            return;
        }
        bool stateLike = IsStateLike(place) || place.IsWithin(WebRoot);
        if (entry.IsDirectory && (stateLike || !place.IsWithin(Usr) && !IsBelowLoose(place))) AddState(place, why);
        else if (entry.IsDirectory && IsBelowLoose(place)) FollowInsideApplication(place, why);
        else if (entry.IsDirectory && _view.Packages.OwnersOf(place) is { Count: 1 } owners && !_closure.Has(owners[0].Name)) _closure.Add(owners[0], $"{owners[0].Name} owns {place} ← {why.Text}");
        else if (entry.IsDirectory && _view.Packages.OwnersOf(place).Count == 0) Take(place, PathKind.Code, why);
        else if (entry.IsDirectory)
        {
            // A directory that the configuration includes is filled by parts of the application, which its main package does not depend on.
            foreach (PackageFact owner in _view.Packages.OwnersOf(place).Where(o => _closure.Family.Any(f => f.Package.Source == o.Package.Source)).ToArray())
                _closure.AddOwn(owner, $"{owner.Name} has a part in {place} ← {why.Text}");
        }
        else if (entry.IsRegular && stateLike && !place.Bytes.StartsWith("/var/lib/dpkg"u8))
        {
            if (CaptureTables.TooWide.Contains(place.Parent)) Take(place, PathKind.Config, why);
            else AddState(place.Parent, why);
        }
        else if (entry.IsRegular && IsBelowLoose(place)) AddConfiguration(place, why);
        else if (entry.IsRegular && _view.Packages.OwnersOf(place).Count == 0 && _view.Libraries.Read(place) is null && !place.IsWithin(Usr)) AddConfiguration(place, why);
        else Needed(place, why);
        if (entry.IsRegular && _view.Resolver.Tree.Read(place, 4096 << 8) is { } content && content.Span.StartsWith("#!"u8)) Program(place, why, isMain: false);
    }

    private bool IsBelowLoose(GuestPath path) => _loose.Keys.Any(path.IsWithin);

    /// <summary>A directory in an application's own tree is state when it is the service's to write; else it is software like the rest.</summary>
    private void FollowInsideApplication(GuestPath directory, Because why)
    {
        GuestPath root = _loose.Keys.First(directory.IsWithin);
        if (directory == root || _view.Resolver.Look(directory) is not { } entry) return;
        bool isOwners = _users.Contains(entry.Uid) && _view.Resolver.Look(root) is { } top && top.Uid != entry.Uid;
        if (isOwners || StateNames.Contains(Encoding.UTF8.GetString(directory.Name))) AddState(directory, why);
    }

    private static readonly ImmutableHashSet<string> StateNames = ["data", "db", "spool", "log", "logs", "cache", "state", "storage", "uploads", "queue", "sessions", "tmp", "run", "var"];
}
