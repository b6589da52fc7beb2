using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>A capsule as an image that any engine runs, and any image as a capsule.</summary>
public static class CapsuleImage
{
    /// <summary>The configuration of a capsule's image.</summary>
    /// <param name="manifest">What the capsule is; its layers are those of <paramref name="diffIds"/> that are its own.</param>
    /// <param name="diffIds">All layers of the image, lowest first.</param>
    /// <param name="own">How many of them are the capsule's own; above them are what the export adds.</param>
    public static ImageConfig ConfigOf(CapsuleManifest manifest, ImmutableArray<Digest> diffIds, int own)
    {
        bool script = ServiceScript.IsNeeded(manifest);
        ServiceManifest? single = !script && manifest.Services is [var only] ? only : null;
        string? user = single?.User is { } name && name != "root" ? single.Group is { } group ? $"{name}:{group}" : name : null;
        return new()
        {
            Architecture = ArchitectureOf(manifest.Source?.Architecture ?? "x86_64"),
            User = user,
            Entrypoint = script ? [ServiceScript.Path] : [],
            Cmd = single?.Command ?? [], // and no entry point: a command that the user gives comes in its place, and not behind it
            Env = [.. manifest.Environment, .. single?.Environment ?? []],
            WorkingDir = single is { WorkingDirectory.IsRoot: false } ? single.WorkingDirectory.ToString() : null,
            StopSignal = single is { StopSignal: not 15 } ? single.StopSignal.ToString() : null,
            ExposedPorts = [.. manifest.Listeners.Where(l => l.Protocol is "tcp" or "udp" && l.Port > 0).Select(l => $"{l.Port}/{l.Protocol}").Distinct()],
            Volumes = [.. manifest.Volumes.Where(v => v.Kind == VolumeKind.Directory).Select(v => v.Path.ToString())],
            Labels = ImmutableSortedDictionary<string, string>.Empty.Add(ImageConfig.ManifestLabel, Encoding.UTF8.GetString(ManifestJson.Write(manifest with { Layers = diffIds[..own] }))),
            DiffIds = diffIds,
        };
    }

    /// <summary>The manifest that an image carries, or one that says the same as its configuration.</summary>
    /// <exception cref="FormatException">The label, or a path in the configuration, is not what it should be.</exception>
    public static CapsuleManifest ManifestOf(ImageConfig config, CapsuleName name)
    {
        if (config.Labels.TryGetValue(ImageConfig.ManifestLabel, out string? label))
        {
            CapsuleManifest carried = ManifestJson.Read(Encoding.UTF8.GetBytes(label));
            int own = carried.Layers.Length;
            if (!carried.Layers.SequenceEqual(config.DiffIds.Take(own))) throw new FormatException("the layers of the capsule's manifest are not those of the image");
            // The next one is for other engines (script, directories); above it are secrets and state that the export was told to take along.
            return carried with { Layers = [.. carried.Layers, .. config.DiffIds.Skip(own + 1)] };
        }
        ImmutableArray<string> command = [.. config.Entrypoint, .. config.Cmd];
        string[] user = (config.User ?? "").Split(':', 2);
        return new()
        {
            Name = name,
            Layers = config.DiffIds,
            Environment = config.Env,
            Services = command.IsEmpty ? [] :
            [
                new()
                {
                    Name = name.ToString(),
                    Command = command,
                    User = user[0].Length > 0 ? user[0] : null,
                    Group = user.Length > 1 && user[1].Length > 0 ? user[1] : null,
                    WorkingDirectory = config.WorkingDir is { } directory ? GuestPath.Normalize(Encoding.UTF8.GetBytes(directory)) : GuestPath.Root,
                    StopSignal = config.StopSignal is { } signal ? SignalOf(signal) : 15,
                },
            ],
            Volumes = [.. config.Volumes.Select(v => GuestPath.Normalize(Encoding.UTF8.GetBytes(v))).Where(p => !p.IsRoot).Distinct().Select((path, index) => new StateVolume
            {
                Name = VolumeName(path, index),
                Path = path,
                Reason = "declared by the image",
            })],
            Listeners = [.. config.ExposedPorts.Select(ListenerOf).OfType<Listener>()],
        };
    }

    /// <summary>Go's name for a machine that uname(2) names.</summary>
    public static string ArchitectureOf(string machine) => machine switch { "x86_64" => "amd64", "aarch64" => "arm64", "i686" or "i386" => "386", "armv7l" => "arm", _ => machine };

    private static CapsuleName VolumeName(GuestPath path, int index)
    {
        string text = CapsuleName.From(path.ToString().Trim('/').Replace('/', '-')).ToString();
        return CapsuleName.Parse(text.Length > 58 ? $"{text[..58]}.{index}" : text);
    }

    private static Listener? ListenerOf(string port)
    {
        string[] parts = port.Split('/', 2);
        return int.TryParse(parts[0], out int number) && number is > 0 and < 65536 ? new(parts.Length > 1 ? parts[1] : "tcp", "*", number) : null;
    }

    /// <summary>SIGTERM, TERM or 15 (numbers of x86-64 and arm64).</summary>
    private static int SignalOf(string text)
    {
        if (int.TryParse(text, out int number) && number is > 0 and < 65) return number;
        string name = text.StartsWith("SIG", StringComparison.Ordinal) ? text[3..] : text;
        return name switch
        {
            "HUP" => 1,
            "INT" => 2,
            "QUIT" => 3,
            "ABRT" => 6,
            "KILL" => 9,
            "USR1" => 10,
            "USR2" => 12,
            "TERM" => 15,
            "CONT" => 18,
            "STOP" => 19,
            "WINCH" => 28,
            _ when name.StartsWith("RTMIN+", StringComparison.Ordinal) && int.TryParse(name[6..], out int offset) && offset is >= 0 and <= 30 => 34 + offset,
            _ => throw new FormatException($"'{text}' is no signal that is known here"),
        };
    }
}
