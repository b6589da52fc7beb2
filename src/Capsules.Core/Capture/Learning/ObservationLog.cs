using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Formats;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Learning;

/// <summary>What a watched program did with a path.</summary>
[Flags]
public enum Uses
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>Asked whether it is there and what it is.</summary>
    Look = 1,
    /// <summary>Read it as a symbolic link.</summary>
    ReadLink = 2,
    /// <summary>Made it the working directory.</summary>
    Enter = 4,
    /// <summary>Opened it as a directory: read its names.</summary>
    List = 8,
    /// <summary>Opened it.</summary>
    Open = 16,
    /// <summary>Opened it for writing, made, renamed or removed it.</summary>
    Write = 32,
    /// <summary>Executed it.</summary>
    Execute = 64,
    /// <summary>The kernel opened it for an execution: a program, its loader, the interpreter behind "#!".</summary>
    Load = 128,
    /// <summary>Has it mapped or open (found by a look at a process that was running already).</summary>
    Hold = 256,
    /// <summary>Connected to it: a unix socket.</summary>
    Connect = 512,
    /// <summary>Bound a unix socket to it.</summary>
    Bind = 1024,
}

/// <summary>One path and one use, the first time that a run met them.</summary>
/// <param name="Path">The path as the program named it, made absolute; where it held "..", as the kernel resolved it.</param>
/// <param name="Use">What was done: one flag.</param>
/// <param name="By">The program that did it; null when it had ended, or was none yet.</param>
/// <param name="IsMissing">There was nothing of that name.</param>
/// <param name="LeadsTo">Where symbolic links led, when that is another path.</param>
public sealed record Observation(GuestPath Path, Uses Use, string? By, bool IsMissing = false, GuestPath? LeadsTo = null);

/// <summary>An internet socket that a watched program bound.</summary>
/// <param name="Protocol">tcp or udp.</param>
/// <param name="Address">Where.</param>
public sealed record ObservedSocket(string Protocol, System.Net.IPEndPoint Address);

/// <summary>One run that was watched.</summary>
public sealed record ObservedRun
{
    /// <summary>When it began.</summary>
    public required DateTimeOffset Started { get; init; }
    /// <summary>How it was watched.</summary>
    public string Way { get; init; } = "";
    /// <summary>The command; null for what was attached to.</summary>
    public LearnedCommand? Command { get; init; }
    /// <summary>What was met, in that order.</summary>
    public ImmutableArray<Observation> Paths { get; init; } = [];
    /// <summary>What it bound.</summary>
    public ImmutableArray<ObservedSocket> Sockets { get; init; } = [];
    /// <summary>What this way of watching did not see.</summary>
    public ImmutableArray<string> Unseen { get; init; } = [];
    /// <summary>The exit status; null when nobody saw the end.</summary>
    public int? Exit { get; init; }
}

/// <summary>
/// A run as it is on disk (docs/formats/observation-log.md): JSON objects, one a line, appended as it goes. A run that was killed has no last line, and the line
/// that was being written may be torn: what is before it counts.
/// </summary>
public static class ObservationLog
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>The first line.</summary>
    public static byte[] Head(DateTimeOffset started, string way, LearnedCommand? command) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Time("started", started);
        w.Text("way", way);
        if (command is null) return;
        w.Texts("command", command.Command);
        w.Text("directory", command.WorkingDirectory.ToString());
        w.Texts("environment", command.Environment);
        w.Text("user", command.User);
    }, indented: false);

    /// <summary>A line about a path.</summary>
    public static byte[] Line(Observation seen) => JsonWriting.Document(w =>
    {
        w.Text("path", seen.Path.ToString());
        w.Text("use", JsonReading.Dashed(seen.Use));
        w.Text("by", seen.By);
        if (seen.IsMissing) w.WriteBoolean("missing", true);
        w.Text("leadsTo", seen.LeadsTo?.ToString());
    }, indented: false);

    /// <summary>A line about a socket.</summary>
    public static byte[] Line(ObservedSocket socket) => JsonWriting.Document(w =>
    {
        w.Text("socket", socket.Protocol);
        w.Text("address", socket.Address.ToString());
    }, indented: false);

    /// <summary>A line about what is not seen.</summary>
    public static byte[] Unseen(string what) => JsonWriting.Document(w => w.Text("unseen", what), indented: false);

    /// <summary>The last line.</summary>
    public static byte[] End(int exit) => JsonWriting.Document(w => w.WriteNumber("exit", exit), indented: false);

    /// <summary>Reads a log.</summary>
    /// <exception cref="FormatException">It is none: a line that is not the last one is broken, or the head is missing.</exception>
    public static ObservedRun Parse(ReadOnlyMemory<byte> bytes)
    {
        int end = bytes.Span.LastIndexOf((byte)'\n');
        ObservedRun? run = null;
        var paths = ImmutableArray.CreateBuilder<Observation>();
        var sockets = ImmutableArray.CreateBuilder<ObservedSocket>();
        var unseen = ImmutableArray.CreateBuilder<string>();
        int? exit = null;
        int number = 0;
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes[..(end + 1)])) // what has no newline is torn
        {
            number++;
            try { Take(ManifestJson.Parse(line)); }
            catch (FormatException e) { throw new FormatException($"line {number}: {e.Message}", e); }
        }
        return (run ?? throw new FormatException("it has no first line")) with { Paths = paths.ToImmutable(), Sockets = sockets.ToImmutable(), Unseen = unseen.ToImmutable(), Exit = exit };

        void Take(JsonElement entry)
        {
            if (run is null)
            {
                ManifestJson.CheckVersion(entry, CurrentSchemaVersion);
                run = new() { Started = entry.RequiredTime("started"), Way = entry.Text("way") ?? "", Command = CommandOf(entry) };
            }
            else if (entry.Text("path") is { } path)
                paths.Add(new(GuestPath.Parse(path), One(entry), entry.Text("by"), entry.Flag("missing") ?? false, entry.Text("leadsTo") is { } target ? GuestPath.Parse(target) : null));
            else if (entry.Text("socket") is { } protocol)
                sockets.Add(new(protocol, System.Net.IPEndPoint.TryParse(entry.RequiredText("address"), out System.Net.IPEndPoint? address) ? address : throw new FormatException($"`{entry.RequiredText("address")}` is not an address")));
            else if (entry.Text("unseen") is { } what) unseen.Add(what);
            else if (entry.SmallInteger("exit") is int status) exit = status;
        }

        static LearnedCommand? CommandOf(JsonElement entry) => entry.Texts("command") is { IsEmpty: false } words
            ? new(words, GuestPath.Parse(entry.RequiredText("directory")), entry.Texts("environment"), entry.Text("user")) : null;

        static Uses One(JsonElement entry) => entry.Choice<Uses>("use") is { } use and not Uses.None ? use : throw new FormatException("`use` is missing");
    }
}
