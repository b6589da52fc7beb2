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
        JsonElement root = ManifestJson.Parse(bytes);
        string version = root.RequiredText("ociVersion");
        if (!version.StartsWith("1.", StringComparison.Ordinal)) throw new FormatException($"ociVersion {version} is not known here; 1.x is");
        JsonElement rootFs = root.Member("root") ?? throw new FormatException("`root` is missing");
        JsonElement? linux = root.Member("linux");

        var spec = new RuntimeSpec
        {
            Version = version,
            RootPath = rootFs.RequiredText("path"),
            RootReadOnly = rootFs.Flag("readonly") ?? false,
            Process = root.Member("process") is { } process ? ProcessJson.Read(process) : null,
            HostName = root.Text("hostname"),
            DomainName = root.Text("domainname"),
            Mounts = [.. root.Items("mounts").Select(ReadMount)],
            Hooks = root.Member("hooks") is { } hooks ? ReadHooks(hooks) : new(),
            Annotations = root.Members("annotations").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "annotations"), StringComparer.Ordinal),
        };
        return linux is { } l ? WithLinux(spec, l) : spec;
    }

    private static ClockOffset ReadOffset(JsonElement offsets, string clock) =>
        offsets.Member(clock) is { } offset ? new(offset.Integer("secs") ?? 0, (uint)(offset.Integer("nanosecs") ?? 0)) : default;

    private static RuntimeSpec WithLinux(RuntimeSpec spec, JsonElement linux) => spec with
    {
        Namespaces = [.. linux.Items("namespaces").Select(n =>
            new NamespaceSpec(ProcessJson.Namespace(n.RequiredText("type")), n.Text("path") is { Length: > 0 } path ? new HostPath(path) : null))],
        UserMappings = [.. linux.Items("uidMappings").Select(ReadMapping)],
        GroupMappings = [.. linux.Items("gidMappings").Select(ReadMapping)],
        Devices = [.. linux.Items("devices").Select(ReadDevice)],
        CgroupsPath = linux.Text("cgroupsPath"),
        ClockOffsets = linux.Member("timeOffsets") is { } offsets ? new(ReadOffset(offsets, "monotonic"), ReadOffset(offsets, "boottime")) : null,
        Resources = linux.Member("resources") is { } resources ? ReadResources(resources) : new(),
        Seccomp = linux.Member("seccomp") is { } seccomp ? SeccompJson.Read(seccomp) : null,
        MaskedPaths = [.. linux.Texts("maskedPaths").Select(Inside)],
        ReadOnlyPaths = [.. linux.Texts("readonlyPaths").Select(Inside)],
        Sysctl = linux.Members("sysctl").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "sysctl"), StringComparer.Ordinal),
        RootPropagation = linux.Text("rootfsPropagation"),
    };

    private static HooksSpec ReadHooks(JsonElement e)
    {
        ImmutableArray<HookSpec> Read(string name) => [.. e.Items(name).Select(h => new HookSpec(
            h.RequiredText("path") is ['/', ..] path ? ProcessJson.Picture(path) : throw new FormatException($"the `path` of a hook ({name}) must be absolute"),
            [.. h.Texts("args").Select(ProcessJson.Picture)], [.. h.Texts("env").Select(ProcessJson.Picture)],
            h.SmallInteger("timeout") is not int timeout || timeout > 0 ? h.SmallInteger("timeout") : throw new FormatException($"the `timeout` of a hook ({name}) must be greater than zero")))];
        return new()
        {
            Prestart = Read("prestart"),
            CreateRuntime = Read("createRuntime"),
            CreateContainer = Read("createContainer"),
            StartContainer = Read("startContainer"),
            Poststart = Read("poststart"),
            Poststop = Read("poststop"),
        };
    }

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

    /// <summary>linux.resources, of config.json or of update's file.</summary>
    /// <exception cref="FormatException">A member is of another kind.</exception>
    public static ResourcesSpec ReadResources(JsonElement e)
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
}
