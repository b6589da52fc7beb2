using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Applications that some changes of a tree brought.</summary>
public static class NewApplications
{
    /// <summary>The services that came: those that start at boot; when none does, those that wait to be enabled; when there is no unit at all, what runs a new program.</summary>
    /// <param name="view">The tree with the changes.</param>
    /// <param name="changed">The places that changed.</param>
    /// <param name="notes">Takes what is to be known.</param>
    public static ImmutableArray<Application> Find(SourceView view, HashSet<GuestPath> changed, List<PlanNote> notes)
    {
        ImmutableArray<Application> all = ApplicationFinder.Find(view);
        bool IsNew(GuestPath path) => changed.Contains(view.Resolver.ResolveParent(path)?.Path ?? path);
        HashSet<string> switchedOn = [.. changed.Where(p => p.Parent.Name.EndsWith(".wants"u8) || p.Parent.Name.EndsWith(".requires"u8)).Select(p => Encoding.UTF8.GetString(p.Name))];
        bool IsUnitNew(UnitFact unit) => IsNew(unit.Path) || unit.DropIns.Any(IsNew) || switchedOn.Contains(unit.Name.ToString());
        ImmutableArray<Application> enabled = [.. all.Where(a => a.Unit is { } unit ? IsUnitNew(unit) : a.InitScript is { } script && IsNew(script.Path))];
        ImmutableArray<UnitFact> waiting = [.. view.Facts.Units.Where(u => !u.IsEnabled && IsNew(u.Path) && u.File.Settings.Any(s => s is { Section: "Install", Key: "WantedBy" or "RequiredBy" }) && ApplicationFinder.IsServer(u, view))];
        if (enabled.IsEmpty && !waiting.IsEmpty)
        {
            notes.Add(new($"the installer enabled no service; it brought {string.Join(", ", waiting.Select(u => u.Name))}, which will run"));
            return [.. waiting.Select(u => ApplicationFinder.OfUnit(view, u))];
        }
        foreach (UnitFact unit in waiting) notes.Add(new($"{unit.Name} came and is not enabled; it will not run"));
        return !enabled.IsEmpty ? enabled : [.. all.Where(a => a.Executable is { } program && changed.Contains(program))];
    }
}
