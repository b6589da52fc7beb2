using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture.Detectors;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Facts → applications: processes that listen, gathered under the unit they belong to, and enabled units that do not run.</summary>
public static class ApplicationFinder
{
    private const int LargestProgram = 32 << 20;

    /// <summary>Every server application, in the order of names.</summary>
    public static ImmutableArray<Application> Find(SourceView view)
    {
        HostFacts facts = view.Facts;
        var byPid = facts.Processes.ToDictionary(p => p.Pid);
        var listening = facts.Listeners.SelectMany(l => l.Pids).ToHashSet();
        var mains = new SortedDictionary<int, ProcessFact>();
        foreach (ProcessFact process in facts.Processes)
            if ((listening.Contains(process.Pid) || process.Unit is { } u && !IsSystem(u)) && MainOf(process, byPid, facts.Listeners) is var main) mains[main.Pid] = main;

        var found = new List<Application>();
        var taken = new HashSet<string>(StringComparer.Ordinal);
        foreach (ProcessFact main in mains.Values)
        {
            UnitFact? unit = UnitOf(main, view);
            if (unit is not null && IsSystem(unit.Name.ToString())) continue;
            if (unit is not null && !taken.Add(unit.Name.ToString())) unit = null;
            Application application = Of(view, main, unit);
            // Tools leave sockets in /tmp (debuggers, build servers, agents): without a unit or a port that is no service.
            if (unit is null && application.Listeners.All(l => l.Protocol == "unix" && (l.Path is not { } socket || socket.Bytes.StartsWith("/tmp/"u8) || socket.Bytes.StartsWith("/run/user/"u8)))) continue;
            found.Add(application);
        }
        foreach (UnitFact unit in facts.Units)
            if (unit.IsEnabled && !taken.Contains(unit.Name.ToString()) && IsServer(unit, view)) found.Add(Of(view, null, unit));
        foreach (InitScriptFact script in facts.InitScripts)
            if (script.IsEnabled && script.Script.Daemon is not null && !IsSystem(script.Name) && !found.Any(a => a.Executable is { } e && e == Resolve(view, script.Script.Daemon)))
                found.Add(Of(view, null, null, script));
        return WithUniqueNames(found);
    }

    /// <summary>An application made of a unit that scan does not list, such as a disabled one.</summary>
    public static Application OfUnit(SourceView view, UnitFact unit) => Find(view).FirstOrDefault(a => a.Unit?.Name == unit.Name) ?? Of(view, null, unit);

    /// <summary>An application made of a process.</summary>
    public static Application OfProcess(SourceView view, ProcessFact process)
    {
        ProcessFact main = MainOf(process, view.Facts.Processes.ToDictionary(p => p.Pid), view.Facts.Listeners);
        return Find(view).FirstOrDefault(a => a.Processes.Any(p => p.Pid == process.Pid)) ?? Of(view, main, UnitOf(main, view));
    }

    private static Application Of(SourceView view, ProcessFact? main, UnitFact? unit, InitScriptFact? script = null)
    {
        ImmutableArray<ProcessFact> processes = main is null ? [] : Family(main, view.Facts.Processes);
        GuestPath? executable = main?.Executable ?? (unit is not null ? ProgramOf(unit, view) : script is not null ? Resolve(view, script.Script.Daemon!) : null);
        string? program = executable is { } path ? Encoding.UTF8.GetString(path.Name) : null;
        KnownApplication? known = KnownApplications.Find(unit?.Name.Prefix, program, row => HasSign(view, row, executable!.Value));
        var pids = processes.Select(p => p.Pid).ToHashSet();
        return new()
        {
            Name = unit is not null ? known is { Units: [_, ..] } && unit.Name.Instance is null ? known.Name : unit.Name.Instance is null ? unit.Name.Prefix : known?.Name ?? unit.Name.Prefix
                : script?.Name ?? known?.Name ?? program ?? "unknown",
            Unit = unit,
            InitScript = script,
            Main = main,
            Processes = processes,
            Executable = executable,
            Known = known,
            Listeners = [.. view.Facts.Listeners.Where(l => l.Pids.Any(pids.Contains)).OrderBy(l => l.Protocol, StringComparer.Ordinal).ThenBy(l => l.Address?.Port ?? 0)],
        };
    }

