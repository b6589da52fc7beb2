using System.Collections.Immutable;

namespace Capsules.Core.Facts;

/// <summary>What some kernels have and older ones lack.</summary>
public enum KernelFeature
{
    /// <summary>Overlay over idmapped layers.</summary>
    OverlayOnIdMappedLayers,
    /// <summary>tmpfs can be idmapped.</summary>
    IdMappedTmpfs,
    /// <summary>MFD_EXEC and MFD_NOEXEC_SEAL.</summary>
    MemfdExec,
    /// <summary>A mount can be put beneath another.</summary>
    MoveMountBeneath,
    /// <summary>lowerdir+ instead of one long option.</summary>
    OverlayLayerByLayer,
    /// <summary>statmount(2), listmount(2).</summary>
    ListMount,
    /// <summary>fanotify can hold a reader until content is there.</summary>
    FanotifyPreContent,
}

/// <summary>One row of the table: since when, and what is done without it.</summary>
public sealed record KernelFeatureRow(KernelFeature Feature, string Name, Version Since, string Without);

/// <summary>The running kernel. Supported from 6.1 on; the table says what is different before each later version (SPECIFICATION.md shows it).</summary>
public sealed record KernelFacts(Version Version)
{
    /// <summary>The oldest kernel that is supported.</summary>
    public static Version Oldest { get; } = new(6, 1);

    /// <summary>Every feature that is not in all supported kernels, and one that is the reason for the limit.</summary>
    public static ImmutableArray<KernelFeatureRow> Table { get; } =
    [
        new(KernelFeature.OverlayOnIdMappedLayers, "overlay on idmapped layers", new(5, 19), "not supported: ids on disk could not be the capsule's own, so that 6.1 is the oldest kernel"),
        new(KernelFeature.IdMappedTmpfs, "idmapped tmpfs", new(6, 3), "/run of a stack is a directory on the state file system"),
        new(KernelFeature.MemfdExec, "memfd with MFD_EXEC", new(6, 3), "the sealed memfd is made without that flag"),
        new(KernelFeature.MoveMountBeneath, "mounting beneath", new(6, 5), "swapping a link of a running capsule is refused"),
        new(KernelFeature.OverlayLayerByLayer, "lowerdir+", new(6, 8), "layers are given in one option, by short paths"),
        new(KernelFeature.ListMount, "statmount and listmount", new(6, 8), "/proc/PID/mountinfo is read"),
        new(KernelFeature.FanotifyPreContent, "fanotify pre-content events", new(6, 14), "open capsules fill files through FUSE"),
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
