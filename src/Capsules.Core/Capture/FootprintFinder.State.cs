using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>State: what is written, as whole directories, because a database completed file by file does not start.</summary>
public sealed partial class FootprintFinder
{
    private const int LargestProgram = 32 << 20, MostContentFiles = 4000, LargestContentFile = 256 << 10;
    private static readonly ImmutableHashSet<string> SharedAccounts = ["www-data", "nobody", "daemon", "apache", "www", "http", "_http"];

    private void FindState(CaptureRequest request)
    {
        FindDeclaredState();
        FindWrittenState();
        FindServedContent();
        FindOwnedState();
        FindSpools();
        FindHomes();
        foreach (GuestPath path in request.State) AddState(path, new($"asked for by --state {path}"), asked: true);
        foreach (GuestPath path in request.Add)
            if (_view.Resolver.ResolveParent(path) is { Entry: not null } found) _loose[found.Path] = new(found.Path, found.Path.IsWithin(Etc) ? PathKind.Config : PathKind.Code, new($"asked for by --add {path}"));
        foreach (GuestPath path in request.Leave)
            foreach (GuestPath state in _state.Keys.Where(s => s.IsWithin(path)).ToArray()) _state.Remove(state);
        foreach (GuestPath inner in _state.Keys.Where(p => _state.Keys.Any(outer => outer != p && p.IsWithin(outer))).ToArray()) _state.Remove(inner);
        foreach (GuestPath loose in _loose.Keys.Where(p => _state.Keys.Any(outer => p.IsWithin(outer))).ToArray()) _loose.Remove(loose);
    }

    /// <summary>StateDirectory= and its relatives, and directories that packages bring below /var/lib and its like.</summary>
    private void FindDeclaredState()
    {
        if (_application.Unit is { } unit)
            foreach (var (key, parent) in (ReadOnlySpan<(string, string)>)[("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"), ("LogsDirectory", "/var/log")])
                foreach (string name in unit.File.Words("Service", key)) AddState(GuestPath.Parse(parent).Combine(name.Split(':')[0]), new($"{key} of {unit.Name}", _start));
        foreach (ChosenPackage chosen in _closure.Chosen)
        {
            if (chosen.Package.IsBasic || CaptureTables.AlwaysPackages.Contains(chosen.Package.Name)) continue;
            foreach (GuestPath path in _view.Packages.FilesOf(chosen.Package))
                if ((CaptureTables.StateParents.Contains(path.Parent) || path == WebRoot) && !IsAnothers(path))
                    AddState(path, new($"package {chosen.Package.Name} brings it for data", ReasonOf(chosen.Package.Name)));
        }
    }

    /// <summary>Whether a directory carries the name of a package that is not the application's, which uses it by courtesy (php-fpm and /var/lib/apache2).</summary>
    private bool IsAnothers(GuestPath directory)
    {
        string name = Encoding.UTF8.GetString(directory.Name);
        return _view.Packages.OwnersOf(directory).Any(o => !_closure.Has(o.Name) && name == o.Package.Source) && !_closure.Family.Any(f => f.Package.Source == name);
    }

    /// <summary>Files that processes hold open for writing, and their working directories.</summary>
    private void FindWrittenState()
    {
        foreach (ProcessFact process in _application.Processes)
        {
            foreach (OpenFileFact file in process.OpenFiles)
                if (file.IsWritable && !IsVolatile(file.Path) && !file.Path.IsWithin(Usr) && _view.Resolver.Resolve(file.Path) is { Entry.IsRegular: true } found && !IsVolatile(found.Path))
                    AddState(WholeOf(found.Path.Parent), new($"process {process.Pid} ({process.Name}) has {found.Path} open for writing", _start));
            if (!CaptureTables.TooWide.Contains(process.WorkingDirectory) && IsStateLike(process.WorkingDirectory)) AddState(WholeOf(process.WorkingDirectory), new($"process {process.Pid} ({process.Name}) works in it", _start));
        }
    }

    /// <summary>/var/lib/postgresql for /var/lib/postgresql/15/main/base; /opt/acme/data for /opt/acme/data/x, when /opt/acme is the application's tree.</summary>
    private GuestPath WholeOf(GuestPath directory)
    {
        for (GuestPath at = directory; !at.IsRoot; at = at.Parent)
            if (CaptureTables.StateParents.Contains(at.Parent) || _loose.ContainsKey(at.Parent)) return at;
        return directory;
    }

