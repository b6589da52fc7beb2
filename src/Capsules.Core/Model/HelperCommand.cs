using System.Collections.Immutable;

namespace Capsules.Core.Model;

/// <summary>A command before or after a service's start, at its stop or reload; in the manifest its first word may begin with signs, as in systemd.service(5).</summary>
/// <param name="Arguments">argv.</param>
/// <param name="MayFail">With `-`: a failure is none.</param>
/// <param name="AsRoot">With `+`: as the capsule's root, whatever the service's user is.</param>
public sealed record HelperCommand(ImmutableArray<string> Arguments, bool MayFail, bool AsRoot)
{
    /// <summary>Reads the words of a manifest.</summary>
    public static HelperCommand Of(ImmutableArray<string> words)
    {
        string first = words[0];
        int signs = 0;
        while (signs < first.Length && first[signs] is '-' or '+') signs++;
        return new(words.SetItem(0, first[signs..]), first.AsSpan(0, signs).Contains('-'), first.AsSpan(0, signs).Contains('+'));
    }

    /// <summary>As the manifest has it.</summary>
    public ImmutableArray<string> ToWords() => Arguments.SetItem(0, (MayFail ? "-" : "") + (AsRoot ? "+" : "") + Arguments[0]);
}