    /// <summary>Climbs to the first process of the same program, or of the same unit, or that gave it the socket it listens on (postfix's smtpd) where no unit says otherwise.</summary>
    private static ProcessFact MainOf(ProcessFact process, Dictionary<int, ProcessFact> byPid, ImmutableArray<ListenerFact> listeners)
    {
        ProcessFact main = process;
        while (byPid.TryGetValue(main.ParentPid, out ProcessFact? parent) && parent.Pid != main.Pid && parent.InnerPid != 1 &&
            (parent.Executable == main.Executable || (main.Unit is { } unit ? unit == parent.Unit : listeners.Any(l => l.Pids.Contains(parent.Pid) && l.Pids.Contains(main.Pid))))) main = parent;
        // The first process of a namespace is a part only when it is the same program (a container's own server).
        if (byPid.TryGetValue(main.ParentPid, out ProcessFact? first) && first.InnerPid == 1 && first.Executable == main.Executable) main = first;
        return main;
    }

    /// <summary>The process and everything below it.</summary>
    private static ImmutableArray<ProcessFact> Family(ProcessFact main, ImmutableArray<ProcessFact> all)
    {
        var members = new HashSet<int> { main.Pid };
        bool grown = true;
        while (grown)
        {
            grown = false;
            foreach (ProcessFact process in all)
                if (members.Contains(process.ParentPid)) grown |= members.Add(process.Pid);
        }
        return [.. all.Where(p => members.Contains(p.Pid))];
    }

    /// <summary>The unit that a process belongs to: by its control group, the pid file, the program in ExecStart, or the package (which may start it by a script).</summary>
    private static UnitFact? UnitOf(ProcessFact main, SourceView view)
    {
        ImmutableArray<UnitFact> units = view.Facts.Units;
        if (main.Unit is { } name && units.FirstOrDefault(u => u.Name.ToString() == name || u.Aliases.Contains(name)) is { } own) return own;
        foreach (UnitFact unit in units)
            if (unit.File.Last("Service", "PIDFile") is ['/', ..] pidFile && view.Resolver.Tree.Read(GuestPath.Normalize(Encoding.UTF8.GetBytes(pidFile)), 64) is { } text &&
                Encoding.ASCII.GetString(text.Span).Trim() == main.InnerPid.ToString()) return unit;
        if (main.Executable is not { } executable) return null;
        UnitFact[] starting = [.. units.Where(u => ProgramOf(u, view) == executable)];
        if (starting.Length == 1) return starting[0];
        if (starting.Length > 1 && starting.FirstOrDefault(u => u.IsEnabled && Overlap(u, main)) is { } nearest) return nearest;
        string program = Encoding.UTF8.GetString(executable.Name);
        if (KnownApplications.Find(null, program, row => HasSign(view, row, executable)) is { } known)
        {
            UnitFact[] rows = [.. units.Where(u => known.Units.Contains(u.Name.Prefix) && !IsOneShot(u))];
            if (rows.Length == 1) return rows[0];
            if (rows.FirstOrDefault(u => u.Name.Instance is { } instance && main.Arguments.Any(a => a.Contains(UnitName.Unescape(instance), StringComparison.Ordinal))) is { } instanced) return instanced;
        }
        return units.FirstOrDefault(u => u.Name.Prefix == program && !IsOneShot(u) && view.Packages.OwnerOf(executable) is { } owner && view.Packages.OwnerOf(u.Path) is { } unitOwner &&
            (owner.Name == unitOwner.Name || unitOwner.Package.Depends.Any(g => g.Contains(owner.Name))));

        static bool Overlap(UnitFact unit, ProcessFact process) => unit.File.All("Service", "ExecStart").SelectMany(value => UnitText.Commands(value)).Any(c => c.Arguments.Skip(1).Any(a => process.Arguments.Contains(a)));
    }

