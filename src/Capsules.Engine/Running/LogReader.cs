using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>One line of a log, with its newline unless it is unfinished.</summary>
public sealed record LogLine(DateTimeOffset Time, string Service, byte[] Bytes);

/// <summary>The logs of a capsule's services, merged by time.</summary>
/// <param name="layout">Where things are.</param>
/// <param name="capsule">The capsule.</param>
/// <param name="services">Whose logs.</param>
public sealed class LogReader(StoreLayout layout, CapsuleName capsule, IReadOnlyList<string> services)
{
    /// <summary>Whose logs a capsule has: its services, and "syslog" when something came by /dev/log.</summary>
    public static string[] Sources(StoreLayout layout, CapsuleName capsule, CapsuleManifest manifest) =>
        [.. manifest.Services.Select(s => s.Name), .. FileCalls.TryStat(null, $"{layout.Logs(capsule)}/{LogFile.SystemLog}.log") is null ? Array.Empty<string>() : [LogFile.SystemLog]];

    private readonly Dictionary<string, LogPosition> _positions = [];
    private readonly Dictionary<string, byte[]> _unfinished = [];

    /// <summary>Copies the log of the one source as it is, however large.</summary>
    public void CopyTo(Stream output)
    {
        foreach (string service in services) new LogFile(layout.Logs(capsule), service).CopyTo(output);
    }

    /// <summary>Everything that is kept, or what stands in the last bytes of each source.</summary>
    public IEnumerable<LogLine> Lines(long most = long.MaxValue)
    {
        var lines = new List<LogLine>();
        foreach (string service in services)
        {
            var file = new LogFile(layout.Logs(capsule), service);
            LogPosition end = file.End();
            _positions[service] = end;
            byte[] open = [];
            foreach (var (time, bytes) in file.Read(end, most)) open = Split(service, time, [.. open, .. bytes], lines);
            _unfinished[service] = open;
        }
        return lines.OrderBy(l => l.Time); // stable: the order within a service stays
    }

    /// <summary>Lines that have no end yet.</summary>
    public IEnumerable<LogLine> Unfinished() => _unfinished.Where(u => u.Value.Length > 0).Select(u => new LogLine(DateTimeOffset.UtcNow, u.Key, u.Value));

    /// <summary>What came since.</summary>
    public IReadOnlyList<LogLine> Further()
    {
        var lines = new List<LogLine>();
        foreach (string service in services)
        {
            var (bytes, next) = new LogFile(layout.Logs(capsule), service).ReadFrom(_positions.GetValueOrDefault(service));
            _positions[service] = next;
            _unfinished[service] = Split(service, DateTimeOffset.UtcNow, [.. _unfinished.GetValueOrDefault(service, []), .. bytes], lines);
        }
        return lines;
    }

    /// <summary>Adds the finished lines; what is left.</summary>
    private static byte[] Split(string service, DateTimeOffset time, byte[] bytes, List<LogLine> lines)
    {
        int at = 0;
        for (int newline; (newline = Array.IndexOf(bytes, (byte)'\n', at)) >= 0; at = newline + 1) lines.Add(new(time, service, bytes[at..(newline + 1)]));
        return bytes[at..];
    }
}
