using System.Globalization;
using System.Text;
using System.Text.Json;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Journals;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule who-wrote`: who wrote a file of a capsule's state, and what cannot be known of that.</summary>
public static class WhoWroteCommand
{
    private const string Ended = "ended before it was asked";

    /// <summary>What no journal knows, whatever happens.</summary>
    private static readonly string[] s_never =
    [
        "a write counts when the file is closed: one by a mapping when that is gone, too, and of a file that is still open nothing yet",
        "the program and its user are known of processes that lived when they were asked; the capsule also of others, when they wrote by its own mounts",
        "attributes (owner, mode, times) and links made to a file elsewhere are not noted",
    ];

    /// <summary>Runs it; the exit code: 3 when nothing is known.</summary>
    public static int Run(string capsule, string word, bool json, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord record = store.Get(capsule);
        GuestPath path = PathWords.Asked(word, "capsule who-wrote CAPSULE PATH");
        WrittenPath written = new WriteJournals(store).Ask(record, path);
        string[] unknown = [.. Unknown(written)];
        if (json) output.Data.Write(Encoding.UTF8.GetString(JsonWriting.Document(w => Write(w, path, written, unknown))));
        else
        {
            if (!written.Known.Writes.IsEmpty)
                output.WriteTable(["TIME", "DID", "PATH", "CAPSULE", "USER", "PROGRAM"], [.. written.Known.Writes.Select(r => (string[])[Time(r.Time), Did(r), $"{r.Path}", WhoseIs(r.By!), UserOf(r.By!, written), ProgramOf(r.By!)])]);
            else output.Words.WriteLine($"Nothing is known of {written.Path} of {written.Owner}.");
            foreach (string line in unknown) output.Words.WriteLine($"not known: {line}");
        }
        return written.Known.Writes.IsEmpty ? (int)ExitCode.NotFound : (int)ExitCode.Done;
    }

    internal static string Time(DateTimeOffset time) => time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    private static string Did(WriteRecord record) => record.Kind switch
    {
        WriteKind.Renamed => $"renamed from {record.From}",
        _ => JsonReading.Dashed(record.Kind) + (record.Times > 1 ? $" {record.Times} times" : ""),
    };

    private static string WhoseIs(Writer by) => by.Capsule?.ToString() ?? (by.IsHost ? "(this host)" : "?");

    private static string UserOf(Writer by, WrittenPath written) =>
        by.User is not { } user ? "?" : written.Users.TryGetValue((by.Capsule, user), out string? name) ? $"{name} ({user})" : $"{user}";

    private static string ProgramOf(Writer by) => $"{by.Program ?? Ended} (pid {by.Pid})";

    private static IEnumerable<string> Unknown(WrittenPath written)
    {
        WriteAnswer known = written.Known;
        yield return known.Since is { } since ? $"what was before {Time(since)}, the oldest that the journal has" : "anything: nothing was noted yet";
        foreach (WriteGap gap in known.Gaps)
        {
            string between = gap.To is { } to ? $"{Time(gap.From)} to {Time(to)}" : $"since {Time(gap.From)}";
            yield return gap.Why switch
            {
                GapReason.NobodyRan => $"{between}: no capsule ran that could write; what this host's own processes did is not noted",
                GapReason.Overflow => $"{between}: more happened than could be read, and some of it is lost",
                _ => $"{between}: the noting was interrupted",
            };
        }
        foreach (GuestPath path in known.Unwatched) yield return $"names below {path}: it has too many directories; what capsules wrote there is noted all the same";
        foreach (string line in s_never) yield return line;
    }

    private static void Write(Utf8JsonWriter w, GuestPath path, WrittenPath written, string[] unknown)
    {
        w.WriteNumber("schemaVersion", 1);
        w.WriteString("path", path.ToString());
        w.WriteString("owner", written.Owner.ToString());
        w.WriteString("ownerPath", written.Path.ToString());
        if (written.Known.Since is { } since) w.Time("since", since);
        w.WriteStartArray("writes");
        foreach (WriteRecord record in written.Known.Writes)
        {
            Writer by = record.By!;
            w.WriteStartObject();
            w.Time("time", record.Time);
            w.WriteString("did", JsonReading.Dashed(record.Kind));
            w.Text("path", record.Path?.ToString());
            w.Text("from", record.From?.ToString());
            if (record.IsDirectory) w.WriteBoolean("directory", true);
            w.WriteNumber("times", record.Times);
            w.Text("capsule", by.Capsule?.ToString());
            w.WriteBoolean("host", by.IsHost);
            w.Integer("user", by.User);
            if (by.User is { } user && written.Users.TryGetValue((by.Capsule, user), out string? name)) w.WriteString("userName", name);
            w.WriteNumber("pid", by.Pid);
            w.Text("program", by.Program);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteStartArray("gaps");
        foreach (WriteGap gap in written.Known.Gaps)
        {
            w.WriteStartObject();
            w.Time("from", gap.From);
            if (gap.To is { } to) w.Time("to", to);
            w.WriteString("why", JsonReading.Dashed(gap.Why));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.Texts("notKnown", [.. unknown]);
    }
}
