using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture.Detectors;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>
/// How an application is started, known to be up and stopped. A running process decides arguments and environment, the unit the policy;
/// what differs is noted. Without a process the unit decides both.
/// </summary>
internal sealed class ServicePlanner(SourceView view, Footprint footprint)
{
    private readonly Application _application = footprint.Application;
    private readonly List<PlanNote> _notes = [];

    public const string DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>The service, and what is to be known; null with the reason when nobody knows how it is started.</summary>
    public (ServiceManifest? Service, ImmutableArray<PlanNote> Notes) Plan()
    {
        UnitFile file = _application.Unit?.File ?? new([]);
        string? Setting(string key) => file.Last("Service", key);
        ImmutableArray<string> environment = Environment(out ImmutableDictionary<string, string> variables);
        if (Command(variables) is not { } start) return (null, [.. _notes, new($"nobody knows how {_application.Name} is started: it has no unit, and its process shows a title in place of its command line")]);

        if (start.IsLearned) environment = Shown(Variables(_application.Learned!.Environment)); // all that it was given
        ServiceKind kind = start.IsProcess ? (_application.Known?.Notifies == true ? ServiceKind.Notify : ServiceKind.Simple) : Kind(Setting("Type"), Setting("BusName"));
        string? pidFile = kind == ServiceKind.Forking ? Setting("PIDFile") ?? _application.InitScript?.Script.PidFile ?? _application.Known?.PidFile : null;
        ServiceManifest service = new()
        {
            Name = CapsuleName.From(_application.Name).ToString(),
            Unit = _application.Unit?.Name.ToString() ?? _application.InitScript?.Path.ToString(),
            Kind = kind,
            Command = start.Command,
            Program = start.Program,
            Environment = environment,
            WorkingDirectory = Directory(Setting("WorkingDirectory")) ?? (start.IsProcess && _application.Main is { } main ? main.WorkingDirectory : start.IsProcess ? _application.Learned?.WorkingDirectory : null) ?? GuestPath.Root,
            User = start.User ?? Setting("User"),
            Group = start.User is null ? Setting("Group") : null,
            SupplementaryGroups = file.Words("Service", "SupplementaryGroups"),
            Umask = Setting("UMask") is { } umask && umask.All(c => c is >= '0' and <= '7') && umask.Length is > 0 and < 6 ? Convert.ToInt32(umask, 8) : _application.Unit is null ? _application.Main?.Umask ?? 0x12 : 0x12,
            StartPre = start.IsWrapped ? [] : Commands("ExecStartPre", variables),
            StartPost = start.IsWrapped ? [] : Commands("ExecStartPost", variables),
            Stop = start.IsProcess ? [] : Commands("ExecStop", variables),
            Reload = start.IsWrapped ? [] : Commands("ExecReload", variables),
            StopSignal = Setting("KillSignal") is { } signal && Signal(signal) is int number ? number : (start.IsProcess || Setting("ExecStop") is null ? _application.Known?.StopSignal : null) ?? 15,
            PidFile = pidFile is ['/', ..] ? Real(GuestPath.Normalize(Encoding.UTF8.GetBytes(pidFile))) : null,
            StartTimeout = Time(Setting("TimeoutStartSec") ?? Setting("TimeoutSec"), zeroIsInfinite: true) ?? 90_000,
            StopTimeout = Time(Setting("TimeoutStopSec") ?? Setting("TimeoutSec"), zeroIsInfinite: false) ?? 90_000,
            Restart = Restart(Setting("Restart")),
            RestartDelay = Time(Setting("RestartSec"), zeroIsInfinite: false) ?? 100,
            SuccessStatuses = [.. file.Words("Service", "SuccessExitStatus").Where(w => int.TryParse(w, out int status) && status is >= 0 and < 256).Select(int.Parse)],
            Ready = kind == ServiceKind.Simple ? Readiness() : null,
            RuntimeDirectories = RuntimeDirectories(file, pidFile),
            Capabilities = Capabilities(file),
            AmbientCapabilities = Ambient(file, start),
            NoNewPrivileges = NoNewPrivileges(file),
            Filters = UnitFilters.Of(file, text => _notes.Add(new(text))),
            ResourceLimits = Limits(file),
            OomScoreAdjust = Setting("OOMScoreAdjust") is { } score && int.TryParse(score, out int adjust) && adjust is >= -1000 and <= 1000 ? adjust : null,
            Nice = Setting("Nice") is { } nice && int.TryParse(nice, out int level) && level is >= -20 and <= 19 ? level : null,
        };
        return (service, [.. _notes]);
    }

