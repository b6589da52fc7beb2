using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Learning;

/// <summary>Which application a command that was watched is.</summary>
public static class LearnedApplication
{
    /// <summary>The service whose unit starts this program, with the command as it was watched; without a unit the command itself is the service.</summary>
    /// <param name="view">The source, after the run.</param>
    /// <param name="program">The program, as the command names it.</param>
    /// <param name="command">The command.</param>
    /// <param name="learned">What was seen.</param>
    public static Application Of(SourceView view, GuestPath program, LearnedCommand command, LearnedPaths learned)
    {
        GuestPath real = view.Resolver.Resolve(program) is { Entry: not null } found ? found.Path : program;
        // A shell is started by many units: then it must be told the same.
        bool isShell = view.Packages.OwnerOf(real) is { IsBasic: true };
        bool Starts(UnitFact unit) => !isShell || UnitText.Words(unit.File.Last("Service", "ExecStart") ?? "").Skip(1).SequenceEqual(command.Command.Skip(1));
        Application application = ApplicationFinder.Find(view).FirstOrDefault(a => a.Unit is not null && a.Executable == real && Starts(a.Unit))
            ?? (view.Facts.Units.FirstOrDefault(u => ApplicationFinder.ProgramOf(u, view) == real && Starts(u)) is { } unit ? ApplicationFinder.OfUnit(view, unit) : null)
            ?? new() { Name = CapsuleName.From(Encoding.UTF8.GetString(program.Name)).ToString(), Executable = real };
        return application with { Learned = command, Listeners = application.Listeners.IsEmpty ? Listeners(learned) : application.Listeners };
    }

    private static ImmutableArray<ListenerFact> Listeners(LearnedPaths learned) =>
    [
        .. learned.Sockets.Select(s => new ListenerFact(s.Protocol, s.Address, null, 0, [])),
        .. learned.Paths.Where(p => (p.Uses & Uses.Bind) != 0).Select(p => new ListenerFact("unix", null, p.Path, 0, [])),
    ];
}
