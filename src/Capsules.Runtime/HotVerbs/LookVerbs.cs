using System.Text;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;

namespace Capsules.Runtime.HotVerbs;

/// <summary>ps, status, inspect, diff: what is known of capsules.</summary>
internal static class LookVerbs
{
    public static int Ps(Home home, ParsedCommand command)
    {
        List<CapsuleView> views = [.. home.Store.Names().Select(n => TryView(home, n)).OfType<CapsuleView>().Where(v => command.Has("--all") || v.IsRunning)];
        if (command.Has("--quiet"))
        {
            foreach (CapsuleView view in views) Console.Out.WriteLine(view.Name);
            return 0;
        }
        if (command.Has("--json"))
        {
            Output.JsonArray(command, views, Write);
            return 0;
        }
        Output.Table(["NAME", "STATE", "ADDRESS", "HOSTNAME", "SINCE", "CPU", "MEMORY", "IMAGE"], [.. views.Select(v => new[]
        {
            v.Name.ToString(), v.State, v.Addresses.FirstOrDefault() ?? "-", v.HostName ?? "-", v.Since is { } since ? Output.IsTerminal ? Output.Ago(since) : since.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'") : "-",
            v.CpuPercent is double cpu ? $"{cpu:0.0} %" : "-", Output.Size(v.MemoryBytes), $"{v.ImageName}@{v.Image.Hex[..4]}…{v.Image.Hex[^2..]}{(v.IsOpen ? " open" : "")}",
        })]);
        return 0;
    }

    /// <summary>A capsule whose files are broken is named, and does not hide the others.</summary>
    private static CapsuleView? TryView(Home home, CapsuleName name)
    {
        try { return CapsuleView.Of(home.Store, home.Runner, name); }
        catch (Core.Problems.CapsuleException e)
        {
            Output.Say($"{name}: {e.Problem}");
            return null;
        }
    }

    /// <summary>systemctl's exit codes: 0 active, 3 inactive, 4 unknown.</summary>
    public static int Status(Home home, ParsedCommand command)
    {
        if (!CapsuleName.TryParse(command.Arguments[0], out CapsuleName name) || home.Store.Find(name) is null)
        {
            try { home.Store.Get(command.Arguments[0]); }
            catch (Core.Problems.CapsuleException e) { Console.Error.WriteLine(e.Problem.ToString()); }
            return 4;
        }
        CapsuleView view = CapsuleView.Of(home.Store, home.Runner, name);
        if (command.Has("--json")) Output.JsonObject(command, w => Write(w, view));
        else
        {
            var text = new StringBuilder();
            text.Append($"{view.Name}: {view.State}");
            if (view.Since is { } since) text.Append($" since {since:yyyy-MM-dd HH:mm:ss} UTC ({Output.Ago(since)})");
            text.Append($"\n     image  {view.ImageName}@{view.Image.Short}{(view.IsOpen ? ", open to its source" : "")}\n  identity  {string.Join(' ', view.Addresses)} {view.HostName}\n");
            if (view.MemoryBytes is not null) text.Append($"     limits  memory {Output.Size(view.MemoryBytes)} in use, {view.Processes} processes\n".Replace("     limits", "       use", StringComparison.Ordinal));
            foreach (ServiceView service in view.Services) text.Append($"   service  {service.Name,-20} {service.State}{(service.Pid is int pid ? $", pid {pid}" : "")}\n");
            foreach (LogLine line in new LogReader(home.Layout, name, [.. view.Services.Select(s => s.Name)]).Lines(64 * 1024).TakeLast(5)) text.Append($"       log  {line.Service}: {Encoding.UTF8.GetString(line.Bytes).TrimEnd()}\n");
            Console.Out.Write(text);
        }
        return view.IsRunning ? 0 : 3;
    }

    public static int Inspect(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        void Embed(Utf8JsonWriter w, string name, byte[]? json)
        {
            if (json is null) return;
            w.WritePropertyName(name);
            JsonElement document = JsonElement.Parse(json);
            document.WriteTo(w);
        }
        Output.JsonObject(command, w =>
        {
            w.WriteStartObject("state");
            Write(w, CapsuleView.Of(home.Store, home.Runner, capsule.Name));
            w.WriteEndObject();
            Embed(w, "capsule", capsule.ToJson());
            Embed(w, "stack", home.Stacks.Find(capsule.Stack)?.ToJson());
            Embed(w, "run", home.Runner.Running(capsule.Name)?.ToJson());
            Embed(w, "lastRun", LastRun.Find(home.Layout, capsule.Name)?.ToJson());
            Embed(w, "manifest", ManifestJson.Write(home.Store.Manifest(capsule.Image)));
        });
        return 0;
    }

    public static int Diff(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        var changes = StrayWrites.Of(home.Store, capsule);
        if (command.Has("--json"))
            Output.JsonArray(command, changes, (w, c) =>
            {
                w.WriteString("change", JsonReading.Dashed(c.Kind));
                w.WriteString("path", c.Path.ToString());
                w.Text("program", c.Writer?.Program);
                w.Text("service", c.Writer?.Service);
            });
        else
            foreach (StrayWrite change in changes) Console.Out.WriteLine($"{change.Kind.ToString()[0]} {change.Path}{(change.Writer is { } writer ? By(writer) : "")}");
        return 0;
    }

    /// <summary>Words for people, further columns for programs.</summary>
    private static string By(StrayWriter writer) =>
        Output.IsTerminal ? $"   by {writer}" : $"\t{writer.Program}\t{writer.Service ?? "-"}";

    private static void Write(Utf8JsonWriter w, CapsuleView view)
    {
        w.WriteString("name", view.Name.ToString());
        w.WriteString("state", view.State);
        w.Text("address", view.Addresses.FirstOrDefault());
        w.Texts("addresses", [.. view.Addresses]);
        w.Text("hostname", view.HostName);
        w.Text("since", view.Since?.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'"));
        if (view.CpuPercent is double cpu) w.WriteNumber("cpu", Math.Round(cpu, 2));
        w.Integer("memory", view.MemoryBytes);
        w.Integer("processes", view.Processes);
        w.WriteString("image", view.Image.ToString());
        if (view.IsOpen) w.WriteBoolean("open", true);
        w.WriteString("stack", view.Stack.ToString());
        w.Integer("exitCode", view.ExitCode);
        w.Objects("services", view.Services, s =>
        {
            w.WriteString("name", s.Name);
            w.WriteString("state", s.State);
            w.Integer("pid", s.Pid);
            w.Integer("starts", s.Starts);
        });
    }
}
