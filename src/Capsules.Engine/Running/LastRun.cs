using System.Text.Json;
using System.Collections.Immutable;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>How a capsule's last life ended (capsules/NAME/last-run.json).</summary>
public sealed record LastRun
{
    /// <summary>The version of this format that is written.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>When it was started.</summary>
    public required DateTimeOffset Started { get; init; }
    /// <summary>When it ended.</summary>
    public required DateTimeOffset Ended { get; init; }
    /// <summary>Why: stopped, ended, killed or failed.</summary>
    public required string Reason { get; init; }
    /// <summary>How each service ended; the status of one that was still running then is 137.</summary>
    public ImmutableArray<(string Name, int Status)> Services { get; init; } = [];

    /// <summary>The capsule's exit code: that of the first service that failed, else 0.</summary>
    public int ExitCode => Reason == "killed" ? 137 : Services.FirstOrDefault(s => s.Status != 0).Status;

    /// <summary>The last life of a capsule; null when it never ran.</summary>
    public static LastRun? Find(StoreLayout layout, CapsuleName name) => SmallFiles.TryRead(FileOf(layout, name)) is { } bytes ? FromJson(bytes) : null;

    /// <summary>Where it is written.</summary>
    public static string FileOf(StoreLayout layout, CapsuleName name) => layout.Capsule(name) + "/last-run.json";

    /// <summary>What the board says at the end.</summary>
    internal static LastRun Of(RunRecord run, BoardState[] board, string reason) => new()
    {
        Started = run.Started,
        Ended = DateTimeOffset.UtcNow,
        Reason = reason,
        Services = [.. run.Services.Select((s, i) => (s.Name, i < board.Length ? board[i].Status ?? (board[i].Running ? 137 : 0) : 0))],
    };

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.Time("started", Started);
        w.Time("ended", Ended);
        w.Text("reason", Reason);
        w.Objects("services", Services, s =>
        {
            w.Text("name", s.Name);
            w.WriteNumber("status", s.Status);
        });
    });

    private static LastRun FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Started = e.RequiredTime("started"),
            Ended = e.RequiredTime("ended"),
            Reason = e.RequiredText("reason"),
            Services = [.. e.Items("services").Select(s => (s.RequiredText("name"), s.SmallInteger("status") ?? 0))],
        };
    }
}
