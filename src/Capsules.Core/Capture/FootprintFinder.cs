using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Closes over an application: programs → packages and libraries → configuration → what that names → state. The same answer for scan and for adopt.</summary>
public sealed partial class FootprintFinder
{
    private readonly SourceView _view;
    private readonly Application _application;
    private readonly ImmutableArray<Application> _others;
    private readonly PackageClosure _closure;
    private readonly Because _start;
    private readonly Dictionary<GuestPath, LoosePath> _loose = [], _alone = []; // apart: what lies below a directory that is taken alone is not the application's
    private readonly Dictionary<GuestPath, ConfigurationFile> _configuration = [];
    private readonly Dictionary<GuestPath, StateDirectory> _state = [];
    private readonly Dictionary<GuestPath, VolatileDirectory> _volatile = [];
    private readonly List<NeededLibrary> _missing = [];
    private readonly List<PlanNote> _notes = [];
    private readonly HashSet<uint> _users = [];
    private readonly HashSet<GuestPath> _libraryRoots = [];
    private readonly bool _isInterpreter;
    private bool _needsShell;

    private FootprintFinder(SourceView view, Application application, ImmutableArray<Application> all, ImmutableArray<FoundPath> found)
    {
        (_view, _application) = (view, application);
        _others = [.. all.Where(a => a != application)];
        _isInterpreter = IsInterpreter(view, application);
        _closure = new(view.Packages, application.Learned is null ? null : UnusedInterpreters(found));
        _start = application.Learned is { } learned ? new($"learned from `{string.Join(' ', learned.Command)}`")
            : application.Unit is { } unit ? new($"ExecStart of {unit.Name}")
            : application.Main is { } main ? new($"process {main.Pid} ({main.Name})")
            : application.InitScript is { } script ? new($"init script {script.Path}") : new($"asked for as {application.Name}");
    }

    /// <summary>Everything that belongs to an application of a source.</summary>
    public static Footprint Find(SourceView view, Application application, ImmutableArray<Application> all, CaptureRequest? request = null)
    {
        var finder = new FootprintFinder(view, application, all, request?.Found ?? []);
        finder.FindPrograms();
        finder.FindExecuted(request?.Found ?? []);
        finder.FindUsers();
        finder.FindConfiguration();
        foreach (FoundPath found in request?.Found ?? []) finder.Widen(found, request!.Rules);
        finder.FindState(request ?? new());
        finder.FindGenerated();
        finder.FindLibraries();
        finder.FindBase();
        return new()
        {
            Application = application,
            Start = finder._start,
            Packages = finder._closure,
            NeedsShell = finder._needsShell,
            Configuration = [.. finder._configuration.Values.OrderBy(c => c.Path)],
            State = [.. finder._state.Values.OrderBy(s => s.Path)],
            Loose = [.. finder._loose.Values.Concat(finder._alone.Values.Where(a => !finder._loose.ContainsKey(a.Path) && !finder._state.Keys.Any(a.Path.IsWithin))).OrderBy(l => l.Path)],
            Volatile = [.. finder._volatile.Values.OrderBy(v => v.Path)],
            Missing = [.. finder._missing],
            Users = [.. finder._users],
            Notes = [.. finder._notes.Distinct()],
        };
    }

    /// <summary>
    /// Of an application that was used while it was watched: packages of interpreters of which nothing was met, and which none of its unit's commands
    /// is a script for. Administrators' scripts of its packages depend on them (postgresql-common and Perl), its service does not.
    /// </summary>
    private Func<PackageFact, bool> UnusedInterpreters(ImmutableArray<FoundPath> met)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (FoundPath path in met)
            if (_view.Resolver.Resolve(path.Path) is { Entry.IsRegular: true } file) Use(file.Path);
        foreach (string key in ApplicationFinder.IsWrapped(_view, _application) ? [] : (string[])["ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop"])
            foreach (UnitCommand command in _application.Commands(key))
                if (ApplicationFinder.Resolve(_view, command.Executable) is { } program && ApplicationFinder.InterpreterOf(_view, program) is { } interpreter) Use(interpreter);
        return package => !package.IsBasic && Interpreter(package) is { } name && !used.Contains(name);

