using Capsules.Core.Formats;
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

    private const int LongestLine = 256 * 1024;

    private readonly Dictionary<string, LogPosition> _positions = [];
    private readonly Dictionary<string, LineSplitter> _splitters = [];

    /// <summary>Copies the log of the one source as it is, however large.</summary>
    public void CopyTo(Stream output)
    {
        foreach (string service in services) new LogFile(layout.Logs(capsule), service).CopyTo(output);
    }

    /// <summary>Everything that is kept, or what stands in the last bytes of each source; read as it is asked for, a part of each source at a time.</summary>
    public IEnumerable<LogLine> Lines(long most = long.MaxValue)
    {
        foreach (string service in services)
        {
            _positions[service] = new LogFile(layout.Logs(capsule), service).End();
            _splitters[service] = new(LongestLine);
        }
        return LineSplitter.MergeByTime(services.Select(s => LinesOf(s, most)), l => l.Time);
    }

    /// <summary>Lines that have no end yet.</summary>
    public IEnumerable<LogLine> Unfinished() => _splitters.Where(s => s.Value.Rest.Length > 0).Select(s => new LogLine(DateTimeOffset.UtcNow, s.Key, s.Value.Rest));

    /// <summary>What came since.</summary>
    public IReadOnlyList<LogLine> Further()
    {
        var lines = new List<LogLine>();
        foreach (string service in services)
        {
            var (bytes, next) = new LogFile(layout.Logs(capsule), service).ReadFrom(_positions.GetValueOrDefault(service));
            _positions[service] = next;
            lines.AddRange(Split(service, DateTimeOffset.UtcNow, bytes));
        }
        return lines;
    }

    private IEnumerable<LogLine> LinesOf(string service, long most)
    {
        foreach (var (time, bytes) in new LogFile(layout.Logs(capsule), service).Read(_positions[service], most))
            foreach (LogLine line in Split(service, time, bytes)) yield return line;
    }

    private IEnumerable<LogLine> Split(string service, DateTimeOffset time, byte[] bytes)
    {
        if (!_splitters.TryGetValue(service, out LineSplitter? splitter)) _splitters[service] = splitter = new(LongestLine);
        return splitter.Add(bytes).Select(line => new LogLine(time, service, line.Bytes));
    }
}