    /// <param name="Command">argv.</param>
    /// <param name="Program">What is executed when it is not argv[0].</param>
    /// <param name="IsProcess">Taken from the running process.</param>
    /// <param name="IsWrapped">The unit starts it by another program, whose preparations are done by the capsule.</param>
    /// <param name="User">Its user, when the process decides it.</param>
    /// <param name="IsLearned">Taken from the command that was watched.</param>
    private sealed record Start(ImmutableArray<string> Command, GuestPath? Program, bool IsProcess, bool IsWrapped, string? User, bool IsLearned = false);

    private Start? Command(ImmutableDictionary<string, string> variables)
    {
        ProcessFact? main = _application.Main;
        UnitCommand? exec = _application.Commands("ExecStart").FirstOrDefault();
        GuestPath? unitProgram = _application.Unit is { } unit ? ApplicationFinder.ProgramOf(unit, view) : null;
        bool hasArguments = main is not null && HasRealArguments(main);
        string? user = main is { Uid: not 0 } ? view.Facts.UserName(main.Uid) : null;
        if (main is not null && hasArguments && (exec is null || ApplicationFinder.Resolve(view, exec.Executable) != main.Executable))
        {
            // The unit starts it through another program (pg_ctlcluster, apachectl, a wrapper), or there is none: the process itself says how it runs.
            if (exec is not null) _notes.Add(new($"started as its process runs ({string.Join(' ', main.Arguments)}); {_application.Unit!.Name} would start it by {exec.Executable}"));
            return new(InFront(main.Arguments), main.Arguments[0].StartsWith('/') ? null : main.Executable, true, exec is not null, user);
        }
        if (main is null && _application.Unit is { } instance && KnownApplications.FindInstance(instance.Name.Prefix, instance.Name.Instance) is { } known && unitProgram is not null &&
            known.Command[0] != exec?.Executable)
        {
            _notes.Add(new($"started as {string.Join(' ', known.Command)}, which {instance.Name} does through {exec?.Executable}"));
            return new(known.Command, null, true, true, known.Row.User);
        }
        if (exec is not null)
        {
            ImmutableArray<string> words = exec.Expand(variables);
            bool isWrapped = ApplicationFinder.IsWrapped(view, _application);
            if (_application.Learned is { } watched && (isWrapped || !watched.Command.Skip(1).SequenceEqual(words.Skip(1))))
            {
                _notes.Add(new($"started as it was watched ({string.Join(' ', watched.Command)}); {_application.Unit!.Name} would start it " + (isWrapped ? $"by {exec.Executable}" : "with other arguments")));
                return OfLearned(watched, isWrapped);
            }
            ServiceKind kind = Kind(_application.Unit!.File.Last("Service", "Type"), null);
            if (hasArguments && kind != ServiceKind.Forking && !main!.Arguments.Skip(1).SequenceEqual(words.Skip(1)))
            {
                _notes.Add(new($"its process runs with other arguments than {_application.Unit.Name} says: {string.Join(' ', main.Arguments)}"));
                // Whoever started it by hand was told nothing by it; its unit would have asked to be told.
                bool notifies = kind == ServiceKind.Notify && main.Environment.Any(v => v.StartsWith("NOTIFY_SOCKET=", StringComparison.Ordinal));
                return new(main.Arguments, main.Arguments[0].StartsWith('/') ? null : main.Executable, !notifies, false, null);
            }
            return new(words, exec.Program is { } program ? GuestPath.Normalize(BytePicture.FromPicture(program)) : null, false, false, null);
        }
        if (_application.Learned is { } learned) return OfLearned(learned, isWrapped: false);
        if (main is null && _application.InitScript is { } script) return new([script.Path.ToString(), "start"], null, false, false, null);
        if (main is null && _application.Executable is { } executable) return new([executable.ToString()], null, true, false, null);
        return null;

        Start OfLearned(LearnedCommand learned, bool isWrapped) => new(InFront(learned.Command), learned.Command[0].StartsWith('/') ? null : _application.Executable, true, isWrapped, learned.User, IsLearned: true);
    }

    /// <summary>Whether argv is what was executed, not a title that the program wrote over it ("nginx: master process …").</summary>
    private bool HasRealArguments(ProcessFact process)
    {
        if (process.Arguments.IsEmpty || process.Executable is not { } executable) return false;
        string first = process.Arguments[0];
        if (first.Contains(' ', StringComparison.Ordinal) || first.EndsWith(':')) return false;
        if (process.Arguments.Skip(1).Any(a => a.Length == 0) && process.Arguments.Skip(1).All(a => a.Length == 0)) return false;
        if (first.StartsWith('/')) return view.Resolver.Resolve(GuestPath.Normalize(BytePicture.FromPicture(first)))?.Path == executable || IsScript(process);
        string name = first[(first.LastIndexOf('/') + 1)..].TrimStart('-');
        string program = Encoding.UTF8.GetString(executable.Name);
        return name == program || program.StartsWith(name, StringComparison.Ordinal) || IsScript(process);
    }

