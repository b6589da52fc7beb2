using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;
using Capsules.Core.Problems;

namespace Capsules.Core.Capture;

/// <summary>What a word on the command line means: a name from scan, or unit: pid: port: package: path: with what follows.</summary>
public static class TargetWords
{
    /// <summary>The application that a word means.</summary>
    /// <exception cref="CapsuleException">It means none, or several.</exception>
    public static Application Resolve(SourceView view, string word)
    {
        int colon = word.IndexOf(':', StringComparison.Ordinal);
        string kind = colon > 0 ? word[..colon] : "", rest = word[(colon + 1)..];
        ImmutableArray<Application> all = ApplicationFinder.Find(view);
        switch (kind)
        {
            case "unit":
                string unitName = rest.Contains('.', StringComparison.Ordinal) && rest.EndsWith(".service", StringComparison.Ordinal) ? rest : rest + ".service";
                return view.Facts.Units.FirstOrDefault(u => u.Name.ToString() == unitName || u.Aliases.Contains(unitName)) is { } unit
                    ? ApplicationFinder.OfUnit(view, unit)
                    : throw None(word, view.Facts.Units.Select(u => "unit:" + u.Name.Bare));
            case "pid":
                return int.TryParse(rest, out int pid) && view.Facts.Processes.FirstOrDefault(p => p.Pid == pid || view.Facts.Source.Kind == SourceKind.PidNamespace && p.InnerPid == pid) is { } process
                    ? ApplicationFinder.OfProcess(view, process)
                    : throw None(word, []);
            case "port":
                return int.TryParse(rest, out int port) ? One(all.Where(a => a.Listeners.Any(l => l.Address?.Port == port)), word) : throw None(word, []);
            case "package":
                return One(all.Where(a => Owners(view, a).Contains(rest)), word);
            case "path":
                GuestPath path = rest.StartsWith('/') ? GuestPath.Normalize(BytePicture.FromPicture(rest)) : throw None(word, []);
                GuestPath real = view.Resolver.Resolve(path) is { Entry.IsRegular: true } found ? found.Path : throw None(word, []);
                return all.FirstOrDefault(a => a.Executable == real) ?? new Application { Name = CapsuleName.From(Encoding.UTF8.GetString(real.Name)).ToString(), Executable = real };
            default:
                return Named(view, all, word);
        }
    }

    private static Application Named(SourceView view, ImmutableArray<Application> all, string word)
    {
        if (FindNamed(view, all, word) is { } found) return found;
        string unit = word.EndsWith(".service", StringComparison.Ordinal) ? word : word + ".service";
        if (view.Facts.Units.FirstOrDefault(u => u.Name.ToString() == unit) is { } disabled) return ApplicationFinder.OfUnit(view, disabled);
        throw None(word, all.Select(a => a.Name));
    }

    /// <summary>The one of some applications that is called so: by its name, its unit, the name that it is known by, its program, or its package; null when none is.</summary>
    /// <exception cref="CapsuleException">Several are.</exception>
    public static Application? FindNamed(SourceView view, ImmutableArray<Application> all, string word)
    {
        foreach (Func<Application, bool> matches in (Func<Application, bool>[])
            [
                a => a.Name == word,
                a => a.Unit is { } u && (u.Name.ToString() == word || u.Name.Bare == word || u.Aliases.Any(alias => alias == word || alias == word + ".service")),
                a => a.Unit?.Name.Prefix == word || a.Known?.Name == word || a.Known?.Units.Contains(word) == true,
                a => a.Executable is { } e && Encoding.UTF8.GetString(e.Name) == word,
                a => Owners(view, a).Contains(word),
            ])
        {
            Application[] found = [.. all.Where(matches)];
            if (found.Length == 1) return found[0];
            if (found.Length > 1) throw new CapsuleException(Problems.Problems.SeveralApplications(word, found.Select(a => a.Name)));
        }
        return null;
    }

    private static IEnumerable<string> Owners(SourceView view, Application application)
    {
        if (application.Executable is { } executable)
            foreach (PackageFact owner in view.Packages.OwnersOf(executable)) yield return owner.Name;
        if (application.Unit is { } unit && view.Resolver.ResolveParent(unit.Path) is { } place)
            foreach (PackageFact owner in view.Packages.OwnersOf(place.Path)) yield return owner.Name;
    }

    private static Application One(IEnumerable<Application> found, string word)
    {
        Application[] all = [.. found];
        return all.Length switch { 1 => all[0], 0 => throw None(word, []), _ => throw new CapsuleException(Problems.Problems.SeveralApplications(word, all.Select(a => a.Name))) };
    }

    private static CapsuleException None(string word, IEnumerable<string> candidates) => new(Problems.Problems.NoSuchApplication(word, CommandLineParser.Similar(word, candidates)));
}