        string? Interpreter(PackageFact package) => CaptureTables.Interpreters.Select(i => i.Name).FirstOrDefault(n => package.Name.StartsWith(n, StringComparison.Ordinal));
        void Use(GuestPath file)
        {
            foreach (PackageFact owner in _view.Packages.OwnersOf(file))
                if (Interpreter(owner) is { } name) used.Add(name);
        }
    }

    private void FindPrograms()
    {
        if (_application.Executable is { } executable) Program(executable, _start, isMain: true);
        if (_application.Unit is { } unit)
        {
            Own(unit.Path, _start.Then($"{unit.Path} is its unit"));
            foreach (string key in (string[])["ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost", "ExecCondition"])
                foreach (UnitCommand command in _application.Commands(key))
                    Program(command.Executable, new($"{key} of {unit.Name}"), isMain: key == "ExecStart");
        }
        if (_application.InitScript is { } script) Own(script.Path, _start);
        foreach (ProcessFact process in _application.Processes)
        {
            Because running = new($"process {process.Pid} ({process.Name}) has it mapped", _start);
            if (process.Executable is { } program) Program(program, new($"process {process.Pid} ({process.Name}) runs it", _start), isMain: process.Pid == _application.Main?.Pid);
            foreach (GuestPath mapped in process.Mapped) Needed(mapped, running);
        }
        _closure.AddPlugIns();
    }

    /// <summary>Of a command that was watched, and that is a shell's: the programs that it executed are the application.</summary>
    private void FindExecuted(ImmutableArray<FoundPath> met)
    {
        if (_application.Learned is null || _application.Executable is not { } shell || _view.Packages.OwnerOf(shell) is not { IsBasic: true }) return;
        foreach (FoundPath found in met.Where(m => (m.Uses & Learning.Uses.Execute) != 0))
            if (_view.Resolver.Resolve(found.Path) is { Entry.IsRegular: true } program && _view.Packages.OwnerOf(program.Path) is { IsBasic: false } owner)
                _closure.AddOwn(owner, $"{owner.Name} owns {program.Path} ← {found.Why.Text}");
    }

    private void Program(string picture, Because why, bool isMain)
    {
        if (picture.StartsWith('/')) Program(GuestPath.Normalize(BytePicture.FromPicture(picture)), why, isMain);
        else
            foreach (string directory in (string[])["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"])
                if (_view.Resolver.Resolve(GuestPath.Parse(directory).Combine(picture)) is { Entry: not null })
                {
                    Program(GuestPath.Parse(directory).Combine(picture), why, isMain);
                    return;
                }
    }

    private void Program(GuestPath path, Because why, bool isMain)
    {
        if (_view.Resolver.Resolve(path) is not { Entry.IsRegular: true } found) return;
        Because because = why.Then($"{path} is the program");
        if (_view.Packages.OwnerOf(found.Path) is { } owner)
        {
            string text = $"{owner.Name} owns {found.Path} ← {why.Text}";
            if (isMain && !owner.IsBasic) _closure.AddOwn(owner, text);
            else _closure.Add(owner, text);
        }
        else if (isMain && ApplicationRoot(found.Path) is { } root) Take(root, PathKind.Code, because.Then($"{root} is the directory of a program that no package owns"));
        else Take(found.Path, PathKind.Code, because);
        if (path != found.Path) Take(path, PathKind.Code, because);
        _libraryRoots.Add(found.Path);
        if (_view.Resolver.Tree.Read(found.Path, 64 << 20) is not { } content) return;
        if (ScriptLine.Of(content.Span) is { } line)
        {
            foreach (string? program in (string?[])[line.Through, line.Program])
                if (program is not null) Program(program, because.Then($"{found.Path} is a script for it"), isMain: false);
            if (isMain || line.Through is null) _needsShell = true;
        }
        if (!ElfFile.IsElf(content.Span)) return;
        if (isMain)
            foreach (string text in (string[])[.. ElfFile.PathsBelow(content.Span, "/usr/lib/"u8), .. ElfFile.PathsBelow(content.Span, "/usr/share/"u8)])
                if (_view.Resolver.Resolve(GuestPath.Normalize(Encoding.ASCII.GetBytes(text))) is { Entry.IsDirectory: true } named && !CaptureTables.TooWide.Contains(named.Path)) _closure.AddNamed(named.Path);
        if (_view.Packages.OwnerOf(found.Path) is null) FindOpenedLibraries(found.Path, content.Span, because);
    }

    /// <summary>The owner of a path becomes one of the application's own packages.</summary>
    private void Own(GuestPath path, Because why)
    {
        if (_view.Resolver.Resolve(path) is not { } found) return;
        if (_view.Packages.OwnerOf(found.Path) is { } owner) _closure.AddOwn(owner, $"{owner.Name} owns {found.Path} ← {why.Text}");
        else if (found.Entry is not null) Take(path, PathKind.Config, why);
    }

    /// <summary>A file that is needed: by its package, or by itself.</summary>
    private void Needed(GuestPath path, Because why)
    {
        if (IsVolatile(path) || _view.Resolver.Resolve(path) is not { Entry: { IsRegular: true } } found) return;
        if (_view.Packages.OwnerOf(found.Path) is { } owner)
        {
            if (!_closure.Has(owner.Name)) _closure.Add(owner, $"{owner.Name} owns {found.Path} ← {why.Text}");
        }
        else if (!IsStateLike(found.Path)) Take(path, PathKind.Code, why);
    }

    /// <summary>A path that was met becomes what the rules say: its package, the whole directory of its data, or itself.</summary>
    private void Widen(FoundPath met, WideningRules rules)
    {
        if (met.IsWritten && met.Path.IsWithin(Run) && met.Path != Run && met.Path.Parent != Run) _volatile.TryAdd(met.Path.Parent, new(met.Path.Parent, met.Why));
        if (_view.Resolver.Resolve(met.Path) is not { Entry: { } entry } found) return;
        IReadOnlyList<PackageFact> owners = _view.Packages.OwnersOf(found.Path);
        bool isOwned = owners.Count > 0 && !(entry.IsDirectory && owners.Count > 1); // a directory that several share is nobody's
        foreach (WideningRule rule in rules.Rules)
        {
            if (!rule.Holds(found.Path, met.Uses, isOwned, entry.IsDirectory, met.IsWritten)) continue;
            foreach (Widening step in rule.Steps) Apply(step, rule, met, found.Path, entry, isOwned ? owners[0] : null);
            if (!rule.GoesOn) return;
        }
    }

    private void Apply(Widening step, WideningRule rule, FoundPath met, GuestPath place, FileFact entry, PackageFact? owner)
    {
        Because why = met.Why.Then($"rule {rule.Name}: {place}");
        PathKind kind = place.IsWithin(Etc) ? PathKind.Config : PathKind.Code;
        switch (step)
        {
            case Widening.Package when owner is not null:
                if (!_closure.Has(owner.Name)) _closure.Add(owner, $"{owner.Name} owns {place} (rule {rule.Name}) ← {met.Why.Text}");
                break;
            case Widening.State when AddState(WholeOf(entry.IsDirectory ? place : place.Parent), why): break;
            case Widening.Tree when !CaptureTables.TooWide.Contains(place): Take(met.Path, kind, why); break;
            case Widening.Directory when !CaptureTables.TooWide.Contains(place.Parent): Take(place.Parent, kind, why); break;
            case Widening.Child when rule.Holder(place) is { } holder && holder != place: Take(ChildOf(holder, place), kind, why); break;
            case Widening.Leave: break;
            // A package that nobody has, a directory that is everybody's: then it alone.
            default: (entry.IsDirectory ? _alone : _loose).TryAdd(met.Path, new(met.Path, kind, why) { IsAlone = true }); break;
        }

        static GuestPath ChildOf(GuestPath directory, GuestPath path)
        {
            while (path.Parent != directory) path = path.Parent;
            return path;
        }
    }

    private void Take(GuestPath path, PathKind kind, Because why)
    {
        if (!CaptureTables.TooWide.Contains(path) && (!_loose.TryGetValue(path, out LoosePath? known) || known.IsAlone)) _loose[path] = new(path, kind, why);
    }

    /// <summary>The directory that a program outside of packages is installed in: /opt/acme for /opt/acme/bin/billd; null when it stands among others.</summary>
    private GuestPath? ApplicationRoot(GuestPath program)
    {
        GuestPath directory = program.Parent;
        if (Encoding.UTF8.GetString(directory.Name) is "bin" or "sbin" or "libexec") directory = directory.Parent;
        return CaptureTables.TooWide.Contains(directory) || _view.Packages.OwnersOf(directory).Count > 0 || CaptureTables.TooWide.Contains(directory.Parent) && directory.Parent.Bytes.StartsWith("/home"u8) ? null : directory;
    }

    private void FindOpenedLibraries(GuestPath program, ReadOnlySpan<byte> content, Because why)
    {
        if (_view.Libraries.Read(program) is not { } elf) return;
        foreach (string name in ElfFile.SharedObjectNames(content))
        {
            if (elf.Needed.Contains(name) || name == elf.SoName) continue;
            foreach (GuestPath place in _view.Libraries.Locate(name, elf, program, elf.RPath, null))
            {
                Needed(place, why.Then($"{program} names {name}, which it may load later"));
                _libraryRoots.Add(place);
            }
        }
    }

    /// <summary>What maintainer scripts left in directories of the application's own packages, and no package owns (/usr/share/dovecot/protocols.d/imapd.protocol).</summary>
    private void FindGenerated()
    {
        foreach (PackageFact package in _closure.Family)
        {
            Because owner = ReasonOf(package.Name);
            foreach (GuestPath directory in _view.Packages.FilesOf(package))
                if (directory.IsWithin(Usr) && !CaptureTables.TooWide.Contains(directory) && !CaptureTables.Documentation.Any(directory.IsWithin) && _view.Packages.OwnersOf(directory).All(o => _closure.Family.Contains(o)))
                    foreach (FileFact entry in _view.Resolver.Tree.List(directory)) // a file lists nothing
                        if (_view.Packages.OwnersOf(entry.Path).Count == 0 && !entry.Path.Name.SequenceEqual("__pycache__"u8)) Take(entry.Path, PathKind.Code, new($"no package owns {entry.Path}, and its directory is {package.Name}'s", owner));
        }
    }

    private void FindUsers()
    {
        foreach (ProcessFact process in _application.Processes)
            if (process.Uid != 0) _users.Add(process.Uid);
        if (_application.Unit?.File.Last("Service", "User") is { } user) AddUser(user);
        if (_application.Learned?.User is { } asked) AddUser(asked.Split(':')[0]);
    }

    private void AddUser(string name)
    {
        if (_view.Facts.Users.FirstOrDefault(u => u.Name == name || u.Uid.ToString() == name) is { Uid: not 0 } account) _users.Add(account.Uid);
    }

    private void FindLibraries()
    {
        string? libraryPath = _application.Main?.Environment.FirstOrDefault(e => e.StartsWith("LD_LIBRARY_PATH=", StringComparison.Ordinal))?[16..];
        foreach (GuestPath root in _libraryRoots.Concat(_loose.Values.Where(l => l.Kind == PathKind.Code).SelectMany(l => ProgramsBelow(l.Path, 4))).Distinct().ToArray())
            foreach (NeededLibrary library in _view.Libraries.Closure(root, libraryPath))
            {
                if (library.Path is { } path)
                {
                    Because why = new($"{library.NeededBy} needs {library.Name}", new($"{root} loads it", _start));
                    Needed(path, why);
                    if (_view.Resolver.Resolve(path) is { } found && _view.Packages.OwnerOf(found.Path) is null) Take(path, PathKind.Code, why);
                }
                else if (root == _application.Executable && !_missing.Any(m => m.Name == library.Name)) _missing.Add(library);
            }
    }

    private IEnumerable<GuestPath> ProgramsBelow(GuestPath path, int depth)
    {
        if (_view.Resolver.Look(path) is not { } entry) yield break;
        if (entry.IsRegular && entry.Size > 64 && _view.Libraries.Read(path) is not null) yield return path;
        if (!entry.IsDirectory || depth == 0 || _state.ContainsKey(path)) yield break;
        foreach (FileFact child in _view.Resolver.Tree.List(path))
            foreach (GuestPath program in ProgramsBelow(child.Path, depth - 1)) yield return program;
    }

    private void FindBase()
    {
        foreach (string name in CaptureTables.AlwaysPackages)
            if (_view.Packages.Find(name) is { } package) _closure.Add(package, $"{name} is taken always: programs read it without any dependency saying so");
        if (_view.Resolver.Resolve(GuestPath.Parse("/bin/sh")) is { Entry: not null } shell)
        {
            if (_view.Packages.OwnerOf(shell.Path) is { } owner) _closure.Add(owner, $"{owner.Name} owns /bin/sh, which system(3) starts");
            _libraryRoots.Add(shell.Path);
        }
        foreach (var (name, modules) in CaptureTables.Interpreters)
        {
            if (!_closure.Chosen.Any(c => c.Package.Name.StartsWith(name, StringComparison.Ordinal) && c.Package.Name != "perl-base")) continue;
            _needsShell = true;
            foreach (GuestPath tree in modules)
                if (_view.Resolver.Resolve(tree) is { Entry.IsDirectory: true } found) Take(found.Path, PathKind.Code, new($"{tree} holds modules of {name}", _start));
        }
        if (RunsContent) _needsShell = true;
        if (!_needsShell) return;
        foreach (PackageFact package in _view.Packages.All)
            if ((package.Package.Essential || !_view.Packages.All.Any(p => p.Package.Essential) && CaptureTables.ShellPackages.Contains(package.Name)) && !CaptureTables.InstallationOnly.Contains(package.Name))
                _closure.Add(package, $"{package.Name} is essential: the application runs scripts or starts a shell");
        if (_view.Packages.Find("procps") is { } procps) _closure.Add(procps, "procps: scripts use ps and kill");
    }

    private static bool IsVolatile(GuestPath path) => CaptureTables.Volatile.Any(path.IsWithin);

    private static bool IsStateLike(GuestPath path) => CaptureTables.StateParents.Any(path.IsWithin) || path.IsWithin(GuestPath.Parse("/home")) || path.IsWithin(GuestPath.Parse("/root"));
}