    private static bool IsScript(ProcessFact process) => process.Arguments.Length > 1 && process.Arguments.Skip(1).Any(a => a.StartsWith('/'));

    private ImmutableArray<string> InFront(ImmutableArray<string> words)
    {
        if (_application.Known?.Command is not { } row) return words;
        for (int i = 0; i + row.Background.Length <= words.Length; i++)
            if (words.AsSpan(i, row.Background.Length).SequenceEqual(row.Background.AsSpan())) return [.. words[..i], .. row.Foreground, .. words[(i + row.Background.Length)..]];
        return words;
    }

    private ImmutableArray<string> Environment(out ImmutableDictionary<string, string> variables)
    {
        var declared = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        if (_application.Unit is { } unit)
        {
            declared.AddRange(Variables(unit.File.All("Service", "Environment").SelectMany(v => UnitText.Words(v))));
            foreach (string value in unit.File.All("Service", "EnvironmentFile"))
                if (value.TrimStart('-') is ['/', ..] path && view.Resolver.Tree.Read(GuestPath.Normalize(Encoding.UTF8.GetBytes(path)), 1 << 20) is { } text)
                    foreach (var (name, content) in UnitText.EnvironmentFile(text)) declared[name] = content;
        }
        foreach (var (name, content) in Variables(_application.Learned?.Environment ?? [])) declared[name] = content;
        variables = declared.ToImmutable().SetItem("MAINPID", "$MAINPID");
        return Shown(_application.Main is { } main && main.Environment.Any(e => e.StartsWith("PATH=", StringComparison.Ordinal)) ? Variables(view.Facts.EnvironmentOf(main)) : declared);
    }

