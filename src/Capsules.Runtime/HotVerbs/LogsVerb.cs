using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;

namespace Capsules.Runtime.HotVerbs;

/// <summary>capsule logs.</summary>
internal static class LogsVerb
{
    public static int Run(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        string[] services = Services(home, capsule, command);
        DateTimeOffset since = command.Value("--since") is { } text ? OptionValues.Since("--since", text, DateTimeOffset.UtcNow) : DateTimeOffset.MinValue;
        long? tail = command.Value("--tail") is { } lines ? OptionValues.Lines("--tail", lines) : null;

        using Stream output = Console.OpenStandardOutput();
        var reader = new LogReader(home.Layout, capsule.Name, services);
        if (services.Length == 1 && tail is null && since == DateTimeOffset.MinValue && !command.Has("--timestamps") && !command.Has("--follow"))
        {
            reader.CopyTo(output);
            return 0;
        }
        const long tailBytes = 4 << 20; // more than any reader of --tail scrolls through
        List<LogLine> all = [.. reader.Lines(tail is null ? long.MaxValue : tailBytes).Where(l => l.Time >= since)];
        if (!command.Has("--follow")) all.AddRange(reader.Unfinished());
        foreach (LogLine line in tail is long n ? all.Skip((int)Math.Max(0, all.Count - n)) : all) Write(output, line, services.Length > 1, command.Has("--timestamps"));
        if (!command.Has("--follow")) return 0;

        while (true)
        {
            bool running = home.Runner.Running(capsule.Name) is not null; // asked before reading: what came until its end is read
            bool any = false;
            foreach (LogLine line in reader.Further())
            {
                Write(output, line, services.Length > 1, command.Has("--timestamps"));
                any = true;
            }
            output.Flush();
            if (any) continue;
            if (!running)
            {
                foreach (LogLine line in reader.Unfinished()) Write(output, line, services.Length > 1, command.Has("--timestamps"));
                return 0;
            }
            Thread.Sleep(100);
        }
    }

    private static void Write(Stream output, LogLine line, bool withService, bool withTime)
    {
        string prefix = (withTime ? line.Time.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z' ") : "") + (withService ? $"{line.Service}: " : "");
        if (prefix.Length > 0) output.Write(Encoding.UTF8.GetBytes(prefix));
        output.Write(line.Bytes);
        if (line.Bytes is not [.., (byte)'\n']) output.WriteByte((byte)'\n');
    }

    private static string[] Services(Home home, CapsuleRecord capsule, ParsedCommand command)
    {
        string[] all = LogReader.Sources(home.Layout, capsule.Name, home.Store.Manifest(capsule.Image));
        if (command.Value("--service") is not { } wanted) return all;
        return all.Contains(wanted) ? [wanted] : throw new CapsuleException(Problems.BadValue("service of this capsule", wanted, $"one of {string.Join(", ", all)}"));
    }
}