    /// <summary>Directories that belong to the service's user, and the user's home.</summary>
    private void FindOwnedState()
    {
        foreach (uint uid in _users)
        {
            string account = _view.Facts.UserName(uid);
            bool isShared = SharedAccounts.Contains(account) || _others.Any(o => o.Processes.Any(p => p.Uid == uid) || o.Unit?.File.Last("Service", "User") == account);
            if (!isShared && _view.Facts.Users.FirstOrDefault(u => u.Uid == uid)?.Home is ['/', ..] home && GuestPath.TryParse(Encoding.UTF8.GetBytes(home), out GuestPath homePath) &&
                (IsStateLike(homePath) || homePath.IsWithin(WebRoot))) AddState(homePath, new($"home of the service's user {account}", _start));
            foreach (GuestPath parent in CaptureTables.StateParents)
                foreach (FileFact entry in _view.Resolver.Tree.List(parent))
                {
                    if (!entry.IsDirectory || entry.Uid != uid) continue;
                    if (!isShared || _contentMentions.Any(m => m.IsWithin(entry.Path))) AddState(entry.Path, new($"it belongs to the service's user {account}" + (isShared ? ", and its programs name it" : ""), _start));
                }
            foreach (LoosePath loose in _loose.Values.Where(l => l.Kind == PathKind.Code).ToArray())
                if (_view.Resolver.Look(loose.Path) is { IsDirectory: true } top && top.Uid != uid)
                    foreach (FileFact entry in _view.Resolver.Tree.List(loose.Path))
                        if (entry.IsDirectory && entry.Uid == uid) AddState(entry.Path, new($"it belongs to the service's user {account}, unlike the rest of {loose.Path}", _start));
        }
    }

    /// <summary>Homes of people, when the configuration speaks of the homes of those who are served.</summary>
    private void FindHomes()
    {
        if (_configuration.Values.FirstOrDefault(c => c.NamesHomes && !CaptureTables.SharedConfiguration.Contains(c.Path.Parent)) is not { } file) return;
        foreach (UserAccount user in _view.Facts.Users)
            if (user.IsPerson && GuestPath.TryParse(Encoding.UTF8.GetBytes(user.Home), out GuestPath home) && home != Home && home.IsWithin(Home))
                AddState(home, new($"{file.Path} speaks of the homes of users, and {user.Name} is one", _start));
    }

    /// <summary>Spools that programs of the application's own packages name, or its configuration.</summary>
    private void FindSpools()
    {
        foreach (GuestPath spool in CaptureTables.Spools)
        {
            if (_view.Resolver.Resolve(spool) is not { Entry.IsDirectory: true } found || _state.ContainsKey(found.Path)) continue;
            Because? why = _configuration.Values.FirstOrDefault(c => c.Mentions.Any(m => m.IsWithin(spool)))?.Path is { } file ? new($"{file} names {spool}", _start)
                : _closure.Family.SelectMany(p => _view.Packages.FilesOf(p)).Where(f => f.IsWithin(Usr)).Cast<GuestPath?>().FirstOrDefault(f => Names(f!.Value, spool)) is { } program ? new($"{program} names {spool}", _start) : null;
            if (why is not null) _state.TryAdd(found.Path, new(found.Path, why));
        }

        bool Names(GuestPath program, GuestPath spool) => _view.Resolver.Look(program) is { IsRegular: true } entry && (entry.Mode & 0x49) != 0 && entry.Size < LargestProgram &&
            _view.Resolver.Tree.ReadStart(program, 64) is { } start && ElfFile.IsElf(start.Span) && _view.Resolver.Tree.Contains(program, spool.Bytes);
    }

    private readonly HashSet<GuestPath> _contentMentions = [];

    /// <summary>Whether the application is known to run programs that it finds among its content, or is an interpreter with a program of somebody's.</summary>
    private bool RunsContent => _application.Known?.RunsContent == true || _isInterpreter;

    private static bool IsInterpreter(SourceView view, Application application)
    {
        // What runs: the process's program; of a command that was watched its program, or what that is a script for.
        GuestPath? runner = application.Main is { } main ? main.Executable : application is { Learned: not null, Executable: { } program } ? ApplicationFinder.InterpreterOf(view, program) ?? program : null;
        return runner is { } path && CaptureTables.InterpreterPrograms.Any(i => Encoding.UTF8.GetString(path.Name).StartsWith(i, StringComparison.Ordinal));
    }

