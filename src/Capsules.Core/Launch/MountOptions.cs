using System.Collections.Immutable;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>Attributes of a mount, by what they mean (mount(8)).</summary>
[Flags]
public enum MountFlags
{
    /// <summary>Nothing special.</summary>
    None = 0,
    /// <summary>ro.</summary>
    ReadOnly = 1,
    /// <summary>nosuid.</summary>
    NoSuid = 2,
    /// <summary>nodev.</summary>
    NoDevices = 4,
    /// <summary>noexec.</summary>
    NoExec = 8,
    /// <summary>noatime.</summary>
    NoAccessTime = 0x10,
    /// <summary>strictatime.</summary>
    StrictAccessTime = 0x20,
    /// <summary>nodiratime.</summary>
    NoDirectoryAccessTime = 0x80,
    /// <summary>nosymfollow.</summary>
    NoSymbolicLinks = 0x200000,
}

/// <summary>The options of a mount entry, sorted by who takes them: the mount, its propagation, or the file system.</summary>
public sealed record MountOptions
{
    /// <inheritdoc/>
    public override string ToString() => $"{Set}";

    /// <summary>Attributes to set.</summary>
    public MountFlags Set { get; init; }
    /// <summary>Attributes to clear.</summary>
    public MountFlags Clear { get; init; }
    /// <summary>With everything mounted below (rbind, rro).</summary>
    public bool Recursive { get; init; }
    /// <summary>shared, slave, private, unbindable, with an r in front when recursive; null to leave it.</summary>
    public string? Propagation { get; init; }
    /// <summary>A new tmpfs begins with what it covers (tmpcopyup, as crun and runc know it).</summary>
    public bool CopyUp { get; init; }
    /// <summary>What the file system itself is told; a null value is a flag.</summary>
    public ImmutableArray<(string Key, string? Value)> Data { get; init; } = [];

    private static readonly Dictionary<string, (MountFlags Set, MountFlags Clear)> Words = new(StringComparer.Ordinal)
    {
        ["ro"] = (MountFlags.ReadOnly, 0),
        ["rw"] = (0, MountFlags.ReadOnly),
        ["nosuid"] = (MountFlags.NoSuid, 0),
        ["suid"] = (0, MountFlags.NoSuid),
        ["nodev"] = (MountFlags.NoDevices, 0),
        ["dev"] = (0, MountFlags.NoDevices),
        ["noexec"] = (MountFlags.NoExec, 0),
        ["exec"] = (0, MountFlags.NoExec),
        ["noatime"] = (MountFlags.NoAccessTime, 0),
        ["atime"] = (0, MountFlags.NoAccessTime),
        ["strictatime"] = (MountFlags.StrictAccessTime, 0),
        ["nostrictatime"] = (0, MountFlags.StrictAccessTime),
        ["nodiratime"] = (MountFlags.NoDirectoryAccessTime, 0),
        ["diratime"] = (0, MountFlags.NoDirectoryAccessTime),
        ["nosymfollow"] = (MountFlags.NoSymbolicLinks, 0),
        ["symfollow"] = (0, MountFlags.NoSymbolicLinks),
        ["relatime"] = (0, 0),
        ["norelatime"] = (0, 0),
        ["defaults"] = (0, 0),
        ["bind"] = (0, 0),
        ["async"] = (0, 0),
        ["sync"] = (0, 0),
        ["dirsync"] = (0, 0),
        ["silent"] = (0, 0),
        ["loud"] = (0, 0),
    };

    /// <summary>Sorts the options of <paramref name="mount"/>.</summary>
    /// <exception cref="FormatException">It asks for something that is not done here, such as an id map of its own.</exception>
    public static MountOptions Of(MountSpec mount)
    {
        var result = new MountOptions();
        var data = ImmutableArray.CreateBuilder<(string, string?)>();
        foreach (string option in mount.Options)
        {
            if (Words.TryGetValue(option, out var word)) result = result with { Set = result.Set & ~word.Clear | word.Set, Clear = result.Clear & ~word.Set | word.Clear };
            else if (option is "tmpcopyup") result = result with { CopyUp = true };
            else if (option is "rbind") result = result with { Recursive = true };
            else if (option.StartsWith('r') && Words.TryGetValue(option[1..], out var recursive) && option.Length > 2)
                result = result with { Recursive = true, Set = result.Set & ~recursive.Clear | recursive.Set, Clear = result.Clear & ~recursive.Set | recursive.Clear };
            else if (option is "shared" or "rshared" or "slave" or "rslave" or "private" or "rprivate" or "unbindable" or "runbindable") result = result with { Propagation = option };
            else if (option is "idmap" or "ridmap" || option.StartsWith("idmap=", StringComparison.Ordinal))
                throw new FormatException($"mount option `{option}` of {mount.Destination} is not done by this runtime");
            else if (!mount.IsBind)
            {
                int equals = option.IndexOf('=', StringComparison.Ordinal);
                data.Add(equals < 0 ? (option, null) : (option[..equals], option[(equals + 1)..]));
            }
        }
        return result with { Data = data.ToImmutable() };
    }
}
