using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A capture plan for people.</summary>
public static class CapturePlanText
{
    /// <summary>The text; sizes are written by <paramref name="size"/>.</summary>
    public static string Of(CapturePlan plan, Func<long, string> size)
    {
        var text = new StringBuilder();
        CapsuleManifest manifest = plan.Manifest;
        string from = manifest.Source is { } s ? $"{s.HostName} ({s.System}, {s.Architecture})" : plan.Source.ToString();
        text.Append($"Plan: adopt {plan.Application}{(manifest.Version is { } version ? $" {version}" : "")} from {from}\n\n");
        Files("code", PathKind.Code, "software");
        Files("config", PathKind.Config, "configuration");
        foreach (PlannedVolume volume in plan.Volumes)
            text.Append(volume.Owner is var (owner, shared) ? $"  {"state",-9} {volume.Name} → {volume.Path}   (the volume {shared} of {owner}, seen by both)\n" : $"  {"state",-9} {volume.Files,6} files  {size(volume.Size),10}   {volume.Name} → {volume.Path}\n");
        foreach (PlannedPath secret in plan.Paths.Where(p => p.Kind == PathKind.Secret))
            text.Append($"  {"secret",-9} {secret.Path}   (kept apart from the image, never exported unless told)\n");
        foreach (ServiceManifest service in manifest.Services)
        {
            text.Append($"  {"user",-9} {service.User ?? "root"}{(service.Group is { } group ? $", group {group}" : "")}\n");
            text.Append($"  {"runs",-9} {string.Join(' ', service.Command)}   ({JsonOf(service.Kind)}{(service.Unit is { } unit ? $", from {unit}" : "")})\n");
            foreach (RuntimeDirectory directory in service.RuntimeDirectories)
                text.Append($"  {"makes",-9} {directory.Path}   ({directory.User}:{directory.Group} {Convert.ToString(directory.Mode, 8)}, at each start)\n");
        }
        if (manifest.Listeners.Length > 0) text.Append($"  {"listens",-9} {string.Join(' ', manifest.Listeners.Select(l => l.Protocol == "unix" ? l.Address : $"{l.Protocol} {l.Address}:{l.Port}"))}\n");
        Identity identity = manifest.Identity;
        text.Append($"  {"identity",-9} {string.Join(", ", identity.Interfaces.SelectMany(i => i.Addresses.Select(a => a.ToString())).Append(identity.HostName + (identity.Domain is null ? "" : "." + identity.Domain)))}{(identity.MachineId is null ? "" : ", machine-id kept")}\n");
        if (manifest.HostKeys is { } keys)
            text.Append($"  {"host keys",-9} {JsonReading.Dashed(keys)}   {(keys == HostKeys.Fresh ? "(made at the first start)" : $"({manifest.Secrets.Count(HostKeyFinder.IsPrivate)} files)")}\n");
        if (plan.Processes.Length > 0) text.Append($"  {"pauses",-9} {string.Join(' ', plan.Processes.Select(p => $"{p.Name}({p.Pid})"))}   while the last of its state is copied\n");
        if (plan.LeftOut.Length > 0) text.Append($"  {"left out",-9} {plan.LeftOut.Length,6} files   (capsule misses explains each)\n");
        if (plan.Notes.Length > 0) text.Append('\n');
        foreach (PlanNote note in plan.Notes) text.Append($"  {(note.Options.Length > 0 ? "?" : "!")} {note.Text}{(note.Options.Length > 0 ? "   " + note.Options : "")}\n");
        return text.ToString();

        void Files(string word, PathKind kind, string what)
        {
            PlannedPath[] files = [.. plan.Paths.Where(p => p.Kind == kind && p.Entry != EntryKind.Directory)];
            text.Append($"  {word,-9} {files.Length,6} files  {size(files.Sum(f => f.Size)),10}   {what}\n");
        }
    }

    /// <summary>Each path in a line of its own, for comparing: path, what becomes of it, what it is, bytes, reasons.</summary>
    public static string Table(CapturePlan plan)
    {
        var text = new StringBuilder("path\tkind\tentry\tsize\twhy\n");
        foreach (PlannedPath path in plan.Paths)
            text.Append($"{path.Path}\t{JsonReading.Dashed(path.Kind)}\t{JsonReading.Dashed(path.Entry)}\t{path.Size}\t{string.Join(" ← ", plan.Chain(path.Reason))}\n");
        foreach (PlannedVolume volume in plan.Volumes)
            text.Append($"{volume.Path}\tstate\tdirectory\t\t{string.Join(" ← ", plan.Chain(volume.Reason))}\n"); // its size changes with every write
        return text.ToString();
    }

    private static string JsonOf(ServiceKind kind) => Json.JsonReading.Dashed(kind);
}
