using System.Text;

namespace Capsules.Core.CommandLine;

/// <summary>What help, completion and the reference say; all of it comes from <see cref="VerbTable"/>.</summary>
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
            string left = (option.Short is char letter ? $"-{letter}, " : "    ") + option.Name + (option.Value is null ? "" : " " + option.Value);
            text.Append("  ").Append(left.PadRight(34));
            if (left.Length >= 34) text.Append("\n  ").Append(' ', 34);
            text.Append(option.Help).Append(option.Repeats ? " (repeats)" : "").Append('\n');
        }
        return text.ToString();
    }

    /// <summary>A completion script for bash: verbs, options, and names of capsules where one is wanted.</summary>
    public static string BashCompletion()
    {
        var text = new StringBuilder("# bash completion for capsule; load it with: source <(capsule completion bash)\n_capsule() {\n    local word=${COMP_WORDS[COMP_CWORD]} verb=\"${COMP_WORDS[1]}\"\n");
        text.Append("    if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"");
        text.AppendJoin(' ', VerbTable.Verbs.Where(v => !v.Hidden).Select(v => v.Name.Split(' ')[0]).Distinct()).Append("\" -- \"$word\")); return; fi\n");
        text.Append("    case \"$verb ${COMP_WORDS[2]}\" in\n");
        foreach (var noun in VerbTable.Verbs.Where(v => v.Name.Contains(' ', StringComparison.Ordinal)).GroupBy(v => v.Name.Split(' ')[0]))
            text.Append($"    '{noun.Key} '*) [ \"$COMP_CWORD\" -eq 2 ] && {{ COMPREPLY=($(compgen -W \"{string.Join(' ', noun.Select(v => v.Name.Split(' ')[1]))}\" -- \"$word\")); return; }} ;;\n");
        text.Append("    esac\n    case \"$verb\" in\n");
        foreach (Verb verb in VerbTable.Verbs.Where(v => !v.Hidden && !v.Name.Contains(' ', StringComparison.Ordinal)))
            text.Append($"    {verb.Name}) [[ $word == -* ]] && {{ COMPREPLY=($(compgen -W \"{string.Join(' ', verb.Options.Concat(VerbTable.Common).Select(o => o.Name))}\" -- \"$word\")); return; }} ;;\n");
        text.Append("    esac\n    COMPREPLY=($(compgen -W \"$(capsule ps -a -q 2>/dev/null)\" -- \"$word\"))\n}\ncomplete -F _capsule capsule\n");
        return text.ToString();
    }
}
