using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Links;

/// <summary>What a capsule uses of another: the link, and what the owner offers by it.</summary>
public sealed record UsedExport(CapsuleLink Link, Export Export)
{
    /// <summary>The owner.</summary>
    public CapsuleName Owner => Link.Import.From;

    /// <summary>Whether the owner's programs may be run by it.</summary>
    public bool RunsPrograms => Link.Preset >= LinkPreset.Partner && !Export.Programs.IsEmpty;

    /// <summary>The owner's ports that are reached by it.</summary>
    public ImmutableArray<LoopbackPort> Ports => LoopbackPort.Of(Export, Link.Preset);
}

/// <summary>What may cross, and as what it arrives. Pure: the kernel's answers come in as facts.</summary>
public static class CrossingRules
{
    /// <summary>How often a program of one capsule may run one of another, each from within the last.</summary>
    public const int MostNested = 8;

    /// <summary>The most crossings of one capsule at the same time.</summary>
    public const int MostAtOnce = 256;

    /// <summary>Variables of the owner's user, whatever an export says.</summary>
    private static readonly ImmutableArray<string> OfOwner = ["PATH", "HOME", "USER", "LOGNAME", "SHELL"];

    /// <summary>Whether each argument behind the name matches one of the export's patterns; all do when it has none.</summary>
    /// <param name="export">The export.</param>
    /// <param name="arguments">argv, as byte pictures.</param>
    public static bool AllowsArguments(Export export, ImmutableArray<string> arguments)
    {
        if (export.Arguments.IsEmpty) return true;
        byte[][] patterns = [.. export.Arguments.Select(Encoding.UTF8.GetBytes)];
        return arguments.Skip(1).Select(BytePicture.FromPicture).All(a => patterns.Any(p => Matches(p, a)));
    }

    /// <summary>
    /// The name under which the program sees itself: the caller's word, when its last part is the program's own name; else its path. A program that does different
    /// things under different names does only what its exported name stands for.
    /// </summary>
    public static ImmutableArray<string> ArgumentsOf(GuestPath program, ImmutableArray<string> arguments)
    {
        byte[] first = BytePicture.FromPicture(arguments[0]);
        return first.AsSpan(first.AsSpan().LastIndexOf((byte)'/') + 1).SequenceEqual(program.Name) ? arguments : arguments.SetItem(0, program.ToString());
    }

    /// <summary>The variables that go along: of the language, the time zone and the terminal, and those that the export names; never any of the loader's.</summary>
    public static ImmutableArray<string> VariablesOf(Export export, ImmutableArray<string> variables)
    {
        bool Passes(string variable)
        {
            int equals = variable.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0) return false;
            string name = variable[..equals];
            if (name.StartsWith("LD_", StringComparison.Ordinal) || OfOwner.Contains(name)) return false;
            return name is "LANG" or "TZ" or "TERM" || name.StartsWith("LC_", StringComparison.Ordinal) || export.Environment.Contains(name);
        }
        return [.. variables.Where(Passes)];
    }

    /// <summary>The caller's limits, as far as the owner's hard ones allow.</summary>
    /// <param name="caller">Soft and hard limits, by number.</param>
    /// <param name="owner">The owner's hard limits, by number.</param>
    /// <param name="names">Names, by number.</param>
    public static ImmutableArray<ResourceLimit> LimitsOf(ImmutableArray<(ulong Soft, ulong Hard)> caller, ImmutableArray<ulong> owner, IEnumerable<string> names)
    {
        ResourceLimit Limit(string name, (ulong Soft, ulong Hard) wanted, ulong most) => new(name, Math.Min(wanted.Soft, Math.Min(wanted.Hard, most)), Math.Min(wanted.Hard, most));
        return [.. names.Zip(caller, owner).Select(l => Limit(l.First, l.Second, l.Third))];
    }

    /// <summary>The signal that a program in its first moment would have died of: its default action, neither ignored nor blocked.</summary>
    public static bool EndsBeforeStart(int signal, CrossingMessage message) =>
        signal is >= 1 and <= 64 and not (17 or 18 or 19 or 20 or 21 or 22 or 23 or 28) && ((message.Ignored | message.Blocked) >> (signal - 1) & 1) == 0;

    /// <summary>A shell's pattern: * stands for any bytes, ? for one; nothing else is special.</summary>
    internal static bool Matches(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text)
    {
        int p = 0, t = 0, star = -1, resume = 0;
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*') (star, resume) = (p++, t);
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == text[t])) (p, t) = (p + 1, t + 1);
            else if (star >= 0) (p, t) = (star + 1, ++resume);
            else return false;
        }
        while (p < pattern.Length && pattern[p] == '*') p++;
        return p == pattern.Length;
    }
}