    /// <summary>
    /// An application that runs what it finds among its content: the content of those who call it is its own, too (php-fpm behind nginx), and
    /// what its programs name may be its state.
    /// </summary>
    private void FindServedContent()
    {
        if (!RunsContent) return;
        foreach (Application other in _others)
            foreach (var (file, mentions) in CallersOf(other))
                foreach (GuestPath mention in mentions)
                    if (_view.Resolver.Resolve(mention) is { Entry.IsDirectory: true } found && !CaptureTables.TooWide.Contains(found.Path) && (IsStateLike(found.Path) || found.Path.IsWithin(WebRoot)) && !found.Path.Bytes.StartsWith("/var/log"u8))
                        AddState(found.Path, new($"{other.Name} serves it and calls {_application.Name}: {file} names both", _start));
        int files = 0;
        foreach (StateDirectory content in _state.Values.ToArray())
            if (!CaptureTables.StateParents.Take(4).Any(content.Path.IsWithin)) ReadContent(content.Path, ref files, 8);
    }

    private void ReadContent(GuestPath directory, ref int files, int depth)
    {
        foreach (FileFact entry in depth == 0 ? [] : _view.Resolver.Tree.List(directory))
        {
            if (files > MostContentFiles) return;
            if (entry.IsDirectory) ReadContent(entry.Path, ref files, depth - 1);
            else if (entry.IsRegular && entry.Size < LargestContentFile && ++files < MostContentFiles && _view.Resolver.Tree.Read(entry.Path, LargestContentFile) is { } text && PathMentions.IsText(text.Span))
                _contentMentions.UnionWith(PathMentions.In(text.Span, skipComments: false));
        }
    }

    /// <summary>Configuration files of another application that name a socket or loopback port of this one.</summary>
    private IEnumerable<(GuestPath File, ImmutableArray<GuestPath> Mentions)> CallersOf(Application other)
    {
        var sockets = _application.Listeners.Select(l => l.Path).OfType<GuestPath>().Concat(_configuration.Values.SelectMany(c => c.Mentions).Where(m => m.Bytes.EndsWith(".sock"u8))).ToHashSet();
        var ports = _application.Listeners.Select(l => l.Address?.Port ?? 0).Where(p => p != 0).ToHashSet();
        if (other.Executable is not { } program || _view.Packages.OwnerOf(program) is not { } owner) yield break;
        var closure = new PackageClosure(_view.Packages);
        closure.AddOwn(owner, "");
        if (other.Unit is { } unit && _view.Resolver.ResolveParent(unit.Path) is { } place && _view.Packages.OwnerOf(place.Path) is { } unitOwner) closure.AddOwn(unitOwner, "");
        var directories = closure.Family.SelectMany(p => _view.Packages.FilesOf(p)).Where(p => p.IsWithin(Etc) && p.Parent != GuestPath.Root && !CaptureTables.SharedConfiguration.Contains(p)).ToHashSet();
        foreach (GuestPath file in directories.SelectMany(d => _view.Resolver.Tree.List(d)).Where(e => e.IsRegular).Select(e => e.Path).Distinct())
        {
            if (_configuration.ContainsKey(file) || _view.Resolver.Tree.Read(file, LargestConfiguration) is not { } text || !PathMentions.IsText(text.Span)) continue;
            ImmutableArray<GuestPath> mentions = PathMentions.In(text.Span);
            if (mentions.Any(sockets.Contains) || PathMentions.LoopbackPorts(text.Span).Any(ports.Contains)) yield return (file, mentions);
        }
    }

    /// <summary>False when it cannot be state, or is no directory.</summary>
    private bool AddState(GuestPath path, Because why, bool asked = false)
    {
        if (_view.Resolver.Resolve(path) is not { Entry.IsDirectory: true } found)
        {
            if (asked) _notes.Add(new($"{path} is not a directory at the source, so it cannot be state"));
            return false;
        }
        if (IsVolatile(found.Path) || CaptureTables.TooWide.Contains(found.Path) || found.Path.IsWithin(Etc) && !asked || found.Path.IsWithin(Usr) && !asked) return false;
        _state.TryAdd(found.Path, new(found.Path, why));
        return true;
    }
}
