using System.Collections.Immutable;

namespace Capsules.Core.Facts;

/// <summary>What some kernels have and older ones lack.</summary>
public enum KernelFeature
{
    /// <summary>tmpfs can be idmapped.</summary>
    IdMappedTmpfs,
    /// <summary>lowerdir+ instead of one long option.</summary>
    OverlayLayerByLayer,
    /// <summary>An open that was held up may fail with an errno of our choice. The kernel is asked for it itself; what comes with it is older (6.5): opens of an overlay are told of its lower files.</summary>
    ErrnoInAnswer,
    /// <summary>A mount comes into the place of another without a moment between (MOVE_MOUNT_BENEATH).</summary>
    MountBeneath,
}

/// <summary>One row of the table: since when, and what is done without it.</summary>
public sealed record KernelFeatureRow(KernelFeature Feature, string Name, Version Since, string Without);

/// <summary>The running kernel. Supported from 6.1 on; the table says what is different before each later version (SPECIFICATION.md shows it).</summary>
public sealed record KernelFacts(Version Version)
{
    /// <summary>The oldest kernel that is supported: the first long-term one with an overlay over idmapped layers (5.19), without which ids on disk could not be the capsule's own.</summary>
    public static Version Oldest { get; } = new(6, 1);

    /// <summary>Every feature that is not in all supported kernels and that the code asks for.</summary>
    public static ImmutableArray<KernelFeatureRow> Table { get; } =
    [
        new(KernelFeature.IdMappedTmpfs, "idmapped tmpfs", new(6, 3), "/run of a stack is a directory on the state file system"),
        new(KernelFeature.MountBeneath, "MOVE_MOUNT_BENEATH", new(6, 5), "what an owner shows of its software is taken away and attached again when it restarts, with a moment between"),
        new(KernelFeature.OverlayLayerByLayer, "lowerdir+", new(6, 8), "layers are given in one option, by short paths: about 85 at most"),
        new(KernelFeature.ErrnoInAnswer, "FAN_DENY_ERRNO", new(6, 14), "open capsules hold up the opens of all files of their root, and give EPERM in place of EIO and ENOSPC"),
    ];

    /// <summary>Whether the kernel has it.</summary>
    public bool Has(KernelFeature feature) => Version >= Table.First(r => r.Feature == feature).Since;

    /// <summary>Reads what uname -r says, such as "6.1.0-37-cloud-amd64".</summary>
    /// <exception cref="FormatException">It does not begin with two numbers.</exception>
    public static KernelFacts Parse(string release)
    {
        string[] parts = release.Split('.', '-', '+', '_');
        return parts.Length >= 2 && int.TryParse(parts[0], out int major) && int.TryParse(parts[1], out int minor)
            ? new(new Version(major, minor))
            : throw new FormatException($"'{release}' is no kernel release");
    }
}