    private static Dictionary<string, string> Variables(IEnumerable<string> words)
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string word in words)
            if (word.IndexOf('=', StringComparison.Ordinal) is > 0 and var equals && word.AsSpan(0, equals).IndexOfAnyExcept(NameCharacters) < 0) variables[word[..equals]] = word[(equals + 1)..];
        return variables;
    }

    private static ImmutableArray<string> Shown(IEnumerable<KeyValuePair<string, string>> variables) =>
        [.. variables.Where(v => !CaptureTables.ForeignVariables.Contains(v.Key)).OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => $"{v.Key}={v.Value}")];

    private static readonly System.Buffers.SearchValues<char> NameCharacters = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    private ImmutableArray<ImmutableArray<string>> Commands(string key, ImmutableDictionary<string, string> variables) =>
        [.. _application.Commands(key).Select(c => new HelperCommand(c.Expand(variables), c.IgnoresFailure, c.IsPrivileged || _application.Unit?.File.Last("Service", "PermissionsStartOnly") is "yes" or "true" or "on" or "1").ToWords())];

    private ImmutableArray<RuntimeDirectory> RuntimeDirectories(UnitFile file, string? pidFile)
    {
        string user = file.Last("Service", "User") ?? (footprint.Users.Count == 1 ? view.Facts.UserName(footprint.Users[0]) : "root");
        string group = file.Last("Service", "Group") ?? (view.Facts.Users.FirstOrDefault(u => u.Name == user) is { } account ? view.Facts.GroupName(account.Gid) : user);
        var directories = new SortedDictionary<GuestPath, RuntimeDirectory>();
        int mode = file.Last("Service", "RuntimeDirectoryMode") is { Length: > 0 and < 6 } octal && octal.All(c => c is >= '0' and <= '7') ? Convert.ToInt32(octal, 8) : 0x1ED;
        foreach (string name in file.Words("Service", "RuntimeDirectory"))
            if (GuestPath.Parse("/run").Combine(name.Split(':')[0]) is var path && path.IsWithin(GuestPath.Parse("/run"))) directories[path] = new(path, user, group, mode);
        IEnumerable<GuestPath> wanted = footprint.Volatile.Select(v => v.Path)
            .Concat(_application.Listeners.Select(l => l.Path).OfType<GuestPath>().Select(p => Real(p).Parent))
            .Concat(pidFile is ['/', ..] ? [Real(GuestPath.Normalize(Encoding.UTF8.GetBytes(pidFile))).Parent] : []);
        foreach (GuestPath path in wanted.Distinct())
            for (GuestPath at = path; at.IsWithin(GuestPath.Parse("/run")) && at.Parent != GuestPath.Root; at = at.Parent)
                if (!directories.ContainsKey(at) && !at.IsWithin(GuestPath.Parse("/run/systemd"))) directories[at] = Existing(at);
        return [.. directories.Values];

        RuntimeDirectory Existing(GuestPath path)
        {
            if (view.Facts.Tmpfiles.LastOrDefault(t => t.Type is 'd' or 'D' && t.Path.StartsWith('/') && Real(GuestPath.Normalize(Encoding.UTF8.GetBytes(t.Path))) == path) is { } line)
                return new(path, line.User ?? "root", line.Group ?? "root", line.Mode ?? 0x1ED);
            if (view.Facts.Source.Kind != SourceKind.Root && view.Resolver.Look(path) is { IsDirectory: true } entry)
                return new(path, view.Facts.UserName(entry.Uid), view.Facts.GroupName(entry.Gid), entry.Mode);
            return path == GuestPath.Parse("/run/lock") ? new(path, "root", "root", 0x3FF) : new(path, user, group, 0x1ED);
        }
    }

    private GuestPath Real(GuestPath path) => view.Resolver.Resolve(path.Parent) is { } parent ? parent.Path.Child(path.Name) : path;

    private Readiness? Readiness() =>
        _application.Listeners.FirstOrDefault(l => l.Protocol == "tcp") is { Address: { } end } ? new() { Port = end.Port }
        : _application.Listeners.FirstOrDefault(l => l.Protocol == "unix" && l.Path is not null) is { Path: { } path } ? new() { Socket = Real(path) } : null;

    private static ImmutableArray<string>? Capabilities(UnitFile file)
    {
        ImmutableArray<string> values = [.. file.Settings.Where(s => s is { Section: "Service", Key: "CapabilityBoundingSet" }).Select(s => s.Value)];
        if (values.IsEmpty || values.Any(v => v.StartsWith('~'))) return null; // "all but these" leaves the default, which is smaller
        return [.. values.SelectMany(v => UnitText.Words(v)).Distinct()];
    }

    private ImmutableArray<string> Ambient(UnitFile file, Start start)
    {
        ImmutableArray<string> declared = [.. file.Words("Service", "AmbientCapabilities").Where(w => w.StartsWith("CAP_", StringComparison.Ordinal))];
        bool needsLowPort = start.User is not null && _application.Listeners.Any(l => l.Address is { Port: > 0 and < 1024 });
        return needsLowPort && !declared.Contains("CAP_NET_BIND_SERVICE") ? declared.Add("CAP_NET_BIND_SERVICE") : declared;
    }

    private bool NoNewPrivileges(UnitFile file)
    {
        if (file.Flag("Service", "NoNewPrivileges") is true) return true;
        foreach (PackageFact package in footprint.Packages.Family)
            foreach (GuestPath path in view.Packages.FilesOf(package))
                if (view.Resolver.Look(path) is { IsRegular: true } entry && (entry.Mode & 0xC00) != 0)
                {
                    _notes.Add(new($"{path} takes its owner's rights (set-uid or set-gid), so new privileges stay allowed"));
                    return false;
                }
        return true;
    }

    private static ImmutableArray<ResourceLimit> Limits(UnitFile file)
    {
        var limits = ImmutableArray.CreateBuilder<ResourceLimit>();
        foreach (string name in (string[])["AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "SIGPENDING", "STACK"])
        {
            if (file.Last("Service", "Limit" + name) is not { } value) continue;
            string[] parts = value.Split(':');
            if (UnitText.Size(parts[0]) is ulong soft && UnitText.Size(parts[^1]) is ulong hard) limits.Add(new("RLIMIT_" + name, soft, hard));
        }
        return limits.ToImmutable();
    }

    private static ServiceKind Kind(string? type, string? busName) => type switch
    {
        "forking" => ServiceKind.Forking,
        "notify" or "notify-reload" => ServiceKind.Notify,
        "oneshot" => ServiceKind.Oneshot,
        "exec" => ServiceKind.Exec,
        _ => busName is null ? ServiceKind.Simple : ServiceKind.Exec,
    };

    private static RestartPolicy Restart(string? value) => value switch
    {
        "always" => RestartPolicy.Always,
        "on-success" => RestartPolicy.OnSuccess,
        "on-failure" or "on-watchdog" => RestartPolicy.OnFailure,
        "on-abnormal" => RestartPolicy.OnAbnormal,
        "on-abort" => RestartPolicy.OnAbort,
        _ => RestartPolicy.No,
    };

    /// <summary>TimeoutStartSec=0 and TimeoutStopSec=0 both wait for ever (systemd.service(5)); RestartSec=0 does not.</summary>
    private static long? Time(string? value, bool zeroIsInfinite) => value is null ? null : UnitText.Milliseconds(value) is long time ? time : zeroIsInfinite ? 0 : null;

    private static GuestPath? Directory(string? value) => value?.TrimStart('-') is ['/', ..] path ? GuestPath.Normalize(Encoding.UTF8.GetBytes(path)) : null;

    private static int? Signal(string name)
    {
        string bare = name.StartsWith("SIG", StringComparison.Ordinal) ? name[3..] : name;
        int at = Array.IndexOf(SignalNames, bare);
        return at > 0 ? at : int.TryParse(bare, out int number) && number is > 0 and < 65 ? number : null;
    }

    private static readonly string[] SignalNames =
        ["", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"];
}
