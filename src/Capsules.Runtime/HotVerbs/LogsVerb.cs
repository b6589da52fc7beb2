using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Runtime.HotVerbs;

/// <summary>capsule logs.</summary>
internal static class LogsVerb
{
    private const long FewLines = 10_000, TailBytes = 4 << 20; // more than that many lines take, so that a large log is not read whole for its last lines

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
        bool follow = command.Has("--follow"), withService = services.Length > 1, withTime = command.Has("--timestamps");
        void Show(LogLine line) => Write(output, line, withService, withTime);
        foreach (LogLine line in Kept(reader, since, tail, withUnfinished: !follow)) Show(line);
        if (!follow)
        {
            foreach (LogLine line in reader.Unfinished().TakeLast((int)Math.Min(tail ?? int.MaxValue, int.MaxValue))) Show(line);
            return 0;
        }

        while (true)
        {
            bool running = home.Runner.Running(capsule.Name) is not null; // asked before reading: what came until its end is read
            bool any = false;
            foreach (LogLine line in reader.Further())
            {
                Show(line);
                any = true;
            }
            output.Flush();
            if (any) continue;
            if (!running)
            {
                foreach (LogLine line in reader.Unfinished()) Show(line);
                return 0;
            }
            if (WaitForClosedOutput(100)) return 0;
        }
    }

    /// <summary>Lines that are kept. The last of many are counted in a first turn and shown in a second: neither holds them all.</summary>
    private static IEnumerable<LogLine> Kept(LogReader reader, DateTimeOffset since, long? tail, bool withUnfinished)
    {
        if (tail is not long count) return reader.Lines().Where(l => l.Time >= since);
        long most = count <= FewLines ? TailBytes : long.MaxValue;
        long all = reader.Lines(most).LongCount(l => l.Time >= since), skipped = 0;
        if (withUnfinished) count -= Math.Min(count, reader.Unfinished().Count());
        return reader.Lines(most).Where(l => l.Time >= since && skipped++ >= all - count);
    }

    /// <summary>Whether nobody reads standard output any more (`| head` that has ended); waits so long for that.</summary>
    private static bool WaitForClosedOutput(int milliseconds)
    {
        using var output = new Descriptor(1);
        try { return FileCalls.WaitClosed(output, milliseconds); }
        finally { output.SetHandleAsInvalid(); } // it stays ours
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
