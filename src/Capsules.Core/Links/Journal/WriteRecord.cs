using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Journal;

/// <summary>What was noted.</summary>
public enum WriteKind
{
    /// <summary>A file that was open for writing was closed.</summary>
    Written,
    /// <summary>A name came.</summary>
    Created,
    /// <summary>A name became another one.</summary>
    Renamed,
    /// <summary>A name went.</summary>
    Removed,
    /// <summary>Noting began.</summary>
    Began,
    /// <summary>Noting ended, because no capsule ran that could write.</summary>
    Ended,
    /// <summary>The kernel's queue was full: what came then is not known.</summary>
    Lost,
    /// <summary>A directory whose names are not watched.</summary>
    Unwatched,
}

/// <summary>Who wrote, as far as was known when it was looked at.</summary>
public sealed record Writer
{
    /// <summary>One whose process had ended before it was asked.</summary>
    public static Writer Unknown { get; } = new();

    /// <summary>The capsule; null for a process of this host's own, or when nobody knows.</summary>
    public CapsuleName? Capsule { get; init; }
    /// <summary>A process of this host that is in no capsule.</summary>
    public bool IsHost { get; init; }
    /// <summary>Its user, as its capsule numbers it.</summary>
    public uint? User { get; init; }
    /// <summary>Its process number on the host.</summary>
    public int Pid { get; init; }
    /// <summary>The executable as its capsule sees it, or the name of the process.</summary>
    public string? Program { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{(object?)Capsule ?? (IsHost ? "this host" : "?")} {Pid}";
}

/// <summary>One line of a journal of writes (docs/formats/journal.md).</summary>
public sealed record WriteRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{Kind} {Path}";

    /// <summary>When, by the clock of this host.</summary>
    public required DateTimeOffset Time { get; init; }
    /// <summary>What.</summary>
    public required WriteKind Kind { get; init; }
    /// <summary>The path as the owner sees it; of a rename the new name.</summary>
    public GuestPath? Path { get; init; }
    /// <summary>Of a rename: the name before.</summary>
    public GuestPath? From { get; init; }
    /// <summary>It is a directory.</summary>
    public bool IsDirectory { get; init; }
    /// <summary>Who; null for what is not about a write.</summary>
    public Writer? By { get; init; }
    /// <summary>How often, since the record of the same before it.</summary>
    public int Times { get; init; } = 1;

    /// <summary>The line, with its newline.</summary>
    public byte[] ToLine() => JsonWriting.Document(w =>
    {
        w.Time("time", Time);
        w.Text("did", JsonReading.Dashed(Kind));
        w.Text("path", Path?.ToString());
        w.Text("from", From?.ToString());
        if (IsDirectory) w.WriteBoolean("directory", true);
        if (By is { } by)
        {
            w.Text("capsule", by.Capsule?.ToString());
            if (by.IsHost) w.WriteBoolean("host", true);
            w.Integer("user", by.User);
            w.WriteNumber("pid", by.Pid);
            w.Text("program", by.Program);
        }
        if (Times != 1) w.WriteNumber("times", Times);
    }, indented: false);

    /// <summary>Reads a line; null for one that was written by half, or by a later version in another way.</summary>
    public static WriteRecord? TryParse(ReadOnlyMemory<byte> line)
    {
        try
        {
            JsonElement e = ManifestJson.Parse(line);
            if (e.Choice<WriteKind>("did") is not { } kind) return null;
            GuestPath? path = e.Text("path") is { } at ? GuestPath.Parse(at) : null, from = e.Text("from") is { } before ? GuestPath.Parse(before) : null;
            bool isWrite = kind is WriteKind.Written or WriteKind.Created or WriteKind.Renamed or WriteKind.Removed;
            if (isWrite && path is null || kind == WriteKind.Renamed && from is null || e.SmallInteger("times") < 1 || e.Integer("user") is < 0 or > uint.MaxValue) return null;
            return new()
            {
                Time = e.RequiredTime("time"),
                Kind = kind,
                Path = path,
                From = from,
                IsDirectory = e.Flag("directory") ?? false,
                By = isWrite ? new()
                {
                    Capsule = e.Text("capsule") is { } capsule ? CapsuleName.Parse(capsule) : null,
                    IsHost = e.Flag("host") ?? false,
                    User = (uint?)e.Integer("user"),
                    Pid = e.SmallInteger("pid") ?? 0,
                    Program = e.Text("program"),
                } : null,
                Times = e.SmallInteger("times") ?? 1,
            };
        }
        catch (FormatException) { return null; }
    }
}
