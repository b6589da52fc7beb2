using System.Globalization;
using System.Text;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>
/// Marks on disk of an open capsule's tree (docs/formats/open.md): a file without its content, with the time that it was changed last at the source,
/// and a data folder all of whose contents are there. Short enough to lie in the inode.
/// </summary>
internal static class UnfilledMark
{
    /// <summary>What all of them begin with; they are of this tree alone and never copied.</summary>
    public const string Prefix = "trusted.capsule.";

    /// <summary>On a file without its content.</summary>
    public const string Unfilled = Prefix + "unfilled";

    private const string Whole = Prefix + "whole", Capability = Prefix + "capability", FileCapability = "security.capability";

    /// <summary>Whether an attribute is one of these.</summary>
    public static bool IsOne(string attribute) => attribute is Unfilled or Whole or Capability;

    /// <summary>Marks a file that has no content yet.</summary>
    public static void Set(NativePath file, Timestamp modified) => ExtendedAttributes.Write(file, Unfilled, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{modified.Seconds}.{modified.Nanoseconds:D9}")));

    /// <summary>Whether a file has no content yet.</summary>
    public static bool IsOn(Descriptor file) => ExtendedAttributes.Find(file, Unfilled) is not null;

    /// <summary>When a file that has no content yet was changed last at the source; null when it has its content.</summary>
    /// <exception cref="FormatException">The mark is none of ours.</exception>
    public static Timestamp? Find(NativePath file)
    {
        if (ExtendedAttributes.Find(file, Unfilled) is not { } value) return null;
        return Parse(value) ?? throw new FormatException($"the mark of {file} is no time");
    }

    /// <summary>The time in a mark; null when it is none of ours.</summary>
    public static Timestamp? Parse(ReadOnlySpan<byte> value)
    {
        string[] parts = Encoding.ASCII.GetString(value).Split('.');
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seconds) && uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint nanoseconds) && nanoseconds < 1_000_000_000
            ? new(seconds, nanoseconds) : null;
    }

    /// <summary>Keeps a file's capability from what is written into it, which takes it away: also from a fill that is killed.</summary>
    public static void KeepCapability(NativePath file)
    {
        if (ExtendedAttributes.Find(file, FileCapability) is { } capability) ExtendedAttributes.Write(file, Capability, capability);
    }

    /// <summary>Gives it back when all is written.</summary>
    public static void GiveCapabilityBack(NativePath file)
    {
        if (ExtendedAttributes.Find(file, Capability) is not { } capability) return;
        ExtendedAttributes.Write(file, FileCapability, capability);
        ExtendedAttributes.Remove(file, Capability);
    }

    /// <summary>The content is there, and on the disk.</summary>
    public static void Remove(NativePath file) => ExtendedAttributes.Remove(file, Unfilled);

    /// <summary>Everything below this folder has its content, whatever marks of single files say.</summary>
    public static void SetWhole(NativePath folder) => ExtendedAttributes.Write(folder, Whole, "1"u8);

    /// <summary>Whether a folder was filled whole.</summary>
    public static bool IsWhole(NativePath folder) => ExtendedAttributes.Find(folder, Whole) is not null;
}