    /// <summary>Whether a program is what its name says: by its package, by the libraries that it needs, or by what it says of itself.</summary>
    private static bool HasSign(SourceView view, KnownApplication row, GuestPath executable)
    {
        if (view.Packages.OwnersOf(executable).Any(o => row.Signs.Packages.Contains(o.Name))) return true;
        if (view.Resolver.Tree.Read(executable, LargestProgram) is not { } content || !ElfFile.IsElf(content.Span)) return false;
        foreach (string text in row.Signs.Texts)
            if (content.Span.IndexOf(Encoding.ASCII.GetBytes(text)) >= 0) return true;
        try { return ElfFile.Parse(content.Span).Needed.Any(n => row.Signs.Libraries.Any(l => n.StartsWith(l, StringComparison.Ordinal))); }
        catch (FormatException) { return false; } // a broken program is nobody's
    }

    /// <summary>The program in a unit's ExecStart, links followed.</summary>
    internal static GuestPath? ProgramOf(UnitFact unit, SourceView view)
    {
        if (KnownApplications.FindInstance(unit.Name.Prefix, unit.Name.Instance) is { } known && Resolve(view, known.Command[0]) is { } program) return program;
        foreach (string value in unit.File.All("Service", "ExecStart"))
            foreach (UnitCommand command in UnitText.Commands(value))
                return Resolve(view, command.Executable);
        return null;
    }

    /// <summary>Where a program's name leads, in the directories of a service's PATH when it is no path.</summary>
    internal static GuestPath? Resolve(SourceView view, string picture)
    {
        string[] places = picture.StartsWith('/') ? [picture] : [.. ((string[])["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]).Select(d => $"{d}/{picture}")];
        foreach (string place in places)
            if (view.Resolver.Resolve(GuestPath.Normalize(BytePicture.FromPicture(place))) is { Entry: not null } found) return found.Path;
        return null;
    }

    /// <summary>Whether its unit starts an application through another program: pg_ctlcluster, apachectl, a script.</summary>
    internal static bool IsWrapped(SourceView view, Application application) =>
        application.Commands("ExecStart").FirstOrDefault() is { } exec && Resolve(view, exec.Executable) != application.Executable;

    /// <summary>What a script is for, by its first line; null when the program is no script, or what it names is not there.</summary>
    internal static GuestPath? InterpreterOf(SourceView view, GuestPath program)
    {
        const int longestLine = 256; // BINPRM_BUF_SIZE, execve(2)
        return view.Resolver.Tree.ReadStart(program, longestLine) is { } content && ScriptLine.Of(content.Span) is { } line ? Resolve(view, line.Program) : null;
    }

    private static bool IsSystem(string unit) => CaptureTables.SystemUnits.Any(prefix => unit.StartsWith(prefix, StringComparison.Ordinal));

    private static bool IsOneShot(UnitFact unit) => unit.File.Last("Service", "Type") == "oneshot";

    /// <summary>Whether a unit is a server that belongs to no system.</summary>
    internal static bool IsServer(UnitFact unit, SourceView view) =>
        !IsSystem(unit.Name.ToString()) && !IsOneShot(unit) && ProgramOf(unit, view) is not null &&
        view.Packages.OwnerOf(view.Resolver.Resolve(unit.Path)?.Path ?? unit.Path) is not { IsBasic: true };

    private static ImmutableArray<Application> WithUniqueNames(List<Application> found)
    {
        var named = ImmutableArray.CreateBuilder<Application>();
        foreach (var group in found.GroupBy(a => a.Name, StringComparer.Ordinal))
        {
            Application[] members = [.. group];
            string?[] own = [.. members.Select(m => m.Unit is { } unit ? CapsuleName.From(unit.Name.Bare).ToString() : m.Main is { } main ? $"{group.Key}-{main.Pid}" : null)];
            for (int i = 0; i < members.Length; i++)
                named.Add(members.Length == 1 ? members[i] : members[i] with
                {
                    Name = own[i] is { } name && own.Count(n => n == name) == 1 ? name : $"{group.Key}-{i + 1}", // postfix.service and postfix@-.service
                });
        }
        named.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return named.ToImmutable();
    }
}
