using System.Text;

namespace Capsules.Core.CommandLine;

/// <summary>What help and the reference say; all of it comes from <see cref="VerbTable"/>.</summary>
public static class HelpText
{
    /// <summary>The overview.</summary>
    public static string Overview()
    {
        var text = new StringBuilder("capsule: server applications as capsules, each with its own state and its own identity\n\nusage: capsule VERB [options] [words]\n");
        foreach (var group in VerbTable.Verbs.Where(v => !v.Hidden && v.Group != "oci").GroupBy(v => v.Group))
        {
            text.Append('\n').Append(group.Key).Append('\n');
            foreach (Verb verb in group) text.Append("  ").Append(verb.Name.PadRight(16)).Append(verb.Summary).Append('\n');
        }
        text.Append("\n`capsule oci …` speaks the OCI runtime command line. `capsule help VERB` tells more.\n");
        return text.ToString();
    }

    /// <summary>One verb.</summary>
    public static string Of(Verb verb)
    {
        var text = new StringBuilder($"usage: {verb.Usage}\n\n{char.ToUpperInvariant(verb.Summary[0])}{verb.Summary[1..]}.\n\noptions\n");
        foreach (Option option in verb.Options.Concat(VerbTable.Common))
        {
            string left = (option.Short is char letter ? $"-{letter}, " : "    ") + option.Name + option.ValueText;
            text.Append("  ").Append(left.PadRight(34));
            if (left.Length >= 34) text.Append("\n  ").Append(' ', 34);
            text.Append(option.Help).Append(option.Repeats ? " (repeats)" : "").Append('\n');
        }
        return text.ToString();
    }
}
