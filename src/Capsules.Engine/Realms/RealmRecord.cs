using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Realms;

/// <summary>
/// The realm of a user (realm.json under the run directory). A process is known to be in it by its namespaces, so that whoever still lives there is a
/// way back in when the holder was killed.
/// </summary>
internal sealed record RealmRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{Holder}";

    public const int CurrentSchemaVersion = 1;

    /// <summary>The process that holds the namespaces.</summary>
    public required int Holder { get; init; }
    /// <summary>The numbers of its user, mount and network namespace.</summary>
    public required ulong User { get; init; }
    public required ulong Mount { get; init; }
    public required ulong Network { get; init; }
    /// <summary>What connects it with the world outside: null when nothing does.</summary>
    public RealmConnection? Connection { get; init; }
    /// <summary>The guard of the relay of published ports, and when it started.</summary>
    public int PortGuard { get; init; }
    public ulong PortGuardStart { get; init; }

    /// <summary>Where it is.</summary>
    public static string FileOf(StoreLayout layout) => layout.Run + "/realm.json";

    /// <summary>The realm that a process is in.</summary>
    public static RealmRecord Of(int holder) => new()
    {
        Holder = holder,
        User = Number(holder, "user"),
        Mount = Number(holder, "mnt"),
        Network = Number(holder, "net"),
    };

    /// <summary>Whether a process is in it, in all three namespaces.</summary>
    public bool Has(int pid) =>
        ProcessTable.NamespaceOf(pid, "mnt") == Mount && ProcessTable.NamespaceOf(pid, "user") == User && ProcessTable.NamespaceOf(pid, "net") == Network && ProcessTable.TryRead(pid) is { IsDead: false };

    /// <summary>A process in it: the holder, or anybody; null when nobody is.</summary>
    public (int Pid, Descriptor Process)? AnyProcess()
    {
        foreach (int pid in ProcessTable.All().Prepend(Holder))
        {
            if (!Has(pid) || ProcessCalls.TryOpenPidFd(pid) is not { } process) continue;
            if (Has(pid)) return (pid, process); // the number was not given to somebody else in between
            process.Dispose();
        }
        return null;
    }

    /// <summary>Whether the guard of the relay runs.</summary>
    public bool HasPortGuard => PortGuard > 1 && ProcessTable.IsAlive(PortGuard, PortGuardStart);

    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CurrentSchemaVersion);
        w.WriteNumber("holder", Holder);
        w.WriteNumber("user", User);
        w.WriteNumber("mount", Mount);
        w.WriteNumber("network", Network);
        w.Text("connection", Connection?.Tool);
        w.WriteNumber("connectionPid", Connection?.Pid ?? 0);
        w.WriteNumber("connectionStart", Connection?.Start ?? 0);
        w.WriteNumber("portGuard", PortGuard);
        w.WriteNumber("portGuardStart", PortGuardStart);
    });

    /// <summary>Reads the file's bytes.</summary>
    /// <exception cref="FormatException">They are not such a record.</exception>
    public static RealmRecord FromJson(ReadOnlyMemory<byte> bytes)
    {
        JsonElement e = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(e, CurrentSchemaVersion);
        return new()
        {
            Holder = e.SmallInteger("holder") ?? throw new FormatException("`holder` is missing"),
            User = e.Unsigned("user") ?? 0,
            Mount = e.Unsigned("mount") ?? 0,
            Network = e.Unsigned("network") ?? 0,
            Connection = e.Text("connection") is { } tool ? new(tool, e.SmallInteger("connectionPid") ?? 0, e.Unsigned("connectionStart") ?? 0) : null,
            PortGuard = e.SmallInteger("portGuard") ?? 0,
            PortGuardStart = e.Unsigned("portGuardStart") ?? 0,
        };
    }

    private static ulong Number(int pid, string type) => ProcessTable.NamespaceOf(pid, type) ?? throw new SyscallException("stat", $"/proc/{pid}/ns/{type}", Errno.EACCES);
}
