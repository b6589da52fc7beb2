using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>process of config.json, of exec's --process, and of what a launch keeps for those that enter later.</summary>
public static class ProcessJson
{
    private static readonly (NamespaceKind Kind, string Name)[] Namespaces =
    [
        (NamespaceKind.Pid, "pid"), (NamespaceKind.Network, "network"), (NamespaceKind.Mount, "mount"), (NamespaceKind.Ipc, "ipc"),
        (NamespaceKind.Uts, "uts"), (NamespaceKind.User, "user"), (NamespaceKind.Cgroup, "cgroup"), (NamespaceKind.Time, "time"),
    ];

    /// <summary>A kind of namespace by the specification's name.</summary>
    /// <exception cref="FormatException">There is no such kind.</exception>
    public static NamespaceKind Namespace(string name)
    {
        foreach (var (kind, known) in Namespaces)
            if (known == name) return kind;
        throw new FormatException($"`{name}` is no kind of namespace; it can be {string.Join(", ", Namespaces.Select(n => n.Name))}");
    }

    /// <summary>The specification's name of a kind of namespace.</summary>
    public static string NameOf(NamespaceKind kind)
    {
        foreach (var (known, name) in Namespaces)
            if (known == kind) return name;
        throw new System.Diagnostics.UnreachableException();
    }

    /// <summary>Reads a process.</summary>
    /// <param name="e">The object.</param>
    /// <param name="pictures">Whether its texts are byte pictures already, as we write them, or plain UTF-8, as the specification has them.</param>
    /// <exception cref="FormatException">A member is missing or of another kind.</exception>
    public static ProcessSpec Read(JsonElement e, bool pictures = false)
    {
        JsonElement? user = e.Member("user");
        string Text(string text) => pictures ? text : Picture(text);
        return new()
        {
            Terminal = e.Flag("terminal") ?? false,
            Arguments = e.Texts("args") is { Length: > 0 } arguments ? [.. arguments.Select(Text)] : throw new FormatException("`process.args` is missing or empty"),
            Environment = [.. e.Texts("env").Select(Text)],
            WorkingDirectory = pictures ? GuestPath.Parse(e.RequiredText("cwd")) : GuestPath.Normalize(System.Text.Encoding.UTF8.GetBytes(e.Text("cwd") ?? "/")),
            Uid = UserId(user, "uid"),
            Gid = UserId(user, "gid"),
            Groups = [.. (user?.Items("additionalGids") ?? []).Select(g => g.ValueKind == JsonValueKind.Number && g.TryGetUInt32(out uint id) ? id : throw new FormatException("`user.additionalGids` must hold ids"))],
            Umask = user?.SmallInteger("umask"),
            Capabilities = e.Member("capabilities") is { } c
                ? new(c.Texts("bounding"), c.Texts("permitted"), c.Texts("effective"), c.Texts("inheritable"), c.Texts("ambient"))
                : null,
            Limits = [.. e.Items("rlimits").Select(r => new ResourceLimit(r.RequiredText("type"), r.Unsigned("soft") ?? 0, r.Unsigned("hard") ?? 0))],
            NoNewPrivileges = e.Flag("noNewPrivileges") ?? false,
            OomScoreAdjust = e.SmallInteger("oomScoreAdj"),
        };
    }

    /// <summary>The members of a process of a bundle, its texts as byte pictures.</summary>
    public static void Write(Utf8JsonWriter w, ProcessSpec process)
    {
        if (process.Terminal) w.WriteBoolean("terminal", true);
        w.Texts("args", process.Arguments);
        w.Texts("env", process.Environment);
        w.WriteString("cwd", process.WorkingDirectory.ToString());
        w.WriteStartObject("user");
        w.WriteNumber("uid", process.Uid);
        w.WriteNumber("gid", process.Gid);
        if (!process.Groups.IsEmpty)
        {
            w.WriteStartArray("additionalGids");
            foreach (uint group in process.Groups) w.WriteNumberValue(group);
            w.WriteEndArray();
        }
        w.Integer("umask", process.Umask);
        w.WriteEndObject();
        if (process.Capabilities is { } c)
        {
            w.WriteStartObject("capabilities");
            w.Texts("bounding", c.Bounding);
            w.Texts("permitted", c.Permitted);
            w.Texts("effective", c.Effective);
            w.Texts("inheritable", c.Inheritable);
            w.Texts("ambient", c.Ambient);
            w.WriteEndObject();
        }
        w.Objects("rlimits", process.Limits, limit =>
        {
            w.WriteString("type", limit.Name);
            w.WriteNumber("soft", limit.Soft);
            w.WriteNumber("hard", limit.Hard);
        });
        if (process.NoNewPrivileges) w.WriteBoolean("noNewPrivileges", true);
        w.Integer("oomScoreAdj", process.OomScoreAdjust);
    }

    /// <summary>The specification's texts are plain UTF-8; ours are pictures, in which a backslash is special.</summary>
    internal static string Picture(string text) => text.Contains('\\', StringComparison.Ordinal) ? text.Replace("\\", "\\x5c", StringComparison.Ordinal) : text;

    /// <summary>The largest number means "as it is" to setresuid(2), and so would leave the host's root.</summary>
    private static uint UserId(JsonElement? user, string name) => user?.Integer(name) switch
    {
        null => 0,
        long id and >= 0 and < uint.MaxValue => (uint)id,
        _ => throw new FormatException($"`user.{name}` is no id"),
    };
}
