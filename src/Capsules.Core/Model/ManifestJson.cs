using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Oci;

namespace Capsules.Core.Model;

/// <summary>The manifest and the identity as JSON: docs/formats/manifest.md. Writing is deterministic; defaults are left out.</summary>
public static class ManifestJson
{
    /// <summary>The bytes of a manifest's file.</summary>
    public static byte[] Write(CapsuleManifest manifest) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", CapsuleManifest.CurrentSchemaVersion);
        w.Text("name", manifest.Name.ToString());
        w.Text("version", manifest.Version);
        if (manifest.Source is { } source)
        {
            w.WriteStartObject("source");
            w.Text("system", source.System);
            w.Text("architecture", source.Architecture);
            w.Text("hostName", source.HostName);
            w.WriteEndObject();
        }
        w.Texts("layers", [.. manifest.Layers.Select(l => l.ToString())]);
        w.Objects("services", manifest.Services, s => WriteService(w, s));
        w.Objects("volumes", manifest.Volumes, v =>
        {
            w.Text("name", v.Name.ToString());
            w.Text("path", v.Path.ToString());
            w.Text("kind", JsonReading.Dashed(v.Kind));
            w.Text("reason", v.Reason);
        });
        w.Texts("secrets", [.. manifest.Secrets.Select(p => p.ToString())]);
        w.WriteStartObject("identity");
        WriteIdentity(w, manifest.Identity);
        w.WriteEndObject();
        if (manifest.HostKeys is { } keys) w.Text("hostKeys", JsonReading.Dashed(keys));
        w.Texts("environment", manifest.Environment);
        w.Objects("listeners", manifest.Listeners, l =>
        {
            w.Text("protocol", l.Protocol);
            w.Text("address", l.Address);
            w.WriteNumber("port", l.Port);
            w.Text("service", l.Service);
        });
        LinkJson.WriteExports(w, manifest.Exports);
        w.Texts("imports", [.. manifest.Imports.Select(i => i.ToString())]);
        if (manifest.Limits != new ResourceLimits())
        {
            w.WriteStartObject("limits");
            WriteLimits(w, manifest.Limits);
            w.WriteEndObject();
        }
    });

    /// <summary>Reads a manifest.</summary>
    /// <exception cref="FormatException">It is not JSON, lacks a member, has one of another kind, or is of a later version.</exception>
    public static CapsuleManifest Read(ReadOnlyMemory<byte> bytes)
    {
        JsonElement root = Parse(bytes);
        CheckVersion(root, CapsuleManifest.CurrentSchemaVersion);
        return new()
        {
            Name = CapsuleName.Parse(root.RequiredText("name")),
            Version = root.Text("version"),
            Source = root.Member("source") is { } s ? new(s.RequiredText("system"), s.RequiredText("architecture"), s.RequiredText("hostName")) : null,
            Layers = [.. root.Texts("layers").Select(Digest.Parse)],
            Services = [.. root.Items("services").Select(ReadService)],
            Volumes = [.. root.Items("volumes").Select(v => new StateVolume
            {
                Name = CapsuleName.Parse(v.RequiredText("name")),
                Path = GuestPath.Parse(v.RequiredText("path")),
                Kind = v.Choice<VolumeKind>("kind") ?? VolumeKind.Directory,
                Reason = v.Text("reason"),
            })],
            Secrets = [.. root.Texts("secrets").Select(GuestPath.Parse)],
            Identity = root.Member("identity") is { } identity ? ReadIdentity(identity) : new(),
            HostKeys = root.Choice<HostKeys>("hostKeys"),
            Environment = root.Texts("environment"),
            Listeners = [.. root.Items("listeners").Select(l => new Listener(l.RequiredText("protocol"), l.RequiredText("address"), l.SmallInteger("port") ?? 0, l.Text("service")))],
            Exports = LinkJson.ReadExports(root),
            Imports = [.. root.Texts("imports").Select(Import.Parse)],
            Limits = root.Member("limits") is { } limits ? ReadLimits(limits) : new(),
        };
    }

    /// <summary>The members of an identity.</summary>
    public static void WriteIdentity(Utf8JsonWriter w, Identity identity)
    {
        w.Text("hostName", identity.HostName);
        w.Text("domain", identity.Domain);
        w.Text("machineId", identity.MachineId?.ToString());
        w.Text("hostId", identity.HostId?.ToString("x8"));
        w.Text("productUuid", identity.ProductUuid);
        w.Text("productSerial", identity.ProductSerial);
        if (!identity.Dmi.IsEmpty)
        {
            w.WriteStartObject("dmi");
            foreach (var (name, value) in identity.Dmi) w.WriteString(name, value);
            w.WriteEndObject();
        }
        w.Texts("nameServers", identity.NameServers);
        w.Texts("searchDomains", identity.SearchDomains);
        w.Objects("interfaces", identity.Interfaces, i =>
        {
            w.Text("name", i.Name);
            w.Text("mac", i.Mac?.ToString());
            w.Texts("addresses", [.. i.Addresses.Select(a => a.ToString())]);
            w.Objects("routes", i.Routes, r =>
            {
                w.Text("to", r.Destination?.ToString());
                w.Text("via", r.Gateway?.ToString());
                w.Integer("metric", r.Metric);
            });
            w.Integer("mtu", i.Mtu);
        });
    }

    /// <summary>Reads the members of an identity.</summary>
    /// <exception cref="FormatException">A member is of another kind or does not parse.</exception>
    public static Identity ReadIdentity(JsonElement e) => new()
    {
        HostName = e.Text("hostName"),
        Domain = e.Text("domain"),
        MachineId = e.Text("machineId") is { } machine ? MachineId.Parse(machine) : null,
        HostId = e.Text("hostId") is { } host ? HexNumber(host) : null,
        ProductUuid = e.Text("productUuid"),
        ProductSerial = e.Text("productSerial"),
        Dmi = e.Members("dmi").ToImmutableSortedDictionary(m => m.Name, m => JsonReading.AsText(m.Value, "dmi"), StringComparer.Ordinal),
        NameServers = e.Texts("nameServers"),
        SearchDomains = e.Texts("searchDomains"),
        Interfaces = [.. e.Items("interfaces").Select(i => new NetworkInterface
        {
            Name = i.RequiredText("name"),
            Mac = i.Text("mac") is { } mac ? MacAddress.Parse(mac) : null,
            Addresses = [.. i.Texts("addresses").Select(InterfaceAddress.Parse)],
            Routes = [.. i.Items("routes").Select(r => new Route(r.Text("to") is { } to ? InterfaceAddress.Parse(to) : null, r.Text("via") is { } via ? Address(via) : null, r.SmallInteger("metric")))],
            Mtu = i.SmallInteger("mtu"),
        })],
    };

    private const int SmallestParsed = 513;

    /// <summary>Opens a document, with our own words for what is not JSON.</summary>
    /// <exception cref="FormatException">It is not JSON.</exception>
    public static JsonElement Parse(ReadOnlyMemory<byte> bytes)
    {
        if (!System.Text.Unicode.Utf8.IsValid(bytes.Span)) throw new FormatException("not JSON: it is not UTF-8");
        // The parser rents two buffers, one of 512 bytes and one of the document's length. Were both of one size, giving them back would
        // wake the shared pool's partitions, which begin by measuring the processor: 0.2 ms of a launch. Spaces at the end are JSON.
        byte[]? padded = bytes.Length < SmallestParsed ? new byte[SmallestParsed] : null;
        padded?.AsSpan(bytes.Length).Fill((byte)' ');
        if (padded is not null) bytes.Span.CopyTo(padded);
        try { return JsonElement.Parse(padded ?? bytes.Span, new JsonDocumentOptions { MaxDepth = 64 }); }
        catch (JsonException e) { throw new FormatException($"not JSON: line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}", e); }
    }

    /// <summary>Refuses a file of a later version: what it says could be misread.</summary>
    /// <exception cref="FormatException">The version is absent or later than <paramref name="known"/>.</exception>
    public static void CheckVersion(JsonElement root, int known)
    {
        int version = root.SmallInteger("schemaVersion") ?? throw new FormatException("`schemaVersion` is missing");
        if (version < 1 || version > known) throw new UnknownVersionException($"schemaVersion {version} is not known to this program (it reads 1 to {known})");
    }

    /// <summary>The members of limits.</summary>
    public static void WriteLimits(Utf8JsonWriter w, ResourceLimits limits)
    {
        w.Integer("memory", limits.Memory);
        if (limits.Cpus is double cpus) w.WriteNumber("cpus", cpus);
        w.Integer("pids", limits.Pids);
        w.Integer("ioWeight", limits.IoWeight);
    }

    /// <summary>Reads the members of limits.</summary>
    public static ResourceLimits ReadLimits(JsonElement e) =>
        new() { Memory = e.Integer("memory"), Cpus = e.Number("cpus"), Pids = e.Integer("pids"), IoWeight = e.SmallInteger("ioWeight") };

    private static void WriteService(Utf8JsonWriter w, ServiceManifest s)
    {
        w.Text("name", s.Name);
        w.Text("unit", s.Unit);
        w.Text("kind", JsonReading.Dashed(s.Kind));
        w.Texts("command", s.Command);
        w.Text("program", s.Program?.ToString());
        w.Texts("environment", s.Environment);
        if (!s.WorkingDirectory.IsRoot) w.Text("workingDirectory", s.WorkingDirectory.ToString());
        w.Text("user", s.User);
        w.Text("group", s.Group);
        w.Texts("supplementaryGroups", s.SupplementaryGroups);
        w.Text("umask", Convert.ToString(s.Umask, 8).PadLeft(4, '0'));
        w.Commands("startPre", s.StartPre);
        w.Commands("startPost", s.StartPost);
        w.Commands("stop", s.Stop);
        w.Commands("reload", s.Reload);
        w.Integer("stopSignal", s.StopSignal);
        w.Text("pidFile", s.PidFile?.ToString());
        w.Integer("startTimeout", s.StartTimeout);
        w.Integer("stopTimeout", s.StopTimeout);
        w.Text("restart", JsonReading.Dashed(s.Restart));
        w.Integer("restartDelay", s.RestartDelay);
        if (s.SuccessStatuses.Length > 0)
        {
            w.WriteStartArray("successStatuses");
            foreach (int status in s.SuccessStatuses) w.WriteNumberValue(status);
            w.WriteEndArray();
        }
        w.Texts("after", s.After);
        if (s.Ready is { } ready)
        {
            w.WriteStartObject("ready");
            w.Integer("port", ready.Port);
            w.Text("socket", ready.Socket?.ToString());
            w.Texts("command", ready.Command);
            w.WriteEndObject();
        }
        w.Objects("runtimeDirectories", s.RuntimeDirectories, d =>
        {
            w.Text("path", d.Path.ToString());
            w.Text("user", d.User);
            w.Text("group", d.Group);
            w.Text("mode", Convert.ToString(d.Mode, 8).PadLeft(4, '0'));
        });
        if (s.Capabilities is { } capabilities)
        {
            w.WriteStartArray("capabilities");
            foreach (string capability in capabilities) w.WriteStringValue(capability);
            w.WriteEndArray();
        }
        w.Texts("ambientCapabilities", s.AmbientCapabilities);
        w.WriteBoolean("noNewPrivileges", s.NoNewPrivileges);
        w.Objects("filters", s.Filters, filter => SeccompJson.Write(w, filter));
        w.Objects("resourceLimits", s.ResourceLimits, l =>
        {
            w.Text("name", l.Name);
            w.WriteNumber("soft", l.Soft);
            w.WriteNumber("hard", l.Hard);
        });
        w.Integer("oomScoreAdjust", s.OomScoreAdjust);
        w.Integer("nice", s.Nice);
    }

    private static ServiceManifest ReadService(JsonElement e) => new()
    {
        Name = e.RequiredText("name"),
        Unit = e.Text("unit"),
        Kind = e.Choice<ServiceKind>("kind") ?? ServiceKind.Simple,
        Command = e.Texts("command") is { Length: > 0 } command ? command : throw new FormatException("a service needs a `command`"),
        Program = e.Text("program") is { } program ? GuestPath.Parse(program) : null,
        Environment = e.Texts("environment"),
        WorkingDirectory = e.Text("workingDirectory") is { } directory ? GuestPath.Parse(directory) : GuestPath.Root,
        User = e.Text("user"),
        Group = e.Text("group"),
        SupplementaryGroups = e.Texts("supplementaryGroups"),
        Umask = e.Text("umask") is { } umask ? Octal(umask) : 0x12,
        StartPre = ReadCommands(e, "startPre"),
        StartPost = ReadCommands(e, "startPost"),
        Stop = ReadCommands(e, "stop"),
        Reload = ReadCommands(e, "reload"),
        StopSignal = e.SmallInteger("stopSignal") ?? 15,
        PidFile = e.Text("pidFile") is { } pidFile ? GuestPath.Parse(pidFile) : null,
        StartTimeout = e.Integer("startTimeout") ?? 90_000,
        StopTimeout = e.Integer("stopTimeout") ?? 90_000,
        Restart = e.Choice<RestartPolicy>("restart") ?? RestartPolicy.No,
        RestartDelay = e.Integer("restartDelay") ?? 100,
        SuccessStatuses = [.. e.Items("successStatuses").Select(i => i.ValueKind == JsonValueKind.Number && i.TryGetInt32(out int status) ? status : throw new FormatException("`successStatuses` must hold whole numbers"))],
        After = e.Texts("after"),
        Ready = e.Member("ready") is { } ready
            ? new() { Port = ready.SmallInteger("port"), Socket = ready.Text("socket") is { } socket ? GuestPath.Parse(socket) : null, Command = ready.Texts("command") }
            : null,
        RuntimeDirectories = [.. e.Items("runtimeDirectories").Select(d =>
            new RuntimeDirectory(GuestPath.Parse(d.RequiredText("path")), d.Text("user") ?? "root", d.Text("group") ?? "root", Octal(d.Text("mode") ?? "0755")))],
        Capabilities = e.Member("capabilities") is null ? null : e.Texts("capabilities"),
        AmbientCapabilities = e.Texts("ambientCapabilities"),
        NoNewPrivileges = e.Flag("noNewPrivileges") ?? true,
        Filters = [.. e.Items("filters").Select(SeccompJson.Read)],
        ResourceLimits = [.. e.Items("resourceLimits").Select(l => new ResourceLimit(l.RequiredText("name"), l.Unsigned("soft") ?? 0, l.Unsigned("hard") ?? 0))],
        OomScoreAdjust = e.SmallInteger("oomScoreAdjust"),
        Nice = e.SmallInteger("nice"),
    };

    private static ImmutableArray<ImmutableArray<string>> ReadCommands(JsonElement e, string name) =>
        [.. e.Items(name).Select(c => c.ValueKind == JsonValueKind.Array
            ? c.EnumerateArray().Select(word => JsonReading.AsText(word, name)).ToImmutableArray()
            : throw new FormatException($"`{name}` must hold arrays of words"))];

    private static int Octal(string text)
    {
        try { return Convert.ToInt32(text, 8); }
        catch (Exception e) when (e is FormatException or ArgumentException or OverflowException) { throw new FormatException($"'{text}' is not an octal mode", e); }
    }

    private static uint HexNumber(string text) =>
        uint.TryParse(text, System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out uint number) ? number : throw new FormatException($"'{text}' is not eight hexadecimal digits");

    private static IPAddress Address(string text) => IPAddress.TryParse(text, out IPAddress? address) ? address : throw new FormatException($"'{text}' is not an address");
}

/// <summary>A file of a version that this program does not read.</summary>
public sealed class UnknownVersionException(string message) : FormatException(message);
