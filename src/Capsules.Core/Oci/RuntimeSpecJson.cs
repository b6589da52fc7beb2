using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>Reads config.json. What would change the meaning of a launch and is not done here is refused, never passed over.</summary>
public static class RuntimeSpecJson
{
    /// <summary>Reads a bundle's config.json.</summary>
    /// <exception cref="FormatException">It is not JSON, not such a configuration, or asks for something that is not done here.</exception>
    public static RuntimeSpec Read(ReadOnlyMemory<byte> bytes)
    {
        using JsonDocument document = ManifestJson.Parse(bytes);
        JsonElement root = document.RootElement;
        string version = root.RequiredText("ociVersion");
        if (!version.StartsWith("1.", StringComparison.Ordinal)) throw new FormatException($"ociVersion {version} is not known here; 1.x is");
        JsonElement rootFs = root.Member("root") ?? throw new FormatException("`root` is missing");
        if (root.Member("hooks") is { } hooks && hooks.EnumerateObject().Any(h => h.Value.ValueKind == JsonValueKind.Array && h.Value.GetArrayLength() > 0))
            throw new FormatException("`hooks` are not run by this runtime yet");
        JsonElement? linux = root.Member("linux");

        var spec = new RuntimeSpec
        {
            Version = version,
            RootPath = rootFs.RequiredText("path"),
            RootReadOnly = rootFs.Flag("readonly") ?? false,
            Process = root.Member("process") is { } process ? ReadProcess(process) : null,
            HostName = root.Text("hostname"),
            DomainName = root.Text("domainname"),
            Mounts = [.. root.Items("mounts").Select(ReadMount)],
            Annotations = root.Members("annotations").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "annotations"), StringComparer.Ordinal),
        };
        return linux is { } l ? WithLinux(spec, l) : spec;
    }

    /// <summary>Reads a process, of config.json or of exec's --process.</summary>
    /// <exception cref="FormatException">A member is missing or of another kind.</exception>
    public static ProcessSpec ReadProcess(JsonElement e)
    {
        JsonElement? user = e.Member("user");
        return new()
        {
            Terminal = e.Flag("terminal") ?? false,
            Arguments = e.Texts("args") is { Length: > 0 } arguments ? [.. arguments.Select(Picture)] : throw new FormatException("`process.args` is missing or empty"),
            Environment = [.. e.Texts("env").Select(Picture)],
            WorkingDirectory = GuestPath.Normalize(System.Text.Encoding.UTF8.GetBytes(e.Text("cwd") ?? "/")),
            Uid = UserId(user, "uid"),
            Gid = UserId(user, "gid"),
            Groups = [.. (user?.Items("additionalGids") ?? []).Select(g => g.ValueKind == JsonValueKind.Number && g.TryGetUInt32(out uint gid) ? gid : throw new FormatException("`additionalGids` must hold whole numbers"))],
            Umask = user?.SmallInteger("umask"),
            Capabilities = e.Member("capabilities") is { } c
                ? new(c.Texts("bounding"), c.Texts("permitted"), c.Texts("effective"), c.Texts("inheritable"), c.Texts("ambient"))
                : null,
            Limits = [.. e.Items("rlimits").Select(r => new ResourceLimit(r.RequiredText("type"), r.Unsigned("soft") ?? 0, r.Unsigned("hard") ?? 0))],
            NoNewPrivileges = e.Flag("noNewPrivileges") ?? false,
            OomScoreAdjust = e.SmallInteger("oomScoreAdj"),
        };
    }

    /// <summary>The specification's texts are plain UTF-8; ours are pictures, in which a backslash is special.</summary>
    private static string Picture(string text) => text.Contains('\\', StringComparison.Ordinal) ? text.Replace("\\", "\\x5c", StringComparison.Ordinal) : text;

    /// <summary>The largest number means "as it is" to setresuid(2), and so would leave the host's root.</summary>
    private static uint UserId(JsonElement? user, string name) => user?.Integer(name) switch
    {
        null => 0,
        long id and >= 0 and < uint.MaxValue => (uint)id,
        _ => throw new FormatException($"`user.{name}` is no id"),
    };

    private static RuntimeSpec WithLinux(RuntimeSpec spec, JsonElement linux) => spec with
    {
        Namespaces = [.. linux.Items("namespaces").Select(n =>
            new NamespaceSpec(n.Choice<NamespaceKind>("type") ?? throw new FormatException("a namespace needs a `type`"), n.Text("path") is { Length: > 0 } path ? new HostPath(path) : null))],
        UserMappings = [.. linux.Items("uidMappings").Select(ReadMapping)],
        GroupMappings = [.. linux.Items("gidMappings").Select(ReadMapping)],
        Devices = [.. linux.Items("devices").Select(ReadDevice)],
        CgroupsPath = linux.Text("cgroupsPath"),
        Resources = linux.Member("resources") is { } resources ? ReadResources(resources) : new(),
        Seccomp = linux.Member("seccomp") is { } seccomp ? ReadSeccomp(seccomp) : null,
        MaskedPaths = [.. linux.Texts("maskedPaths").Select(Inside)],
        ReadOnlyPaths = [.. linux.Texts("readonlyPaths").Select(Inside)],
        Sysctl = linux.Members("sysctl").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "sysctl"), StringComparer.Ordinal),
        RootPropagation = linux.Text("rootfsPropagation"),
    };

    private static GuestPath Inside(string path) => GuestPath.Normalize(System.Text.Encoding.UTF8.GetBytes(path));

    private static MountSpec ReadMount(JsonElement e)
    {
        string destination = e.RequiredText("destination");
        return new(Inside(destination.StartsWith('/') ? destination : "/" + destination), e.Text("type"), e.Text("source"), e.Texts("options"));
    }

    private static IdMapping ReadMapping(JsonElement e) => new(Id(e, "containerID"), Id(e, "hostID"), Id(e, "size"));

    private static uint Id(JsonElement e, string name) =>
        e.Integer(name) is long number and >= 0 and <= uint.MaxValue ? (uint)number : throw new FormatException($"`{name}` must be an id");

    private static DeviceSpec ReadDevice(JsonElement e) => new(
        Inside(e.RequiredText("path")), e.RequiredText("type") is { Length: 1 } type ? type[0] : throw new FormatException("a device's `type` is one letter"),
        (uint)(e.Integer("major") ?? 0), (uint)(e.Integer("minor") ?? 0), e.SmallInteger("fileMode") ?? 0x1B6, (uint)(e.Integer("uid") ?? 0), (uint)(e.Integer("gid") ?? 0));

    private static ResourcesSpec ReadResources(JsonElement e)
    {
        JsonElement? memory = e.Member("memory"), cpu = e.Member("cpu"), io = e.Member("blockIO");
        return new()
        {
            Memory = memory?.Integer("limit"),
            MemoryAndSwap = memory?.Integer("swap"),
            MemoryReservation = memory?.Integer("reservation"),
            CpuShares = cpu?.Integer("shares"),
            CpuQuota = cpu?.Integer("quota"),
            CpuPeriod = cpu?.Integer("period"),
            CpuSet = cpu?.Text("cpus"),
            CpuSetMemory = cpu?.Text("mems"),
            Pids = e.Member("pids")?.Integer("limit"),
            IoWeight = io?.SmallInteger("weight"),
            Devices = [.. e.Items("devices").Select(d => new DeviceRule(d.Flag("allow") ?? false, (d.Text("type") ?? "a")[0], d.Integer("major"), d.Integer("minor"), d.Text("access") ?? "rwm"))],
            Unified = e.Members("unified").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "unified"), StringComparer.Ordinal),
        };
    }

    private static SeccompSpec ReadSeccomp(JsonElement e) => new(
        e.RequiredText("defaultAction"), e.SmallInteger("defaultErrnoRet"), e.Texts("architectures"), e.Texts("flags"),
        [.. e.Items("syscalls").Select(s => new SeccompCall(s.Texts("names"), s.RequiredText("action"), s.SmallInteger("errnoRet"),
            [.. s.Items("args").Select(a => new SeccompArgument(a.SmallInteger("index") ?? 0, a.Unsigned("value") ?? 0, a.Unsigned("valueTwo") ?? 0, a.RequiredText("op")))]))]);
}
